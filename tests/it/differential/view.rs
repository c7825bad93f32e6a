//! The two parsers' views of the same octets, as far as they can be compared.

use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use imap_codec::fragmentizer::{FragmentInfo, Fragmentizer, LineEnding};
use imap_types::command::{Command, CommandBody};
use imap_types::core::{AString, LiteralMode};
use imap_types::mailbox::Mailbox;
use mailwarden::wire::imap::{
    AppendMore, Details, Enclosure, Framer, Names, Piece, Stop, Tail, decode_mailbox, parse, parse_append_more,
};

/// Stands for a name that servers read differently from one another.
pub(crate) const NO_NAME: &str = "(not a name)";

/// An accepted command: tag, name without UID, the mailboxes it names, the user who logs in.
pub(crate) type View = Option<(String, String, Vec<String>, Option<String>)>;

pub(crate) fn our_view(octets: &[u8]) -> View {
    let command = match parse(octets) {
        Ok(command) => command,
        Err(Stop::Message(head)) => {
            // one message only: the other knows no MULTIAPPEND
            let announced = head.message.announced.at.end;
            let behind = announced.checked_add(usize::try_from(head.message.announced.size).ok()?)?;
            let more = parse_append_more(octets.get(behind..)?, head.message.enclosure);
            let whole = head.message.enclosure == Enclosure::None && matches!(more, Ok(AppendMore::End(_)));
            whole.then_some(head.command)?
        }
        Err(_) => return None,
    };
    let user = match &command.details {
        Details::Login { user } => Some(user.clone()),
        _ => None,
    };
    // patterns are no names
    let mailboxes = if let Details::List { .. } = command.details { Vec::new() } else { command.mailboxes.clone() };
    Some((command.tag.as_str().to_owned(), command.verb().to_owned(), mailboxes, user))
}

pub(crate) fn their_view(octets: &[u8]) -> View {
    let (rest, Command { tag, body }) = CommandCodec::default().decode(octets).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let (mut mailboxes, mut user) = (Vec::new(), None);
    match &body {
        CommandBody::Login { username, .. } => user = Some(text(username)),
        CommandBody::Select { mailbox, .. }
        | CommandBody::Examine { mailbox, .. }
        | CommandBody::Create { mailbox, .. }
        | CommandBody::Delete { mailbox }
        | CommandBody::Subscribe { mailbox }
        | CommandBody::Unsubscribe { mailbox }
        | CommandBody::Status { mailbox, .. }
        | CommandBody::Append { mailbox, .. }
        | CommandBody::Copy { mailbox, .. }
        | CommandBody::Move { mailbox, .. }
        | CommandBody::GetQuotaRoot { mailbox }
        | CommandBody::GetMetadata { mailbox, .. }
        | CommandBody::SetMetadata { mailbox, .. } => mailboxes.extend(name(mailbox)),
        CommandBody::Rename { from, to } => mailboxes.extend([from, to].into_iter().filter_map(name)),
        _ => {}
    }
    Some((tag.as_ref().to_owned(), body.name().to_owned(), mailboxes, user))
}

fn text(astring: &AString<'_>) -> String {
    String::from_utf8_lossy(astring.as_ref()).into_owned()
}

/// As we show names: decoded, none if empty.
fn name(mailbox: &Mailbox<'_>) -> Option<String> {
    let octets = match mailbox {
        Mailbox::Inbox => b"INBOX",
        Mailbox::Other(other) => other.as_ref(),
    };
    let shown = decode_mailbox(octets, Names::ModifiedUtf7);
    (!octets.is_empty()).then(|| shown.unwrap_or_else(|_| NO_NAME.to_owned()))
}

/// A line with what it announces, or a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Line { len: usize, announced: Option<(u64, bool)> },
    Octets { len: usize },
}

impl Cut {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Line { len, .. } | Self::Octets { len } => *len,
        }
    }
}

pub(crate) fn cuts_of_ours(stream: &[u8]) -> Vec<Cut> {
    let (mut framer, mut rest, mut cuts) = (Framer::default(), stream, Vec::new());
    while let Some(piece) = framer.next(rest, usize::MAX) {
        let len = match piece {
            Piece::Line { len, tail, .. } => {
                let literal = if let Tail::Literal(literal) = tail { Some(literal) } else { None };
                framer.expect_octets(literal.map_or(0, |literal| literal.octets));
                let announced = literal.map(|literal| (literal.octets, literal.synchronizing));
                cuts.push(Cut::Line { len, announced });
                len
            }
            Piece::Octets { len, last } => {
                cuts.extend(last.then_some(Cut::Octets { len }));
                len
            }
            Piece::Part { len } => len,
        };
        rest = &rest[len..];
    }
    cuts
}

pub(crate) fn cuts_of_theirs(stream: &[u8]) -> Vec<Cut> {
    let mut fragmentizer = Fragmentizer::without_max_message_size();
    fragmentizer.enqueue_bytes(stream);
    let mut cuts = Vec::new();
    while let Some(fragment) = fragmentizer.progress() {
        let len = fragment.range().len();
        match fragment {
            FragmentInfo::Line { announcement, ending: LineEnding::CrLf | LineEnding::Lf, .. } => {
                let announced = announcement.map(|it| (u64::from(it.length), it.mode == LiteralMode::Sync));
                cuts.push(Cut::Line { len, announced });
            }
            // an empty literal is no piece to us
            FragmentInfo::Literal { .. } => cuts.extend((len > 0).then_some(Cut::Octets { len })),
        }
    }
    cuts
}
