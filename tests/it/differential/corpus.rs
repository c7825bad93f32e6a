//! The commands that stand in the tests: in the transcripts, and in the protocol cases.

use std::fs;
use std::path::{Path, PathBuf};

use mailwarden::wire::Side;
use mailwarden::wire::imap::{Stop, parse};

use super::view::{Cut, cuts_of_ours};
use crate::transcripts::script::{Action, Script};

/// What clients say, one stream a transcript or line of a case.
pub(crate) fn streams() -> Vec<Vec<u8>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut streams: Vec<Vec<u8>> =
        files(&tests.join("transcripts/imap"), "txt").iter().map(|file| said(file)).collect();
    for file in files(&tests.join("cases/cases"), "py") {
        let source = fs::read_to_string(file).expect("a case can be read");
        streams.extend(quoted(&source));
    }
    streams
}

/// Each command of these streams, its literals with it.
pub(crate) fn commands() -> Vec<Vec<u8>> {
    let mut commands: Vec<Vec<u8>> = streams().iter().flat_map(|stream| split(stream)).collect();
    commands.sort();
    commands.dedup();
    commands
}

fn said(file: &Path) -> Vec<u8> {
    let script = Script::read(file).expect("a transcript can be read");
    let said = script.steps.iter().map(|step| match &step.action {
        Action::Send(Side::Client, octets) => &octets[..],
        _ => &[],
    });
    said.collect::<Vec<_>>().concat()
}

fn split(stream: &[u8]) -> Vec<Vec<u8>> {
    let (mut commands, mut command, mut rest) = (Vec::new(), Vec::new(), stream);
    for cut in cuts_of_ours(stream) {
        let (Cut::Line { len, .. } | Cut::Octets { len }) = cut;
        let (piece, behind) = rest.split_at(len);
        command.extend_from_slice(piece);
        rest = behind;
        // what is announced and refused does not come, where its sender waits
        let goes_on = match cut {
            Cut::Line { announced: Some((_, waits)), .. } => !waits || !matches!(parse(&command), Err(Stop::Syntax(_))),
            Cut::Line { announced: None, .. } => false,
            Cut::Octets { .. } => true,
        };
        if !goes_on {
            commands.push(std::mem::take(&mut command));
        }
    }
    commands.retain(|command| command.len() <= 2000);
    commands
}

/// What stands in `C(r"…")` and `C(r'…')`.
fn quoted(source: &str) -> Vec<Vec<u8>> {
    let starts = source.match_indices("C(r").filter_map(|(at, mark)| {
        let behind = &source[at + mark.len()..];
        let quote = behind.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        behind[1..].split(quote).next()
    });
    starts.map(|text| unescaped(&text.replace('‖', ""))).collect()
}

/// `\r \n \0 \\ \" \' \t \xNN` are one octet each.
pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let (mut octets, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        let (octet, len) = match (first, behind) {
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'0', ..]) => (0, 2),
            (b'\\', [b'x', high, low, ..]) => (hex(*high) << 4 | hex(*low), 4),
            (b'\\', [escaped @ (b'\\' | b'"' | b'\''), ..]) => (*escaped, 2),
            (other, _) => (*other, 1),
        };
        octets.push(octet);
        rest = &rest[len..];
    }
    octets
}

fn hex(digit: u8) -> u8 {
    u8::try_from(char::from(digit).to_digit(16).unwrap_or_default()).unwrap_or_default()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the tests stand in the tree");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|it| it == extension));
    files.sort();
    files
}
