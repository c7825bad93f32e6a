//! Rules with `when`, as people try them out: cases, explanations, and what an expression can never see.

use std::fmt::Write;

use base64::prelude::{BASE64_STANDARD, Engine};

use crate::policy::{folder, run_in};

const RULES: &str = r#"
[[group]]
name = "staff"
members = ["*@staff.example"]

[[rule]]
name = "nobody reads what others share"
when = 'mailboxes.exists(name, name.startsWith("Users/") && name != "Users/" + user && !name.startsWith("Users/" + user + "/")) && !("staff" in groups)'
action = "deny"
code = "NONEXISTENT"

[[rule]]
name = "a lot of octets a message"
operation = ["download", "part"]
when = 'octets > 1000000 && messages < 3 && (hour >= 20 || weekday in ["Sat", "Sun"])'
action = "deny"
"#;

const CASES: &str = r#"
given = { user = "Bob@example.com", selected = "INBOX", sizes = ["4 KiB", "30 MiB"], time = "2026-01-05T21:00:00Z" }

[[case]]
name = "what others share is not there"
send = 'a SELECT "Users/eve@example.com"'
expect = { action = "deny", rule = "nobody reads what others share", client_gets = "a NO [NONEXISTENT] *" }

[[case]]
name = "one's own is"
send = ['a SELECT "Users/bob@example.com"', 'b SELECT "Users/bob@example.com/x"']
expect = { action = "allow" }

[[case]]
name = "whose name only begins alike is another"
send = 'a SELECT "Users/bob@example.com.evil"'
expect = { rule = "nobody reads what others share" }

[[case]]
name = "and for staff all is"
given = { user = "zoe@staff.example" }
send = 'a SELECT "Users/eve@example.com"'
expect = { action = "allow" }

[[case]]
name = "large messages wait for the morning"
send = ["a FETCH 1 BODY[]", "b FETCH 2 BODY[]"]
expect = { rule = "a lot of octets a message", server_gets = "a FETCH 1 BODY[]" }

[[case]]
name = "when they come"
given = { time = "2026-01-06T08:00:00Z" }
send = "b FETCH 2 BODY[]"
expect = { action = "allow" }

[[case]]
name = "POP3 too"
given = { protocol = "pop3" }
send = ["RETR 1", "RETR 2"]
expect = { rule = "a lot of octets a message", server_gets = "RETR 1" }

[[case]]
name = "all day on Sundays"
given = { protocol = "pop3", time = "2026-01-04T08:00:00Z" }
send = ["RETR 2"]
expect = { rule = "a lot of octets a message", server_gets = [] }
"#;

#[test]
fn cases_try_out_expressions_for_both_protocols() {
    let folder = folder(&[("a.toml", RULES), ("a.test.toml", CASES)]);
    let (code, shown, errors) = run_in(folder.path(), &["policy", "test", "--threshold", "100", "a.toml"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{shown}");
    assert!(shown.contains("8 passed"), "{shown}");
}

#[test]
fn an_explanation_shows_what_the_expression_saw() {
    let folder = folder(&[("a.toml", RULES)]);
    let explain = ["policy", "explain", "--config", "a.toml", "--selected", "INBOX", "a FETCH 1 BODY[]"];
    let (code, shown, errors) = run_in(folder.path(), &explain);
    assert_eq!((code, errors.as_str()), (0, ""));
    insta::assert_snapshot!(shown);
}

#[test]
fn the_references_shared_folders_are_open_to_their_domain_only() {
    let reference = include_str!("../../docs/policy.md");
    let rule = reference.split("```toml\n").find(|block| block.starts_with("[[rule]]")).unwrap();
    let rule = rule.split("```").next().unwrap();
    let cases = r#"
given = { user = "bob@acme.example", selected = "INBOX" }
[[case]]
name = "his own, and what is elsewhere"
send = [
  "a STATUS Shared/acme.example (MESSAGES)", "b CREATE Shared/acme.example/x", "c COPY 1 Shared/acme.example",
  'd STATUS "/Shared/acme.example" (MESSAGES)', "e RENAME Foo Bar", "f STATUS Shared (MESSAGES)",
]
expect = { action = "allow", client_gets = ["a OK *", "b OK *", "c OK *", "d OK *", "e OK *", "f OK *"] }
[[case]]
name = "no other's, in no spelling"
send = [
  "a STATUS Shared/acme.example.evil (MESSAGES)", "b STATUS Shared/other.example (MESSAGES)", "c COPY 1 Shared/other.example",
  "d STATUS Shared.other.example (MESSAGES)", "e STATUS Shared//other.example (MESSAGES)", "f STATUS Shared./other.example (MESSAGES)",
  "g STATUS .Shared.other.example (MESSAGES)", "h RENAME Shared Bar", "i RENAME Shared/acme.example/x Shared/acme.example/y",
]
expect = { client_gets = ["a NO *", "b NO *", "c NO *", "d NO *", "e NO *", "f NO *", "g NO *", "h NO *", "i NO *"], server_gets = [] }
[[case]]
name = "none for who has no domain"
given = { user = "bob" }
send = ["a STATUS Shared/acme.example (MESSAGES)", "b STATUS Shared/ (MESSAGES)"]
expect = { action = "deny", client_gets = ["a NO *", "b NO *"] }
[[case]]
name = "nor in a list"
transcript = '''
S: * OK [CAPABILITY IMAP4rev1] ready
C: a LOGIN bob@acme.example secret
S: a OK in
C: b LIST "" *
S: * LIST () "/" Shared/acme.example
S: * LIST () "/" Shared/acme.example.evil
S: b OK done
<- * LIST () "/" Shared/acme.example
<- b OK done
'''
"#;
    let folder = folder(&[("a.toml", rule), ("a.test.toml", cases)]);
    let (code, shown, errors) = run_in(folder.path(), &["policy", "test", "--threshold", "100", "a.toml"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{shown}");
}

/// A rule for each attribute that shows it, whatever it is, and lets the search go on.
fn onlookers() -> String {
    let reference = include_str!("../../docs/policy.md");
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let mut rules = String::new();
    let mut count = 0;
    for (name, rest) in rows {
        let when = match rest.split(" | ").next().unwrap() {
            "a text" => format!("{name}.size() >= 0"),
            "a number" => format!("{name} >= 0"),
            "a list of texts" => format!("{name}.all(x, x.size() >= 0)"),
            _ => format!("{name} || true"),
        };
        writeln!(rules, "[[rule]]\nname = '{name}'\naction = 'deny'\nmode = 'observe'\nwhen = '{when}'").unwrap();
        count += 1;
    }
    assert!(count > 20, "the table of attributes has moved");
    rules
}

#[test]
fn no_attribute_shows_a_secret() {
    let canary = "Kanarienvogel-5521";
    let plain = BASE64_STANDARD.encode(format!("\0ann\0{canary}"));
    let folder = folder(&[("a.toml", &onlookers())]);
    for (protocol, line) in [
        ("imap", format!("a LOGIN ann {canary}")),
        ("imap", format!("a LOGIN ann \"{canary}\"")),
        ("imap", format!("a AUTHENTICATE PLAIN {plain}")),
        ("pop3", format!("PASS {canary}")),
        ("pop3", format!("AUTH PLAIN {plain}")),
        ("pop3", format!("APOP ann {canary}")),
    ] {
        let explain = ["policy", "explain", "--config", "a.toml", "--user", "", "--protocol", protocol, &line];
        let (_, shown, errors) = run_in(folder.path(), &explain);
        let seen = shown.split("client gets:").next().unwrap().replace(&line, "");
        assert!(
            seen.contains("octets is 0") || line.starts_with("PASS") || line.starts_with("APOP"),
            "{line}: {shown}{errors}"
        );
        for form in [canary, &canary.to_lowercase(), &canary.to_uppercase(), &plain] {
            assert!(!seen.contains(form), "{line}: {seen}");
        }
    }
}
