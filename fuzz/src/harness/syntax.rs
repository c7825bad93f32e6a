//! Parsers take any octets, and mean the same by every way of writing a value.

use mailwarden::wire::imap::{
    AppendMore, Command, Enclosure, Framer, Names, Piece, ResponseHead, Stop, Tail, capability, parse_append_more,
    parse_with, response_head,
};

/// Octets of a client's command, literals inline.
pub fn imap_command(octets: &[u8]) {
    for names in [Names::ModifiedUtf7, Names::Utf8] {
        match parse_with(octets, names) {
            Ok(command) => {
                check_spans(&command, octets);
                for form in FORMS {
                    let other = rewrite(octets, &command, form);
                    match parse_with(&other, names) {
                        Ok(reread) => assert_equal(&command, &reread, octets, &other),
                        Err(stop) => panic!("{} is refused: {stop:?}", other.escape_ascii()),
                    }
                }
            }
            Err(Stop::Literal) => assert!(ends_in_literal(octets), "asks for octets that were not announced"),
            Err(Stop::Message(head)) => {
                assert!(octets.get(..head.message.announced.at.end).is_some_and(announces));
                check_spans(&head.command, octets);
            }
            Err(Stop::Syntax(malformed)) => assert!(malformed.command.is_none() || malformed.tag.is_some()),
        }
    }
    for enclosure in [Enclosure::None, Enclosure::Utf8, Enclosure::Catenate] {
        if let Ok(AppendMore::Message(message, _)) = parse_append_more(octets, enclosure) {
            assert!(octets.get(..message.announced.at.end).is_some_and(announces));
        }
    }
}

/// Octets of a literal, or the line behind it, are still to come.
fn ends_in_literal(mut octets: &[u8]) -> bool {
    while let Some(end) = octets.windows(2).position(|pair| pair == b"\r\n") {
        let literal = match Tail::of(&octets[..end]) {
            Tail::Literal(literal) => literal,
            // more digits than the framer looks at; the session refuses them
            Tail::Overflow { .. } => return true,
            Tail::Plain => return false,
        };
        let behind = usize::try_from(literal.octets).ok().and_then(|count| octets.get(end + 2..)?.get(count..));
        match behind {
            Some(behind) if !behind.is_empty() => octets = behind,
            _ => return true,
        }
    }
    true
}

/// Where octets are asked for, a line ends in an announcement.
fn announces(octets: &[u8]) -> bool {
    let line = octets.strip_suffix(b"\r\n");
    line.is_some_and(|line| !matches!(Tail::of(line), Tail::Plain))
}

fn check_spans(command: &Command, octets: &[u8]) {
    assert!(command.secrets.iter().all(|span| span.start <= span.end && span.end <= octets.len()));
    let mut behind = 0;
    for literal in &command.literals {
        assert!(behind <= literal.announcement.start && literal.announcement.end == literal.octets.start);
        behind = literal.octets.end;
        let text = &octets[literal.announcement.clone()];
        let Tail::Literal(announced) = Tail::of(&text[..text.len() - 2]) else { panic!("an announcement is one") };
        assert_eq!(announced.octets, literal.octets.len() as u64);
        assert_eq!((announced.synchronizing, announced.literal8), (literal.sync, literal.literal8));
    }
    assert!(behind <= octets.len());
}

#[derive(Clone, Copy)]
enum Form {
    /// `{n}` for `{n+}`, and the other way round.
    Sync,
    /// `"…"` for `{n}` where that can be, the form in which literals go up.
    Quoted,
    /// The name in lower case.
    Case,
}

const FORMS: [Form; 3] = [Form::Sync, Form::Quoted, Form::Case];

fn rewrite(octets: &[u8], command: &Command, form: Form) -> Vec<u8> {
    let mut other = Vec::new();
    let mut from = 0;
    for literal in &command.literals {
        let value = &octets[literal.octets.clone()];
        let quotable = value.iter().all(|octet| (0x20..0x7F).contains(octet)) && !literal.literal8;
        other.extend_from_slice(&octets[from..literal.announcement.start]);
        if matches!(form, Form::Quoted) && quotable {
            other.push(b'"');
            for octet in value {
                other.extend(matches!(octet, b'"' | b'\\').then_some(b'\\'));
                other.push(*octet);
            }
            other.push(b'"');
        } else {
            let tilde = if literal.literal8 { "~" } else { "" };
            let plus = if literal.sync == matches!(form, Form::Sync) { "+" } else { "" };
            other.extend_from_slice(format!("{tilde}{{{}{plus}}}\r\n", value.len()).as_bytes());
            other.extend_from_slice(value);
        }
        from = literal.octets.end;
    }
    other.extend_from_slice(&octets[from..]);
    if matches!(form, Form::Case) {
        let name = command.tag.as_str().len() + 1;
        let end = name + command.name.len();
        if let Some(name) = other.get_mut(name..end) {
            name.make_ascii_lowercase();
        }
    }
    other
}

fn assert_equal(one: &Command, other: &Command, octets: &[u8], rewritten: &[u8]) {
    let values = |command: &Command| {
        let Command { tag, name, operation, effect, mailboxes, details, .. } = command;
        format!("{tag} {name} {operation:?} {effect:?} {mailboxes:?} {details:?}")
    };
    assert_eq!(values(one), values(other), "{} and {}", octets.escape_ascii(), rewritten.escape_ascii());
}

/// Lines of a server, and a capability list.
pub fn imap_response(octets: &[u8]) {
    let (mut framer, mut rest) = (Framer::default(), octets);
    while let Some(Piece::Line { len, .. }) = framer.next(rest, usize::MAX) {
        let (line, behind) = rest.split_at(len);
        rest = behind;
        let with = response_head(line);
        let without = response_head(&line[..len - 2]);
        match (&with, &without) {
            // counts the octets it was given
            (ResponseHead::Padding { len: dropped }, _) => assert!(0 < *dropped && *dropped <= len),
            _ => assert_eq!(with, without),
        }
        if let ResponseHead::Status(status) | ResponseHead::Tagged { status, .. } = &with {
            assert!(status.code_span.end <= len && status.code_name().is_none_or(|name| !name.is_empty()));
        }
    }
    drop(response_head(octets));
    let offered = capability::Offered::read(octets);
    assert!(!offered.has(""));
}
