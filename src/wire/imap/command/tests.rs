mod grammar;
mod meaning;
mod properties;
mod refusals;

use super::*;

/// `text` with its CRLF.
fn line(text: &str) -> Vec<u8> {
    format!("{text}\r\n").into_bytes()
}

fn accepted(text: &str) -> Command {
    match parse(&line(text)) {
        Ok(command) => command,
        Err(stop) => panic!("{text:?} is refused: {stop:?}"),
    }
}

fn refused(input: &[u8]) -> Malformed {
    match parse(input) {
        Err(Stop::Syntax(malformed)) => malformed,
        other => panic!("{:?} is not refused: {other:?}", String::from_utf8_lossy(input)),
    }
}

fn head(text: &str) -> Head {
    match parse(&line(text)) {
        Err(Stop::Message(head)) => *head,
        other => panic!("{text:?} announces no message: {other:?}"),
    }
}
