//! Expressions as tables of texts, facts and what comes of them.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::tests::CONNECTION;
use super::super::{Answer, AnswerKind, Arguments, ClientTls, Facts, Item, Policy, Rule, SessionFacts};
use super::*;
use crate::wire::{Effect, Operation};

static TLS: LazyLock<ClientTls> = LazyLock::new(|| ClientTls {
    version: "1.3",
    server_name: Some("mail.example.org".to_owned()),
    subject: Some("CN=Ann,O=Example".to_owned()),
});

/// Ann fetches two messages of Archive.
fn fetch(items: &[Item]) -> Facts<'_> {
    Facts {
        session: SessionFacts {
            connection: &CONNECTION,
            tls: Some(&TLS),
            now: CONNECTION.accepted,
            user: Some("Ann@Example.org"),
            logged_in: true,
        },
        command: "FETCH",
        operation: Operation::Download,
        effect: Effect::Read,
        mailboxes: &[],
        selected: Some("Archive"),
        message: None,
        nth_message: None,
        arguments: Arguments { items, messages: Some(2), size: Some(5000), ..Arguments::default() },
        answer: None,
    }
}

fn expression(text: &str) -> Expression {
    Expression::new(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn ask(text: &str, facts: &Facts<'_>) -> Truth {
    expression(text).ask(facts, Stance::Strict)
}

#[test]
fn sees_what_is_judged() {
    let items = [Item::of_fetch("BODY[]<0.100>"), Item::of_fetch("FLAGS")];
    let facts = fetch(&items);
    for text in [
        r#"listener == "imaps" && protocol == "imap" && client == "192.0.2.7" && tls == "1.3""#,
        r#"server_name.endsWith(".example.org") && certificate.contains("O=Example")"#,
        r#"weekday == "Mon" && hour == 8 && minute == 0"#,
        r#"user == "ann@example.org" && domain == "example.org""#,
        r#"command == "FETCH" && operation == "download" && effect == "read""#,
        r#""Archive" in mailboxes && mailboxes == ["Archive"] && size(mailboxes) == 1"#,
        r#"items == ["BODY[]", "FLAGS"] && item_kinds.all(kind, kind in ["data", "whole"]) && partial"#,
        r#""\\Seen" in flags"#,
        "octets == 5000 && messages == 2 && octets / messages > 1024",
        "search_keys.size() == 0 && message == 0 && nth_message == 0",
        r#"answer == "" && status == "" && code == "" && capability == "" && data == """#,
        r#"mailboxes.exists(name, name.startsWith("Arch")) ? octets > 1 : false"#,
        r#"!(user in ["bob@example.org", "eve@example.org"])"#,
        r#"("users/" + user).size() > 10 && octets % 1000 == 0 && -octets < 0"#,
        "hour in [8, 9, 10]",
    ] {
        assert_eq!(ask(text, &facts), Truth::Holds, "{text}");
        assert_eq!(ask(&format!("!({text})"), &facts), Truth::Fails, "not {text}");
    }
}

#[test]
fn sees_answers() {
    let answer = Answer {
        kind: AnswerKind::Completion,
        status: Some("NO"),
        code: Some("OVERQUOTA"),
        data: None,
        capability: None,
    };
    let facts = Facts { answer: Some(answer), arguments: Arguments::default(), ..fetch(&[]) };
    let text = r#"answer == "completion" && status == "NO" && code == "OVERQUOTA" && octets == 0 && messages == 0"#;
    assert_eq!(ask(text, &facts), Truth::Holds);
}

#[test]
fn what_is_not_known_makes_unknown_only_what_hangs_on_it() {
    let facts = Facts { arguments: Arguments::default(), ..fetch(&[]) };
    for (text, truth) in [
        ("octets > 1", Truth::Unknown),
        ("!(octets > 1)", Truth::Unknown),
        ("messages > 1", Truth::Unknown),
        (r#"octets > 1 && user == "bob""#, Truth::Fails),
        (r#"user == "bob" && octets > 1"#, Truth::Fails),
        (r#"octets > 1 || command == "FETCH""#, Truth::Holds),
        (r#"octets > 1 || command == "STORE""#, Truth::Unknown),
        ("octets > 1 ? true : true", Truth::Unknown),
        (r#"mailboxes.exists(name, octets > 1 || name == "Archive")"#, Truth::Holds),
    ] {
        assert_eq!(ask(text, &facts), truth, "{text}");
    }
    let nobody = Facts { session: SessionFacts { user: None, ..facts.session }, ..facts };
    assert_eq!(ask(r#"user == "bob""#, &nobody), Truth::Unknown, "a login that names nobody");
    let early = SessionFacts { user: None, logged_in: false, ..facts.session };
    let early = Facts { session: early, operation: Operation::Noop, ..facts };
    assert_eq!(ask(r#"user == "bob" || domain == "x" || octets > 1"#, &early), Truth::Fails, "before login");
}

#[test]
fn what_cannot_be_computed_is_unknown_and_counted() {
    let text = "when = 'octets / (messages - 2) > 1'";
    let policy = policy("deny", text);
    let facts = fetch(&[]);
    assert!(!matches!(policy.judge(&facts).outcome, super::super::Outcome::Allow(_)));
    assert_eq!(policy.expression_failures(), 1);
    let overflow = Facts { arguments: Arguments { size: Some(u64::MAX), ..facts.arguments }, ..facts };
    assert_eq!(ask("octets * octets > 1", &overflow), Truth::Unknown);
    assert_eq!(ask("octets == 9223372036854775807", &overflow), Truth::Holds);
    let mut next = Policy::default();
    next.inherit(&policy);
    assert_eq!(next.expression_failures(), 1, "a reload loses no count");
    let unknown = Facts { arguments: Arguments::default(), ..facts };
    drop(policy.judge(&unknown));
    assert_eq!(policy.expression_failures(), 1, "what is only not known is no failure");
}

fn policy(action: &str, lines: &str) -> Policy {
    let rule: Rule = toml::from_str(&format!("name = 'r'\naction = '{action}'\n{lines}")).unwrap();
    Policy::build(vec![rule], &[], super::super::Fallback::Allow)
}

#[test]
fn an_unknown_whole_restrains_and_does_not_allow() {
    for (stance, reaches) in [(Stance::Strict, true), (Stance::Lenient, false)] {
        let condition = super::super::condition::Condition::When(Box::new(expression("octets > 1")));
        let facts = Facts { arguments: Arguments::default(), ..fetch(&[]) };
        assert_eq!(condition.holds(&facts, stance), reaches, "{stance:?}");
    }
}

#[test]
fn mailboxes_that_are_not_named_are_not_known() {
    let secrets = ["Secret/".to_owned()];
    let open = Facts { selected: None, mailboxes: &secrets, ..fetch(&[]) };
    let secret = expression(r#""Secret" in mailboxes"#);
    assert_eq!(secret.ask(&open, Stance::Strict), Truth::Holds, "Cyrus takes it for Secret");
    assert_eq!(secret.ask(&open, Stance::Lenient), Truth::Unknown);
    let arguments = Arguments { reaches_further: true, ..Arguments::default() };
    let names = ["A".to_owned(), "B".to_owned()];
    let rename = Facts { command: "RENAME", operation: Operation::Folder, mailboxes: &names, arguments, ..open };
    assert_eq!(secret.ask(&rename, Stance::Strict), Truth::Unknown);
    let list = Facts { command: "LIST", operation: Operation::List, mailboxes: &[], ..rename };
    assert_eq!(secret.ask(&list, Stance::Strict), Truth::Fails, "each line of a list is judged");
    assert_eq!(secret.ask(&list, Stance::Lenient), Truth::Unknown);
}

#[test]
fn what_is_too_long_to_look_at_is_not_known() {
    let flags: Vec<String> = (0..=LONGEST_LIST).map(|number| format!("$k{number}")).collect();
    let of = |flags| Facts { arguments: Arguments { flags, ..Arguments::default() }, ..fetch(&[]) };
    let asked = expression(r#""$other" in flags"#);
    assert_eq!(asked.ask(&of(&flags[1..]), Stance::Strict), Truth::Fails);
    assert_eq!(asked.ask(&of(&flags), Stance::Strict), Truth::Unknown);
    let long: Vec<String> = ["$a", "$b"].map(|flag| flag.repeat(1500)).into();
    assert_eq!(asked.ask(&of(&long), Stance::Strict), Truth::Unknown);
    assert_eq!(asked.ask(&of(&long[..1]), Stance::Strict), Truth::Fails);
    let names = ["x".repeat(5000)];
    let long = Facts { mailboxes: &names, ..fetch(&[]) };
    assert_eq!(ask(r#""A" in mailboxes"#, &long), Truth::Unknown);
}

#[test]
fn groups_are_those_of_the_policy() {
    let staff = Arc::new(Group::new("staff", ["ann@example.org"]).unwrap());
    let board = Arc::new(Group::new("board", ["bob@example.org"]).unwrap());
    for (text, denied) in [(r#""staff" in groups"#, true), (r#""board" in groups"#, false), ("size(groups) == 1", true)]
    {
        let rule: Rule = toml::from_str(&format!("name = 'r'\naction = 'deny'\nwhen = '{text}'")).unwrap();
        let groups = [Arc::clone(&staff), Arc::clone(&board)];
        let policy = Policy::build(vec![rule], &groups, super::super::Fallback::Allow);
        let outcome = policy.judge(&fetch(&[])).outcome;
        assert_eq!(!matches!(outcome, super::super::Outcome::Allow(_)), denied, "{text}");
    }
}

#[test]
fn a_rule_that_names_what_only_answers_have_looks_at_answers() {
    let looks = |when: &str| policy("deny", when).concern_of_any(&fetch(&[]).session).looks();
    assert!(looks(r#"when = 'code == "ALERT"'"#).answers);
    assert!(looks(r#"when = '"Board" in mailboxes'"#).mailboxes);
    assert!(!looks(r#"when = 'user == "x"'"#).any());
}

#[test]
fn lists_may_be_looked_through_for_each_text_of_another_but_not_often() {
    let twice = "mailboxes.exists(m, m in flags && !(m in groups))";
    for useful in [
        twice.to_owned(),
        "groups.all(g, !('Shared/' + g in mailboxes)) && size(mailboxes) > 1 && user in groups".to_owned(),
        "['a', 'b', 'c'].exists(x, x in mailboxes || x in flags || x in groups || x in search_keys)".to_owned(),
        format!("mailboxes.exists(m, m in [{}])", "'a', ".repeat(127) + "'b'"),
        format!("{}mailboxes.exists(m, m == 'b')", "mailboxes.exists(m, m == 'a') || ".repeat(20)),
    ] {
        assert!(Expression::new(&useful).is_ok(), "{useful}");
    }
    for costly in [
        format!("{twice} || flags.exists(f, f in mailboxes)"),
        format!("mailboxes.exists(m, m in [{}])", "'a', ".repeat(128) + "'b'"),
        "(partial ? ['a'] : flags).exists(x, size(flags) + size(flags) + size(flags) > 1)".to_owned(),
    ] {
        let error = Expression::new(&costly).expect_err(&costly);
        assert!(matches!(error.fault, Fault::Costly(8193..)), "{costly}: {error:?}");
    }
}

#[test]
fn a_mistake_is_told_at_its_place() {
    for (text, at, fault) in [
        ("", "", "something is missing here"),
        ("user ==", "", "something is missing here"),
        ("(user == 'a'", "", "`)` is missing here"),
        ("user = 'a'", "=", "nothing in an expression begins like this"),
        ("user == 'a", "'", "this text does not end"),
        ("user == 'a' and octets > 3", "and", "this does not belong here"),
        ("user == 'é' && octts > 3", "octts", "no attribute has this name"),
        ("user == 'a' &&\n  octts > 3", "octts", "no attribute has this name"),
        ("user == Ann", "Ann", "no attribute has this name"),
        (".user == 'a'", "user", "no attribute has this name"),
        ("user.name == 'a'", ".", "an attribute has no parts"),
        ("'Ann' == user", "'Ann'", "`user` is never written this way"),
        ("user in ['a', 'B']", "'B'", "`user` is never written this way"),
        ("user.startsWith('A')", "'A'", "`user` is never written this way"),
        ("mailboxes.exists(m, m == 'inbox')", "'inbox'", "`mailboxes` is never written this way"),
        ("operation == 'downlod'", "'downlod'", "`operation` is never this"),
        ("r'\\Flaged' in flags", "r'\\Flaged'", "`flags` is never this"),
        (r"'\deleted' in flags", "'", "a backslash in a text is written twice"),
        (r"'\flagged' in flags", r"'\flagged'", "a backslash in a text is written twice"),
        ("octets > 'a'", "'a'", "a number is expected here, and this is a text"),
        ("octets == 'a'", "==", "a number is never compared with a text"),
        ("octets > 1.5", "1.5", "this is no part of the language here: a number with a point"),
        ("user == null", "null", "this is no part of the language here: `null`"),
        ("octets + 1", "+", "true or false is expected here, and this is a number"),
        ("!user", "user", "true or false is expected here, and this is a text"),
        ("mailboxes[0] == 'a'", "[", "this is no part of the language here: a text of a list by its number"),
        ("mailboxes.map(m, m) == ['a']", "map", "there is no such function here"),
        ("has(user.name)", "has", "there is no such function here"),
        ("type(user) == string", "type", "there is no such function here"),
        (
            "mailboxes.startsWith('a')",
            "mailboxes",
            "a text, or `in` for a list, is expected here, and this is a list of texts",
        ),
        (
            "mailboxes.all(x, mailboxes.all(y, x == y))",
            "(",
            "`exists` and `all` go through a list, and not inside each other",
        ),
        (
            "mailboxes.exists(m, m in mailboxes || m in flags || m in groups)",
            "(",
            "lists inside `exists` and `all` are gone through for each text: 12288 steps, at most 8192 may be",
        ),
        ("mailboxes.all(user, user == 'a')", "user", "this name is taken"),
        ("1 == 1", "1 == 1", "it names no attribute, so that it is always the same"),
        ("user == 'a' && {'a': 1}", "{", "this is no part of the language here: a map"),
    ] {
        let error = Expression::new(text).expect_err(text);
        assert_eq!((&text[error.at.clone()], error.fault.to_string().as_str()), (at, fault), "{text}: {error:?}");
    }
    let long = format!("user == '{}'", "é".repeat(500));
    assert_eq!(Expression::new(&long).unwrap_err().fault, Fault::TooLong);
}

/// Texts that are as deep as may be, and deeper.
fn deep(levels: usize) -> Vec<String> {
    let nested =
        |open: &str, close: &str, inner: &str| format!("{}{inner}{}", open.repeat(levels), close.repeat(levels));
    vec![
        nested("(", ")", "partial"),
        nested("!(", ")", "partial"),
        nested("!", "", "partial"),
        format!("{}octets > 1", "-".repeat(levels)),
        nested("partial ? partial : ", "", "partial"),
        nested("partial ? ", " : partial", "partial"),
        nested("[", "]", "octets"),
        format!("octets{} > 1", "+1".repeat(levels)),
        format!("partial{}", " && partial".repeat(levels)),
        format!("partial{}", " || partial && partial".repeat(levels)),
        format!("user{}", ".a".repeat(levels)),
        format!("user{}", ".size()".repeat(levels)),
        format!("octets{}", "[1]".repeat(levels)),
        nested("{1:", "}", "2"),
        nested("a(", ")", "2"),
        nested("r'\\'(", ")", "2"),
    ]
}

/// Does something with as much stack as a worker of the proxy has.
fn on_a_worker(work: impl FnOnce() + Send + 'static) {
    let worker = std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap();
    worker.join().unwrap();
}

#[test]
fn what_may_be_loaded_is_asked_with_the_stack_of_a_worker() {
    let read = |levels| deep(levels).iter().filter_map(|text| Expression::new(text).ok()).collect::<Vec<_>>();
    let reader = std::thread::Builder::new().stack_size(16 << 20);
    let found =
        reader.spawn(move || [1, 2, 7, 8, 15, 16, 29, 30, 31, 32, 33, 60, 480].map(read)).unwrap().join().unwrap();
    assert!(found.iter().map(Vec::len).sum::<usize>() > 40);
    on_a_worker(move || {
        for expression in found.iter().flatten() {
            assert_ne!(expression.ask(&fetch(&[]), Stance::Strict), Truth::Unknown, "{expression:?}");
        }
    });
}

#[rustfmt::skip]
const SIGNS: &[&str] = &[
    "(", ")", "[", "]", "{", "}", "&&", "||", "!", "?", ":", "==", "!=", "<", ">=", "+", "-", "*", "/", "%", ".",
    ",", " in ", "'a'", "\"INBOX\"", "'", "\"", "r'\\'", "b'x'", "1", "0x1", "1u", "1.5", "9223372036854775807",
    "true", "null", "size(", ".size()", ".exists(x,", ".all(x,", "x", ".startsWith(", ".contains('a')", "//", "\n",
    "\\", "'\\x41'", "'''", "é", "`", "@", "#", "$", " ", "as", "for", ".?a", "[?1]",
];

/// What looks a little like an expression.
fn soup() -> impl Strategy<Value = String> {
    let words: Vec<&'static str> = Attribute::ALL.iter().map(|attribute| attribute.as_label()).collect();
    let word = prop_oneof![prop::sample::select(words), prop::sample::select(SIGNS.to_vec())];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

fn holds_together(text: &str) {
    match Expression::new(text) {
        Ok(expression) => {
            for stance in [Stance::Strict, Stance::Lenient] {
                _ = expression.ask(&fetch(&[]), stance);
                drop(expression.found(&fetch(&[]), stance));
            }
        }
        Err(error) => assert!(text.get(error.at.clone()).is_some(), "{text:?}: {error:?}"),
    }
}

proptest! {
    #[test]
    fn no_text_is_too_much(text in ".{0,200}") {
        holds_together(&text);
    }

    #[test]
    fn no_expression_is_too_much(text in soup()) {
        holds_together(&text);
    }
}

#[test]
fn the_reference_names_every_attribute_and_its_type() {
    let reference = include_str!("../../../docs/policy.md");
    let rows: Vec<(&str, &str)> = reference
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            Some((cells.next()?.trim_end_matches('`'), cells.next()?))
        })
        .collect();
    let known: Vec<(&str, &str)> =
        Attribute::ALL.iter().map(|attribute| (attribute.as_label(), attribute.type_name())).collect();
    assert_eq!(rows, known);
}

#[test]
fn what_fails_or_is_not_known_in_one_part_leaves_others_as_they_are() {
    let known = fetch(&[]);
    for (text, truth) in [
        ("(0 - 9223372036854775807 - 1 - minute) / (minute - 1) > 0", Truth::Unknown),
        ("(0 - 9223372036854775807 - 1 - minute) % (minute - 1) > 0", Truth::Unknown),
        ("-(0 - 9223372036854775807 - 1 - minute) > 0", Truth::Unknown),
        ("minute / minute == 1 || hour == 8", Truth::Holds),
        ("minute % minute == 1 && hour == 7", Truth::Fails),
        (r#"["Archive", "b"].exists(x, x == "Archive" ? minute / minute == 1 : hour == 8)"#, Truth::Holds),
        (r#"["Archive", "b"].all(x, x == "Archive" ? minute / minute == 1 : hour == 7)"#, Truth::Fails),
        (r#"["Archive", "b"].all(x, x == "Archive" ? minute / minute == 1 : hour == 8)"#, Truth::Unknown),
        // names that mean something to the language elsewhere
        (r#"mailboxes.exists(size, size(size) > 2 && size in ["Archive"])"#, Truth::Holds),
        (r#"mailboxes.all(__result__, __result__ == "Archive")"#, Truth::Holds),
        (r#"mailboxes.exists(string, string == "Archive")"#, Truth::Holds),
    ] {
        assert_eq!(ask(text, &known), truth, "{text}");
    }
    let unknown = Facts { session: SessionFacts { user: None, ..known.session }, ..known };
    for (text, truth) in [
        (r#"["a", "b"].exists(x, x == user || x == "b")"#, Truth::Holds),
        (r#"["a", "b"].all(x, x == user && x == "a")"#, Truth::Fails),
        (r#"!("a" in groups) || domain != "x" || size(groups) == 0"#, Truth::Unknown),
        (r#"user == "a" ? hour < 25 : hour < 25"#, Truth::Unknown),
        (r#"hour == 8 ? hour == 8 : user == "a""#, Truth::Holds),
    ] {
        assert_eq!(ask(text, &unknown), truth, "{text}");
    }
}
