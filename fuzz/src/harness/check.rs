//! What holds for every play, told from events and octets alone.

use std::collections::{BTreeMap, BTreeSet};

use mailwarden::session::{Answered, Observation, Speaker};

/// A command begins once, ends once, and has ended when the session has; nothing happens behind the end.
pub fn events(events: &[Observation]) {
    let (mut open, mut last) = (BTreeSet::new(), 0);
    for (at, event) in events.iter().enumerate() {
        match event {
            Observation::CommandBegun { id, .. } => {
                assert!(id.0 > last, "numbers rise");
                last = id.0;
                open.insert(*id);
            }
            Observation::CommandCompleted { id, .. } => {
                assert!(open.remove(id), "{id:?} was completed without having begun, or twice");
            }
            Observation::Closed { .. } => {
                assert!(open.is_empty(), "{open:?} were not completed");
                assert_eq!(at + 1, events.len(), "something is told behind the end: {:?}", &events[at..]);
            }
            _ => {}
        }
    }
    assert!(matches!(events.last(), Some(Observation::Closed { .. })));
}

/// Every command that began was completed, but for one in which the client may take its time.
pub fn none_owed(events: &[Observation]) -> bool {
    let mut open = BTreeMap::new();
    for event in events {
        match event {
            Observation::CommandBegun { id, command, .. } => drop(open.insert(*id, command.as_ref())),
            Observation::CommandCompleted { id, .. } => drop(open.remove(id)),
            _ => {}
        }
    }
    open.len() <= 1 && open.values().all(|command| matches!(*command, "AUTHENTICATE" | "IDLE"))
}

/// The client waits for the server's word in a command in which they speak in turn: what it has said ahead
/// stays unread, for it is an answer to nothing yet (RFC 9051 §6.2.2, §6.3.13).
pub fn awaits_word(events: &[Observation]) -> bool {
    let (mut open, mut granted) = (None, false);
    for event in events {
        match event {
            Observation::CommandBegun { id, command, .. } if matches!(command.as_ref(), "AUTHENTICATE" | "IDLE") => {
                (open, granted) = (Some(*id), false);
            }
            Observation::CommandCompleted { id, .. } if open == Some(*id) => open = None,
            Observation::Said(said) if open.is_some() && said.id == open => granted = said.by == Speaker::Upstream,
            _ => {}
        }
    }
    open.is_some() && !granted
}

/// No event says that octets differ from those that came.
pub fn nothing_objected(events: &[Observation]) -> bool {
    !events.iter().any(|event| match event {
        Observation::Altered { .. } | Observation::Violated(_) | Observation::Closed { .. } => true,
        Observation::CommandCompleted { by, .. } => *by != Answered::Upstream,
        // a command of the proxy's own
        Observation::Said(said) => said.by == Speaker::ProxyToUpstream,
        _ => false,
    })
}

/// A client that frames answers as RFC 9051 says gets no more tagged ones than it used that tag.
pub fn answered_once(client: &[u8], down: &[u8]) {
    let mut left: BTreeMap<&[u8], usize> = BTreeMap::new();
    for line in client.split(|octet| *octet == b'\n') {
        if let Some(space) = line.iter().position(|octet| *octet == b' ') {
            *left.entry(&line[..space]).or_default() += 1;
        }
    }
    for line in responses(down) {
        let mut words = line.split(|octet| *octet == b' ');
        let (tag, word) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !tag.starts_with(b"[") && tag != b"*" && tag != b"+" && matches!(word, b"OK" | b"NO" | b"BAD") {
            let count = left.get_mut(tag).filter(|count| **count > 0);
            let count = count.unwrap_or_else(|| panic!("an answer too many: {}", line.escape_ascii()));
            *count -= 1;
        }
    }
}

/// The first line of each response.
pub fn responses(mut down: &[u8]) -> Vec<&[u8]> {
    let mut first = Vec::new();
    let mut inside = false;
    while let Some(end) = down.windows(2).position(|pair| pair == b"\r\n") {
        let (line, rest) = down.split_at(end);
        down = &rest[2..];
        if !inside {
            first.push(line);
        }
        inside = match announced(line) {
            Some(count) => {
                down = down.get(count..).unwrap_or_default();
                true
            }
            None => false,
        };
    }
    first
}

/// The count of a literal that a line announces.
pub fn announced(line: &[u8]) -> Option<usize> {
    let digits = line.strip_suffix(b"}")?;
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    let brace = digits.iter().rposition(|octet| *octet == b'{')?;
    let digits = std::str::from_utf8(&digits[brace + 1..]).ok()?;
    let is_count = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    is_count.then(|| digits.parse().unwrap_or(usize::MAX))
}
