//! From the server's first octet to the client's greeting: the server's greeting, the proxy's own
//! STARTTLS towards the server, and the client's STARTTLS, which the proxy serves itself.
//!
//! Nothing that a server says before its TLS is up reaches the client or is remembered (RFC 9051
//! §6.2.1), and nothing of the client is read before it is greeted.

use std::time::Instant;

use bytes::Bytes;

use super::phase::{Completing, Greeting, Layer, Phase};
use super::server::Fate;
use super::{Imap, ServerFacts};
use crate::session::{
    Answered, CloseReason, CommandId, Completion, Observation, Outbox, Speaker, State, TlsMode, ViolationKind,
};
use crate::wire::Side;
use crate::wire::imap::{Command, DataKind, ResponseHead, StatusWord};

impl Imap {
    /// A line of the server before the client is greeted.
    pub(super) fn greeting_line(
        &mut self,
        line: &[u8],
        head: &ResponseHead<'_>,
        whole: bool,
        more: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        let Phase::Greeting(greeting) = &self.phase else { return Fate::Drop };
        match (greeting, head) {
            (_, ResponseHead::Padding { len }) if *len == line.len() => Fate::Drop,
            (Greeting::Awaited, ResponseHead::Status(status)) if status.word == StatusWord::Ok => {
                if self.needs_upstream_tls() {
                    return self.start_upstream_tls(line, more, now, out);
                }
                self.greeted(now, out);
                self.judge_greeting(status.word, now, out);
                self.pass_status(line, status, None, whole, now, out)
            }
            (Greeting::Awaited, ResponseHead::Status(status)) if status.word == StatusWord::Bye => {
                let fate = if self.needs_upstream_tls() {
                    Fate::Drop
                } else {
                    self.bye = true;
                    self.pass_status(line, status, None, whole, now, out)
                };
                self.end(CloseReason::ServerBye, "The mail server refused the connection", now, out);
                fate
            }
            (Greeting::Starttls(tag), ResponseHead::Tagged { tag: answered, status }) => {
                let accepted = *answered == tag.as_str().as_bytes() && status.word == StatusWord::Ok;
                self.starttls_answered(line, accepted, more, now, out)
            }
            (Greeting::Capability { tag, .. }, ResponseHead::Tagged { tag: answered, .. })
                if *answered == tag.as_str().as_bytes() =>
            {
                self.say(Speaker::UpstreamHeld, None, line, now, out);
                self.greet_for_server(now, out);
                Fate::Drop
            }
            (Greeting::Capability { .. }, ResponseHead::Data(DataKind::Capability { list })) if whole => {
                self.say(Speaker::UpstreamHeld, None, line, now, out);
                let text = line.strip_suffix(b"\r\n").and_then(|text| text.get(*list..)).unwrap_or_default();
                let shown = self.filter_capabilities(text, now, out).unwrap_or_else(|| text.to_vec());
                if let Phase::Greeting(Greeting::Capability { list, .. }) = &mut self.phase {
                    *list = Some(shown);
                }
                Fate::Drop
            }
            // data that a server sends ahead of its answer is dropped unread
            (Greeting::Starttls(_) | Greeting::Capability { .. }, ResponseHead::Data(_) | ResponseHead::Status(_))
                if whole =>
            {
                Fate::Drop
            }
            _ => {
                let detail = "What the mail server said is no greeting";
                Self::violated(Side::Upstream, ViolationKind::Greeting, detail, now, out);
                self.end(CloseReason::UpstreamGreeting, detail, now, out);
                Fate::Drop
            }
        }
    }

    /// The server's answer to STARTTLS. Anything behind it in the same read would be taken for something
    /// that was said inside TLS (response injection).
    fn starttls_answered(&mut self, line: &[u8], accepted: bool, more: bool, now: Instant, out: &mut Outbox) -> Fate {
        self.say(Speaker::UpstreamHeld, None, line, now, out);
        if !accepted {
            self.no_upstream_tls("The mail server refused STARTTLS", now, out);
        } else if more {
            let detail = "Octets behind the answer to STARTTLS";
            Self::violated(Side::Upstream, ViolationKind::Injection, detail, now, out);
            self.no_upstream_tls("The mail server's STARTTLS was tampered with", now, out);
        } else {
            self.phase = Phase::Greeting(Greeting::Tls);
            out.start_tls(Side::Upstream);
        }
        Fate::Drop
    }

    fn needs_upstream_tls(&self) -> bool {
        self.setup.terms.upstream_tls == TlsMode::Starttls && !self.upstream_tls
    }

    /// The greeting is accepted; the client is read from now on.
    fn greeted(&mut self, now: Instant, out: &mut Outbox) {
        self.greeted = true;
        self.phase = Phase::Command;
        out.observe(now, Observation::Greeted);
        self.change_state(State::NotAuthenticated, now, out);
    }

    /// STARTTLS is asked for even if it is not listed: a list in clear proves nothing.
    fn start_upstream_tls(&mut self, line: &[u8], more: bool, now: Instant, out: &mut Outbox) -> Fate {
        self.say(Speaker::UpstreamHeld, None, line, now, out);
        if more {
            let detail = "Octets behind the greeting";
            Self::violated(Side::Upstream, ViolationKind::Injection, detail, now, out);
            self.no_upstream_tls("The mail server's greeting was tampered with", now, out);
            return Fate::Drop;
        }
        let tag = self.own_tag();
        let line = format!("{tag} STARTTLS\r\n");
        self.say(Speaker::ProxyToUpstream, None, line.as_bytes(), now, out);
        out.send(Side::Upstream, line);
        self.phase = Phase::Greeting(Greeting::Starttls(tag));
        Fate::Drop
    }

    fn no_upstream_tls(&mut self, sentence: &str, now: Instant, out: &mut Outbox) {
        self.end(CloseReason::UpstreamTls, sentence, now, out);
    }

    /// TLS to the server is up: what it said before is forgotten, its capabilities are asked for.
    pub(super) fn upstream_secured(&mut self, now: Instant, out: &mut Outbox) {
        self.upstream_tls = true;
        self.server = ServerFacts::default();
        let tag = self.own_tag();
        let line = format!("{tag} CAPABILITY\r\n");
        self.say(Speaker::ProxyToUpstream, None, line.as_bytes(), now, out);
        out.send(Side::Upstream, line);
        self.phase = Phase::Greeting(Greeting::Capability { tag, list: None });
    }

    /// The greeting of a server that was greeted in clear: the proxy's own words, for the server's came
    /// unprotected, with the list that came inside TLS.
    fn greet_for_server(&mut self, now: Instant, out: &mut Outbox) {
        let Phase::Greeting(Greeting::Capability { list, .. }) = &mut self.phase else { return };
        let list = list.take();
        let code = list.map_or_else(String::new, |list| format!("[CAPABILITY {}] ", String::from_utf8_lossy(&list)));
        self.greeted(now, out);
        self.judge_greeting(StatusWord::Ok, now, out);
        let words = self.wording.take().and_then(|edit| edit.text.clone());
        let words = words.as_deref().unwrap_or("IMAP4 service ready");
        self.say_local(Bytes::from(format!("* OK {code}{words}\r\n")), None, now, out);
    }

    /// STARTTLS of the client, served here: OK is the last thing said in clear, and what the client has
    /// sent behind the command is for the TLS engine, never for the parser (RFC 9051 §6.2.1).
    pub(super) fn serve_starttls(&mut self, id: CommandId, command: &Command, now: Instant, out: &mut Outbox) {
        let possible = self.setup.terms.client_tls == TlsMode::Starttls
            && !self.client_tls
            && self.state == State::NotAuthenticated;
        let (word, sentence, completion) = if possible {
            ("OK", "Begin TLS negotiation now", Completion::Ok)
        } else {
            ("BAD", "STARTTLS is not available", Completion::Bad)
        };
        let mut answer = super::bare_answer(format!("{} {word} {sentence}\r\n", command.tag));
        answer.completes = Some((id, Completing { completion, code: None, by: Answered::Proxy, begun: now }));
        answer.starts = possible.then_some(Layer::Tls);
        self.phase = Phase::Answer(Box::new(answer));
        self.try_answer(now, out);
    }
}
