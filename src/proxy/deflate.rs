//! The DEFLATE layer of one side (RFC 4978), over whatever the side's octets came in.
//!
//! It must never hold more than a reader asked for: octets are inflated straight into the reader's
//! buffer, which the inbox's limit bounds, and no more compressed octets are read while some are left.
//! A bomb is therefore slowed down like any fast sender, at one inbox a turn. Buffers belong to the
//! worker (`tls`); what a quiet side keeps is zlib's own state, about 400 KiB.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::stream::Stream;
use crate::tls::{give_back, take_buffer};

/// Mail deflates well at any level; this one keeps up with a fast line.
const LEVEL: Compression = Compression::new(3);
/// Room for a flush's marker: with less, zlib writes it twice.
const MARKER: usize = 64;

/// Octets that one write takes, and so one flush and one TLS record carry: what a record brings without the layer.
// Quirk: imaplib2 waits for its socket although it has octets that it did not inflate, for a record made more
// than it had asked for
const PORTION: usize = 16 << 10;

/// A compressed side.
#[derive(Debug)]
pub(super) struct Deflated<IO> {
    inner: Stream<IO>,
    inflater: Decompress,
    deflater: Compress,
    /// Compressed octets that were received and not inflated.
    ahead: Vec<u8>,
    /// `taken ≤ ahead.len()`; equal only when both are 0
    taken: usize,
    /// Compressed octets that were not written, from `sent`.
    behind: Vec<u8>,
    /// `sent ≤ behind.len()`; equal only when both are 0
    sent: usize,
    /// The deflater holds octets back until it is flushed.
    held: bool,
    /// The peer has ended its stream.
    ended: bool,
    tally: Tally,
}

/// Counts octets with and without the layer.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub(super) received_plain: IntCounter,
    pub(super) received_deflated: IntCounter,
    pub(super) sent_plain: IntCounter,
    pub(super) sent_deflated: IntCounter,
}

/// What a peer sent is no DEFLATE stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Undeflatable;

impl fmt::Display for Undeflatable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compressed octets are damaged")
    }
}

impl std::error::Error for Undeflatable {}

impl Undeflatable {
    /// Whether it is the cause of an error of reading.
    pub(super) fn caused(error: &io::Error) -> bool {
        matches!(error.get_ref(), Some(cause) if cause.is::<Self>())
    }
}

impl<IO> Deflated<IO> {
    /// The layer over `inner`; `left` was read from it already, and is deflated.
    pub(super) fn new(inner: Stream<IO>, left: &[u8], tally: Tally) -> Self {
        tally.received_deflated.inc_by(left.len() as u64);
        Self {
            inner,
            // raw, without zlib's header (RFC 4978 §3)
            inflater: Decompress::new(false),
            deflater: Compress::new(LEVEL, false),
            ahead: left.to_vec(),
            taken: 0,
            behind: Vec::new(),
            sent: 0,
            held: false,
            ended: false,
            tally,
        }
    }

    /// Inflates into `buf` until it has something, or nothing is left to inflate. A peer whose stream has
    /// ended says nothing more.
    fn inflate(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        while !self.ended && buf.remaining() > 0 {
            let rest = self.ahead.get(self.taken..).unwrap_or_default();
            let (before_in, before_out) = (self.inflater.total_in(), self.inflater.total_out());
            let room = buf.initialize_unfilled();
            let status = self.inflater.decompress(rest, room, FlushDecompress::Sync);
            let count = |after: u64, before: u64| usize::try_from(after - before).unwrap_or(usize::MAX);
            let (read, made) =
                (count(self.inflater.total_in(), before_in), count(self.inflater.total_out(), before_out));
            let status = status.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, Undeflatable))?;
            buf.advance(made);
            self.tally.received_plain.inc_by(made as u64);
            self.taken += read;
            self.ended = status == Status::StreamEnd;
            if self.taken >= self.ahead.len() || self.ended {
                give_back(std::mem::take(&mut self.ahead));
                self.taken = 0;
            }
            if made > 0 || (read == 0 && !self.ended) {
                break;
            }
        }
        Ok(())
    }

    /// Deflates `octets` to what is written next.
    fn deflate(&mut self, octets: &[u8], flush: FlushCompress) -> io::Result<()> {
        if self.behind.capacity() == 0 {
            self.behind = take_buffer();
        }
        let mut rest = octets;
        loop {
            self.behind.reserve(MARKER);
            let before = self.deflater.total_in();
            let done = self.deflater.compress_vec(rest, &mut self.behind, flush);
            done.map_err(|error| io::Error::other(format!("the deflater failed: {error}")))?;
            let read = usize::try_from(self.deflater.total_in() - before).unwrap_or(usize::MAX);
            rest = rest.get(read..).unwrap_or_default();
            // room that is left over means that it has no more to say
            if rest.is_empty() && self.behind.len() < self.behind.capacity() {
                return Ok(());
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Deflated<IO> {
    /// Writes what was deflated.
    ///
    /// Cancel safe: all progress is in `self`.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.behind.len() {
            let rest = self.behind.get(self.sent..).unwrap_or_default();
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
            self.tally.sent_deflated.inc_by(count as u64);
        }
        if !self.behind.is_empty() {
            give_back(std::mem::take(&mut self.behind));
            self.sent = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads compressed octets, once.
    ///
    /// Cancel safe: all progress is in `self`.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = take_buffer();
        let read = pin!(self.inner.read_buf(&mut buffer)).poll(cx);
        if let Poll::Ready(Ok(count @ 1..)) = read {
            self.tally.received_deflated.inc_by(count as u64);
            self.ahead = buffer;
        } else {
            give_back(buffer);
        }
        read
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Deflated<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        loop {
            // even without octets to read: the inflater may hold back what had no room
            this.inflate(buf)?;
            if buf.filled().len() > before || buf.remaining() == 0 || this.ended {
                return Poll::Ready(Ok(()));
            }
            if ready!(this.poll_ahead(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Deflated<IO> {
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
        let mut count = 0;
        for octets in bufs {
            if count == PORTION {
                break;
            }
            let part = octets.get(..PORTION - count).unwrap_or(octets);
            this.deflate(part, FlushCompress::None)?;
            count += part.len();
        }
        this.held |= count > 0;
        this.tally.sent_plain.inc_by(count as u64);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.held {
            this.held = false;
            this.deflate(&[], FlushCompress::Sync)?;
        }
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
