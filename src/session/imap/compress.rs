//! COMPRESS=DEFLATE (RFC 4978), each side for itself: served to the client by the proxy, whatever the
//! server has, and asked of the server by the proxy, whatever the client does. The command never passes.
//!
//! The octets themselves are the shell's: behind the tagged OK it deflates what goes out and inflates
//! what comes in, and what it had read too far is inflated first, so no octet is read on both sides of
//! the switch (RFC 4978 §3). Offered after login only, as servers do: who is not known yet shall not
//! take the memory, and no password is compressed beside what an attacker chose.

use std::time::Instant;

use super::licence::Licence;
use super::phase::{Completing, Kind, Layer, Pending, Phase, Prepared, Runs, Then};
use super::server::Fate;
use super::{Assembly, Imap};
use crate::policy::Policy;
use crate::session::compression::Place;
use crate::session::{Answered, CommandId, Completion, Observation, Outbox, Speaker};
use crate::wire::imap::{Command, Framer, StatusLine, StatusWord};
use crate::wire::{ShortText, Side};

/// Where compression stands.
#[derive(Debug, Default)]
pub(super) struct Deflate {
    client: Option<Place>,
    upstream: Upstream,
    /// The answer that is being read accepts a login: its capability list is one of after login.
    login_accepted: bool,
}

/// Compression towards the server.
#[derive(Debug, Default)]
enum Upstream {
    /// No list since login had it.
    #[default]
    Unlisted,
    /// The last list had it.
    Listed,
    /// COMPRESS was sent, or the layer is up.
    Taken(#[expect(dead_code, reason = "held until the session ends")] Place),
    /// The server would not.
    Refused,
}

impl Imap {
    /// COMPRESS of the client. OK is the last thing said without the layer; what the client has sent behind
    /// the command is for the inflater, never for the parser.
    pub(super) fn serve_compress(&mut self, id: CommandId, command: &Command, now: Instant, out: &mut Outbox) {
        let place = self.setup.terms.compression.places.take();
        let (completion, code, sentence) = match (&self.deflate.client, &place) {
            (Some(_), _) => (Completion::No, Some("COMPRESSIONACTIVE"), "DEFLATE is active"),
            (None, None) => (Completion::No, Some("LIMIT"), "Too many sessions are compressed"),
            (None, Some(_)) => (Completion::Ok, None, "DEFLATE active"),
        };
        let word = if completion == Completion::Ok { "OK" } else { "NO" };
        let shown = code.map_or_else(String::new, |code| format!("[{code}] "));
        let mut answer = super::bare_answer(format!("{} {word} {shown}{sentence}\r\n", command.tag));
        let code = code.map(ShortText::from);
        answer.completes = Some((id, Completing { completion, code, by: Answered::Proxy, begun: now }));
        if completion == Completion::Ok {
            answer.starts = Some(Layer::Deflate);
            self.deflate.client = place;
        }
        self.phase = Phase::Answer(Box::new(answer));
        self.try_answer(now, out);
    }

    /// Whether the client is offered compression at this point.
    pub(super) fn offers_compression(&self) -> bool {
        self.setup.terms.compression.client && self.is_after_login()
    }

    /// Logged in, or reading what the server says about a login that it accepts.
    fn is_after_login(&self) -> bool {
        self.logged_in()
            || self.deflate.login_accepted
            || self.pending.iter().any(|pending| matches!(pending.kind, Kind::Authenticate(_)))
    }

    /// A tagged answer begins, to the command at this place.
    pub(super) fn note_login(&mut self, at: usize, word: StatusWord) {
        let login = |pending: &Pending| matches!(pending.kind, Kind::Authenticate(_));
        self.deflate.login_accepted = word == StatusWord::Ok && self.pending.get(at).is_some_and(login);
    }

    /// A tagged answer begins that is not to a login.
    pub(super) fn deflate_not_yet(&mut self) {
        self.deflate.login_accepted = false;
    }

    /// A capability list of the server was read. One of before the login may be another (RFC 9051 §6.2.2).
    pub(super) fn learn_compression(&mut self, list: &[u8]) {
        if self.setup.terms.compression.upstream
            && self.is_after_login()
            && matches!(self.deflate.upstream, Upstream::Unlisted | Upstream::Listed)
        {
            let is_deflate = |name: &[u8]| name.eq_ignore_ascii_case(b"COMPRESS=DEFLATE");
            let listed = list.split(|octet| *octet == b' ').any(is_deflate);
            self.deflate.upstream = if listed { Upstream::Listed } else { Upstream::Unlisted };
        }
    }

    /// Asks the server for compression once it may be had and nothing is outstanding. Nothing goes up
    /// until it has answered (RFC 4978 §3).
    pub(super) fn compress_upstream(&mut self, now: Instant, out: &mut Outbox) {
        let is_ready = matches!(self.deflate.upstream, Upstream::Listed)
            && self.logged_in()
            && !self.bye
            && self.pending.is_empty()
            && matches!(self.phase, Phase::Command);
        if !is_ready {
            return;
        }
        let Some(place) = self.setup.terms.compression.places.take() else { return };
        self.deflate.upstream = Upstream::Taken(place);
        let tag = self.own_tag();
        let line = format!("{tag} COMPRESS DEFLATE\r\n");
        self.say(Speaker::ProxyToUpstream, None, line.as_bytes(), now, out);
        let runs = Runs { left: [line.into()].into(), then: Then::Command };
        let (id, kind) = (CommandId(0), Kind::Compress);
        let prepared = Prepared { barrier: true, ..Prepared::new(tag, id, now, kind, runs) };
        self.launch(Box::new(prepared), Licence::plain(Policy::own()), now, out);
    }

    /// The server's answer to the proxy's COMPRESS; the octets behind an OK are deflated.
    pub(super) fn compress_answered(
        &mut self,
        line: &[u8],
        status: &StatusLine<'_>,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        self.say(Speaker::UpstreamHeld, None, line, now, out);
        if status.word == StatusWord::Ok {
            out.start_deflate(Side::Upstream);
        } else {
            self.deflate.upstream = Upstream::Refused;
        }
        Fate::Drop
    }

    /// The layer is up.
    pub(super) fn compressed(&mut self, side: Side, now: Instant, out: &mut Outbox) {
        out.observe(now, Observation::CompressionStarted { side });
        if side == Side::Client {
            self.commands = Framer::default();
            self.assembly = Assembly::default();
            self.phase = Phase::Command;
        }
    }
}

/// Whether a line that is no valid command could be a COMPRESS to a lenient server: then it must not pass
/// in any posture, for what follows would be unreadable.
pub(super) fn could_compress(line: &[u8]) -> bool {
    line.split(|octet| octet.is_ascii_whitespace() || *octet == 0).any(|word| word.eq_ignore_ascii_case(b"COMPRESS"))
}
