//! The selected mailbox as one session has been told of it. Comparing it with the store gives all the
//! untagged EXPUNGE, EXISTS and FETCH responses, whoever made the changes.

use std::collections::BTreeSet;

use super::parse::SequenceSet;
use super::{Refusal, show_flags};
use crate::sandbox::conn::Reply;
use crate::sandbox::store::Store;

/// A selected mailbox.
#[derive(Debug)]
pub(super) struct View {
    pub(super) name: String,
    pub(super) read_only: bool,
    /// In the order of the session's sequence numbers.
    pub(super) messages: Vec<Seen>,
}

/// A message as the client last heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) uid: u32,
    pub(super) flags: BTreeSet<String>,
    pub(super) recent: bool,
}

/// Whether sequence numbers may shift now: not while a command that used them is being answered
/// (RFC 9051 §7.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shifts {
    Allowed,
    Held,
}

impl View {
    /// Opens a mailbox; recent messages become this session's unless it only examines.
    pub(super) fn open(store: &Store, name: &str, read_only: bool) -> Option<Self> {
        store.change(|mailboxes| {
            let mailbox = mailboxes.get_mut(name)?;
            let mut messages = Vec::with_capacity(mailbox.messages.len());
            for stored in &mut mailbox.messages {
                messages.push(Seen { uid: stored.uid, flags: stored.message.flags.clone(), recent: stored.recent });
                stored.recent &= read_only;
            }
            Some(Self { name: name.to_owned(), read_only, messages })
        })
    }

    /// Brings the view up to date and tells the client what changed.
    pub(super) fn sync(&mut self, store: &Store, shifts: Shifts, reply: &mut Reply) {
        let read_only = self.read_only;
        // collected under the lock, then compared with what the client knows
        let current: Vec<Seen> = store.read(|mailboxes| {
            let stored = mailboxes.get(&self.name).map(|mailbox| mailbox.messages.as_slice()).unwrap_or_default();
            let seen = stored.iter().map(|stored| Seen {
                uid: stored.uid,
                flags: stored.message.flags.clone(),
                recent: stored.recent,
            });
            seen.collect()
        });
        if shifts == Shifts::Allowed {
            let mut number = 0;
            self.messages.retain(|seen| {
                number += 1;
                let stays = current.binary_search_by_key(&seen.uid, |now| now.uid).is_ok();
                if !stays {
                    reply.line(format!("* {number} EXPUNGE"));
                    number -= 1;
                }
                stays
            });
        }
        for (at, seen) in self.messages.iter_mut().enumerate() {
            let now = current.binary_search_by_key(&seen.uid, |now| now.uid).ok().and_then(|at| current.get(at));
            if let Some(now) = now.filter(|now| now.flags != seen.flags) {
                seen.flags.clone_from(&now.flags);
                reply.line(format!("* {} FETCH (UID {} FLAGS {})", at + 1, seen.uid, show_flags(seen)));
            }
        }
        let known = self.messages.last().map_or(0, |seen| seen.uid);
        let fresh: Vec<Seen> = current.into_iter().filter(|now| now.uid > known).collect();
        if !fresh.is_empty() {
            let uids: BTreeSet<u32> = fresh.iter().filter(|seen| seen.recent).map(|seen| seen.uid).collect();
            self.messages.extend(fresh);
            reply.line(format!("* {} EXISTS", self.messages.len()));
            reply.line(format!("* {} RECENT", self.messages.iter().filter(|seen| seen.recent).count()));
            if !read_only && !uids.is_empty() {
                claim_recent(store, &self.name, &uids);
            }
        }
    }

    /// The positions (from 0) that a set names. A sequence number that does not exist is the client's
    /// fault; a UID that does not exist is not (RFC 9051 §6.4.9).
    pub(super) fn resolve(&self, set: &SequenceSet, by_uid: bool) -> Result<Vec<usize>, Refusal> {
        let count = u32::try_from(self.messages.len()).unwrap_or(u32::MAX);
        if by_uid {
            let last = self.messages.last().map_or(0, |seen| seen.uid);
            let named = self.messages.iter().enumerate().filter(|(_, seen)| set.contains(seen.uid, last));
            return Ok(named.map(|(at, _)| at).collect());
        }
        if count == 0 || set.largest().is_some_and(|largest| largest > count) {
            return Err(Refusal::Bad("There is no message of that number".to_owned()));
        }
        Ok((1..=count).zip(0..).filter(|(number, _)| set.contains(*number, count)).map(|(_, at)| at).collect())
    }
}

fn claim_recent(store: &Store, name: &str, uids: &BTreeSet<u32>) {
    store.change(|mailboxes| {
        for uid in uids {
            if let Some(stored) = mailboxes.get_mut(name).and_then(|mailbox| mailbox.find_mut(*uid)) {
                stored.recent = false;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Message;

    fn store() -> Store {
        let message = || Message::new("A: b\r\n\r\n", jiff::Timestamp::UNIX_EPOCH);
        Store::new(vec![("INBOX".to_owned(), vec![message(), message(), message()])])
    }

    #[test]
    fn tells_of_every_change_once() {
        let store = store();
        let mut view = View::open(&store, "INBOX", false).unwrap();
        store.change(|mailboxes| {
            let inbox = mailboxes.get_mut("INBOX").unwrap();
            inbox.messages.remove(0);
            inbox.find_mut(3).unwrap().message.flags.insert("\\Seen".to_owned());
            inbox.add(Message::new("C: d\r\n\r\n", jiff::Timestamp::UNIX_EPOCH));
        });
        let mut reply = Reply::default();
        view.sync(&store, Shifts::Held, &mut reply);
        let told = "* 3 FETCH (UID 3 FLAGS (\\Seen \\Recent))\r\n* 4 EXISTS\r\n* 4 RECENT\r\n";
        assert_eq!(String::from_utf8(reply.concat()).unwrap(), told);
        view.sync(&store, Shifts::Allowed, &mut reply);
        assert_eq!(reply.concat(), b"* 1 EXPUNGE\r\n");
        view.sync(&store, Shifts::Allowed, &mut reply);
        assert_eq!(reply.concat(), b"");
    }

    #[test]
    fn gives_recent_messages_to_the_first_that_selects() {
        let store = store();
        let recent = |view: &View| view.messages.iter().filter(|seen| seen.recent).count();
        assert_eq!(recent(&View::open(&store, "INBOX", true).unwrap()), 3);
        assert_eq!(recent(&View::open(&store, "INBOX", false).unwrap()), 3);
        assert_eq!(recent(&View::open(&store, "INBOX", false).unwrap()), 0);
    }
}
