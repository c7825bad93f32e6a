//! Mailboxes and their messages, in memory, shared by all connections of one sandbox.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

/// A message as it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Header and body with CRLF line ends.
    pub content: Bytes,
    /// System flags (`\Seen`) and keywords.
    pub flags: BTreeSet<String>,
    /// The INTERNALDATE.
    pub received: Timestamp,
}

impl Message {
    /// An unseen message.
    #[must_use]
    pub fn new(content: impl Into<Bytes>, received: Timestamp) -> Self {
        Self { content: content.into(), flags: BTreeSet::new(), received }
    }

    /// The same with one more flag.
    #[must_use]
    pub fn with_flag(mut self, flag: &str) -> Self {
        self.flags.insert(flag.to_owned());
        self
    }
}

/// A message in a mailbox.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) uid: u32,
    /// No session has selected the mailbox since it came (RFC 3501 §2.3.2).
    pub(super) recent: bool,
    pub(super) message: Message,
}

/// One mailbox. `messages` is in ascending order of UID, and every UID is under `uid_next`.
#[derive(Debug, Clone)]
pub(super) struct Mailbox {
    pub(super) uid_validity: u32,
    pub(super) uid_next: u32,
    pub(super) subscribed: bool,
    pub(super) messages: Vec<Stored>,
}

impl Mailbox {
    /// Adds a message and says under which UID.
    pub(super) fn add(&mut self, message: Message) -> u32 {
        let uid = self.uid_next;
        self.uid_next += 1;
        self.messages.push(Stored { uid, recent: true, message });
        uid
    }

    pub(super) fn find(&self, uid: u32) -> Option<&Stored> {
        self.messages.binary_search_by_key(&uid, |stored| stored.uid).ok().and_then(|at| self.messages.get(at))
    }

    pub(super) fn find_mut(&mut self, uid: u32) -> Option<&mut Stored> {
        self.messages.binary_search_by_key(&uid, |stored| stored.uid).ok().and_then(|at| self.messages.get_mut(at))
    }
}

/// All mailboxes by name. INBOX is always there.
#[derive(Debug)]
pub(super) struct Mailboxes {
    by_name: BTreeMap<String, Mailbox>,
    next_validity: u32,
}

/// Why a mailbox could not be made, renamed or removed; the text of the NO answer.
pub(super) type Refused = (&'static str, &'static str);

impl Mailboxes {
    fn new() -> Self {
        let mut mailboxes = Self { by_name: BTreeMap::new(), next_validity: 1_760_000_000 };
        mailboxes.make("INBOX");
        mailboxes
    }

    pub(super) fn get(&self, name: &str) -> Option<&Mailbox> {
        self.by_name.get(canonical(name))
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Mailbox> {
        self.by_name.get_mut(canonical(name))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Mailbox)> {
        self.by_name.iter().map(|(name, mailbox)| (name.as_str(), mailbox))
    }

    /// Whether any mailbox lies under this one; `/` separates levels.
    pub(super) fn has_children(&self, name: &str) -> bool {
        let prefix = format!("{name}/");
        self.by_name.keys().any(|other| other.starts_with(&prefix))
    }

    pub(super) fn create(&mut self, name: &str) -> Result<(), Refused> {
        let name = canonical(name.strip_suffix('/').unwrap_or(name));
        if name.is_empty() {
            return Err(("CANNOT", "A mailbox needs a name"));
        }
        if self.by_name.contains_key(name) {
            return Err(("ALREADYEXISTS", "The mailbox exists"));
        }
        self.make(name);
        Ok(())
    }

    pub(super) fn delete(&mut self, name: &str) -> Result<(), Refused> {
        if canonical(name) == "INBOX" {
            return Err(("CANNOT", "INBOX cannot be deleted"));
        }
        self.by_name.remove(name).map(drop).ok_or(("NONEXISTENT", "No such mailbox"))
    }

    /// Renames a mailbox and those under it. INBOX stays and gives its messages away (RFC 9051 §6.3.6).
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), Refused> {
        let (from, to) = (canonical(from), canonical(to));
        if self.by_name.contains_key(to) {
            return Err(("ALREADYEXISTS", "The mailbox exists"));
        }
        let Some(source) = self.by_name.get_mut(from) else {
            return Err(("NONEXISTENT", "No such mailbox"));
        };
        if from == "INBOX" {
            let moved = std::mem::take(&mut source.messages);
            let target = self.make(to);
            for stored in moved {
                target.add(stored.message);
            }
            return Ok(());
        }
        let prefix = format!("{from}/");
        let affected: Vec<String> =
            self.by_name.keys().filter(|name| *name == from || name.starts_with(&prefix)).cloned().collect();
        for name in affected {
            if let (Some(mailbox), Some(rest)) = (self.by_name.remove(&name), name.strip_prefix(from)) {
                self.by_name.insert(format!("{to}{rest}"), mailbox);
            }
        }
        Ok(())
    }

    fn make(&mut self, name: &str) -> &mut Mailbox {
        let uid_validity = self.next_validity;
        self.next_validity += 1;
        self.by_name.entry(canonical(name).to_owned()).or_insert(Mailbox {
            uid_validity,
            uid_next: 1,
            subscribed: true,
            messages: Vec::new(),
        })
    }
}

/// INBOX is the one name that is compared without regard to case (RFC 9051 §5.1).
pub(super) fn canonical(name: &str) -> &str {
    if name.eq_ignore_ascii_case("INBOX") { "INBOX" } else { name }
}

/// The mailboxes behind their lock, and a bell that rings at each change.
#[derive(Debug)]
pub(super) struct Store {
    mailboxes: Mutex<Mailboxes>,
    bell: watch::Sender<()>,
}

impl Store {
    pub(super) fn new(content: Vec<(String, Vec<Message>)>) -> Self {
        let mut mailboxes = Mailboxes::new();
        for (name, messages) in content {
            let mailbox = mailboxes.make(&name);
            for message in messages {
                mailbox.add(message);
            }
        }
        Self { mailboxes: Mutex::new(mailboxes), bell: watch::Sender::new(()) }
    }

    /// Looks at the mailboxes.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Mailboxes) -> T) -> T {
        // a panic in a test's other connection does not make the mail unreadable
        look(&self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the mailboxes and tells every connection that idles.
    pub(super) fn change<T>(&self, edit: impl FnOnce(&mut Mailboxes) -> T) -> T {
        let result = edit(&mut self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner));
        self.bell.send_replace(());
        result
    }

    /// Sees every change from now on.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &'static str) -> Message {
        Message::new(text, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn never_gives_a_uid_twice() {
        let store = Store::new(vec![("inbox".to_owned(), vec![message("one"), message("two")])]);
        let third = store.change(|mailboxes| {
            let inbox = mailboxes.get_mut("Inbox").unwrap();
            inbox.messages.clear();
            inbox.add(message("three"))
        });
        assert_eq!(third, 3);
        assert_eq!(store.read(|mailboxes| mailboxes.get("INBOX").unwrap().find(3).unwrap().message.content.len()), 5);
    }

    #[test]
    fn renames_with_children_and_keeps_inbox() {
        let mut mailboxes =
            Store::new(vec![("INBOX".to_owned(), vec![message("one")])]).mailboxes.into_inner().unwrap();
        mailboxes.create("a").unwrap();
        mailboxes.create("a/b").unwrap();
        mailboxes.create("ab").unwrap();
        mailboxes.rename("a", "z").unwrap();
        mailboxes.rename("INBOX", "old").unwrap();
        let names: Vec<&str> = mailboxes.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["INBOX", "ab", "old", "z", "z/b"]);
        assert_eq!(mailboxes.get("old").unwrap().messages.len(), 1);
        assert_eq!(mailboxes.create("INBOX"), Err(("ALREADYEXISTS", "The mailbox exists")));
        assert!(mailboxes.delete("inbox").is_err());
    }

    #[test]
    fn rings_the_bell_at_each_change() {
        let store = Store::new(Vec::new());
        let mut watch = store.watch();
        assert!(!watch.has_changed().unwrap());
        store.change(|mailboxes| mailboxes.create("x")).unwrap();
        assert!(watch.has_changed().unwrap());
        watch.mark_unchanged();
        store.read(|_| ());
        assert!(!watch.has_changed().unwrap());
    }
}
