//! NOTIFY (RFC 5465): the client asks to be told of changes without asking again.

use super::super::command::Details;
use super::super::reader::{Fault, Reader};
use super::fetch::{Asked, item_list};

pub(in super::super) fn notify(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.space()?;
    if reader.one_of(&["NONE", "SET"])? == "NONE" {
        reader.facts.details = Details::NotifyNone;
        return Ok(());
    }
    reader.eat_word_after_space("STATUS");
    reader.space()?;
    let mut asked = None;
    reader.sequence(|reader| {
        reader.expect(b'(')?;
        mailboxes(reader)?;
        reader.space()?;
        events(reader, &mut asked)?;
        reader.expect(b')')
    })?;
    reader.facts.details = asked.map_or(Details::None, Asked::details);
    Ok(())
}

/// `filter-mailboxes` (RFC 5465 §8), used by MULTISEARCH too.
pub(super) fn mailboxes(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let filters =
        ["SELECTED", "SELECTED-DELAYED", "INBOXES", "PERSONAL", "SUBSCRIBED", "SUBTREE", "SUBTREE-ONE", "MAILBOXES"];
    let filter = reader.one_of(&filters)?;
    if !matches!(filter, "SELECTED" | "SELECTED-DELAYED" | "MAILBOXES") {
        reader.reaches_further();
    }
    if !matches!(filter, "SUBTREE" | "SUBTREE-ONE" | "MAILBOXES") {
        return Ok(());
    }
    reader.space()?;
    if reader.peek() == Some(b'(') { reader.list(Reader::mailbox) } else { reader.mailbox() }
}

fn events(reader: &mut Reader<'_>, asked: &mut Option<Asked>) -> Result<(), Fault> {
    if reader.eat_word("NONE") {
        return Ok(());
    }
    let others = [
        "MessageExpunge",
        "FlagChange",
        "AnnotationChange",
        "MailboxName",
        "SubscriptionChange",
        "MailboxMetadataChange",
        "ServerMetadataChange",
    ];
    reader.list(|reader| {
        if !reader.eat_word("MessageNew") {
            return reader.one_of(&others).map(drop);
        }
        if reader.starts_with(b" (") {
            reader.space()?;
            let items = item_list(reader)?;
            *asked = Some(asked.unwrap_or(Asked::NOTHING).and(items));
        }
        Ok(())
    })
}
