//! Commands about mailboxes: LIST, LSUB, STATUS, CREATE, DELETE, RENAME, SUBSCRIBE, SELECT.

use super::parse::Cursor;
use super::view::View;
use super::{Refusal, Session};
use crate::sandbox::conn::Reply;
use crate::sandbox::store::{Mailbox, canonical};

const FLAGS: &str = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

impl Session {
    pub(super) fn select(
        &mut self,
        read_only: bool,
        args: &mut Cursor<'_>,
        reply: &mut Reply,
    ) -> Result<String, Refusal> {
        let name = last_mailbox(args)?;
        // a SELECT that fails leaves nothing selected (RFC 9051 §6.3.2)
        self.deselect();
        let opened = View::open(&self.shared.store, canonical(&name), read_only);
        let view = opened.ok_or_else(|| Refusal::No("NONEXISTENT", "No such mailbox".to_owned()))?;
        let (validity, next) = self.shared.store.read(|mailboxes| {
            mailboxes.get(&view.name).map_or((0, 1), |mailbox| (mailbox.uid_validity, mailbox.uid_next))
        });
        let permanent = if read_only { String::new() } else { format!("{FLAGS} \\*") };
        reply.line(format!("* FLAGS ({FLAGS})"));
        reply.line(format!("* OK [PERMANENTFLAGS ({permanent})] Limited"));
        reply.line(format!("* {} EXISTS", view.messages.len()));
        reply.line(format!("* {} RECENT", view.messages.iter().filter(|seen| seen.recent).count()));
        if let Some(at) = view.messages.iter().position(|seen| !seen.flags.contains("\\Seen")) {
            reply.line(format!("* OK [UNSEEN {}] First unseen", at + 1));
        }
        reply.line(format!("* OK [UIDVALIDITY {validity}] UIDs valid"));
        reply.line(format!("* OK [UIDNEXT {next}] Predicted next UID"));
        self.enter(view);
        let mode = if read_only { "READ-ONLY" } else { "READ-WRITE" };
        Ok(format!("[{mode}] Selected"))
    }

    pub(super) fn list(&self, name: &str, args: &mut Cursor<'_>, reply: &mut Reply) -> Result<String, Refusal> {
        args.space()?;
        let reference = args.mailbox()?;
        args.space()?;
        let pattern = args.list_mailbox()?;
        args.end()?;
        if pattern.is_empty() && name == "LIST" {
            // RFC 9051 §6.3.9: asks for the delimiter and the root of the reference
            reply.line("* LIST (\\Noselect) \"/\" \"\"");
            return Ok("List completed".to_owned());
        }
        let pattern = format!("{reference}{pattern}");
        self.shared.store.read(|mailboxes| {
            for (mailbox, content) in mailboxes.iter() {
                if !matches_pattern(mailbox, &pattern) || (name == "LSUB" && !content.subscribed) {
                    continue;
                }
                let children = if mailboxes.has_children(mailbox) { "\\HasChildren" } else { "\\HasNoChildren" };
                reply.put(format!("* {name} ({children}) \"/\" "));
                put_mailbox(mailbox, reply);
                reply.line("");
            }
        });
        Ok("List completed".to_owned())
    }

    pub(super) fn status(&self, args: &mut Cursor<'_>, reply: &mut Reply) -> Result<String, Refusal> {
        args.space()?;
        let name = args.mailbox()?;
        args.space()?;
        args.expect(b'(')?;
        let mut items = Vec::new();
        loop {
            items.push(args.atom()?.to_ascii_uppercase());
            if !args.take(b' ') {
                break;
            }
        }
        args.expect(b')')?;
        args.end()?;
        let values: Result<Vec<String>, Refusal> = self.shared.store.read(|mailboxes| {
            let missing = || Refusal::No("NONEXISTENT", "No such mailbox".to_owned());
            let mailbox = mailboxes.get(&name).ok_or_else(missing)?;
            items.iter().map(|item| status_item(item, mailbox)).collect()
        });
        reply.put("* STATUS ");
        let values = values?;
        put_mailbox(&name, reply);
        reply.line(format!(" ({})", values.join(" ")));
        Ok("Status completed".to_owned())
    }

    /// CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE.
    pub(super) fn folder(&mut self, command: &str, args: &mut Cursor<'_>) -> Result<String, Refusal> {
        args.space()?;
        let name = args.mailbox()?;
        let target = if command == "RENAME" {
            args.space()?;
            args.mailbox()?
        } else {
            String::new()
        };
        args.end()?;
        let done = self.shared.store.change(|mailboxes| match command {
            "CREATE" => mailboxes.create(&name),
            "DELETE" => mailboxes.delete(&name),
            "RENAME" => mailboxes.rename(&name, &target),
            _ => match mailboxes.get_mut(&name) {
                Some(mailbox) => {
                    mailbox.subscribed = command == "SUBSCRIBE";
                    Ok(())
                }
                None => Err(("NONEXISTENT", "No such mailbox")),
            },
        });
        done.map_err(|(code, text)| Refusal::No(code, text.to_owned()))?;
        Ok("Done".to_owned())
    }
}

/// Reads ` mailbox` and the end.
fn last_mailbox(args: &mut Cursor<'_>) -> Result<String, Refusal> {
    args.space()?;
    let name = args.mailbox()?;
    args.end()?;
    Ok(name)
}

fn status_item(item: &str, mailbox: &Mailbox) -> Result<String, Refusal> {
    let count = |wanted: fn(&crate::sandbox::store::Stored) -> bool| {
        mailbox.messages.iter().filter(|stored| wanted(stored)).count()
    };
    let value = match item {
        "MESSAGES" => mailbox.messages.len(),
        "RECENT" => count(|stored| stored.recent),
        "UNSEEN" => count(|stored| !stored.message.flags.contains("\\Seen")),
        "UIDNEXT" => return Ok(format!("UIDNEXT {}", mailbox.uid_next)),
        "UIDVALIDITY" => return Ok(format!("UIDVALIDITY {}", mailbox.uid_validity)),
        "SIZE" => mailbox.messages.iter().map(|stored| stored.message.content.len()).sum(),
        _ => return Err(Refusal::Bad("Unknown status item".to_owned())),
    };
    Ok(format!("{item} {value}"))
}

/// A mailbox name as a quoted string.
fn put_mailbox(name: &str, reply: &mut Reply) {
    super::structure::put_nstring(Some(name.as_bytes()), reply);
}

/// `*` stands for anything, `%` for anything within a level (RFC 9051 §6.3.9).
fn matches_pattern(name: &str, pattern: &str) -> bool {
    let pattern = if pattern.eq_ignore_ascii_case("INBOX") { "INBOX" } else { pattern };
    let (mut reachable, pattern) = (vec![true], pattern.as_bytes());
    // reachable[i]: the pattern so far matches the first i octets of the name
    reachable.resize(name.len() + 1, false);
    for symbol in pattern {
        let mut next = vec![false; name.len() + 1];
        let mut open = false;
        let octets = std::iter::once(None).chain(name.bytes().map(Some));
        let mut before = false;
        for ((now, then), octet) in reachable.iter().zip(&mut next).zip(octets) {
            match symbol {
                b'*' | b'%' => {
                    open = *now || (open && (*symbol == b'*' || octet != Some(b'/')));
                    *then = open;
                }
                literal => *then = before && octet == Some(*literal),
            }
            before = *now;
        }
        reachable = next;
    }
    reachable.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_mailbox_patterns() {
        let table = [
            ("INBOX", "*", true),
            ("INBOX", "inbox", true),
            ("a/b", "%", false),
            ("a/b", "%/%", true),
            ("a/b", "a*", true),
            ("a/b/c", "a/%", false),
            ("a/b/c", "a/*c", true),
            ("abc", "a%c", true),
            ("abc", "ab", false),
            ("", "*", true),
        ];
        for (name, pattern, expected) in table {
            assert_eq!(matches_pattern(name, pattern), expected, "{name} {pattern}");
        }
    }
}
