//! A mail server that answers what reaches it, from a list of answers, and writes down what it took for
//! commands. It frames by the RFCs alone and shares no code with the proxy.

use mailwarden::wire::Protocol;

use super::check::{announced, responses};
use super::reference::{Command, arguments, plain_name};
use super::script::TAG;

pub struct Server {
    protocol: Protocol,
    inbox: Vec<u8>,
    mode: Mode,
    /// The command so far, its literals left out.
    command: Vec<u8>,
    /// The same with its literals.
    whole: Vec<u8>,
    /// The mailbox that is open.
    selected: Option<String>,
    /// Names are UTF-8 from here on.
    utf8: bool,
    answers: Vec<Vec<u8>>,
    next: usize,
    /// Those that were complete, or refused before they were.
    pub commands: Vec<Command>,
    /// All answers so far were such as a server of good will gives.
    pub is_tame: bool,
}

enum Mode {
    Line,
    Literal(usize),
    /// Lines that are no commands: an authentication exchange, IDLE.
    Exchange,
}

impl Server {
    pub fn new(protocol: Protocol, answers: Vec<Vec<u8>>) -> Self {
        let (inbox, command, whole, commands) = Default::default();
        let mode = Mode::Line;
        Self {
            protocol,
            inbox,
            mode,
            command,
            whole,
            selected: None,
            utf8: false,
            answers,
            next: 0,
            commands,
            is_tame: true,
        }
    }

    /// What it says to these octets.
    pub fn take(&mut self, octets: &[u8]) -> Vec<u8> {
        self.inbox.extend_from_slice(octets);
        let mut said = Vec::new();
        loop {
            if let Mode::Literal(count) = self.mode {
                if self.inbox.len() < count {
                    return said;
                }
                self.whole.extend(self.inbox.drain(..count));
                self.mode = Mode::Line;
            }
            let Some(end) = self.inbox.windows(2).position(|pair| pair == b"\r\n") else { return said };
            let line: Vec<u8> = self.inbox.drain(..end + 2).take(end).collect();
            assert!(!line.iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n')), "up: {}", line.escape_ascii());
            said.extend(self.line(&line));
        }
    }

    fn line(&mut self, line: &[u8]) -> Vec<u8> {
        if let Mode::Exchange = self.mode {
            let (answer, goes_on) = self.answer();
            if !goes_on {
                self.mode = Mode::Line;
                self.forget();
            }
            return answer;
        }
        self.command.extend_from_slice(line);
        self.whole.extend_from_slice(line);
        let literal = announced(line).filter(|_| self.protocol == Protocol::Imap);
        assert!(!line.ends_with(b"+}") || literal.is_none(), "up: {}", line.escape_ascii());
        if literal.is_none() {
            self.commands.push(self.read());
        }
        let (answer, goes_on) = self.answer();
        let exchanges = matches!(self.name().1.as_str(), "AUTHENTICATE" | "IDLE" | "AUTH");
        if literal.is_none() {
            self.note(&answer);
        }
        match (literal, goes_on) {
            (Some(count), true) => {
                self.whole.extend_from_slice(b"\r\n");
                self.mode = Mode::Literal(count);
            }
            (None, true) if exchanges => self.mode = Mode::Exchange,
            (_, goes_on) => {
                self.is_tame &= !goes_on;
                // refused before it was complete
                if literal.is_some() {
                    self.commands.push(self.read());
                }
                self.forget();
            }
        }
        answer
    }

    fn forget(&mut self) {
        self.command.clear();
        self.whole.clear();
    }

    fn read(&self) -> Command {
        let (tag, name) = self.name();
        let words = usize::from(self.protocol == Protocol::Imap) + name.split(' ').count();
        let arguments = arguments(&self.whole, words);
        Command { tag, name, arguments, octets: self.whole.clone(), selected: self.selected.clone(), utf8: self.utf8 }
    }

    /// What a command that is complete makes of the session's state.
    fn note(&mut self, answer: &[u8]) {
        let Some(command) = self.commands.last() else { return };
        let ok = responses(answer).iter().any(|line| line.starts_with(format!("{} OK", command.tag).as_bytes()));
        match command.name.as_str() {
            "SELECT" | "EXAMINE" if ok => {
                self.selected = command.arguments.first().map(|name| plain_name(name, command.utf8));
            }
            "SELECT" | "EXAMINE" => self.selected = None,
            "CLOSE" | "UNSELECT" if ok => self.selected = None,
            "ENABLE" => self.utf8 |= ok,
            _ => {}
        }
    }

    fn name(&self) -> (String, String) {
        let text = String::from_utf8_lossy(&self.command).into_owned();
        let mut words = text.split([' ', '\r']);
        let tag = match self.protocol {
            Protocol::Imap => words.next().unwrap_or_default(),
            Protocol::Pop3 => "",
        };
        let mut name = words.next().unwrap_or_default().to_ascii_uppercase();
        if name == "UID" {
            name = format!("UID {}", words.next().unwrap_or_default().to_ascii_uppercase());
        }
        (tag.to_owned(), name)
    }

    /// The next answer, and whether it asks for more.
    fn answer(&mut self) -> (Vec<u8>, bool) {
        let tag = self.name().0;
        let template = self.answers.get(self.next).cloned().unwrap_or_default();
        self.next += 1;
        let template = match self.protocol {
            _ if !template.is_empty() => template,
            Protocol::Imap => b"\xF7 OK done\r\n".to_vec(),
            Protocol::Pop3 => b"+OK done\r\n".to_vec(),
        };
        self.is_tame &= self.is_tame_answer(&template);
        let goes_on = self.is_go_ahead(&template);
        let octets = template.iter().flat_map(|octet| match *octet {
            TAG => tag.as_bytes().to_vec(),
            octet => vec![octet],
        });
        (octets.collect(), goes_on)
    }

    /// What the answer says first of the command: go on, or how it ended. What it says behind that counts for
    /// nothing here; it is for the proxy to notice.
    fn is_go_ahead(&self, answer: &[u8]) -> bool {
        let lines = match self.protocol {
            Protocol::Imap => responses(answer),
            Protocol::Pop3 => {
                answer.split_inclusive(|octet| *octet == b'\n').filter_map(|line| line.strip_suffix(b"\r\n")).collect()
            }
        };
        let words: &[&[u8]] = &[b"\xF7 OK", b"\xF7 NO", b"\xF7 BAD", b"-ERR", b"+"];
        let first = lines.into_iter().find(|line| words.iter().any(|word| line.starts_with(word)));
        first.is_some_and(|line| matches!(line, b"+" | [b'+', b' ', ..]))
    }

    /// Untagged lines without literals, and one line that ends it. In POP3 a line, for whether there must be
    /// more hangs on the command.
    fn is_tame_answer(&self, answer: &[u8]) -> bool {
        let Some(text) = answer.strip_suffix(b"\r\n") else { return false };
        if text.iter().any(|octet| matches!(octet, 0 | b'\r')) || text.len() > 50 {
            return false;
        }
        let mut lines = text.split(|octet| *octet == b'\n').rev();
        let last = lines.next().unwrap_or_default();
        let starts = |words: &[&[u8]]| words.iter().any(|word| last.starts_with(word));
        match self.protocol {
            Protocol::Imap => starts(&[b"+ ", b"\xF7 OK ", b"\xF7 NO ", b"\xF7 BAD "]) && lines.next().is_none(),
            Protocol::Pop3 => starts(&[b"+ ", b"+OK ", b"-ERR "]) && lines.next().is_none(),
        }
    }
}
