//! A conversation as a string of octets that a fuzzer can change and still have a conversation.
//!
//! The first octet holds the options, the second seeds the cuts; then blocks follow, each behind an octet
//! that says what it is. These octets are above 0xF7, so they stand in no text. In the answers of a
//! model server [`TAG`] stands for the tag of the command that is answered.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mailwarden::policy::{Policy, PolicyHandle};
use mailwarden::session::{Compression, Limits, Places, Posture, Terms, TlsMode};
use mailwarden::wire::Side;

/// Stands for a command's tag.
pub const TAG: u8 = 0xF7;
const CLIENT: u8 = 0xF8;
const UPSTREAM: u8 = 0xF9;
const CLIENT_END: u8 = 0xFA;
const UPSTREAM_END: u8 = 0xFB;
const WAIT: u8 = 0xFC;
const FAREWELL: u8 = 0xFD;
const RELOAD: u8 = 0xFE;

/// What the listener is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub posture: Posture,
    pub client_tls: TlsMode,
    pub upstream_tls: TlsMode,
    /// Limits so small that a short input reaches them.
    pub tight: bool,
    /// POP3, where the target does not say it.
    pub pop3: bool,
    /// COMPRESS on both sides, and commands are allowed that would be refused by default.
    pub generous: bool,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Send(Side, Vec<u8>),
    End(Side),
    /// An hour passes.
    Wait,
    Farewell,
    /// Another policy comes into force, where the target has two.
    Reload,
}

impl Action {
    /// What the server says, if that is it.
    pub fn upstream(&self) -> Option<&Vec<u8>> {
        if let Self::Send(Side::Upstream, octets) = self { Some(octets) } else { None }
    }
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub options: Options,
    /// Seeds the cuts.
    pub seed: u8,
    pub actions: Vec<Action>,
}

const MODES: [TlsMode; 4] = [TlsMode::Implicit, TlsMode::None, TlsMode::Starttls, TlsMode::Implicit];

impl Options {
    fn read(octet: u8) -> Self {
        let mode = |shift: u8| MODES[usize::from(octet >> shift & 3)];
        let posture = if octet & 1 == 0 { Posture::Enforce } else { Posture::Observe };
        let (tight, pop3, generous) = (octet & 0x20 != 0, octet & 0x40 != 0, octet & 0x80 != 0);
        Self { posture, client_tls: mode(1), upstream_tls: mode(3), tight, pop3, generous }
    }

    fn write(self) -> u8 {
        let mode = |mode| MODES.iter().position(|known| *known == mode).map_or(0, |at| u8::try_from(at).unwrap_or(0));
        u8::from(self.posture == Posture::Observe)
            | mode(self.client_tls) << 1
            | mode(self.upstream_tls) << 3
            | u8::from(self.tight) << 5
            | u8::from(self.pop3) << 6
            | u8::from(self.generous) << 7
    }

    /// The terms of a session.
    pub fn terms(self) -> Arc<Terms> {
        Arc::new(Terms {
            posture: self.posture,
            client_tls: self.client_tls,
            upstream_tls: self.upstream_tls,
            hide: vec!["NAMESPACE".to_owned()],
            allow: if self.generous { ["XFOO", "CATENATE"].map(str::to_owned).into() } else { Vec::new() },
            compression: Compression { client: self.generous, upstream: self.generous, places: Places::new(2) },
            limits: if self.tight { tight() } else { Limits { message: 1 << 20, ..Limits::default() } },
            policy: if self.generous { every_action() } else { policy() },
            transcript: true,
        })
    }
}

/// Read once: a fuzzer plays thousands of scripts a second.
fn policy() -> PolicyHandle {
    static POLICY: OnceLock<PolicyHandle> = OnceLock::new();
    let rules = [
        "name = 'a mailbox'\naction = 'deny'\nmailbox = 'Denied*'",
        "name = 'a command'\naction = 'deny'\ncommand = 'DELE'",
    ];
    let rule = |text: &str| toml::from_str(text).expect("a rule as in the manual");
    POLICY.get_or_init(|| PolicyHandle::new(Policy::new(rules.map(rule).into()))).clone()
}

/// Rules of every action, each for something of its own.
fn every_action() -> PolicyHandle {
    static POLICY: OnceLock<PolicyHandle> = OnceLock::new();
    let rules = [
        "name = 'a mailbox'\naction = 'deny'\nmailbox = 'Denied*'\ncode = 'NONEXISTENT'",
        "name = 'a command'\naction = 'deny'\ncommand = 'DELE'",
        "name = 'seen'\naction = 'deny'\nmode = 'observe'\ncommand = ['FETCH', 'RETR']",
        "name = 'examine'\naction = 'rewrite'\ncommand = 'SELECT'\nmailbox = 'R*'\nrewrite = { examine = true }",
        "name = 'peek'\naction = 'rewrite'\ncommand = 'FETCH'\nrewrite = { peek = true, without_items = ['ENVELOPE', 'part'] }",
        "name = 'flags'\naction = 'rewrite'\ncommand = ['STORE', 'APPEND']\nflag = '\\Deleted'\nrewrite = { without_flags = '\\Deleted' }",
        "name = 'mapped'\naction = 'rewrite'\nmailbox = 'S*'\nrewrite = { mailbox = 'Mapped/{mailbox}' }",
        "name = 'arguments'\naction = 'rewrite'\ncommand = ['SEARCH', 'TOP']\nrewrite = { arguments = '{arguments} UNDELETED' }",
        "name = 'answer'\naction = 'answer'\ncommand = ['EXPUNGE', 'CLOSE', 'CHECK', 'NOOP']\nanswer = { lines = ['OK x'] }",
        "name = 'slow'\naction = 'throttle'\ncommand = ['STATUS', 'IDLE', 'LIST', 'STAT']\nthrottle = { delay = '1s' }",
        "name = 'pace'\naction = 'throttle'\ncommand = ['APPEND', 'COPY', 'LSUB', 'UIDL']\nthrottle = { messages_per_minute = 1 }",
        "name = 'ask'\naction = 'ask'\ncommand = ['CREATE', 'AUTHENTICATE', 'UID STORE', 'REPLACE', 'RSET']\nhook = 'desk'",
        "name = 'end'\naction = 'disconnect'\ncommand = ['DELETE', 'LAST']",
        "name = 'greeting'\naction = 'rewrite'\nanswer = 'greeting'\nrewrite = { text = 'mail' }",
        "name = 'capability'\naction = 'rewrite'\nanswer = 'capability'\ncapability = 'I*'\nrewrite = { hide = true }",
        "name = 'data'\naction = 'rewrite'\nanswer = 'data'\ndata = ['ID', 'FLAGS']\nrewrite = { text = 'x', hide = true }",
        "name = 'completion'\naction = 'rewrite'\nanswer = 'completion'\ncode_is = 'R*'\nrewrite = { text = 'fine' }",
    ];
    let rule = |text: &str| toml::from_str(text).expect("a rule as in the manual");
    POLICY.get_or_init(|| PolicyHandle::new(Policy::new(rules.map(rule).into()))).clone()
}

fn tight() -> Limits {
    Limits {
        inbox: 512,
        command_line_before_login: 60,
        command_line: 120,
        literal_before_login: 20,
        literal: 50,
        message: 300,
        drain: 200,
        sasl_line: 40,
        status_line: 60,
        errors: 5,
        login_timeout: Duration::from_mins(1),
        ..Limits::default()
    }
}

impl Script {
    /// Any octets are a script.
    pub fn read(octets: &[u8]) -> Self {
        let (options, seed, mut rest) = match octets {
            [options, seed, rest @ ..] => (*options, *seed, rest),
            _ => (0, 0, &[][..]),
        };
        let mut actions = Vec::new();
        while let [mark, behind @ ..] = rest {
            let len = behind.iter().position(|octet| (CLIENT..=RELOAD).contains(octet)).unwrap_or(behind.len());
            let (block, next) = behind.split_at(len);
            rest = next;
            actions.push(match *mark {
                CLIENT_END => Action::End(Side::Client),
                UPSTREAM_END => Action::End(Side::Upstream),
                WAIT => Action::Wait,
                FAREWELL => Action::Farewell,
                RELOAD => Action::Reload,
                UPSTREAM => Action::Send(Side::Upstream, block.to_vec()),
                _ => Action::Send(Side::Client, block.to_vec()),
            });
        }
        Self { options: Options::read(options), seed, actions }
    }

    /// The octets that are read as this script.
    pub fn write(&self) -> Vec<u8> {
        let mut octets = vec![self.options.write(), self.seed];
        for action in &self.actions {
            match action {
                Action::Send(side, block) => {
                    octets.push(if *side == Side::Client { CLIENT } else { UPSTREAM });
                    octets.extend(block.iter().map(|octet| if *octet > TAG { b'?' } else { *octet }));
                }
                Action::End(side) => octets.push(if *side == Side::Client { CLIENT_END } else { UPSTREAM_END }),
                Action::Wait => octets.push(WAIT),
                Action::Farewell => octets.push(FAREWELL),
                Action::Reload => octets.push(RELOAD),
            }
        }
        octets
    }
}
