//! Rules as tables of facts and verdicts.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::{
    About, ActionKind, Answer, AnswerKind, Arguments, ClientTls, Connection, Facts, Fallback, Group, Item, ItemKind,
    Mode, Outcome, Policy, Rule, SessionFacts, Sort,
};
use crate::wire::{Effect, Operation, Protocol};

fn rules(rules: &str) -> Vec<Rule> {
    #[derive(serde::Deserialize)]
    struct File {
        rule: Vec<Rule>,
    }
    let file: File = toml::from_str(rules).unwrap_or_else(|error| panic!("{error}\n{rules}"));
    file.rule
}

fn policy(text: &str) -> Policy {
    Policy::new(rules(text))
}

/// A policy of one rule.
fn one(action: &str, lines: &str) -> Policy {
    policy(&format!("[[rule]]\nname = 'r'\naction = '{action}'\n{lines}\n"))
}

// 2026-11-23 08:00 UTC, a Monday
pub(super) static CONNECTION: LazyLock<Connection> = LazyLock::new(|| Connection {
    listener: "imaps".into(),
    client: [192, 0, 2, 7].into(),
    accepted_at: 1_795_420_800,
    ..Connection::offline(Protocol::Imap, Instant::now())
});

static TLS: LazyLock<ClientTls> = LazyLock::new(|| ClientTls {
    version: "1.3",
    server_name: Some("mail.example.org".to_owned()),
    subject: Some("CN=ann,O=Example".to_owned()),
});

fn ann() -> SessionFacts<'static> {
    SessionFacts {
        connection: &CONNECTION,
        tls: Some(&TLS),
        now: CONNECTION.accepted,
        user: Some("ann@example.org"),
        logged_in: true,
    }
}

fn delete() -> Facts<'static> {
    Facts {
        session: ann(),
        command: "EXPUNGE",
        operation: Operation::Delete,
        effect: Effect::Destroy,
        mailboxes: &[],
        selected: Some("INBOX"),
        message: None,
        nth_message: None,
        arguments: Arguments::default(),
        answer: None,
    }
}

fn denied_by(policy: &Policy, facts: &Facts<'_>) -> Option<String> {
    match policy.judge(facts).outcome {
        Outcome::Deny(denial) => Some(denial.rule.as_ref().to_owned()),
        _ => None,
    }
}

/// A permit for such commands, whatever they are about.
fn permits(policy: &Policy, connection: &Connection, command: &str, operation: Operation, effect: Effect) -> bool {
    let session = SessionFacts { connection, ..ann() };
    let sort = Sort { command, operation, effect, about: About::Mailboxes };
    policy.concern_of_any(&session).permits(sort).is_some()
}

#[test]
fn every_condition_of_a_rule_must_hold() {
    for (conditions, matches) in [
        ("", true),
        ("user = '*@example.org'", true),
        ("user = '*@EXAMPLE.org'", true),
        ("user = '*@example.com'", false),
        ("user = ['bob', 'ann@*']", true),
        ("domain = 'example.*'", true),
        ("domain = 'org'", false),
        ("command = 'expunge'", true),
        ("command = 'CLOSE'", false),
        ("effect = 'destroy'", true),
        ("effect = ['read', 'flag']", false),
        ("operation = 'delete'", true),
        ("mailbox = 'inbox'", true),
        ("mailbox = 'Archive'", false),
        ("message = 1", false),
        ("nth_message = 1", false),
        ("effect = 'destroy'\nmailbox = 'Archive'", false),
        ("listener = 'imaps'", true),
        ("listener = ['imap', 'pop3s']", false),
        ("protocol = 'imap'", true),
        ("protocol = 'pop3'", false),
        ("client = '192.0.2.0/24'", true),
        ("client = ['198.51.100.0/24', '2001:db8::/32']", false),
        ("tls = ['1.2', '1.3']", true),
        ("tls = 'none'", false),
        ("server_name = '*.example.org'", true),
        ("certificate = 'CN=ann,*'", true),
        ("certificate = 'CN=bob,*'", false),
        ("time = 'Mon-Fri 08:00-18:00'", true),
        ("time = 'Mon-Fri 08:00-18:00 Asia/Tokyo'", true),
        ("time = ['Sat', 'Sun']", false),
        ("group = 'nobody'", false),
    ] {
        assert_eq!(denied_by(&one("deny", conditions), &delete()).is_some(), matches, "{conditions}");
    }
}

fn item(name: &str, kind: ItemKind, peek: bool) -> Item {
    Item { name: name.to_owned(), kind, partial: name.starts_with("BODY[1]"), peek }
}

#[test]
fn what_arguments_say_is_enough_for_who_restrains_and_must_all_fit_for_who_allows() {
    let items = [item("BODY[HEADER]", ItemKind::Headers, true), item("BODY[1]", ItemKind::Part, false)];
    let flags = ["\\Flagged".to_owned(), "$Junk".to_owned()];
    let arguments = Arguments {
        reaches_further: false,
        flags: &flags,
        items: &items,
        keys: &["SUBJECT", "BODY"],
        messages: Some(7),
        size: Some(2 << 20),
    };
    let known = Facts { arguments, ..delete() };
    let unknown = Facts { arguments: Arguments { size: None, messages: None, ..Arguments::default() }, ..delete() };
    #[rustfmt::skip]
    let rows = [
        // conditions; known: denied, allowed; unknown: denied, allowed
        ("flag = '\\flagged'", true, false, false, false),
        ("flag = ['\\Flagged', '$junk', '\\Seen']", true, true, false, false),
        ("flag = ['\\Flagged', '$junk']", true, false, false, false),
        ("flag = '\\Deleted'", false, false, false, false),
        ("flag = '\\Seen'", true, false, false, false),
        ("item = 'headers'", true, false, false, false),
        ("item = ['headers', 'part']", true, true, false, false),
        ("item = 'body[header]'", true, false, false, false),
        ("item = 'partial'", true, false, false, false),
        ("item = 'whole'", false, false, false, false),
        ("larger_than = '1 MiB'", true, true, false, false),
        ("larger_than = '2 MiB'", false, false, false, false),
        ("search_key = 'body'", true, false, false, false),
        ("search_key = ['body', 'subject']", true, true, false, false),
        ("messages_over = 6", true, true, true, false),
        ("messages_over = 7", false, false, true, false),
    ];
    for (conditions, denied, allowed, denied_unknown, allowed_unknown) in rows {
        let allow =
            format!("[[rule]]\nname = 'r'\naction = 'allow'\n{conditions}\n[[rule]]\nname = 'no'\naction = 'deny'\n");
        let (deny, allow) = (one("deny", conditions), policy(&allow));
        for (facts, denied, allowed) in [(&known, denied, allowed), (&unknown, denied_unknown, allowed_unknown)] {
            assert_eq!(denied_by(&deny, facts).is_some(), denied, "deny {conditions} {:?}", facts.arguments.size);
            assert_eq!(denied_by(&allow, facts).is_none(), allowed, "allow {conditions} {:?}", facts.arguments.size);
        }
    }
}

#[test]
fn each_action_is_a_verdict_of_its_own() {
    #[rustfmt::skip]
    let rows = [
        ("allow", "", "Allow(", None),
        ("allow", "log = 'info'", "Allow(", Some(ActionKind::Allow)),
        ("deny", "code = 'NONEXISTENT'\npop3_code = 'AUTH'\nreply = 'No {command} for {user}, says {rule}'",
            "Deny(Denial { rule: \"r\", code: \"NONEXISTENT\", pop3_code: \"AUTH\", reply: \"No EXPUNGE for ann@example.org, says r\" })", Some(ActionKind::Deny)),
        ("disconnect", "", "Disconnect(Denial { rule: \"r\", code: \"NOPERM\", pop3_code: \"SYS/PERM\", reply: \"Not allowed by policy\" })", Some(ActionKind::Disconnect)),
        ("rewrite", "rewrite = { examine = true, without_flags = '\\Deleted' }", "Edit(Permit(()), Edit { rule: \"r\", examine: true,", Some(ActionKind::Rewrite)),
        ("answer", "answer = { lines = ['1 EXPUNGE', '2 EXPUNGE'] }\nreply = 'Expunged'", "Answer(Canned { rule: \"r\", lines: [\"1 EXPUNGE\", \"2 EXPUNGE\"], reply: \"Expunged\" })", Some(ActionKind::Answer)),
        ("answer", "", "Answer(Canned { rule: \"r\", lines: [], reply: \"Done\" })", Some(ActionKind::Answer)),
        ("throttle", "throttle = { delay = '2s', octets_per_second = '64 KiB', per = 'user' }", "Throttle(Permit(()), Throttle { rule: \"r\", wait: 2s, pace: Some(Pace { rate: 65536,", Some(ActionKind::Throttle)),
        ("ask", "hook = 'dlp'", "Ask(Question { rule: \"r\", hook: \"dlp\", document: \"{\\\"version\\\":1,\\\"rule\\\":\\\"r\\\",", Some(ActionKind::Ask)),
    ];
    for (action, lines, outcome, decided) in rows {
        let verdict = one(action, lines).judge(&delete());
        let said = format!("{:?}", verdict.outcome);
        assert!(said.starts_with(outcome), "{action} {lines}\n{said}");
        assert_eq!(verdict.decisions.first().map(|decision| decision.action), decided, "{action} {lines}");
    }
}

#[test]
fn a_rule_that_only_observes_is_told_of_and_changes_nothing() {
    let policy = policy(
        "[[rule]]\nname = 'new'\naction = 'deny'\nmode = 'observe'\ntags = ['trial']\nlog = 'warn'\nalert = true\n\
         [[rule]]\nname = 'elsewhere'\naction = 'disconnect'\nmode = 'observe'\nuser = 'bob'\n\
         [[rule]]\nname = 'old'\naction = 'answer'\neffect = 'destroy'\nrecord = true\n",
    );
    let verdict = policy.judge(&delete());
    assert!(matches!(verdict.outcome, Outcome::Answer(_)));
    let told: Vec<_> = verdict.decisions.iter().map(|one| (&*one.rule, one.mode, one.alert, one.record)).collect();
    assert_eq!(told, [("new", Mode::Observe, true, false), ("old", Mode::Enforce, false, true)]);
    assert_eq!(verdict.decisions[0].tags, ["trial".into()]);
    let read = Facts { effect: Effect::Read, ..delete() };
    let verdict = policy.judge(&read);
    assert!(matches!(verdict.outcome, Outcome::Allow(_)));
    assert_eq!(verdict.decisions.len(), 1);
}

#[test]
fn where_the_default_is_to_deny_a_session_can_still_begin_and_end() {
    let policy =
        Policy::build(rules("[[rule]]\nname = 'r'\naction = 'allow'\noperation = 'list'"), &[], Fallback::Deny);
    for (operation, passes) in [
        (Operation::Connect, true),
        (Operation::Authenticate, true),
        (Operation::Capability, true),
        (Operation::Noop, true),
        (Operation::Logout, true),
        (Operation::List, true),
        (Operation::Select, false),
        (Operation::Unknown, false),
    ] {
        let facts = Facts { operation, effect: Effect::Session, ..delete() };
        let verdict = policy.judge(&facts);
        assert_eq!(matches!(verdict.outcome, Outcome::Allow(_)), passes, "{operation:?}");
        let decided = verdict.decisions.first().map(|decision| (&*decision.rule, decision.action));
        assert_eq!(decided, (!passes).then_some(("default", ActionKind::Deny)), "{operation:?}");
        let unruled = passes && operation != Operation::List;
        assert_eq!(permits(&policy, &CONNECTION, "X", operation, Effect::Session), unruled, "{operation:?}");
    }
}

#[test]
fn a_group_is_who_the_configuration_says() {
    let group = std::sync::Arc::new(Group::new("staff", ["ann@example.org", "*@staff.example.org"]).unwrap());
    let rule = rules("[[rule]]\nname = 'r'\naction = 'deny'\ngroup = ['other', 'staff']");
    let policy = Policy::build(rule, &[group], Fallback::Allow);
    for (user, denied) in [("Ann@example.org", true), ("x@staff.example.org", true), ("bob@example.org", false)] {
        let facts = Facts { session: SessionFacts { user: Some(user), ..ann() }, ..delete() };
        assert_eq!(denied_by(&policy, &facts).is_some(), denied, "{user}");
    }
}

fn answer(kind: AnswerKind) -> Answer<'static> {
    Answer { kind, status: None, code: None, data: None, capability: None }
}

#[test]
fn answers_are_judged_by_the_rules_that_ask_about_them() {
    let completion = Answer { status: Some("NO"), code: Some("OVERQUOTA"), ..answer(AnswerKind::Completion) };
    let capability = Answer { capability: Some("AUTH=PLAIN"), ..answer(AnswerKind::Capability) };
    let list = Answer { data: Some("LIST"), ..answer(AnswerKind::Data) };
    let greeting = Answer { status: Some("OK"), ..answer(AnswerKind::Greeting) };
    let text = "rewrite = { text = 'Hello' }";
    let hide = "rewrite = { hide = true }";
    #[rustfmt::skip]
    let rows = [
        (text, "answer = 'greeting'", [true, false, false, false]),
        (text, "answer = ['greeting', 'completion']", [true, true, false, false]),
        (text, "status = 'no'", [false, true, false, false]),
        (text, "code_is = 'OVER*'", [false, true, false, false]),
        (hide, "capability = 'AUTH=*'", [false, false, true, false]),
        (hide, "capability = 'AUTH=*'\nuser = 'bob'", [false, false, false, false]),
        (hide, "data = ['list', 'lsub']", [false, false, false, true]),
        (hide, "answer = 'data'", [false, false, false, true]),
        (hide, "mailbox = 'Board/**'", [false, false, false, true]),
    ];
    let names = ["Board/2026".to_owned()];
    for (rewrite, conditions, expected) in rows {
        let policy = one("rewrite", &format!("{rewrite}\n{conditions}"));
        for (answer, expected) in [greeting, completion, capability, list].into_iter().zip(expected) {
            let mailboxes: &[String] = if answer.kind == AnswerKind::Data { &names } else { &[] };
            let facts = Facts { answer: Some(answer), mailboxes, selected: None, ..delete() };
            let edited = matches!(policy.judge_answer(&facts).outcome, Outcome::Edit(..));
            assert_eq!(edited, expected, "{conditions} {answer:?}");
            assert!(
                matches!(policy.judge(&Facts { answer: None, ..facts }).outcome, Outcome::Allow(_)),
                "{conditions}"
            );
        }
    }
}

#[test]
fn data_that_names_a_mailbox_which_may_not_be_read_is_not_shown() {
    let names = ["Board/2026".to_owned()];
    let list = Answer { data: Some("LIST"), ..answer(AnswerKind::Data) };
    let facts = Facts {
        command: "LIST",
        operation: Operation::List,
        effect: Effect::Read,
        mailboxes: &names,
        selected: None,
        answer: Some(list),
        ..delete()
    };
    let allow_ann = "[[rule]]\nname = 'ann'\naction = 'allow'\nuser = 'ann@*'\n";
    let deny = "[[rule]]\nname = 'r'\naction = 'deny'\nmailbox = 'Board/**'\n";
    for (rules, shown) in [
        (deny.to_owned(), false),
        (format!("{deny}effect = 'destroy'\n"), true),
        (format!("{deny}mode = 'observe'\n"), true),
        (format!("{allow_ann}{deny}"), true),
        (format!("{deny}{allow_ann}"), false),
        ("[[rule]]\nname = 'r'\naction = 'deny'\nuser = 'ann@*'\n".to_owned(), true),
        (
            "[[rule]]\nname = 'r'\naction = 'throttle'\nmailbox = 'Board/**'\nthrottle = { delay = '1s' }".to_owned(),
            true,
        ),
    ] {
        let policy = policy(&rules);
        assert_eq!(matches!(policy.judge_answer(&facts).outcome, Outcome::Allow(_)), shown, "{rules}");
        assert_eq!(
            policy.concern_of_any(&ann()).looks().mailboxes,
            rules.contains("deny") && rules.contains("mailbox"),
            "{rules}"
        );
    }
}

#[test]
fn what_reaches_a_mailbox_without_naming_it_is_denied_and_a_list_is_filtered() {
    let deny = one("deny", "mailbox = ['Board', 'Board/**']");
    let further = Arguments { reaches_further: true, ..Arguments::default() };
    let names = |name: &str| vec![name.to_owned(), "Other".to_owned()];
    for (command, operation, named, denied) in [
        ("NOTIFY", Operation::Push, vec![], true),
        ("URLFETCH", Operation::Download, vec![], true),
        ("LIST", Operation::List, vec![], false),
        ("RENAME", Operation::Folder, names("Archive"), false),
        ("RENAME", Operation::Folder, names("Board"), true),
        ("RENAME", Operation::Folder, names("Boards"), false),
    ] {
        let facts = Facts { command, operation, mailboxes: &named, selected: None, arguments: further, ..delete() };
        assert_eq!(denied_by(&deny, &facts).is_some(), denied, "{command} {named:?}");
    }
}

#[test]
fn a_denied_mailbox_is_denied_by_all_its_names_and_an_allowed_one_allowed_by_none_but_its_own() {
    let deny = one("deny", "mailbox = ['Secret', 'Board/**']");
    let allow = policy(
        "[[rule]]\nname = 'r'\naction = 'allow'\nmailbox = ['Secret', 'Board/**']\n[[rule]]\nname = 'no'\naction = 'deny'\n",
    );
    for (names, denied, allowed) in [
        (&["Secret"][..], true, true),
        (&["Secret/"], true, false),
        (&["//Secret"], true, false),
        (&["Secrets"], false, false),
        (&["Board/a"], true, true),
        (&["Board.a"], true, false),
        (&["Board..a."], true, false),
        (&["Board.a", "Other"], true, false),
        (&["Secret", "Other"], true, false),
        (&["Secret", "Board/a"], true, true),
    ] {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let facts = Facts { mailboxes: &names, selected: None, ..delete() };
        assert_eq!(denied_by(&deny, &facts).is_some(), denied, "deny {names:?}");
        assert_eq!(denied_by(&allow, &facts).is_none(), allowed, "allow {names:?}");
    }
}

#[test]
fn what_is_looked_up_is_what_looking_at_every_rule_finds() {
    let text = "[[rule]]\nname = '1'\naction = 'deny'\ncommand = ['NOOP', 'FETCH']\nprotocol = 'imap'\n\
        [[rule]]\nname = '2'\naction = 'deny'\noperation = ['delete', 'noop']\n\
        [[rule]]\nname = '3'\naction = 'deny'\neffect = 'read'\ncommand = 'RETR'\n\
        [[rule]]\nname = '4'\naction = 'deny'\nprotocol = 'pop3'\neffect = 'destroy'\n\
        [[rule]]\nname = '5'\naction = 'deny'\ncommand = ['X1', 'X2', 'DELE']\n";
    let policy = policy(text);
    let pop3 = Connection { protocol: Protocol::Pop3, ..CONNECTION.clone() };
    for connection in [&*CONNECTION, &pop3] {
        for command in ["NOOP", "FETCH", "RETR", "DELE", "X1", "X2", "X3", "", "FETCHES", "ÄÖ"] {
            for operation in Operation::ALL {
                for effect in Effect::ALL {
                    let session = SessionFacts { connection, ..ann() };
                    let facts = Facts { session, command, operation: *operation, effect: *effect, ..delete() };
                    let expected =
                        policy.rules().iter().find(|rule| rule.matches(&facts)).map(|rule| rule.name().to_owned());
                    assert_eq!(denied_by(&policy, &facts), expected, "{command} {operation:?} {effect:?}");
                    let permitted = permits(&policy, connection, command, *operation, *effect);
                    assert!(!permitted || expected.is_none(), "{command} {operation:?} {effect:?}");
                }
            }
        }
    }
    assert!(permits(&policy, &CONNECTION, "STORE", Operation::Flag, Effect::Flag));
}

#[test]
fn a_new_policy_goes_on_with_what_throttles_have_counted() {
    let text = "[[rule]]\nname = 'r'\naction = 'throttle'\nthrottle = { messages_per_minute = 6 }";
    let handle = super::PolicyHandle::new(policy(text));
    let rules = super::SessionRules::new(handle.clone());
    let wait = |facts: &Facts<'_>| match rules.judge(facts).outcome {
        Outcome::Throttle(_, throttle) => throttle.wait,
        outcome => panic!("{outcome:?}"),
    };
    assert_eq!(wait(&delete()), Duration::ZERO);
    handle.replace(policy(text));
    assert_eq!(wait(&delete()).as_secs(), 10);
}

#[test]
fn a_rule_whose_parts_do_not_go_together_is_refused() {
    #[rustfmt::skip]
    let rows = [
        ("deny", "rewrite = { peek = true }", "`rewrite` does not go with `action = \"deny\"`"),
        ("deny", "hook = 'x'", "`hook` does not go with `action = \"deny\"`"),
        ("rewrite", "", "`rewrite` is missing"),
        ("rewrite", "rewrite = {}", "`rewrite` says nothing"),
        ("rewrite", "rewrite = { hide = true }\ncommand = 'LIST'", "only data and capabilities can be hidden"),
        ("rewrite", "rewrite = { hide = true }\nanswer = 'greeting'", "only data and capabilities can be hidden"),
        ("rewrite", "rewrite = { text = 'x' }", "only answers have a text"),
        ("rewrite", "rewrite = { peek = true, hide = true }\ndata = 'LIST'", "commands or answers, not both"),
        ("rewrite", "rewrite = { peek = true }\nstatus = 'OK'", "an answer has no such part"),
        ("throttle", "", "`throttle` is missing"),
        ("throttle", "throttle = { per = 'user' }", "`throttle` says nothing"),
        ("throttle", "throttle = { octets_per_second = 0 }", "a rate of nothing"),
        ("throttle", "throttle = { delay = '1s' }\nstatus = 'NO'", "what a server answers can be"),
        ("ask", "", "`hook` is missing"),
        ("answer", "answer = { lines = ['a {3}'] }", "a line is printable"),
        ("answer", "answer = { lines = ['', 'ä'] }", "a line is printable"),
        ("deny", "code = ''", "not a response code of a refusal"),
        ("deny", "code = 'READ-ONLY'", "not a response code of a refusal"),
        ("deny", "pop3_code = 'NOPERM'", "not a response code of a refusal"),
        ("deny", "time = 'never'", "is not a time"),
        ("deny", "client = 'office'", "is not a network"),
        ("deny", "user = 'a{b'", "is not a pattern"),
        ("deny", "reply = '{usr}'", "stands for nothing"),
    ];
    for (action, lines, expected) in rows {
        let error = toml::from_str::<Rule>(&format!("name = 'r'\naction = '{action}'\n{lines}")).unwrap_err();
        assert!(error.message().contains(expected), "{action} {lines}: {}", error.message());
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let policy = policy(
        "[[rule]]\nname = 'ann may'\naction = 'allow'\nuser = 'ann@*'\n\
         [[rule]]\nname = 'nobody else'\naction = 'deny'\neffect = 'destroy'\n",
    );
    assert_eq!(denied_by(&policy, &delete()), None);
    let bob = Facts { session: SessionFacts { user: Some("bob"), ..ann() }, ..delete() };
    assert_eq!(denied_by(&policy, &bob).as_deref(), Some("nobody else"));
}

#[test]
fn a_login_that_names_nobody_is_denied_what_some_users_are() {
    let policy = policy("[[rule]]\nname = 'contractors'\naction = 'deny'\nuser = '*@contractors.example'\n");
    let nameless = Facts { session: SessionFacts { user: None, ..ann() }, ..delete() };
    assert_eq!(denied_by(&policy, &nameless).as_deref(), Some("contractors"));
    let before_login = Facts { session: SessionFacts { user: None, logged_in: false, ..ann() }, ..nameless };
    assert_eq!(denied_by(&policy, &before_login), None);
}

#[test]
fn a_login_that_names_nobody_is_not_allowed_what_some_users_are() {
    let policy = policy(
        "[[rule]]\nname = 'ann may'\naction = 'allow'\nuser = 'ann@*'\n\
         [[rule]]\nname = 'nobody else'\naction = 'deny'\neffect = 'destroy'\n",
    );
    assert_eq!(
        denied_by(&policy, &Facts { session: SessionFacts { user: None, ..ann() }, ..delete() }).as_deref(),
        Some("nobody else")
    );
}

#[test]
fn a_mailbox_condition_looks_at_what_is_named_and_at_what_is_acted_on() {
    let policy = policy("[[rule]]\nname = 'r'\naction = 'deny'\nmailbox = 'Board'\n");
    let names = ["Board".to_owned()];
    assert!(denied_by(&policy, &Facts { mailboxes: &names, selected: None, ..delete() }).is_some());
    assert!(denied_by(&policy, &Facts { selected: Some("Board"), ..delete() }).is_some());
    assert!(denied_by(&policy, &delete()).is_none());
}

#[test]
fn a_rule_for_one_of_several_messages_is_for_no_other() {
    let policy = policy("[[rule]]\nname = 'r'\naction = 'deny'\nnth_message = 2\n");
    for (nth_message, denied) in [(None, false), (Some(1), false), (Some(2), true), (Some(3), false)] {
        let facts = Facts { nth_message, message: Some(2), ..delete() };
        assert_eq!(denied_by(&policy, &facts).is_some(), denied, "{nth_message:?}");
    }
}

#[test]
fn a_policy_permits_all_only_if_no_rule_could_say_otherwise() {
    assert!(Policy::default().permits_all().is_some());
    for rule in ["action = 'deny'\ncommand = 'STORE'", "action = 'allow'\nuser = 'ann@*'"] {
        assert!(policy(&format!("[[rule]]\nname = 'r'\n{rule}\n")).permits_all().is_none(), "{rule}");
    }
}
