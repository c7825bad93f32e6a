//! What servers read differently is refused, with a reason.

use super::*;

#[test]
fn names_what_is_wrong() {
    for (input, tag, reason) in [
        (&b"a  NOOP\r\n"[..], Some("a"), Reason::Syntax),
        (b"a\tNOOP\r\n", None, Reason::Syntax),
        (b" a NOOP\r\n", None, Reason::Syntax),
        (b"\r\n", None, Reason::Syntax),
        (b"a\r\n", None, Reason::Syntax),
        (b"a \r\n", Some("a"), Reason::Syntax),
        (b"a NOOP \r\n", Some("a"), Reason::Syntax),
        (b"a NOOP\nb NOOP\r\n", Some("a"), Reason::BareLineEnd),
        (b"a SELECT \"x\nb DELETE y\"\r\n", Some("a"), Reason::BareLineEnd),
        (b"a SELECT x\ry\r\n", Some("a"), Reason::BareLineEnd),
        (b"a SELECT \"x\0y\"\r\n", Some("a"), Reason::Nul),
        (b"a SELECT {7+}\r\nINBOX\0x\r\n", Some("a"), Reason::Nul),
        (b"a+ NOOP\r\n", None, Reason::Syntax),
        (b"* NOOP\r\n", None, Reason::Syntax),
        (b"\"a\" NOOP\r\n", None, Reason::Syntax),
        (b"\0a NOOP\r\n", None, Reason::Nul),
        (b"a LOGIN \"x {5}\r\n", Some("a"), Reason::Syntax),
        (b"a SELECT \"x {5+}\r\n", Some("a"), Reason::Syntax),
        (b"a SELECT foo{3}\r\n", Some("a"), Reason::Literal),
        (b"a SELECT foo{6+}\r\n", Some("a"), Reason::Literal),
        (b"a SELECT ~{3}\r\n", Some("a"), Reason::Literal),
        (b"a SELECT {5}\n\r\n", Some("a"), Reason::Literal),
        (b"a SELECT {18446744073709551619}\r\n", Some("a"), Reason::Literal),
        (b"a SELECT {99999999999999999999}\r\n", Some("a"), Reason::Literal),
        (b"a SELECT {9223372036854775808}\r\n", Some("a"), Reason::Literal),
        (b"a SELECT \"&AEk-NBOX\"\r\n", Some("a"), Reason::Syntax),
        (b"a SELECT \"\xff\"\r\n", Some("a"), Reason::Syntax),
        (b"a XFOO {20+}\r\n", Some("a"), Reason::UnknownCommand),
        (b"a NOOP {20+}\r\n", Some("a"), Reason::Syntax),
        (b"a UID UID FETCH 1 FLAGS\r\n", Some("a"), Reason::UnknownCommand),
        (b"a UID NOOP\r\n", Some("a"), Reason::UnknownCommand),
        (b"a UID  FETCH 1 FLAGS\r\n", Some("a"), Reason::Syntax),
        (b"a UID\r\n", Some("a"), Reason::Syntax),
        (b"a NO_OP\r\n", Some("a"), Reason::Syntax),
    ] {
        let malformed = refused(input);
        assert_eq!((malformed.tag.as_ref().map(Tag::as_str), malformed.reason), (tag, reason), "{input:?}");
    }
}

#[test]
fn refuses_announcements_that_are_none() {
    for announcement in ["{}", "{+}", "{-1}", "{ 3}", "{3 }", "{3-}", "{0x3}", "{3++}", "{3+", "{3}x", "{", "~{"] {
        let malformed = refused(&line(&format!("a SELECT {announcement}")));
        assert_eq!(malformed.reason, Reason::Literal, "{announcement}");
    }
}

#[test]
fn asks_for_the_octets_of_a_string_literal_only() {
    for text in ["LOGIN {3}", "LOGIN joe {4+}", "LOGIN {3+}\r\njoe {4}", "SELECT {0}", "SELECT {9223372036854775807}"] {
        assert!(matches!(parse(&line(&format!("a {text}"))), Err(Stop::Literal)), "{text}");
    }
    for text in
        ["FETCH {3}", "SEARCH {3}", "STORE 1 FLAGS ({3}", "AUTHENTICATE {5}", "AUTHENTICATE PLAIN {8}", "COPY {1}"]
    {
        refused(&line(&format!("a {text}")));
    }
}

#[test]
fn nesting_ends_before_the_stack_does() {
    for depth in [1, 64] {
        accepted(&format!("a SEARCH {}ALL{}", "(".repeat(depth), ")".repeat(depth)));
    }
    for depth in [65, 5000] {
        refused(&line(&format!("a SEARCH {}", "(".repeat(depth))));
        refused(&line(&format!("a SEARCH {}ALL{}", "(".repeat(depth), ")".repeat(depth))));
    }
    accepted(&format!("a SEARCH {}ALL", "NOT ".repeat(5000)));
    accepted(&format!("a SEARCH {}ALL{}", "OR ".repeat(5000), " ALL".repeat(5000)));
}

#[test]
fn what_may_hold_a_secret_is_marked() {
    for (text, secret) in [
        ("hunter2", true),
        ("a hunter2", true),
        ("AGoAcA==", true),
        ("a LOGIN joe \"x", true),
        ("a LOGIN joe", true),
        ("a AUTHENTICATE PLAIN A=B", true),
        ("a ID (\"x-forward\" \"y\"", true),
        ("a URLFETCH x y z (", true),
        ("a FETCH 0 FLAGS", false),
        ("a NOOP x", false),
    ] {
        assert_eq!(refused(&line(text)).secret, secret, "{text}");
    }
}

#[test]
fn a_message_announced_too_early_is_refused() {
    for text in [
        "APPEND x \"not a date\" {14+}",
        "APPEND x (\\Bogus) {14+}",
        "APPEND x (\\Recent) {14+}",
        "APPEND x (\\Seen \"17-Jul-1996 02:44:25 -0700\" {14+}",
        "APPEND x \"17-Jul-1996 02:44:25 -0700\" (\\Seen) {14+}",
        "APPEND x () () {14+}",
        "APPEND x  {14+}",
        "APPEND x foo{14+}",
        "APPEND x UTF8 {14+}",
        "APPEND x UTF8 ({14+}",
        "APPEND x CATENATE {14+}",
        "APPEND x CATENATE ()",
        "APPEND x {99999999999999999999+}",
        "REPLACE x {14+}",
        "REPLACE 0 x {14+}",
    ] {
        refused(&line(&format!("a {text}")));
    }
}

#[test]
fn every_literal_of_a_valid_command_is_asked_for_in_turn() {
    for text in grammar::valid() {
        let input = line(&format!("a {text}"));
        for literal in parse(&input).expect("valid").literals {
            let announced = &input[..literal.announcement.end];
            assert!(matches!(parse(announced), Err(Stop::Literal)), "{text}");
        }
    }
}

#[test]
fn a_refusal_never_repeats_what_was_said() {
    let malformed = refused(b"a LOGIN joe hunter2 hunter2\r\n");
    assert!(!format!("{malformed:?}").contains("hunter2"));
}
