//! The server behind a rehearsed session: it says yes to everything, in the form that the command wants.

use std::collections::VecDeque;

use crate::wire::Protocol;

/// What the server has and says.
#[derive(Debug, Clone, Default)]
pub struct Has {
    /// Octets of each message, from message 1.
    pub sizes: Vec<u64>,
    /// Capabilities, in the form of the protocol: IMAP `IMAP4rev1 IDLE`, POP3 lines.
    pub capabilities: Vec<String>,
}

/// What the server says to the next command of the case instead of what it says by itself.
#[derive(Debug, Clone, Default)]
pub struct Says {
    /// Untagged data with its `* `, or lines of a multi-line answer.
    pub lines: Vec<String>,
    /// `NO [NONEXISTENT] No such folder`, `-ERR no`.
    pub completes: Option<String>,
}

/// A server that keeps in step with what it is sent.
#[derive(Debug)]
pub struct Server {
    protocol: Protocol,
    has: Has,
    says: VecDeque<Says>,
    inbox: Vec<u8>,
    /// Octets of a literal that are still to come.
    literal: usize,
    /// A command of which more is to come: behind a literal, DONE, a line of an exchange.
    open: Option<Open>,
    ended: bool,
}

#[derive(Debug)]
enum Open {
    /// The rest of this command, and what it is so far.
    Command(String),
    /// IDLE with this tag.
    Idle(String),
    /// An exchange that this completes.
    Exchange(String),
}

impl Server {
    /// A server that has not greeted.
    #[must_use]
    pub fn new(protocol: Protocol, has: Has) -> Self {
        Self { protocol, has, says: VecDeque::new(), inbox: Vec::new(), literal: 0, open: None, ended: false }
    }

    /// Its first line.
    #[must_use]
    pub fn greeting(&self) -> Vec<u8> {
        match self.protocol {
            Protocol::Imap => format!("* OK [CAPABILITY {}] Ready\r\n", self.has.capabilities.join(" ")).into_bytes(),
            Protocol::Pop3 => b"+OK Ready\r\n".to_vec(),
        }
    }

    /// What it says to the next commands, one each; without it, what fits the command.
    pub fn will_say(&mut self, says: Vec<Says>) {
        self.says = says.into();
    }

    /// It reads what it is sent, and answers.
    pub fn hear(&mut self, octets: &[u8]) -> Vec<u8> {
        self.inbox.extend_from_slice(octets);
        let mut answers = Vec::new();
        while let Some(text) = self.next_piece() {
            match self.protocol {
                Protocol::Imap => self.imap(&text, &mut answers),
                Protocol::Pop3 => self.pop3(&text, &mut answers),
            }
        }
        answers
    }

    /// The next line, after what is left of a literal.
    fn next_piece(&mut self) -> Option<String> {
        let skipped = self.literal.min(self.inbox.len());
        self.inbox.drain(..skipped);
        self.literal -= skipped;
        if self.literal > 0 || self.ended {
            return None;
        }
        let end = self.inbox.iter().position(|octet| *octet == b'\n')?;
        let line: Vec<u8> = self.inbox.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    fn imap(&mut self, line: &str, answers: &mut Vec<u8>) {
        let size = announced(line);
        let line = match self.open.take() {
            Some(Open::Idle(tag) | Open::Exchange(tag)) => {
                return self.complete(&tag, "OK Done", Vec::new(), answers);
            }
            Some(Open::Command(so_far)) => so_far + line,
            None => line.to_owned(),
        };
        if let Some(size) = size {
            self.literal = size;
            self.open = Some(Open::Command(line));
            answers.extend_from_slice(b"+ go ahead\r\n");
            return;
        }
        let mut words = line.splitn(3, ' ');
        let tag = words.next().unwrap_or_default().to_owned();
        let mut verb = words.next().unwrap_or_default().to_ascii_uppercase();
        let mut rest = words.next().unwrap_or_default();
        if verb == "UID" {
            let (uid_verb, behind) = rest.split_once(' ').unwrap_or((rest, ""));
            (verb, rest) = (uid_verb.to_ascii_uppercase(), behind);
        }
        match verb.as_str() {
            "IDLE" => {
                answers.extend_from_slice(b"+ idling\r\n");
                self.open = Some(Open::Idle(tag));
            }
            // an initial response is all there is (RFC 4959)
            "AUTHENTICATE" if !rest.contains(' ') => {
                answers.extend_from_slice(b"+ \r\n");
                self.open = Some(Open::Exchange(tag));
            }
            verb => {
                let (data, completion) = self.imap_says(verb, rest);
                self.ended = verb == "LOGOUT";
                self.complete(&tag, completion, data, answers);
            }
        }
    }

    /// Untagged data and completion of a command to which nothing else is to be said.
    fn imap_says(&self, verb: &str, rest: &str) -> (Vec<String>, &'static str) {
        let data = match verb {
            "CAPABILITY" => vec![format!("* CAPABILITY {}", self.has.capabilities.join(" "))],
            "SELECT" | "EXAMINE" => vec![
                format!("* {} EXISTS", self.has.sizes.len()),
                "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)".to_owned(),
                "* OK [UIDVALIDITY 1] Valid".to_owned(),
            ],
            "FETCH" if rest.to_ascii_uppercase().contains("RFC822.SIZE") => {
                let rows = (1..).zip(&self.has.sizes);
                rows.map(|(number, size)| format!("* {number} FETCH (UID {number} RFC822.SIZE {size})")).collect()
            }
            "LOGOUT" => vec!["* BYE Until next time".to_owned()],
            _ => Vec::new(),
        };
        let completion = match verb {
            "SELECT" => "OK [READ-WRITE] Done",
            "EXAMINE" => "OK [READ-ONLY] Done",
            _ => "OK Done",
        };
        (data, completion)
    }

    fn complete(&mut self, tag: &str, completion: &str, data: Vec<String>, answers: &mut Vec<u8>) {
        let is_own = tag.starts_with("MW0");
        let says = if is_own { None } else { self.says.pop_front() }.unwrap_or_default();
        let lines = if says.lines.is_empty() { data } else { says.lines };
        for line in lines {
            answers.extend_from_slice(format!("{line}\r\n").as_bytes());
        }
        let completion = says.completes.as_deref().unwrap_or(completion);
        answers.extend_from_slice(format!("{tag} {completion}\r\n").as_bytes());
    }

    fn pop3(&mut self, line: &str, answers: &mut Vec<u8>) {
        if let Some(Open::Exchange(_)) = self.open.take() {
            answers.extend_from_slice(b"+OK Done\r\n");
            return;
        }
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        if verb == "AUTH" && !rest.is_empty() && !rest.contains(' ') {
            answers.extend_from_slice(b"+ \r\n");
            self.open = Some(Open::Exchange(String::new()));
            return;
        }
        self.ended = verb == "QUIT";
        let says = self.says.pop_front().unwrap_or_default();
        let body = self.pop3_body(verb, rest);
        let (status, body) = match says.completes {
            Some(status) if status.starts_with('-') => (status, None),
            Some(status) => (status, body),
            None => (self.pop3_status(verb, rest), body),
        };
        answers.extend_from_slice(format!("{status}\r\n").as_bytes());
        if let Some(body) = body {
            for line in if says.lines.is_empty() { body } else { says.lines } {
                let stuffing = if line.starts_with('.') { "." } else { "" };
                answers.extend_from_slice(format!("{stuffing}{line}\r\n").as_bytes());
            }
            answers.extend_from_slice(b".\r\n");
        }
    }

    fn pop3_status(&self, verb: &str, rest: &str) -> String {
        let size = |number: &str| {
            let number: usize = number.parse().unwrap_or(0);
            number.checked_sub(1).and_then(|at| self.has.sizes.get(at)).copied().unwrap_or(0)
        };
        match verb {
            "STAT" => format!("+OK {} {}", self.has.sizes.len(), self.has.sizes.iter().sum::<u64>()),
            "LIST" if !rest.is_empty() => format!("+OK {rest} {}", size(rest)),
            "UIDL" if !rest.is_empty() => format!("+OK {rest} unique-{rest}"),
            _ => "+OK Done".to_owned(),
        }
    }

    /// The lines of an answer that has several.
    fn pop3_body(&self, verb: &str, rest: &str) -> Option<Vec<String>> {
        let numbered = || (1..).zip(&self.has.sizes);
        match verb {
            "CAPA" => Some(self.has.capabilities.clone()),
            "LIST" if rest.is_empty() => Some(numbered().map(|(number, size)| format!("{number} {size}")).collect()),
            "UIDL" if rest.is_empty() => {
                Some(numbered().map(|(number, _)| format!("{number} unique-{number}")).collect())
            }
            "RETR" | "TOP" => Some(["Subject: a message", "", "Its text."].map(str::to_owned).into()),
            _ => None,
        }
    }
}

/// The size of the literal that a line ends with the announcement of.
fn announced(line: &str) -> Option<usize> {
    let (_, size) = line.strip_suffix('}')?.rsplit_once('{')?;
    size.trim_end_matches('+').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(protocol: Protocol) -> Server {
        Server::new(protocol, Has { sizes: vec![10, 20], capabilities: vec!["IMAP4rev1".into()] })
    }

    #[test]
    fn takes_literals_and_answers_behind_them() {
        let mut server = server(Protocol::Imap);
        assert_eq!(server.hear(b"a APPEND x {5}\r\n"), b"+ go ahead\r\n");
        assert_eq!(server.hear(b"a N"), b"");
        assert_eq!(server.hear(b"\r\n\r\nb NOOP\r\n"), b"a OK Done\r\nb OK Done\r\n");
    }

    #[test]
    fn ends_multi_line_answers() {
        let mut server = server(Protocol::Pop3);
        assert_eq!(server.hear(b"LIST\r\nLIST 2\r\n"), b"+OK Done\r\n1 10\r\n2 20\r\n.\r\n+OK 2 20\r\n");
    }

    #[test]
    fn says_what_it_is_told_to_say_once() {
        let mut server = server(Protocol::Imap);
        server.will_say(vec![Says { lines: vec!["* LIST () \"/\" A".into()], completes: Some("NO no".into()) }]);
        assert_eq!(server.hear(b"a LIST \"\" *\r\na NOOP\r\n"), b"* LIST () \"/\" A\r\na NO no\r\na OK Done\r\n");
    }
}
