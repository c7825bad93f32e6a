//! `mailwarden policy`: the presets do what they say, the guide's example is true, and what people read.

#![expect(clippy::unwrap_used, reason = "what a test's helper cannot do fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const GUIDE: &str = include_str!("../../docs/policy-guide.md");

/// Runs it in a folder, so that paths are short.
pub(crate) fn run_in(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailwarden"));
    command.current_dir(folder).args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

const RULES: &str = r#"
[[rule]]
name = "keep"
effect = "destroy"
action = "deny"
reply = "Mail is kept"

[[rule]]
name = "later"
command = "CREATE"
mode = "observe"
action = "deny"
"#;

const CASES: &str = r#"
[[case]]
name = "nothing is destroyed"
send = "a DELETE Old"
expect = { action = "deny", rule = "keep", client_gets = "a NO [NOPERM] Mail is kept", server_gets = [] }

[[case]]
name = "folders will not be made"
send = "a CREATE New"
expect = { action = "allow", would = "later", server_gets = "a CREATE New" }
"#;

#[test]
fn every_preset_passes_its_cases_and_every_rule_has_one() {
    let (code, shown, errors) = run_in(&root(), &["policy", "test", "-q", "--threshold", "100", "policies"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{shown}");
    let presets = fs::read_dir(root().join("policies")).unwrap();
    let names: Vec<String> = presets.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for name in names.iter().filter(|name| !name.ends_with(".test.toml")) {
        assert!(names.contains(&name.replace(".toml", ".test.toml")), "{name} has no cases");
    }
}

/// The code blocks of a language in the guide, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    GUIDE.split(&fence).skip(1).map(|rest| rest.split_once("```").unwrap().0).collect()
}

#[test]
fn the_guides_example_does_what_the_guide_says() {
    let toml = blocks("toml");
    let cases = toml.iter().find(|block| block.starts_with("given = ")).unwrap();
    let conversation = toml.iter().find(|block| block.contains("transcript = ")).unwrap();
    let folder = folder(&[("office.toml", toml[0]), ("office.test.toml", cases)]);
    let (code, shown, _) = run_in(folder.path(), &["policy", "test", "office.toml"]);
    let told = blocks("console").into_iter().find(|block| block.starts_with("$ mailwarden policy test")).unwrap();
    let (_, told) = told.split_once('\n').unwrap();
    assert_eq!((code, shown.as_str()), (1, told));

    fs::write(folder.path().join("office.test.toml"), conversation).unwrap();
    let (code, shown, errors) = run_in(folder.path(), &["policy", "test", "."]);
    assert_eq!((code, errors.as_str()), (0, ""), "{shown}");

    let explain = ["policy", "explain", "--config", "office.toml", "--user", "bob@contractors.example"];
    let (code, shown, _) =
        run_in(folder.path(), &[&explain[..], &["--selected", "INBOX", "a FETCH 1 BODY[]"]].concat());
    assert_eq!(code, 0);
    assert!(shown.contains("yes  rule `contractors read headers` (deny)"), "{shown}");
}

#[test]
fn a_failure_is_shown_with_what_was_expected_and_what_came() {
    let wrong = CASES.replace("Mail is kept", "Gone").replace("would = \"later\"", "would = \"sooner\"");
    let folder = folder(&[("a.toml", RULES), ("a.test.toml", &wrong)]);
    let (code, shown, _) = run_in(folder.path(), &["policy", "test", "--coverage", "."]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(shown, @r"
    ./a.test.toml
      FAIL  nothing is destroyed
            client_gets
              expected  a NO [NOPERM] Gone
              actual    a NO [NOPERM] Mail is kept
      FAIL  folders will not be made
            would
              expected  sooner
              actual    later
    ./a.toml
      matched  keep
      matched  later
    0 passed, 2 failed; coverage: 2 of 2 rules matched
    ");
}

#[test]
fn exit_codes_tell_success_failure_and_what_cannot_be_read() {
    let folder =
        folder(&[("a.toml", RULES), ("a.test.toml", CASES), ("b.test.toml", "policy = \"a.toml\"\n[[case]]\n")]);
    let test = |arguments: &[&str]| run_in(folder.path(), &[&["policy", "test"], arguments].concat()).0;
    assert_eq!(test(&["a.toml"]), 0);
    assert_eq!(test(&["--threshold", "100", "a.test.toml"]), 0);
    assert_eq!(test(&["--run", "destroyed", "a.toml"]), 0);
    assert_eq!(test(&["--run", "destroyed", "--threshold", "80", "a.toml"]), 1, "one rule of two is too few");
    assert_eq!(test(&["b.test.toml"]), 1, "a case without a name");
    assert_eq!(test(&[]), 2);
    assert_eq!(test(&["--threshold", "101", "a.toml"]), 2);
    assert_eq!(test(&["absent.toml"]), 3);
    assert_eq!(test(&["--run", "no such case", "a.toml"]), 3);
}

#[test]
fn a_mistake_in_a_file_of_cases_is_shown_where_it_stands() {
    let folder = folder(&[("a.toml", RULES), ("a.test.toml", &CASES.replace("expect", "expects"))]);
    let (code, _, errors) = run_in(folder.path(), &["policy", "test", "a.toml"]);
    assert_eq!(code, 1);
    assert!(errors.contains("a.test.toml") && errors.contains("line 5") && errors.contains("expects"), "{errors}");
}

#[test]
fn a_build_server_gets_its_document() {
    let folder = folder(&[("a.toml", RULES), ("a.test.toml", CASES)]);
    assert_eq!(run_in(folder.path(), &["policy", "test", "--junit", "out.xml", "a.toml"]).0, 0);
    let document = fs::read_to_string(folder.path().join("out.xml")).unwrap();
    assert!(document.contains("tests=\"2\" failures=\"0\""), "{document}");
}

#[test]
fn an_explanation_shows_each_rule_and_each_condition() {
    let folder = folder(&[("a.toml", RULES)]);
    let explain = ["policy", "explain", "--config", "a.toml"];
    let (code, shown, _) = run_in(folder.path(), &[&explain[..], &["a CREATE New"]].concat());
    assert_eq!(code, 0);
    insta::assert_snapshot!(shown, @r"
    CREATE New
      no   rule `keep` (deny)
             no   effect = destroy: file
      yes  rule `later` (deny, only observed)
             yes  command = CREATE: CREATE
      → allow: no rule that acts matches, so the default decides
        logged as info: rule `later`, would have acted

    client gets: a OK Done
    server gets: a CREATE New
    ");
    let (_, shown, _) = run_in(folder.path(), &[&explain[..], &["--protocol", "pop3", "DELE 1"]].concat());
    assert!(shown.contains("→ deny, by rule `keep`") && shown.contains("-ERR [SYS/PERM] Mail is kept"), "{shown}");
}

const RECORDING: &str = r#"{"mailwarden_recording":1,"created":"2026-11-02T08:00:00Z","program":"mailwarden"}
{"session":{"id":1,"listener":"l","protocol":"pop3","client":"192.0.2.1:5","upstream":"u","upstream_address":"h:1","started":"2026-11-02T08:00:00Z"}}
{"s":1,"us":0,"event":"greeted"}
{"s":1,"us":1000,"event":"said","by":"client","id":1,"text":"USER ann","octets":10}
{"s":1,"us":1000,"event":"command_begun","id":1,"command":"USER","operation":"authenticate","effect":"session"}
{"s":1,"us":1100,"event":"command_completed","id":1,"completion":"ok","by":"upstream","latency_us":100}
{"s":1,"us":2000,"event":"said","by":"client","id":2,"text":"PASS ‹secret›","octets":13}
{"s":1,"us":2000,"event":"command_begun","id":2,"command":"PASS","operation":"authenticate","effect":"session"}
{"s":1,"us":2100,"event":"command_completed","id":2,"completion":"ok","by":"upstream","latency_us":100}
{"s":1,"us":2100,"event":"authentication","user":"ann","mechanism":"USER","accepted":true}
{"s":1,"us":3000,"event":"said","by":"client","id":3,"text":"DELE 1","octets":8}
{"s":1,"us":3000,"event":"command_begun","id":3,"command":"DELE","operation":"delete","effect":"destroy","message":{"number":1}}
{"s":1,"us":3100,"event":"command_completed","id":3,"completion":"ok","by":"upstream","latency_us":100}
"#;

#[test]
fn a_replay_tells_what_would_change() {
    let folder = folder(&[("a.toml", RULES), ("none.toml", "rule = []"), ("day.mwr", RECORDING)]);
    let (code, shown, _) = run_in(folder.path(), &["policy", "replay", "day.mwr", "--with", "a.toml"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(shown, @r"
    day.mwr: 1 session and 3 commands judged again
      #1     0.003 s  DELE 1
                     then allowed, now denied by `keep`
      rule `keep` decides 1 command
    2 as then, 1 changed
    ");
    let (code, shown, _) = run_in(folder.path(), &["policy", "replay", "day.mwr", "--with", "none.toml"]);
    assert_eq!(code, 0, "{shown}");
    let (code, _, errors) = run_in(folder.path(), &["policy", "replay", "a.toml", "--with", "none.toml"]);
    assert_eq!(code, 1, "no recording: {errors}");
}

#[test]
fn a_login_that_rules_deny_is_explained_before_it_is_said_that_nobody_is_in() {
    let rules = "[[rule]]\nname = \"gone\"\naction = \"deny\"\nuser = \"bob\"\ncommand = \"LOGIN\"\n";
    let folder = folder(&[("a.toml", rules)]);
    let (code, shown, errors) =
        run_in(folder.path(), &["policy", "explain", "--config", "a.toml", "--user", "bob", "a NOOP"]);
    assert_ne!(code, 0);
    assert!(shown.contains("yes  rule `gone` (deny)") && shown.contains("user = bob: bob"), "{shown}");
    assert!(errors.contains("the user cannot log in"), "{errors}");
    // what was let pass on the way is no part of it
    assert!(!shown.contains("→ allow"), "{shown}");
}

#[test]
fn a_case_can_be_about_a_member_of_a_group_and_a_folder_of_any_name() {
    let rules = "[[group]]\nname = \"board\"\nmembers = [\"zoe@x.example\", \"*@board.example\"]\n\
        [[group]]\nname = \"staff\"\nmembers = [\"ann@x.example\", \"bob@board.example\"]\n\
        [[rule]]\nname = \"board\"\ngroup = \"board\"\nmailbox = \"Entw\u{fc}rfe\"\naction = \"deny\"\neffect = \"flag\"\n";
    let cases = "given = { user = \"ann\", selected = \"Entw\u{fc}rfe\" }\n\
        [[case]]\nname = \"members may not\"\ngiven = { group = \"board\" }\nsend = 'a STORE 1 +FLAGS (x)'\n\
        expect = { action = \"deny\", rule = \"board\" }\n\
        [[case]]\nname = \"this one, too\"\ngiven = { group = \"board\", user = \"a@board.example\" }\nsend = 'a STORE 1 +FLAGS (x)'\n\
        expect = { action = \"deny\" }\n\
        [[case]]\nname = \"and who is in another group, too\"\ngiven = { group = [\"board\", \"staff\"] }\nsend = 'a STORE 1 +FLAGS (x)'\n\
        expect = { action = \"deny\", client_gets = \"a NO *\" }\n\
        [[case]]\nname = \"others may\"\nsend = 'a STORE 1 +FLAGS (x)'\nexpect = { action = \"allow\" }\n";
    let folder = folder(&[("a.toml", rules), ("a.test.toml", cases)]);
    let (code, shown, errors) = run_in(folder.path(), &["policy", "test", "."]);
    assert_eq!((code, errors.as_str()), (0, ""), "{shown}");

    for (right, wrong, why) in [
        ("group = \"board\" }", "group = \"bord\" }", "no group is called `bord`"),
        ("a@board.example", "a@x.example", "`a@x.example` is not in the group"),
        ("[\"board\", \"staff\"]", "[\"board\", \"bord\"]", "no group is called `bord`"),
        ("[\"board\", \"staff\"]", "[\"board\", \"staff\"], user = \"ann@x.example\"", "not in the group `board`"),
    ] {
        fs::write(folder.path().join("a.test.toml"), cases.replace(right, wrong)).unwrap();
        let (code, shown, _) = run_in(folder.path(), &["policy", "test", "."]);
        assert!(code == 1 && shown.contains(why), "{shown}");
    }
}

#[test]
fn a_case_owes_a_throttle_nothing_for_those_before_it() {
    let rules = "[[rule]]\nname = \"slow\"\naction = \"throttle\"\neffect = \"read\"\n\
        throttle = { messages_per_minute = 60, per = \"user\" }\n";
    let case = "[[case]]\nname = \"NAME\"\ngiven = { selected = \"INBOX\", sizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }\n\
        send = ['a FETCH 1:10 FLAGS', 'b FETCH 1:3 FLAGS']\nexpect = { action = \"throttle\", waits = \"3s\" }\n";
    let cases = case.replace("NAME", "one") + &case.replace("NAME", "another");
    let folder = folder(&[("a.toml", rules), ("a.test.toml", &cases)]);
    let (code, shown, _) = run_in(folder.path(), &["policy", "test", "a.toml"]);
    assert_eq!(code, 0, "{shown}");
}

const NOTED: &str = "[[rule]]\nname = \"later\"\neffect = \"read\"\naction = \"deny\"\nmode = \"observe\"\nlog = \"debug\"\n\
    [[rule]]\nname = \"keep\"\neffect = \"destroy\"\naction = \"deny\"\ncode = \"CANNOT\"\nlog = \"warn\"\n\
    tags = [\"retention\", \"hr\"]\nalert = true\n\
    [[rule]]\nname = \"slow\"\ncommand = \"FETCH\"\naction = \"throttle\"\nthrottle = { messages_per_minute = 60 }\n";

#[test]
fn a_case_can_say_what_is_logged_and_with_which_code_is_refused() {
    let case = |name: &str, send: &str, expect: &str| {
        format!(
            "[[case]]\nname = \"{name}\"\ngiven = {{ selected = \"INBOX\" }}\nsend = '{send}'\nexpect = {{ {expect} }}\n"
        )
    };
    let cases = [
        case("refused", "a EXPUNGE", r#"level = "warn", tags = ["retention", "hr"], alert = true, code = "CANNOT""#),
        case(
            "would be",
            "a FETCH 1 FLAGS",
            r#"rule = "slow", level = "info", tags = [], alert = false, code = "none""#,
        ),
        case("only watched", "a SEARCH ALL", r#"would = "later", level = "debug""#),
    ];
    let folder = folder(&[("a.toml", NOTED), ("a.test.toml", &cases.concat())]);
    let (code, shown, errors) = run_in(folder.path(), &["policy", "test", "a.toml"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{shown}");

    let wrong = cases.concat().replace("\"hr\"]", "\"board\"]").replace("CANNOT", "NOPERM").replace("debug", "error");
    fs::write(folder.path().join("a.test.toml"), wrong.replace("alert = true", "alert = false")).unwrap();
    let (code, shown, _) = run_in(folder.path(), &["policy", "test", "a.toml"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(shown, @r"
    a.test.toml
      FAIL  refused
            tags
              expected  retention, board
              actual    retention, hr
            alert
              expected  false
              actual    true
            code
              expected  NOPERM
              actual    CANNOT
      ok    would be
      FAIL  only watched
            level
              expected  error
              actual    debug
    1 passed, 2 failed; coverage: 3 of 3 rules matched
    ");
}

#[test]
fn an_explanation_shows_what_is_logged_and_how_long_it_waits() {
    let folder = folder(&[("a.toml", NOTED)]);
    let explain = |command: &str| {
        let sizes = "sizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]";
        let place = ["--selected", "INBOX", "--given", sizes, command];
        let arguments = [&["policy", "explain", "--config", "a.toml"], &place[..]].concat();
        let (_, shown, _) = run_in(folder.path(), &arguments);
        let (_, shown) = shown.split_once("  →").unwrap();
        format!("→{shown}")
    };
    insta::assert_snapshot!(explain("a EXPUNGE"), @r"
    → deny, by rule `keep`
        logged as warn: rule `keep`, tags retention hr, alert

    client gets: a NO [CANNOT] Not allowed by policy
    ");
    insta::assert_snapshot!(explain("a FETCH 1:13 FLAGS"), @r"
    → throttle, by rule `slow`
        waits 3s
        logged as debug: rule `later`, would have acted
        logged as info: rule `slow`

    client gets: a OK Done
    server gets: a FETCH 1:13 FLAGS
    ");
}
