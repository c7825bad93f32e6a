//! A command that comes again for other messages.
//!
//! Clients that pipeline say the same thing many times: `UID FETCH 17 (FLAGS)`, then 18, then 19. What
//! follows the message set is the same to the octet, so it means the same, and need not be read again.

use std::ops::Range;

use super::command::Command;
use super::tag::Tag;

/// A command that was read, to be compared with the next.
#[derive(Debug)]
pub struct Repeatable {
    command: Command,
    /// What stood behind its tag.
    octets: Vec<u8>,
    /// Where among them the message set stood.
    set: Range<usize>,
}

impl Repeatable {
    /// Of a command, which was read from `line`, if its first argument is a message set of plain numbers and all of
    /// it stands on that line. It holds no more than the line.
    #[must_use]
    pub fn new(command: Command, line: &[u8]) -> Option<Self> {
        let of_messages = matches!(command.verb(), "FETCH" | "STORE" | "COPY" | "MOVE");
        let octets = line.get(command.tag.as_bytes().len()..)?;
        // SP before the name and behind it
        let start = command.name.len() + 2;
        let end = octets.len() - behind_plain_set(octets.get(start..)?)?.len();
        // no more of a set, of which these would be the beginning
        let is_whole = matches!(octets.get(end), Some(b' '));
        let plain = of_messages && is_whole && command.may_pass();
        plain.then(|| Self { command, octets: octets.to_vec(), set: start..end })
    }

    /// The command that was read.
    #[must_use]
    pub fn command(&self) -> &Command {
        &self.command
    }

    /// Octets that a line which repeats it has at least.
    #[must_use]
    pub fn shortest(&self) -> usize {
        let (tag, number) = (1, 1);
        tag + number + self.octets.len() - self.set.len()
    }

    /// The command of `line`, if it is the same for other messages.
    pub fn read(&mut self, line: &[u8]) -> Option<&Command> {
        let (tag, len) = self.leading(line)?;
        if len != line.len() {
            return None;
        }
        self.command.tag = tag;
        Some(&self.command)
    }

    /// Of a line at the start of `input` that is the same command for other messages: its tag, and its octets with
    /// the CRLF. No end of line is looked for: what must stand behind the message set has the only one in it.
    #[must_use]
    #[inline]
    pub fn leading(&self, input: &[u8]) -> Option<(Tag, usize)> {
        let tag = Tag::leading(input)?;
        let rest = input.get(tag.as_bytes().len()..)?.strip_prefix(self.octets.get(..self.set.start)?)?;
        let rest = behind_plain_set(rest)?.strip_prefix(self.octets.get(self.set.end..)?)?;
        Some((tag, input.len() - rest.len()))
    }
}

/// What stands behind the number or the range of two, the second of which may be `*`, at the start of these octets.
fn behind_plain_set(octets: &[u8]) -> Option<&[u8]> {
    let rest = behind_plain_number(octets)?;
    match rest.strip_prefix(b":") {
        None => Some(rest),
        Some(rest) => rest.strip_prefix(b"*").or_else(|| behind_plain_number(rest)),
    }
}

/// What stands behind the number at the start of these octets: not zero, without a leading zero, and certain to be
/// under 2^32.
fn behind_plain_number(octets: &[u8]) -> Option<&[u8]> {
    const MOST_DIGITS: usize = 9;
    if !matches!(octets, [b'1'..=b'9', ..]) {
        return None;
    }
    let digits = octets.iter().take(MOST_DIGITS + 1).take_while(|octet| octet.is_ascii_digit()).count();
    if digits > MOST_DIGITS { None } else { octets.get(digits..) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Framer, Piece, Tail, parse};
    use super::*;

    fn repeatable(line: &str) -> Option<Repeatable> {
        Repeatable::new(parse(line.as_bytes()).ok()?, line.as_bytes())
    }

    #[test]
    fn knows_the_same_command_for_other_messages() {
        let mut first = repeatable("a1 UID FETCH 17 (FLAGS)\r\n").expect("repeatable");
        for (line, same) in [
            ("a2 UID FETCH 18 (FLAGS)\r\n", true),
            ("a3 UID FETCH 1:* (FLAGS)\r\n", true),
            ("a4 UID FETCH 0 (FLAGS)\r\n", false),
            ("a4 UID FETCH 01 (FLAGS)\r\n", false),
            ("a4 UID FETCH 4294967296 (FLAGS)\r\n", false),
            ("a4 UID FETCH 1:2:3 (FLAGS)\r\n", false),
            ("a4 UID FETCH : (FLAGS)\r\n", false),
            ("a4 UID FETCH 18 (FLAGS UID)\r\n", false),
            ("a4 UID FETCH 18 (FLAGS)\r\n\r\n", false),
            ("a4  UID FETCH 18 (FLAGS)\r\n", false),
            ("a+ UID FETCH 18 (FLAGS)\r\n", false),
            (" UID FETCH 18 (FLAGS)\r\n", false),
            ("a4 FETCH 18 (FLAGS)\r\n", false),
        ] {
            let read = first.read(line.as_bytes());
            assert_eq!(read.is_some(), same, "{line}");
            assert!(read.is_none_or(|command| line.starts_with(command.tag.as_str())), "{line}");
        }
    }

    #[test]
    fn has_nothing_to_do_with_commands_that_must_not_pass() {
        for line in ["a NOOP\r\n", "a COPY 1 {1+}\r\nx\r\n", "a FETCH $ (FLAGS)\r\n", "a SEARCH 1\r\n"] {
            assert!(repeatable(line).is_none(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn cuts_and_reads_as_framer_and_parser_would(first in line(), second in line(), behind in "[ -~\r\n]{0,9}") {
            let Some(first) = repeatable(&first) else { return Ok(()) };
            let input = second + &behind;
            if let Some((tag, len)) = first.leading(input.as_bytes()) {
                let piece = Framer::default().next(input.as_bytes(), 1000);
                prop_assert_eq!(piece, Some(Piece::Line { len, tail: Tail::Plain, broken: false }));
                let read = parse(&input.as_bytes()[..len]).expect("the parser reads it too");
                let again = Command { tag, ..first.command().clone() };
                prop_assert_eq!(format!("{again:?}"), format!("{read:?}"));
            }
        }

        #[test]
        fn reads_what_the_parser_would_read(first in line(), second in line()) {
            let Some(mut first) = repeatable(&first) else { return Ok(()) };
            if let Some(again) = first.read(second.as_bytes()) {
                let read = parse(second.as_bytes()).expect("the parser reads it too");
                prop_assert_eq!(format!("{again:?}"), format!("{read:?}"));
            }
        }
    }

    fn line() -> impl Strategy<Value = String> {
        const COMMANDS: [(&str, &str); 7] = [
            ("UID FETCH", "(FLAGS)"),
            ("FETCH", "(UID BODY.PEEK[])"),
            ("fetch", "BODY[1.2]<0.10>"),
            ("UID STORE", "+FLAGS.SILENT (\\Deleted)"),
            ("STORE", "+FLAGS (\\Seen)"),
            ("UID COPY", "&AOQ-x"),
            ("MOVE", "inbox"),
        ];
        let set = prop_oneof![
            8 => "[1-9][0-9]{0,10}", 4 => "[0-9]{1,3}:[0-9]{1,3}", 1 => "[1-9]:\\*", 1 => "[0-9:*,]{1,5}", 1 => Just("$".to_owned())
        ];
        let sound = ("[a-z]{1,2}[0-9]{1,3}", proptest::sample::select(&COMMANDS[..]), set);
        sound.prop_map(|(tag, (name, rest), set)| format!("{tag} {name} {set} {rest}\r\n"))
    }
}
