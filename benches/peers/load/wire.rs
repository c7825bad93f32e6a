//! Lines and counted octets over a stream. What is said is kept until there is nothing left to read, so
//! that commands or answers that are there together leave together.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::message;

/// Octets read at a time, and said at a time.
const ROOM: usize = 64 << 10;
/// Octets of a TLS record: a message goes on where a record begins.
const RECORD: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    input: BytesMut,
    output: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new(), output: Vec::new() }
    }

    /// Keeps `text` to be sent before the next wait.
    pub(crate) fn say(&mut self, text: &str) {
        self.output.extend_from_slice(text.as_bytes());
    }

    /// Says `octets` of a message.
    pub(crate) async fn say_message(&mut self, octets: usize) -> io::Result<()> {
        let mut said = 0;
        // Up to a whole record it goes together with what was said before.
        while said < octets && (octets <= RECORD || !self.output.len().is_multiple_of(RECORD)) {
            let most = (octets - said).min(RECORD - self.output.len() % RECORD);
            let piece = message::piece(said, most);
            self.output.extend_from_slice(piece);
            said += piece.len();
        }
        if said < octets || self.output.len() >= ROOM {
            self.flush().await?;
        }
        while said < octets {
            let piece = message::piece(said, octets - said);
            self.stream.write_all(piece).await?;
            said += piece.len();
        }
        Ok(())
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        self.stream.flush().await
    }

    /// Waits for octets. The end of the stream is an error: it must not look like success.
    async fn fill(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.flush().await?;
        }
        if self.read().await? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    async fn read(&mut self) -> io::Result<usize> {
        // An idle session holds what its last line needed, not what its last message did.
        let room = if self.input.capacity() == 0 { 1 << 10 } else { ROOM };
        self.input.reserve(room);
        self.stream.read_buf(&mut self.input).await
    }

    /// Puts the next line into `line`, without its end.
    pub(crate) async fn line(&mut self, line: &mut String) -> io::Result<()> {
        let mut looked_at = 0;
        let end = loop {
            match memchr::memchr(b'\n', self.input.get(looked_at..).unwrap_or_default()) {
                Some(found) => break looked_at + found,
                None => looked_at = self.input.len(),
            }
            self.fill().await?;
        };
        line.clear();
        let text = std::str::from_utf8(self.input.get(..end).unwrap_or_default()).map_err(io::Error::other)?;
        line.push_str(text.strip_suffix('\r').unwrap_or(text));
        self.input.advance(end + 1);
        Ok(())
    }

    /// Reads `count` octets and forgets them.
    pub(crate) async fn discard(&mut self, count: usize) -> io::Result<()> {
        let mut left = count;
        loop {
            let here = left.min(self.input.len());
            self.input.advance(here);
            left -= here;
            if left == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    /// Sends what was said, and closes.
    pub(crate) async fn end(mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.shutdown().await
    }

    /// Waits until the other side closes, and closes.
    pub(crate) async fn close(mut self) {
        // Whether it says so with a closing alert or just ends is not what is measured.
        while self.fill().await.is_ok() {
            self.input.clear();
        }
        self.stream.shutdown().await.ok();
    }
}
