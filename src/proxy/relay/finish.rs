//! The end of a session: what is queued goes out as far as the peers take it, then both sides are
//! closed properly, all in bounded time.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::timeout;

use super::{CHUNK, Peer, Relay, SCRATCH, peer};
use crate::proxy::stream::Stream;
use crate::wire::Side;

/// A peer that takes nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(5);
/// However slowly it goes on taking, a peer is left after this.
const FLUSH: Duration = Duration::from_secs(30);
/// How long, and how many octets, a closed client may go on sending before its connection is reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_OCTETS: usize = 1 << 20;

impl<IO: AsyncRead + AsyncWrite + Unpin> Relay<IO> {
    pub(super) async fn finish(&mut self) {
        self.report();
        // a peer that was cut off here is closed all the same
        let _flushed = timeout(FLUSH, self.flush()).await;
        let (client, upstream) = (&mut self.client, &mut self.upstream);
        let close = poll_fn(|cx| {
            let client = Pin::new(&mut client.stream).poll_shutdown(cx).is_ready();
            let upstream = Pin::new(&mut upstream.stream).poll_shutdown(cx).is_ready();
            if client && upstream { Poll::Ready(()) } else { Poll::Pending }
        });
        let _closed = timeout(PATIENCE, close).await;
        self.upstream = Peer::new(Stream::Gone);
        if !self.inboxes.client_ended && !self.client.deaf {
            let _lingered = timeout(LINGER, linger(&mut self.client)).await;
        }
    }

    /// Writes both queues, as long as at least one peer takes something every [`PATIENCE`].
    async fn flush(&mut self) {
        loop {
            let before = self.waiting();
            let both = poll_fn(|cx| {
                let sides = [Side::Client, Side::Upstream].map(|side| match self.poll_send(cx, side) {
                    Poll::Ready(Err(_)) => {
                        peer(&mut self.client, &mut self.upstream, side).deaf = true;
                        true
                    }
                    Poll::Ready(Ok(())) => true,
                    Poll::Pending => false,
                });
                if sides == [true, true] { Poll::Ready(()) } else { Poll::Pending }
            });
            if timeout(PATIENCE, both).await.is_ok() || self.waiting() == before {
                return;
            }
        }
    }

    fn waiting(&self) -> usize {
        self.out.queued(Side::Client) + self.out.queued(Side::Upstream)
    }
}

/// Reads and drops what a client still sends, so that the kernel does not answer it with a reset
/// that would destroy the farewell on its way.
async fn linger<IO: AsyncRead + AsyncWrite + Unpin>(client: &mut Peer<IO>) -> io::Result<()> {
    let mut left = LINGER_OCTETS;
    while left > 0 {
        let count = poll_fn(|cx| {
            SCRATCH.with_borrow_mut(|scratch| {
                scratch.reserve(CHUNK);
                let read = pin!(client.stream.read_buf(&mut (&mut *scratch).limit(CHUNK))).poll(cx);
                scratch.clear();
                read
            })
        })
        .await?;
        if count == 0 {
            break;
        }
        left = left.saturating_sub(count);
    }
    Ok(())
}
