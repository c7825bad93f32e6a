//! A socket with a read buffer under the TLS engine, held only while it is not empty.
//!
//! rustls asks its transport for 4 KiB at a time; asking the kernel so costs four system calls a
//! record. A [`Leg`] takes 64 KiB from the socket at once and serves the engine from there. Buffers
//! belong to the worker: an idle session has none.
//!
//! It is also how octets that were read before a TLS handshake reach it (RFC 9051 §6.2.1): they
//! are put in front of what the socket still brings.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Octets asked of a socket at once.
pub(super) const CHUNK: usize = 64 << 10;
/// Spare buffers a worker keeps.
const SPARE: usize = 8;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A socket and what was read from it ahead of need.
#[derive(Debug)]
pub(super) struct Leg<IO> {
    io: IO,
    ahead: Vec<u8>,
    /// `taken ≤ ahead.len()`; equal only when both are 0
    taken: usize,
}

impl<IO> Leg<IO> {
    pub(super) fn new(io: IO) -> Self {
        Self { io, ahead: Vec::new(), taken: 0 }
    }

    /// Puts octets in front of what is read next.
    pub(super) fn preload(&mut self, octets: &[u8]) {
        if !octets.is_empty() {
            let rest = self.ahead.get(self.taken..).unwrap_or_default();
            self.ahead = [octets, rest].concat();
            self.taken = 0;
        }
    }

    fn serve(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = self.ahead.get(self.taken..).unwrap_or_default();
        let part = rest.get(..buf.remaining()).unwrap_or(rest);
        buf.put_slice(part);
        self.taken += part.len();
        if self.taken >= self.ahead.len() {
            give_back(std::mem::take(&mut self.ahead));
            self.taken = 0;
        }
    }
}

/// A worker's buffer, of [`CHUNK`].
pub(super) fn take_buffer() -> Vec<u8> {
    BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(CHUNK))
}

/// Gives a worker its buffer back.
pub(super) fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() == CHUNK {
        buffer.clear();
        BUFFERS.with_borrow_mut(|buffers| {
            if buffers.len() < SPARE {
                buffers.push(buffer);
            }
        });
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Leg<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            if buf.remaining() >= CHUNK {
                return Pin::new(&mut this.io).poll_read(cx, buf);
            }
            let mut buffer = take_buffer();
            let read = pin!(this.io.read_buf(&mut buffer)).poll(cx);
            if !matches!(read, Poll::Ready(Ok(1..))) {
                give_back(buffer);
                return Poll::Ready(ready!(read).map(drop));
            }
            this.ahead = buffer;
        }
        this.serve(buf);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Leg<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn serves_small_reads_from_one_large_one_and_gives_the_buffer_back() {
        let (mut far, near) = tokio::io::duplex(CHUNK);
        let mut leg = Leg::new(near);
        far.write_all(&[7; 10_000]).await.unwrap();
        let mut small = [0; 4096];
        let mut left = 10_000;
        while left > 0 {
            let n = leg.read(&mut small).await.unwrap();
            assert!(n > 0 && small[..n].iter().all(|octet| *octet == 7));
            left -= n;
            assert_eq!(leg.ahead.is_empty(), left == 0);
        }
        assert_eq!(leg.ahead.capacity(), 0);
    }

    #[tokio::test]
    async fn octets_read_before_come_first() {
        let (mut far, near) = tokio::io::duplex(CHUNK);
        let mut leg = Leg::new(near);
        leg.preload(b"first ");
        far.write_all(b"then").await.unwrap();
        drop(far);
        let mut all = String::new();
        leg.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "first then");
    }
}
