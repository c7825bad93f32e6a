//! What must hold for any octets whatever: the fuzzers' own checks, on conversations that proptest makes up.

#[path = "../../fuzz/src/harness/mod.rs"]
mod harness;

use mailwarden::session::{Posture, TlsMode};
use mailwarden::wire::{Protocol, Side};
use proptest::prelude::*;
use proptest::sample::select;

use self::harness::{Action, Options, Script};

#[rustfmt::skip]
const CLIENT: &[&str] = &[
    "a NOOP\r\n", "b CAPABILITY\r\n", "a LOGIN joe sesame\r\n", "a LOGIN {3}\r\n", "joe {6}\r\n", "sesame\r\n", "a LOGIN {3+}\r\njoe {6+}\r\nsesame\r\n",
    "c AUTHENTICATE PLAIN\r\n", "c AUTHENTICATE PLAIN AGoAcA==\r\n", "AGoAcA==\r\n", "*\r\n", "d SELECT INBOX\r\n", "d SELECT Denied\r\n",
    "e FETCH 1 BODY[]\r\n", "f APPEND x {5}\r\n", "hello\r\n", "f APPEND x {5+}\r\nhello\r\n", "f APPEND x {3+}\r\none {3+}\r\ntwo\r\n", "f APPEND Denied {5+}\r\nhello\r\n",
    "g IDLE\r\n", "DONE\r\n", "h LOGOUT\r\n", "i STARTTLS\r\n", "j XFOO {3+}\r\nabc\r\n", "k SELECT \"x {5}\r\n", "l NOOP\n", "m \0\r\n", "n ENABLE IMAP4rev2\r\n", "o COMPRESS DEFLATE\r\n",
    "p SELECT Secret\r\n", "q LIST \"\" *\r\n", "r STORE 1 +FLAGS (\\Deleted)\r\n", "s UID EXPUNGE 1\r\n", "t FETCH 1:2 (FLAGS BODY[])\r\n", "u CLOSE\r\n", "v COPY 1 {6+}\r\nSecret\r\n", "w CREATE x\r\n",
    "USER joe\r\n", "PASS sesame\r\n", "USER joe\r\nPASS sesame\r\n", "AUTH PLAIN\r\n", "AUTH PLAIN AGoAcA==\r\n", "CAPA\r\n", "STLS\r\n", "STAT\r\n",
    "LIST\r\n", "LIST 1\r\n", "RETR 1\r\nRETR 2\r\n", "TOP 1 0\r\n", "DELE 1\r\n", "UIDL\r\n", "QUIT\r\n", "XYZ\r\n",
];

const IMAP_GREETING: &str =
    "* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+ IDLE ENABLE MULTIAPPEND UNSELECT AUTH=PLAIN] ready\r\n";
const POP3_GREETING: &str = "+OK ready <1.2@x>\r\n";

#[rustfmt::skip]
const UPSTREAM: &[&str] = &[
    IMAP_GREETING, "\u{1}7 OK done\r\n", "\u{1}7 NO [ALERT] no {5}\r\n",
    "\u{1}7 BAD what\r\n", "+ go\r\n", "+\r\n", "* 1 EXISTS\r\n", "* 1 FETCH (UID 5 BODY[] {5}\r\nhello)\r\n\u{1}7 OK done\r\n", "* BYE bye\r\n", "\u{1}7 OK [CAPABILITY COMPRESS=DEFLATE] x\r\n", "* CAPABILITY IMAP4rev1 COMPRESS=DEFLATE\r\n\u{1}7 OK x\r\n",
    "* LIST () \"/\" Secret\r\n\u{1}7 OK done\r\n", "* STATUS {6}\r\nSecret (MESSAGES 1)\r\n\u{1}7 OK done\r\n",
    "a OK done\r\n", "b OK done\r\n", "* 2 FETCH (BODY[] {9999}\r\n", "\r\n", "\0\0* NO x\r\n", "garbage\r\n",
    POP3_GREETING, "+OK\r\n", "-ERR no\r\n", "+ \r\n", "+OK\r\nFrom: x\r\n\r\n..a\r\n.\r\n", "+OK\r\na\n.\r\nb\r.\r\n.\r\n", "+OK\r\nPIPELINING\r\nSASL PLAIN\r\nTOP\r\n.\r\n", ".\r\n", "+OK 1 5\r\n",
];

fn block() -> impl Strategy<Value = Action> {
    let words = |list: &'static [&'static str]| proptest::collection::vec(select(list), 1..4);
    let client = words(CLIENT).prop_map(|words| Action::Send(Side::Client, words.concat().into_bytes()));
    let upstream = words(UPSTREAM).prop_map(|words| {
        // `\x017` stands for the mark of a tag, which is no character
        let octets = words.concat().replace("\u{1}7", "\u{7f}").into_bytes();
        Action::Send(Side::Upstream, octets.into_iter().map(|octet| if octet == 0x7F { 0xF7 } else { octet }).collect())
    });
    let noise = proptest::collection::vec(0_u8..0xF7, 0..40);
    let noise = (any::<bool>(), noise)
        .prop_map(|(client, octets)| Action::Send(if client { Side::Client } else { Side::Upstream }, octets));
    let others = select(vec![
        Action::End(Side::Client),
        Action::End(Side::Upstream),
        Action::Wait,
        Action::Farewell,
        Action::Reload,
        Action::Reload,
        Action::Reload,
    ]);
    prop_oneof![12 => client, 12 => upstream, 1 => noise, 1 => others]
}

fn script() -> impl Strategy<Value = Vec<u8>> {
    let posture = prop_oneof![3 => Just(Posture::Enforce), 1 => Just(Posture::Observe)];
    let mode = || prop_oneof![4 => Just(TlsMode::Implicit), 1 => Just(TlsMode::Starttls), 1 => Just(TlsMode::None)];
    let options = (posture, mode(), mode(), any::<bool>(), any::<bool>(), any::<bool>());
    (options, any::<u8>(), proptest::collection::vec(block(), 0..12)).prop_map(|(options, seed, actions)| {
        let (posture, client_tls, upstream_tls, tight, pop3, generous) = options;
        let greeting = if pop3 { POP3_GREETING } else { IMAP_GREETING }.as_bytes().to_vec();
        let greeting = Action::Send(Side::Upstream, greeting);
        let options = Options { posture, client_tls, upstream_tls, tight, pop3, generous };
        Script { options, seed, actions: [vec![greeting], actions].concat() }.write()
    })
}

proptest! {
    #[test]
    fn any_text_is_an_expression_or_is_refused(text in ".{0,120}") {
        harness::expression(text.as_bytes());
    }

    #[test]
    fn two_scripts_go_the_same_way_however_octets_arrive(octets in script()) {
        harness::session(Protocol::Imap, &octets);
        harness::session(Protocol::Pop3, &octets);
    }

    #[test]
    fn commands_are_judged_before_the_server_sees_them_and_answered_once(octets in script()) {
        harness::pair(&octets);
    }

    #[test]
    fn what_the_policy_in_force_denies_reaches_nobody(policies in any::<u8>(), octets in script()) {
        harness::rules(&[&[policies], octets.as_slice()].concat());
    }

    #[test]
    fn a_script_is_read_as_it_was_written(octets in script()) {
        prop_assert_eq!(Script::read(&octets).write(), octets);
    }

    #[test]
    fn framers_and_parsers_take_any_octets(octets in proptest::collection::vec(any::<u8>(), 0..200), words in proptest::collection::vec(select(CLIENT), 0..4)) {
        for octets in [octets, words.concat().into_bytes()] {
            harness::imap_framer(&octets);
            harness::pop3_framers(&octets);
            harness::imap_command(&octets);
            harness::imap_response(&octets);
        }
    }
}
