//! Capabilities: which of the server's the client may see, and so which commands it may use.

use std::time::Instant;

use super::Imap;
use super::server::Fate;
use crate::session::{Alteration, Observation, Outbox, Posture, Speaker, TlsMode, ViolationKind};
use crate::wire::Side;
use crate::wire::imap::capability::{ClientTls, Rules, Shown, Unknown};
use crate::wire::imap::{Command, Details};

impl Imap {
    /// `* CAPABILITY …`, at any time.
    pub(super) fn pass_capabilities(
        &mut self,
        line: &[u8],
        list: usize,
        whole: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        if !whole {
            return self.upstream_slip(ViolationKind::LineTooLong, "A capability list is too long", now, out);
        }
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        let Some(filtered) = self.filter_capabilities(text.get(list..).unwrap_or_default(), now, out) else {
            self.say(Speaker::Upstream, None, line, now, out);
            return Fate::Pass;
        };
        let mut octets = text.get(..list).unwrap_or_default().to_vec();
        octets.extend_from_slice(&filtered);
        octets.extend_from_slice(b"\r\n");
        self.say(Speaker::UpstreamHeld, None, line, now, out);
        self.say(Speaker::ProxyToClient, None, &octets, now, out);
        let (removed, added) = (line.len() as u64, octets.len() as u64);
        let why = Alteration::Capabilities;
        out.observe(now, Observation::Altered { to: Side::Client, why, removed, added });
        Fate::Replace(octets.into())
    }

    /// The list as the client may see it, if that is another; learns from it what the proxy must know.
    pub(super) fn filter_capabilities(&mut self, list: &[u8], now: Instant, out: &mut Outbox) -> Option<Vec<u8>> {
        for name in list.split(|octet| *octet == b' ') {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            let rev2 = is("IMAP4rev2");
            self.server.initial_response |= rev2 || is("SASL-IR");
            self.server.unselect |= rev2 || is("UNSELECT");
            self.server.multiappend |= is("MULTIAPPEND");
        }
        self.learn_compression(list);
        let mut hide = self.hidden_of(list, now, out);
        let mut rules = self.capability_rules();
        if !hide.is_empty() {
            hide.extend_from_slice(rules.hide);
            rules.hide = &hide;
        }
        let filtered = rules.filter(list);
        self.server.scram_plus |= filtered.scram_plus;
        filtered.changed.then_some(filtered.octets)
    }

    pub(super) fn capability_rules(&self) -> Rules<'_> {
        let terms = &self.setup.terms;
        let unknown = match terms.posture {
            Posture::Enforce => Unknown::Hide,
            Posture::Observe => Unknown::Pass,
        };
        let client_tls = match terms.client_tls {
            _ if self.client_tls => ClientTls::Up,
            TlsMode::Starttls => ClientTls::Required,
            TlsMode::Implicit | TlsMode::None => ClientTls::None,
        };
        let (hide, allow, compress) = (&*terms.hide, &*terms.allow, self.offers_compression());
        Rules { unknown, client_tls, hide, allow, scram_plus: self.server.scram_plus, compress }
    }

    /// Whether a capability is shown to the client if the server has it.
    pub(super) fn is_capability_offered(&self, name: &str) -> bool {
        self.capability_rules().show(name) != Shown::Hide && !self.hides_capability(name, self.last)
    }

    /// What a capability list hides is refused as a command too. `IMAP4rev2` includes many extensions, so
    /// it does not count where an extension is hidden by its own name (RFC 9051 appendix E).
    pub(super) fn is_offered(&self, command: &Command) -> bool {
        let mechanism = match &command.details {
            Details::Authenticate { mechanism, .. } => self.is_capability_offered(&format!("AUTH={mechanism}")),
            _ => true,
        };
        mechanism && self.are_offered(&command.needs)
    }

    /// Whether of each group of capabilities one is offered.
    pub(super) fn are_offered(&self, needs: &[&[&str]]) -> bool {
        let offered = |group: &&[&str]| {
            let mut own = group.iter().filter(|name| !name.eq_ignore_ascii_case("IMAP4rev2")).peekable();
            own.peek().is_none() || own.any(|name| self.is_capability_offered(name))
        };
        needs.iter().all(offered)
    }
}
