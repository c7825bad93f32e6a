//! Commands that change messages: STORE, COPY, MOVE, EXPUNGE, APPEND; with the codes of UIDPLUS (RFC 4315).

use std::collections::BTreeSet;

use bytes::Bytes;

use super::parse::Cursor;
use super::view::View;
use super::{Refusal, Session};
use crate::sandbox::conn::Reply;
use crate::sandbox::store::Message;

impl Session {
    /// STORE and UID STORE. What changed is told by comparing the view with the store afterwards; SILENT
    /// takes the change into the view unsaid.
    pub(super) fn store(&mut self, by_uid: bool, args: &mut Cursor<'_>) -> Result<String, Refusal> {
        args.space()?;
        let set = args.sequence_set()?;
        args.space()?;
        let word = args.run(|octet| octet.is_ascii_alphabetic() || matches!(octet, b'+' | b'-' | b'.'));
        let word = word.to_ascii_uppercase();
        let (action, silent) = word.strip_suffix(".SILENT").map_or((word.as_str(), false), |action| (action, true));
        if !matches!(action, "FLAGS" | "+FLAGS" | "-FLAGS") {
            return Err(Refusal::Bad("Unknown data item".to_owned()));
        }
        args.space()?;
        let flags = args.flags()?;
        args.end()?;
        let (store, view) = self.writable()?;
        for at in view.resolve(&set, by_uid)? {
            let Some(seen) = view.messages.get_mut(at) else { continue };
            let now = store.change(|mailboxes| {
                let stored = mailboxes.get_mut(&view.name)?.find_mut(seen.uid)?;
                let kept = &mut stored.message.flags;
                match action {
                    "+FLAGS" => kept.extend(flags.iter().cloned()),
                    "-FLAGS" => kept.retain(|flag| !flags.contains(flag)),
                    _ => kept.clone_from(&flags),
                }
                Some(kept.clone())
            });
            match now {
                Some(now) if silent => seen.flags = now,
                // so that the comparison tells even a message whose flags stayed as they were
                Some(now) if now == seen.flags => _ = seen.flags.insert(String::new()),
                Some(_) | None => {}
            }
        }
        Ok("Store completed".to_owned())
    }

    /// COPY and MOVE, by number or UID.
    pub(super) fn copy(
        &mut self,
        moves: bool,
        by_uid: bool,
        args: &mut Cursor<'_>,
        reply: &mut Reply,
    ) -> Result<String, Refusal> {
        args.space()?;
        let set = args.sequence_set()?;
        args.space()?;
        let target = args.mailbox()?;
        args.end()?;
        let (store, view) = if moves { self.writable()? } else { self.selected()? };
        let uids: BTreeSet<u32> = view
            .resolve(&set, by_uid)?
            .into_iter()
            .filter_map(|at| view.messages.get(at))
            .map(|seen| seen.uid)
            .collect();
        let copied = store.change(|mailboxes| {
            let source = mailboxes.get(&view.name)?;
            let found: Vec<(u32, Message)> = uids
                .iter()
                .filter_map(|uid| source.find(*uid))
                .map(|stored| (stored.uid, stored.message.clone()))
                .collect();
            let target = mailboxes.get_mut(&target)?;
            let pairs: Vec<(u32, u32)> = found.into_iter().map(|(uid, message)| (uid, target.add(message))).collect();
            let validity = target.uid_validity;
            if moves && let Some(source) = mailboxes.get_mut(&view.name) {
                source.messages.retain(|stored| !pairs.iter().any(|(from, _)| *from == stored.uid));
            }
            Some((validity, pairs))
        });
        let missing = || Refusal::No("TRYCREATE", "No such mailbox".to_owned());
        let (validity, pairs) = copied.ok_or_else(missing)?;
        let done = if moves { "Move completed" } else { "Copy completed" };
        if pairs.is_empty() {
            return Ok(done.to_owned());
        }
        let (from, to): (Vec<u32>, Vec<u32>) = pairs.into_iter().unzip();
        let code = format!("[COPYUID {validity} {} {}]", show_set(&from), show_set(&to));
        if moves {
            // RFC 6851 §4.3: the code comes before the EXPUNGE responses
            reply.line(format!("* OK {code} Moved"));
            return Ok(done.to_owned());
        }
        Ok(format!("{code} {done}"))
    }

    /// EXPUNGE, and UID EXPUNGE with its set.
    pub(super) fn expunge(&mut self, by_uid: bool, args: &mut Cursor<'_>) -> Result<String, Refusal> {
        let set = if by_uid {
            args.space()?;
            Some(args.sequence_set()?)
        } else {
            None
        };
        args.end()?;
        let (store, view) = self.writable()?;
        let last = view.messages.last().map_or(0, |seen| seen.uid);
        let named = |uid: u32| set.as_ref().is_none_or(|set| set.contains(uid, last));
        store.change(|mailboxes| {
            if let Some(mailbox) = mailboxes.get_mut(&view.name) {
                let goes = |message: &Message| message.flags.contains("\\Deleted");
                mailbox.messages.retain(|stored| !(named(stored.uid) && goes(&stored.message)));
            }
        });
        Ok("Expunge completed".to_owned())
    }

    /// CLOSE: expunges without telling, and leaves (RFC 9051 §6.4.1).
    pub(super) fn close(&mut self, args: &mut Cursor<'_>) -> Result<String, Refusal> {
        args.end()?;
        if self.selected()?.1.read_only {
            self.deselect();
        } else {
            self.expunge(false, &mut Cursor::new(b""))?;
            self.deselect();
        }
        Ok("Closed".to_owned())
    }

    pub(super) fn append(&mut self, args: &mut Cursor<'_>) -> Result<String, Refusal> {
        args.space()?;
        let name = args.mailbox()?;
        args.space()?;
        let mut message = Message::new(Bytes::new(), jiff::Timestamp::now());
        if args.peek() == Some(b'(') {
            message.flags = args.flags()?;
            args.space()?;
        }
        if args.peek() == Some(b'"') {
            message.received = args.date_time()?;
            args.space()?;
        }
        message.content = Bytes::copy_from_slice(args.literal()?);
        args.end()?;
        let added = self
            .shared
            .store
            .change(|mailboxes| mailboxes.get_mut(&name).map(|mailbox| (mailbox.uid_validity, mailbox.add(message))));
        let missing = || Refusal::No("TRYCREATE", "No such mailbox".to_owned());
        let (validity, uid) = added.ok_or_else(missing)?;
        Ok(format!("[APPENDUID {validity} {uid}] Append completed"))
    }

    fn writable(&mut self) -> Result<(&crate::sandbox::store::Store, &mut View), Refusal> {
        let (store, view) = self.selected()?;
        if view.read_only {
            return Err(Refusal::No("CANNOT", "The mailbox is read-only".to_owned()));
        }
        Ok((store, view))
    }
}

/// `1:3,5` for 1 2 3 5.
fn show_set(uids: &[u32]) -> String {
    let runs = uids.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    let shown: Vec<String> = runs
        .filter_map(|run| Some((run.first()?, run.last()?)))
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}:{last}") })
        .collect();
    shown.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_runs_of_uids_as_ranges() {
        assert_eq!(show_set(&[1, 2, 3, 5, 7, 8]), "1:3,5,7:8");
        assert_eq!(show_set(&[]), "");
    }
}
