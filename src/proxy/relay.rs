//! Executes what a session asks for: reads, writes, layers, the timer and the end. It has no
//! opinion about mail; the contract is that of [`Session`].
//!
//! One task owns both streams, both inboxes and the outbox. Both directions are polled in every
//! turn, so neither can wait for the other; a side is read only while the other side's queue is
//! under [`HIGH_WATER`], so a peer that does not read slows its opposite down as TCP would.
//!
//! Memory of a session, at most: two inboxes of `limits.inbox`; two queues of [`HIGH_WATER`] plus
//! what one read can add (`limits.inbox`), in buffers that are at least half full; per TLS side
//! 128 KiB of sealed records and a record that has not come whole (`tls`); and what the session itself holds
//! (see [`Limits`]). With the defaults 128·2 + 2·(128 + 128)·2 + (128 + 18)·2 = 1572 KiB and the held
//! command, when both peers have stopped reading. An idle session holds none of it. A compressed side has
//! two buffers of 128 KiB more while octets are under way, and zlib's state for good (`deflate`).

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroize;

pub(super) use self::asked::Asked;
use super::deflate::{Deflated, Undeflatable};
use super::record::Record;
use super::stream::{Stream, for_rules};
use crate::fault::{Code, Fault};
use crate::session::{
    CloseReason, CommandId, Event, Inboxes, Limits, Observation, Outbox, Secured, Session, Violation, ViolationKind,
};
use crate::tls::{CHUNK, Connector};
use crate::wire::{Protocol, Side};

/// Octets queued for a side, the cost of their runs included, at which the other side is no longer read.
const HIGH_WATER: usize = 128 << 10;
/// Runs of octets in one vectored write.
const SLICES: usize = 64;
/// A read up to this size is copied out, so that the large buffer stays with the worker; what a
/// session keeps alive is therefore at most twice what it has queued.
const SMALL: usize = CHUNK / 2;
/// A password comes in a read of at most this size; the worker's copy of it is wiped.
const WIPED: usize = 4 << 10;

thread_local! {
    /// Where a worker reads to; a session gets a buffer of its own only with octets in it.
    static SCRATCH: RefCell<BytesMut> = RefCell::new(BytesMut::new());
    /// What a worker's sessions list their facts in, one after the other.
    static EVENTS: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
}

/// Facts for which a worker keeps room.
const KEPT_EVENTS: usize = 1024;

/// How TLS is started in the middle of a session.
#[derive(Debug)]
pub(super) struct Layers {
    pub(super) accept: Option<Arc<ServerConfig>>,
    pub(super) connect: Option<Arc<Connector>>,
    pub(super) protocol: Protocol,
}

/// A session and its two streams.
pub(super) struct Relay<IO> {
    pub(super) session: Box<dyn Session + Send>,
    pub(super) out: Outbox,
    pub(super) inboxes: Inboxes,
    pub(super) client: Peer<IO>,
    pub(super) upstream: Peer<IO>,
    pub(super) record: Record,
    pub(super) layers: Layers,
    pub(super) limits: Limits,
    /// Questions to hooks.
    pub(super) asked: Asked,
    /// Until when a stop waits for this session; set when the stop is asked for.
    pub(super) drain_by: Option<Instant>,
}

/// One side's stream and what is known of it.
#[derive(Debug)]
pub(super) struct Peer<IO> {
    stream: Stream<IO>,
    /// Octets were written and not yet flushed.
    unflushed: bool,
    /// It takes no more octets; what is queued for it is dropped.
    deaf: bool,
}

impl<IO> Peer<IO> {
    pub(super) fn new(stream: Stream<IO>) -> Self {
        let deaf = matches!(stream, Stream::Gone);
        Self { stream, unflushed: false, deaf }
    }
}

/// Why a turn of the relay ended.
enum Turn {
    /// An inbox grew, or a side ended.
    Received,
    /// A side's connection broke.
    Broken(Side, io::Error),
    /// All is written after which a layer begins.
    Switch(Side),
    /// The deadline of the session or of the stop has passed.
    Due,
    /// A hook has decided about a command.
    Answered(CommandId, bool),
    /// The proxy is to stop.
    Stop,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Relay<IO> {
    /// Runs the session to its end, which may have come already.
    pub(super) async fn run(&mut self, stop: &CancellationToken) {
        let mut timer = Timer { sleep: pin!(sleep_until(tokio::time::Instant::now())), armed: None };
        let mut stopped = pin!(stop.cancelled());
        self.go_on();
        loop {
            if self.drain_by.is_some() && self.session.is_idle() {
                self.farewell_drain();
            }
            self.report();
            if self.out.closing().is_some() {
                break;
            }
            if let Some(side) = self.out.starting_tls() {
                Box::pin(self.start_tls(side, stop)).await;
                continue;
            }
            match poll_fn(|cx| self.poll_turn(cx, &mut timer, stopped.as_mut())).await {
                Turn::Received => self.advance(),
                Turn::Broken(side, error) => self.broken(side, &error),
                Turn::Switch(side) => self.start_deflate(side),
                Turn::Due if self.drain_by.is_some_and(|by| by <= now()) => self.farewell_drain(),
                Turn::Due => {
                    self.session.expire(now(), &mut self.out);
                    self.go_on();
                }
                Turn::Answered(id, allowed) => {
                    self.session.answered(id, allowed, now(), &mut self.out);
                    self.go_on();
                }
                Turn::Stop => self.drain_by = Some(now() + self.limits.drain_timeout),
            }
        }
        Box::pin(self.finish()).await;
    }

    fn advance(&mut self) {
        self.out.lend_events(EVENTS.take());
        let now = now();
        self.record.turn_begins(now);
        self.session.advance(&mut self.inboxes, now, &mut self.out);
        for inbox in [&mut self.inboxes.client, &mut self.inboxes.upstream] {
            if inbox.is_empty() {
                *inbox = BytesMut::new();
            } else if inbox.len() < WIPED && inbox.capacity() > SMALL {
                // the start of a line must not keep a whole read alive
                *inbox = BytesMut::from(&inbox[..]);
            }
        }
    }

    /// What was held goes on, and what stood behind it in the inboxes.
    fn go_on(&mut self) {
        if self.out.closing().is_none() {
            self.advance();
        }
    }

    fn report(&mut self) {
        for (id, question) in self.out.take_questions() {
            self.asked.ask(id, question);
        }
        let mut events = self.out.take_events();
        self.record.events(&events);
        events.clear();
        if events.capacity() <= KEPT_EVENTS {
            EVENTS.set(events);
        }
    }

    pub(super) fn farewell_drain(&mut self) {
        self.session.farewell(CloseReason::Drain, "The proxy is being stopped", now(), &mut self.out);
        self.insist_on_close(CloseReason::Drain, "The proxy is being stopped");
    }

    /// A farewell ends the session, whatever the session made of it.
    fn insist_on_close(&mut self, why: CloseReason, detail: &str) {
        self.out.close(now(), why, detail);
    }

    /// Writes what can be written, then reads what may be read; ends when the session must look.
    ///
    /// Cancel safe: all progress is in `self`.
    fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        timer: &mut Timer<'_>,
        stopped: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<Turn> {
        for side in [Side::Client, Side::Upstream] {
            if let Poll::Ready(Err(error)) = self.poll_send(cx, side) {
                return Poll::Ready(Turn::Broken(side, error));
            }
        }
        self.record.turn_ends();
        if let Some(side) = self.out.starting_deflate()
            && self.out.queued(side) == 0
            && !peer(&mut self.client, &mut self.upstream, side).unflushed
        {
            return Poll::Ready(Turn::Switch(side));
        }
        let mut received = false;
        for side in [Side::Client, Side::Upstream] {
            if self.may_read(side) {
                match self.poll_receive(cx, side) {
                    Poll::Ready(Ok(())) => received = true,
                    Poll::Ready(Err(error)) => return Poll::Ready(Turn::Broken(side, error)),
                    Poll::Pending => {}
                }
            }
        }
        if received {
            return Poll::Ready(Turn::Received);
        }
        if let Poll::Ready((id, allowed)) = self.asked.poll(cx) {
            return Poll::Ready(Turn::Answered(id, allowed));
        }
        let due = [self.session.deadline(), self.drain_by].into_iter().flatten().min();
        if timer.poll_due(cx, due).is_ready() {
            return Poll::Ready(Turn::Due);
        }
        if self.drain_by.is_none() && stopped.poll(cx).is_ready() {
            return Poll::Ready(Turn::Stop);
        }
        Poll::Pending
    }

    fn may_read(&mut self, side: Side) -> bool {
        let ended = match side {
            Side::Client => self.inboxes.client_ended,
            Side::Upstream => self.inboxes.upstream_ended,
        };
        !ended
            && self.out.held(side.other()) < HIGH_WATER
            && self.inboxes.of(side).len() < self.limits.inbox
            && self.session.wants(side)
    }

    /// Writes one side's queue until it is empty or the peer takes no more. What is written before is
    /// flushed first, so that the records of a bulk transfer stay full.
    ///
    /// Cancel safe: all progress is in `self`.
    fn poll_send(&mut self, cx: &mut Context<'_>, side: Side) -> Poll<io::Result<()>> {
        let (peer, out) = (peer(&mut self.client, &mut self.upstream, side), &mut self.out);
        loop {
            if peer.deaf {
                out.written(side, out.queued(side));
                return Poll::Ready(Ok(()));
            }
            let step = if peer.unflushed {
                std::task::ready!(Pin::new(&mut peer.stream).poll_flush(cx)).map(|()| peer.unflushed = false)
            } else if out.queued(side) == 0 {
                return Poll::Ready(Ok(()));
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let filled = out.slices(side, &mut slices);
                let slices = slices.get(..filled).unwrap_or_default();
                std::task::ready!(Pin::new(&mut peer.stream).poll_write_vectored(cx, slices)).map(|count| {
                    out.written(side, count);
                    self.record.sent(side, count);
                    peer.unflushed = true;
                })
            };
            if let Err(error) = step {
                peer.deaf = true;
                // what the server said before it hung up is still to be read: its reading side decides
                return Poll::Ready(if side == Side::Client { Err(error) } else { Ok(()) });
            }
        }
    }

    /// Reads once from one side into its inbox.
    ///
    /// Cancel safe: all progress is in `self`.
    fn poll_receive(&mut self, cx: &mut Context<'_>, side: Side) -> Poll<io::Result<()>> {
        let room = CHUNK.min(self.limits.inbox - self.inboxes.of(side).len());
        let peer = peer(&mut self.client, &mut self.upstream, side);
        let inbox = self.inboxes.of(side);
        let read = SCRATCH.with_borrow_mut(|scratch| {
            scratch.reserve(CHUNK);
            let read = pin!(peer.stream.read_buf(&mut (&mut *scratch).limit(room))).poll(cx);
            if scratch.len() <= SMALL || !inbox.is_empty() {
                inbox.extend_from_slice(scratch);
                if side == Side::Client && scratch.len() <= WIPED {
                    scratch.zeroize();
                }
                scratch.clear();
            } else {
                *inbox = std::mem::take(scratch);
            }
            read
        });
        match std::task::ready!(read) {
            Ok(count @ 1..) => self.record.received(side, count),
            Ok(0) => self.ended(side),
            // Quirk: many peers close TLS without close_notify; where a message ends, the protocol says
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.ended(side),
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }

    fn ended(&mut self, side: Side) {
        match side {
            Side::Client => self.inboxes.client_ended = true,
            Side::Upstream => self.inboxes.upstream_ended = true,
        }
    }

    fn broken(&mut self, side: Side, error: &io::Error) {
        if Undeflatable::caused(error) {
            return self.undeflatable(side);
        }
        let detail = format!("The connection to the {} broke: {error}", side.as_label());
        self.ended(side);
        match side {
            Side::Client => {
                self.client.deaf = true;
                self.out.close(now(), CloseReason::ClientReset, detail);
            }
            Side::Upstream => {
                self.upstream.deaf = true;
                let sentence = "The connection to the mail server broke";
                self.session.farewell(CloseReason::UpstreamReset, sentence, now(), &mut self.out);
                self.insist_on_close(CloseReason::UpstreamReset, &detail);
            }
        }
    }

    /// The side's octets cannot be inflated, so nothing it says can be known any more.
    fn undeflatable(&mut self, side: Side) {
        self.ended(side);
        let (kind, detail) = (ViolationKind::Compression, Undeflatable.to_string());
        self.out.observe(now(), Observation::Violated(Violation { side, kind, detail: detail.into() }));
        let (why, sentence) = match side {
            Side::Client => (CloseReason::ClientViolation, "What came is not compressed as agreed"),
            Side::Upstream => (CloseReason::UpstreamViolation, "The mail server sent what cannot be inflated"),
        };
        self.session.farewell(why, sentence, now(), &mut self.out);
        self.insist_on_close(why, sentence);
    }

    /// Hands the octets left in the side's inbox to the inflater; what is queued from now on is deflated.
    fn start_deflate(&mut self, side: Side) {
        self.out.deflate_taken();
        let left = std::mem::take(self.inboxes.of(side));
        let tally = self.record.tally(side);
        let peer = peer(&mut self.client, &mut self.upstream, side);
        let inner = std::mem::replace(&mut peer.stream, Stream::Gone);
        peer.stream = Stream::Deflated(Box::new(Deflated::new(inner, &left, tally)));
        self.session.deflate_started(side, now(), &mut self.out);
        self.advance();
    }

    /// Starts TLS on this side, unless the proxy is stopped meanwhile: nobody has logged in yet, so nothing is waited for.
    async fn start_tls(&mut self, side: Side, stop: &CancellationToken) {
        if stop.run_until_cancelled(self.secure(side)).await.is_none() {
            // in the middle of a handshake nothing can be told
            peer(&mut self.client, &mut self.upstream, side).deaf = true;
            self.ended(side);
            self.farewell_drain();
        }
    }

    /// Flushes the side's queue, hands the octets left in its inbox to the TLS engine, shakes hands.
    async fn secure(&mut self, side: Side) {
        self.record.turn_ends();
        let limit = self.limits.handshake_timeout;
        let flushed = tokio::time::timeout(limit, poll_fn(|cx| self.poll_send(cx, side))).await;
        match flushed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return self.broken(side, &error),
            Err(_) => return self.broken(side, &io::ErrorKind::TimedOut.into()),
        }
        self.out.tls_taken();
        let since = now();
        let outcome = self.handshake(side, limit).await;
        self.record.handshake(side, since, outcome.as_ref().map(|(_, facts)| facts));
        match outcome {
            Ok((stream, facts)) => {
                peer(&mut self.client, &mut self.upstream, side).stream = stream;
                let secured = match side {
                    Side::Client => Secured::Client(for_rules(&facts)),
                    Side::Upstream => Secured::Upstream,
                };
                self.session.tls_started(secured, now(), &mut self.out);
                self.advance();
            }
            Err(fault) if side == Side::Client => {
                self.client.deaf = true;
                self.inboxes.client_ended = true;
                self.record.client_failed(&fault);
                self.out.close(now(), CloseReason::ClientTls, fault.to_string());
            }
            Err(fault) => {
                self.upstream = Peer::new(Stream::Gone);
                self.refuse_upstream(CloseReason::UpstreamTls, &fault);
            }
        }
    }

    /// The upstream cannot be used: says so to witnesses and to the client, and closes.
    pub(super) fn refuse_upstream(&mut self, why: CloseReason, fault: &Fault) {
        self.inboxes.upstream_ended = true;
        self.record.upstream_failed(fault);
        self.session.farewell(why, &fault.farewell(), now(), &mut self.out);
        self.insist_on_close(why, &fault.to_string());
    }

    async fn handshake(
        &mut self,
        side: Side,
        limit: Duration,
    ) -> Result<(Stream<IO>, crate::witness::TlsFacts), Fault> {
        let left = std::mem::take(self.inboxes.of(side));
        let peer = peer(&mut self.client, &mut self.upstream, side);
        let Stream::Clear(io) = std::mem::replace(&mut peer.stream, Stream::Gone) else {
            return Err(no_layer(side));
        };
        match (side, &self.layers.accept, &self.layers.connect) {
            (Side::Client, Some(config), _) => Box::pin(Stream::accept(io, &left, Arc::clone(config), limit)).await,
            (Side::Upstream, _, Some(connector)) => {
                Box::pin(Stream::connect(io, &left, connector, self.layers.protocol, limit)).await
            }
            (Side::Client, None, _) | (Side::Upstream, _, None) => Err(no_layer(side)),
        }
    }
}

/// TLS was asked for where it is up already, or where there is no certificate: a fault of ours.
fn no_layer(side: Side) -> Fault {
    let code = if side == Side::Client { Code::ClientHandshake } else { Code::UpstreamHandshake };
    Fault::new(code, "TLS cannot be started here", "report this as a fault of the proxy")
}

fn peer<'a, IO>(client: &'a mut Peer<IO>, upstream: &'a mut Peer<IO>, side: Side) -> &'a mut Peer<IO> {
    match side {
        Side::Client => client,
        Side::Upstream => upstream,
    }
}

/// The clock of the shell, which tests can stop.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The one timer of a session. A deadline that moves later, as it does with every octet, does not
/// touch it: it fires at the old moment and is set again then.
struct Timer<'a> {
    sleep: Pin<&'a mut Sleep>,
    armed: Option<Instant>,
}

impl Timer<'_> {
    fn poll_due(&mut self, cx: &mut Context<'_>, due: Option<Instant>) -> Poll<()> {
        let Some(due) = due else { return Poll::Pending };
        loop {
            if self.armed.is_none_or(|armed| due < armed) {
                self.sleep.as_mut().reset(due.into());
                self.armed = Some(due);
            }
            std::task::ready!(self.sleep.as_mut().poll(cx));
            self.armed = None;
            if due <= now() {
                return Poll::Ready(());
            }
        }
    }
}

mod asked;
#[cfg(test)]
mod compression_tests;
mod finish;
#[cfg(test)]
mod tests;
