//! A TLS connection over a socket.
//!
//! Records are read 128 KiB at a time into a buffer of the worker and opened there; what is sent is
//! sealed in another one, in full records, and written at once. A connection itself holds only a record
//! that has not come whole, and octets the socket did not take: an idle one holds none.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::{
    CipherSuite, ClientConfig, CommonState, Error, HandshakeKind, InvalidMessage, ProtocolVersion, ServerConfig,
};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zeroize::Zeroize;

use super::buffers::{CHUNK, Parts, Plain, Room, Waiting};
use super::engine::{Engine, Opened, Say};
use super::records::{CONTENT, HEADER, OVERHEAD};
use super::{asked, subject};

/// A record at its longest (RFC 5246 §6.2.3 allows more than RFC 8446 §5.2).
const RECORD: usize = HEADER + CONTENT + 2048;
/// Octets of a handshake message in its records: a chain of certificates is the longest, and rustls takes none
/// over 64 KiB.
const HANDSHAKE: usize = 1 << 17;
/// A password comes in a read of at most this size; the worker's copy of it is wiped.
const WIPED: usize = 4 << 10;
/// Octets of content sealed for one write.
const SEALED: usize = 8 * CONTENT;

thread_local! {
    /// Where a worker reads records to, and opens them.
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Where a worker seals records.
    static WRITE: RefCell<Room> = RefCell::new(Room::default());
}

/// A connection whose handshake is done.
pub(crate) struct TlsStream<IO> {
    io: IO,
    engine: Engine,
    /// Records that were received and not opened.
    incoming: Vec<u8>,
    /// There are whole ones among them.
    unopened: bool,
    /// Content for which the reader had no room.
    ahead: Waiting,
    /// Sealed records that the socket has not taken.
    outgoing: Waiting,
    /// The peer has said that nothing follows.
    ended: bool,
    /// We have.
    closed: bool,
    /// What is told once the content in front of it is read.
    failed: Option<io::Error>,
}

/// What a handshake came to.
pub(crate) struct Shaken<IO> {
    pub(crate) stream: TlsStream<IO>,
    pub(crate) version: Option<ProtocolVersion>,
    pub(crate) suite: Option<CipherSuite>,
    pub(crate) resumed: bool,
    /// The name a client asked for (SNI).
    pub(crate) asked: Option<String>,
    /// The subject of the client's certificate, if it had to show one.
    pub(crate) subject: Option<String>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> TlsStream<IO> {
    /// Does the handshake as a server. `before` was read from the socket already.
    pub(crate) async fn accept(io: IO, before: &[u8], config: Arc<ServerConfig>) -> io::Result<Shaken<IO>> {
        let connection = UnbufferedServerConnection::new(config).map_err(failed)?;
        Self::new(io, before, Engine::Server(Box::new(connection))).shake().await
    }

    /// Does the handshake as a client. `before` was read from the socket already.
    pub(crate) async fn connect(
        io: IO,
        before: &[u8],
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        alpn: Vec<Vec<u8>>,
    ) -> io::Result<Shaken<IO>> {
        let connection = UnbufferedClientConnection::new_with_alpn(config, name, alpn).map_err(failed)?;
        Self::new(io, before, Engine::Client(Box::new(connection))).shake().await
    }

    fn new(io: IO, before: &[u8], engine: Engine) -> Self {
        let (ahead, outgoing) = Default::default();
        Self {
            io,
            engine,
            incoming: before.to_vec(),
            unopened: false,
            ahead,
            outgoing,
            ended: false,
            closed: false,
            failed: None,
        }
    }

    /// Record by record, so that rustls sees none behind the one that ends the handshake.
    async fn shake(mut self) -> io::Result<Shaken<IO>> {
        let mut asked = None;
        // octets in front that rustls has seen and wants to see again: a message that goes on in the next record
        let mut seen = 0;
        // the client speaks before it has read
        let mut next = matches!(self.engine, Engine::Client(_)).then_some(0);
        loop {
            let unseen = self.incoming.get(seen..).unwrap_or_default();
            let Some(len) = next.take().or_else(|| first_record(unseen)) else {
                if seen > HANDSHAKE {
                    return Err(failed(Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge)));
                }
                self.read_more().await?;
                continue;
            };
            let (used, opened) = self.open_held(seen + len);
            seen = (seen + len).saturating_sub(used);
            asked = asked::take().or(asked);
            // an error's alert too, but the error is what is told of
            let written = poll_fn(|cx| self.poll_drain(cx)).await;
            let is_done = opened.map_err(failed)? != Opened::Handshake;
            written?;
            if is_done {
                break;
            }
        }
        let common = self.engine.common();
        let version = common.and_then(CommonState::protocol_version);
        let suite = common.and_then(CommonState::negotiated_cipher_suite).map(|suite| suite.suite());
        let resumed = common.and_then(CommonState::handshake_kind) == Some(HandshakeKind::Resumed);
        let shown =
            common.filter(|_| matches!(self.engine, Engine::Server(_))).and_then(CommonState::peer_certificates);
        let subject = shown.and_then(|chain| chain.first()).and_then(|leaf| subject::of(leaf));
        if seen == 0 {
            self.engine.settle().map_err(failed)?;
        }
        self.unopened = !self.incoming.is_empty();
        Ok(Shaken { stream: self, version, suite, resumed, asked, subject })
    }

    /// Opens what is held, up to `end`; content is kept for the reader.
    fn open_held(&mut self, end: usize) -> (usize, Result<Opened, Error>) {
        let mut nowhere = ReadBuf::new(&mut []);
        let mut plain = Plain { reader: &mut nowhere, ahead: &mut self.ahead };
        let records = self.incoming.get_mut(..end).unwrap_or_default();
        let (used, opened) = self.engine.open(records, &mut plain, &mut self.outgoing);
        self.incoming.drain(..used);
        (used, opened)
    }

    async fn read_more(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            READ.with_borrow_mut(|room| {
                let room = sized(room, CHUNK);
                let mut read = ReadBuf::new(room);
                ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
                if read.filled().is_empty() {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof")));
                }
                self.incoming.extend_from_slice(read.filled());
                Poll::Ready(Ok(()))
            })
        })
        .await
    }

    /// Writes what was sealed and not taken.
    ///
    /// Cancel safe: all progress is in `self`.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, self.outgoing.octets()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.take(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads records, once, and opens them; `true`: the peer has ended.
    ///
    /// Cancel safe: what was read is opened or kept.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut ReadBuf<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<bool>> {
        let held = self.incoming.len();
        let mut filled = held;
        if !self.unopened {
            let wanted = (held + CHUNK).min(room.len());
            if wanted <= held {
                let why = InvalidMessage::HandshakePayloadTooLarge;
                return Poll::Ready(Err(failed(Error::InvalidMessage(why))));
            }
            let mut read = ReadBuf::new(room.get_mut(held..wanted).unwrap_or_default());
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "peer closed connection without sending TLS close_notify",
                )));
            }
            filled += read.filled().len();
        }
        let records = room.get_mut(..filled).unwrap_or_default();
        if let Some(front) = records.get_mut(..held) {
            front.copy_from_slice(&self.incoming);
        }
        let before = reader.filled().len();
        let mut plain = Plain { reader, ahead: &mut self.ahead };
        let (used, opened) = self.engine.open(records, &mut plain, &mut self.outgoing);
        let has_content = reader.filled().len() > before;
        self.keep(records.get(used..).unwrap_or_default());
        if filled <= WIPED {
            records.zeroize();
        }
        self.unopened = matches!(opened, Ok(Opened::Full)) && !self.incoming.is_empty();
        if matches!(opened, Err(_) | Ok(Opened::Ended)) {
            // nothing behind it counts
            self.incoming = Vec::new();
        }
        // an answer, an alert: it goes as far as the peer takes it, and the rest when the socket can
        let told = self.poll_drain(cx);
        match (opened, told) {
            (Ok(_), Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (Ok(opened), _) => Poll::Ready(Ok(opened == Opened::Ended)),
            // what came before it is read first
            (Err(error), _) if has_content => {
                self.failed = Some(failed(error));
                Poll::Ready(Ok(false))
            }
            (Err(error), _) => Poll::Ready(Err(failed(error))),
        }
    }

    /// Keeps what was not opened; nothing is kept of a buffer that is not needed.
    fn keep(&mut self, octets: &[u8]) {
        if octets.is_empty() {
            self.incoming = Vec::new();
        } else {
            self.incoming.clear();
            self.incoming.extend_from_slice(octets);
        }
    }

    /// Seals what is said and writes it; what the socket does not take is kept.
    fn poll_say(&mut self, cx: &mut Context<'_>, say: Say<'_, '_>) -> Poll<io::Result<()>> {
        WRITE.with_borrow_mut(|room| {
            room.start(SEALED + (SEALED / CONTENT + 2) * OVERHEAD);
            let mut nowhere = ReadBuf::new(&mut []);
            let mut plain = Plain { reader: &mut nowhere, ahead: &mut self.ahead };
            let (used, said) = self.engine.say(say, room, &mut self.incoming, &mut plain, &mut self.outgoing);
            self.incoming.drain(..used);
            self.ended |= said.map_err(failed)?;
            let mut sealed = room.used();
            while !sealed.is_empty() {
                match Pin::new(&mut self.io).poll_write(cx, sealed)? {
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(count) => sealed = sealed.get(count..).unwrap_or_default(),
                    Poll::Pending => {
                        self.outgoing.push(sealed);
                        break;
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(drained) = this.poll_drain(cx) {
            drained?;
        }
        if !this.ahead.is_empty() {
            let octets = this.ahead.octets();
            let count = octets.len().min(buf.remaining());
            buf.put_slice(octets.get(..count).unwrap_or_default());
            this.ahead.take(count);
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Err(error));
        }
        let before = buf.filled().len();
        while !this.ended && buf.filled().len() == before && buf.remaining() > 0 {
            let size = (CHUNK + RECORD).max(this.incoming.len());
            this.ended = ready!(READ.with_borrow_mut(|room| this.poll_receive(cx, buf, sized(room, size))))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let mut parts = Parts::new(bufs);
        let all = parts.left();
        ready!(this.poll_say(cx, Say::Content(&mut parts)))?;
        Poll::Ready(Ok(all - parts.left()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        if !this.closed {
            this.closed = true;
            ready!(this.poll_say(cx, Say::CloseNotify))?;
            ready!(this.poll_drain(cx))?;
        }
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl<IO> fmt::Debug for TlsStream<IO> {
    /// Without keys or octets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("ended", &self.ended).field("closed", &self.closed).finish_non_exhaustive()
    }
}

/// Where the first record ends, once it is whole. What cannot be a record is one to its end: rustls says why.
fn first_record(octets: &[u8]) -> Option<usize> {
    let [kind, _, _, high, low, ..] = octets else { return None };
    let end = HEADER + usize::from(u16::from_be_bytes([*high, *low]));
    if !(20..=24).contains(kind) || end > RECORD {
        return Some(octets.len());
    }
    (octets.len() >= end).then_some(end)
}

fn sized(room: &mut Vec<u8>, size: usize) -> &mut [u8] {
    if room.len() < size {
        room.resize(size, 0);
    }
    room
}

fn failed(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
