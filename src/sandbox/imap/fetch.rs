//! FETCH (RFC 9051 §6.4.5): data items and sections.

use bytes::Bytes;

use super::Refusal;
use super::parse::{Cursor, show_date_time};
use super::structure::{Detail, put_envelope, put_structure};
use super::view::{Seen, View};
use crate::sandbox::conn::Reply;
use crate::sandbox::mime::{Inside, Part, fields};
use crate::sandbox::store::{Message, Store};

/// A data item that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Flags,
    Uid,
    Size,
    InternalDate,
    Envelope,
    Structure(Detail),
    Section(Section),
}

/// Text that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// How the answer names it.
    label: String,
    peek: bool,
    path: Vec<u32>,
    text: Text,
    /// First octet and count.
    partial: Option<(u32, u32)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Text {
    Whole,
    Header,
    Mime,
    Body,
    Fields(Vec<String>),
    FieldsNot(Vec<String>),
}

/// Reads the items of a FETCH: one, a parenthesised list, or a macro.
pub(super) fn parse_items(cursor: &mut Cursor<'_>) -> Result<Vec<Item>, Refusal> {
    if !cursor.take(b'(') {
        return parse_item(cursor);
    }
    let mut items = Vec::new();
    loop {
        items.extend(parse_item(cursor)?);
        if !cursor.take(b' ') {
            break;
        }
    }
    cursor.expect(b')')?;
    Ok(items)
}

fn parse_item(cursor: &mut Cursor<'_>) -> Result<Vec<Item>, Refusal> {
    let name = cursor.run(|octet| octet.is_ascii_alphanumeric() || octet == b'.').to_ascii_uppercase();
    let fast = [Item::Flags, Item::InternalDate, Item::Size];
    let whole =
        |peek, text| vec![Item::Section(Section { label: name.clone(), peek, path: Vec::new(), text, partial: None })];
    Ok(match name.as_str() {
        "FLAGS" => vec![Item::Flags],
        "UID" => vec![Item::Uid],
        "RFC822.SIZE" => vec![Item::Size],
        "INTERNALDATE" => vec![Item::InternalDate],
        "ENVELOPE" => vec![Item::Envelope],
        "BODYSTRUCTURE" => vec![Item::Structure(Detail::BodyStructure)],
        "RFC822" => whole(false, Text::Whole),
        "RFC822.HEADER" => whole(true, Text::Header),
        "RFC822.TEXT" => whole(false, Text::Body),
        "FAST" => fast.to_vec(),
        "ALL" => [&fast[..], &[Item::Envelope]].concat(),
        "FULL" => [&fast[..], &[Item::Envelope, Item::Structure(Detail::Body)]].concat(),
        "BODY" | "BODY.PEEK" if cursor.take(b'[') => {
            vec![Item::Section(parse_section(name == "BODY.PEEK", cursor)?)]
        }
        "BODY" => vec![Item::Structure(Detail::Body)],
        _ => return Err(Refusal::Bad("Unknown data item".to_owned())),
    })
}

fn parse_section(peek: bool, cursor: &mut Cursor<'_>) -> Result<Section, Refusal> {
    let mut path = Vec::new();
    while cursor.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        path.push(cursor.number()?);
        if !cursor.take(b'.') {
            break;
        }
    }
    let word = cursor.run(|octet| octet.is_ascii_alphabetic() || octet == b'.').to_ascii_uppercase();
    let text = match word.as_str() {
        "" => Text::Whole,
        "HEADER" => Text::Header,
        "TEXT" => Text::Body,
        "MIME" if !path.is_empty() => Text::Mime,
        "HEADER.FIELDS" => Text::Fields(parse_names(cursor)?),
        "HEADER.FIELDS.NOT" => Text::FieldsNot(parse_names(cursor)?),
        _ => return Err(Refusal::Bad("Unknown section".to_owned())),
    };
    cursor.expect(b']')?;
    let mut spec: Vec<String> = path.iter().map(u32::to_string).collect();
    spec.extend((!word.is_empty()).then_some(word));
    let names = match &text {
        Text::Fields(names) | Text::FieldsNot(names) => format!(" ({})", names.join(" ")),
        Text::Whole | Text::Header | Text::Mime | Text::Body => String::new(),
    };
    let mut section = Section { label: format!("BODY[{}{names}]", spec.join(".")), peek, path, text, partial: None };
    if cursor.take(b'<') {
        let first = cursor.number()?;
        cursor.expect(b'.')?;
        section.partial = Some((first, cursor.number()?));
        cursor.expect(b'>')?;
        section.label = format!("{}<{first}>", section.label);
    }
    Ok(section)
}

fn parse_names(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Refusal> {
    cursor.space()?;
    cursor.expect(b'(')?;
    let mut names = Vec::new();
    loop {
        names.push(String::from_utf8_lossy(&cursor.astring()?).to_ascii_uppercase());
        if !cursor.take(b' ') {
            break;
        }
    }
    cursor.expect(b')')?;
    Ok(names)
}

impl Item {
    fn sets_seen(&self) -> bool {
        matches!(self, Self::Section(Section { peek: false, .. }))
    }
}

/// Answers a FETCH. A message that another session has expunged meanwhile is left out (RFC 2180 §4.1.3).
pub(super) fn fetch(view: &mut View, at: &[usize], items: &[Item], store: &Store, reply: &mut Reply) {
    let sets_seen = !view.read_only && items.iter().any(Item::sets_seen);
    for at in at {
        let Some(seen) = view.messages.get_mut(*at) else { continue };
        let Some(message) = current(store, &view.name, seen, sets_seen) else { continue };
        let fresh = message.flags != seen.flags;
        seen.flags.clone_from(&message.flags);
        reply.put(format!("* {} FETCH (", at + 1));
        for (nth, item) in items.iter().enumerate() {
            reply.put(if nth == 0 { "" } else { " " });
            put_item(item, seen, &message, reply);
        }
        if fresh && !items.contains(&Item::Flags) {
            reply.put(format!(" FLAGS {}", super::show_flags(seen)));
        }
        reply.line(")");
    }
}

fn current(store: &Store, name: &str, seen: &Seen, set_seen: bool) -> Option<Message> {
    if set_seen && !seen.flags.contains("\\Seen") {
        return store.change(|mailboxes| {
            let stored = mailboxes.get_mut(name)?.find_mut(seen.uid)?;
            stored.message.flags.insert("\\Seen".to_owned());
            Some(stored.message.clone())
        });
    }
    store.read(|mailboxes| Some(mailboxes.get(name)?.find(seen.uid)?.message.clone()))
}

fn put_item(item: &Item, seen: &Seen, message: &Message, reply: &mut Reply) {
    let content = &message.content;
    match item {
        Item::Flags => reply.put(format!("FLAGS {}", super::show_flags(seen))),
        Item::Uid => reply.put(format!("UID {}", seen.uid)),
        Item::Size => reply.put(format!("RFC822.SIZE {}", content.len())),
        Item::InternalDate => reply.put(format!("INTERNALDATE {}", show_date_time(message.received))),
        Item::Envelope => {
            reply.put("ENVELOPE ");
            put_envelope(content.get(Part::parse(content).header).unwrap_or_default(), reply);
        }
        Item::Structure(detail) => {
            reply.put(if *detail == Detail::Body { "BODY " } else { "BODYSTRUCTURE " });
            put_structure(content, &Part::parse(content), *detail, reply);
        }
        Item::Section(section) => {
            reply.put(&section.label);
            match section.cut(content) {
                None => reply.put(" NIL"),
                Some(text) => {
                    reply.put(format!(" {{{}}}\r\n", text.len()));
                    reply.run(text);
                }
            }
        }
    }
}

impl Section {
    /// The octets that were asked for; `None` where there is no such part.
    fn cut(&self, content: &Bytes) -> Option<Bytes> {
        let whole = self.select(content)?;
        let Some((first, count)) = self.partial else { return Some(whole) };
        let first = usize::try_from(first).ok()?.min(whole.len());
        let end = first.saturating_add(usize::try_from(count).ok()?).min(whole.len());
        Some(whole.slice(first..end))
    }

    fn select(&self, content: &Bytes) -> Option<Bytes> {
        if self.path.is_empty() && self.text == Text::Whole {
            return Some(content.clone());
        }
        let message = Part::parse(content);
        let part = if self.path.is_empty() { &message } else { message.find(&self.path)? };
        // HEADER and TEXT of a part are those of the message within it (RFC 9051 §6.4.5.1)
        let inner = match &part.inside {
            _ if self.path.is_empty() => Some(part),
            Inside::Message(inner) => Some(&**inner),
            Inside::Content | Inside::Parts(_) => None,
        };
        Some(match &self.text {
            Text::Whole => content.slice(part.body.clone()),
            Text::Mime => content.slice(part.header.clone()),
            Text::Header => content.slice(inner?.header.clone()),
            Text::Body => content.slice(inner?.body.clone()),
            Text::Fields(names) => filtered(content.get(inner?.header.clone())?, |name| names.contains(name)),
            Text::FieldsNot(names) => filtered(content.get(inner?.header.clone())?, |name| !names.contains(name)),
        })
    }
}

/// The fields that are wanted and the empty line.
fn filtered(header: &[u8], wanted: impl Fn(&String) -> bool) -> Bytes {
    let is_wanted = |name: &[u8]| wanted(&String::from_utf8_lossy(name).to_ascii_uppercase());
    let mut chosen: Vec<u8> =
        fields(header).into_iter().filter(|(name, _)| is_wanted(name)).flat_map(|(_, whole)| whole.to_vec()).collect();
    chosen.extend_from_slice(b"\r\n");
    chosen.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &[u8] = b"A: one\r\nB: two\r\n three\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n\
        --x\r\nContent-Type: text/plain\r\n\r\nfirst\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n\
        S: t\r\n\r\ninner\r\n--x--\r\n";

    #[test]
    fn cuts_what_a_section_names_and_names_it_back() {
        let table: [(&str, &str, &str); 11] = [
            ("BODY[1]", "BODY[1]", "first"),
            ("body.peek[1.mime]", "BODY[1.MIME]", "Content-Type: text/plain\r\n\r\n"),
            ("BODY[2]", "BODY[2]", "S: t\r\n\r\ninner"),
            ("BODY[2.HEADER]", "BODY[2.HEADER]", "S: t\r\n\r\n"),
            ("BODY[2.TEXT]", "BODY[2.TEXT]", "inner"),
            ("BODY[2.1]", "BODY[2.1]", "inner"),
            ("BODY[HEADER.FIELDS (b)]", "BODY[HEADER.FIELDS (B)]", "B: two\r\n three\r\n\r\n"),
            ("BODY[HEADER.FIELDS.NOT (B Content-Type)]", "BODY[HEADER.FIELDS.NOT (B CONTENT-TYPE)]", "A: one\r\n\r\n"),
            ("BODY.PEEK[]<3.5>", "BODY[]<3>", "one\r\n"),
            ("BODY[1]<3.99>", "BODY[1]<3>", "st"),
            ("BODY[1]<99.1>", "BODY[1]<99>", ""),
        ];
        for (asked, label, text) in table {
            let items = parse_items(&mut Cursor::new(asked.as_bytes())).unwrap();
            let [Item::Section(section)] = &items[..] else { panic!("{asked}") };
            let cut = section.cut(&Bytes::from_static(CONTENT)).unwrap();
            assert_eq!((section.label.as_str(), std::str::from_utf8(&cut).unwrap()), (label, text), "{asked}");
        }
    }

    #[test]
    fn knows_the_macros() {
        let items = parse_items(&mut Cursor::new(b"ALL")).unwrap();
        assert_eq!(items, [Item::Flags, Item::InternalDate, Item::Size, Item::Envelope]);
        assert!(parse_items(&mut Cursor::new(b"(FLAGS NONSENSE)")).is_err());
        assert!(parse_items(&mut Cursor::new(b"BODY[MIME]")).is_err());
    }
}
