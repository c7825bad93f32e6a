//! One connection of the sandbox: a stream, what was read from it and not used, and what to write.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

/// A line longer than this ends the connection; the sandbox has no manners for attackers.
const LINE_LIMIT: usize = 1 << 20;

/// Anything that octets flow through both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A stream and its inbox.
pub(super) struct Conn {
    stream: Box<dyn Stream>,
    inbox: BytesMut,
    /// Whether the octets travel in TLS.
    pub(super) secure: bool,
}

impl Conn {
    pub(super) fn new(stream: Box<dyn Stream>, secure: bool) -> Self {
        Self { stream, inbox: BytesMut::new(), secure }
    }

    /// The next line without its CRLF (a bare LF ends a line too); `None` at the end of the stream.
    ///
    /// Cancel safe: what was read stays in the inbox.
    pub(super) async fn line(&mut self) -> io::Result<Option<BytesMut>> {
        let mut searched = 0;
        loop {
            let fresh = self.inbox.get(searched..).unwrap_or_default();
            if let Some(found) = memchr::memchr(b'\n', fresh) {
                let mut line = self.inbox.split_to(searched + found + 1);
                let content = line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).map_or(0, <[u8]>::len);
                line.truncate(content);
                return Ok(Some(line));
            }
            searched = self.inbox.len();
            if searched > LINE_LIMIT {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
            }
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Appends exactly `count` octets to `to`.
    pub(super) async fn octets(&mut self, count: usize, to: &mut BytesMut) -> io::Result<()> {
        let wanted = to.len() + count;
        let ready = self.inbox.len().min(count);
        to.extend_from_slice(&self.inbox.split_to(ready));
        to.reserve(wanted - to.len());
        while to.len() < wanted {
            let missing = u64::try_from(wanted - to.len()).unwrap_or(u64::MAX);
            if (&mut self.stream).take(missing).read_buf(to).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Writes a reply and flushes it.
    pub(super) async fn send(&mut self, reply: &mut Reply) -> io::Result<()> {
        for run in reply.take() {
            self.stream.write_all(&run).await?;
        }
        self.stream.flush().await
    }

    /// Ends the sending side in order.
    pub(super) async fn close(&mut self) {
        // the peer may already be gone, which is just as well
        drop(self.stream.shutdown().await);
    }

    /// Starts TLS after STARTTLS or STLS. What the client sent in clear behind the command is dropped
    /// (RFC 9051 §11.3: nothing received before TLS may be used after it).
    pub(super) async fn upgrade(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        self.inbox.clear();
        let plain = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        self.stream = Box::new(acceptor.accept(plain).await?);
        self.secure = true;
        Ok(())
    }
}

/// Octets to be written, in order; long runs are shared, not copied.
#[derive(Debug, Default)]
pub(super) struct Reply {
    runs: Vec<Bytes>,
    tail: BytesMut,
}

impl Reply {
    /// Runs from this length on are queued as they are.
    const LONG: usize = 4096;

    /// Adds text or octets.
    pub(super) fn put(&mut self, octets: impl AsRef<[u8]>) {
        self.tail.extend_from_slice(octets.as_ref());
    }

    /// Adds one line; the CRLF is added here.
    pub(super) fn line(&mut self, line: impl AsRef<[u8]>) {
        self.put(line);
        self.put("\r\n");
    }

    /// Adds a run that may be long.
    pub(super) fn run(&mut self, run: Bytes) {
        if run.len() < Self::LONG {
            self.put(run);
        } else {
            self.runs.push(self.tail.split().freeze());
            self.runs.push(run);
        }
    }

    fn take(&mut self) -> Vec<Bytes> {
        let mut runs = std::mem::take(&mut self.runs);
        runs.push(self.tail.split().freeze());
        runs
    }

    /// All of it as one run, for tests.
    #[cfg(test)]
    pub(super) fn concat(&mut self) -> Vec<u8> {
        self.take().concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_lines_and_octets_from_any_cut() {
        let stream = tokio_test_stream(&[b"a\r", b"\nbc", b"d\nxy", b"z1", b"\r\n"]);
        let mut conn = Conn::new(Box::new(stream), false);
        assert_eq!(conn.line().await.unwrap().unwrap(), b"a"[..]);
        assert_eq!(conn.line().await.unwrap().unwrap(), b"bcd"[..]);
        let mut literal = BytesMut::from("<");
        conn.octets(3, &mut literal).await.unwrap();
        assert_eq!(literal, b"<xyz"[..]);
        assert_eq!(conn.line().await.unwrap().unwrap(), b"1"[..]);
        assert!(conn.line().await.unwrap().is_none());
    }

    fn tokio_test_stream(cuts: &[&'static [u8]]) -> tokio::io::DuplexStream {
        let (ours, mut theirs) = tokio::io::duplex(3);
        let cuts = cuts.to_vec();
        tokio::spawn(async move {
            for cut in cuts {
                theirs.write_all(cut).await.unwrap();
            }
        });
        ours
    }

    #[test]
    fn keeps_the_order_of_short_and_long_runs() {
        let mut reply = Reply::default();
        reply.put("a");
        reply.run(Bytes::from(vec![b'x'; 5000]));
        reply.line("b");
        let all = reply.concat();
        assert_eq!((all.len(), all[0], &all[5001..]), (5004, b'a', &b"b\r\n"[..]));
    }
}
