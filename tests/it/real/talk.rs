//! A client without manners: sends just the octets it is told to, and reads lines or until the end.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// A connection in clear.
pub(crate) struct Talk {
    socket: TcpStream,
    buffered: Vec<u8>,
}

impl Talk {
    /// Connects; nothing may take longer than a minute from now on.
    pub(crate) fn to(port: u16) -> Self {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        socket.set_write_timeout(Some(Duration::from_mins(1))).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, buffered: Vec::new() }
    }

    /// The same, and the greeting is read.
    pub(crate) fn greeted(port: u16) -> Self {
        let mut talk = Self::to(port);
        let greeting = talk.line();
        assert!(greeting.starts_with("* OK") || greeting.starts_with("+OK"), "{greeting:?}");
        talk
    }

    /// False when the other side has closed.
    pub(crate) fn send(&mut self, octets: &[u8]) -> bool {
        self.socket.write_all(octets).is_ok()
    }

    /// The next line without its end; empty when the other side has closed.
    pub(crate) fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffered.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.buffered.drain(..=end).collect();
                return String::from_utf8_lossy(&line).trim_end().to_owned();
            }
            let mut chunk = [0; 16 << 10];
            match self.socket.read(&mut chunk) {
                Ok(0) => return String::new(),
                Ok(count) => self.buffered.extend(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return String::new(),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("no line came: {error}; so far {:?}", String::from_utf8_lossy(&self.buffered)),
            }
        }
    }

    /// The next line that is no untagged data: `+ …`, `a …`, `* BAD …`, `* BYE …`, `+OK …`, `-ERR …`, or empty.
    pub(crate) fn answer(&mut self) -> String {
        loop {
            let line = self.line();
            if !line.starts_with("* ") || line.starts_with("* B") {
                return line;
            }
        }
    }

    /// All lines up to the close by the other side.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() && self.buffered.is_empty() {
                return lines;
            }
            lines.push(line);
        }
    }

    /// All octets up to the close by the other side, be they lines or not.
    pub(crate) fn octets(&mut self) -> Vec<u8> {
        // A reset is a close too.
        self.socket.read_to_end(&mut self.buffered).ok();
        std::mem::take(&mut self.buffered)
    }
}
