//! The command line as a person meets it: help, errors, exit codes.

#![expect(clippy::unwrap_used, reason = "what a test's helper cannot do fails the test")]

use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use mailwarden::config::{Code, Config, Loaded};
use mailwarden::session::ViolationKind;

const EXAMPLE: &str = include_str!("../../examples/mailwarden.toml");
const MANUAL: &str = include_str!("../../docs/configuration.md");
const ERRORS: &str = include_str!("../../docs/errors.md");

/// A file that listens on free ports only.
const SMALL: &str = r#"[[listener]]
name = "a"
address = "127.0.0.1:0"
protocol = "imap"
tls = "none"
upstream = "b"

[[upstream]]
name = "b"
address = "127.0.0.1:9"
tls = "none"
"#;

fn mailwarden(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailwarden"));
    command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = mailwarden(arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn file(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

/// Runs `check` on a text called `mailwarden.toml`; the folder's own name is left out of the output.
fn check(content: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "mailwarden.toml", content);
    let (code, stdout, stderr) = run(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(stderr, "");
    (code, stdout.replace(&format!("{}/", folder.path().display()), ""))
}

fn snapshot(name: &str, text: &str) {
    let settings = {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../snapshots");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings
    };
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn help_is_plain_and_leaves_with_success() {
    let mut all = String::new();
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["check", "--help"],
        &["ca", "--help"],
        &["ca", "show", "--help"],
        &["ca", "export", "--help"],
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stderr.as_str()), (0, ""));
        writeln!(all, "$ mailwarden {}\n{stdout}", arguments.join(" ")).unwrap();
    }
    snapshot("help", &all);
}

#[test]
fn wrong_usage_is_exit_code_two() {
    for arguments in [
        &[][..],
        &["fly"],
        &["run"],
        &["check", "--config"],
        &["ca"],
        &["ca", "show"],
        &["ca", "show", "--config", "a", "--directory", "b"],
        &["check", "--color", "blue", "--config", "a"],
        &["check", "-q", "-v", "--config", "a"],
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(!stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_good_file_is_exit_code_zero() {
    let (code, shown) = check(SMALL);
    assert_eq!(code, 0);
    insta::assert_snapshot!(shown, @r"
    ok    config      mailwarden.toml (1 listener, 1 upstream, 0 rules)
    ok    listener    a 127.0.0.1:0: imap, no encryption, enforces, to b
    ok    upstream    b 127.0.0.1:9: no encryption, not verified
    ok    limits      as they come
    0 errors, 0 warnings
    ");
}

#[test]
fn a_refused_file_is_exit_code_one() {
    let (code, shown) = check(&SMALL.replace("protocol", "protcol"));
    assert_eq!(code, 1);
    insta::assert_snapshot!(shown, @r#"
    error[MW-1101]: unknown key `protcol` in [[listener]]
      ╭─ mailwarden.toml:4:1
    4 │ protcol = "imap"
      │ ^^^^^^^ no key has this name
      help: did you mean `protocol`?
    1 error, 0 warnings
    "#);
}

#[test]
fn a_warning_is_shown_and_no_refusal() {
    let (code, shown) = check(&SMALL.replace("127.0.0.1:0", "0.0.0.0:0"));
    assert_eq!(code, 0);
    assert!(shown.contains("warning[MW-1502]") && shown.ends_with("0 errors, 1 warning\n"), "{shown}");
}

#[test]
fn a_file_of_rules_is_checked_as_one_that_is_included() {
    let rules = "[[group]]\nname = \"hr\"\nfile = \"hr.txt\"\n\
        [[rule]]\nname = \"all\"\neffect = \"destroy\"\naction = \"deny\"\nlistener = \"imaps\"\n\
        [[rule]]\nname = \"some\"\neffect = \"destroy\"\nlistener = \"imaps\"\ngroup = \"hr\"\naction = \"deny\"\n";
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "hr.txt", "ann\n");
    let path = file(folder.path(), "rules.toml", rules);
    let (code, shown, _) = run(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.starts_with("ok    rules ") && shown.contains("rules.toml (2 rules, 1 group; "), "{shown}");
    assert!(shown.contains("warning[MW-1506]") && shown.ends_with("0 errors, 1 warning\n"), "{shown}");

    let path = file(folder.path(), "rules.toml", &rules.replace("hr.txt", "absent.txt"));
    let (code, shown, _) = run(&["check", "--config", path.to_str().unwrap()]);
    assert!(code == 1 && shown.contains("error[MW-1601]"), "{shown}");
    // whatever is more than that is a configuration, and needs a listener
    for more in ["", "[policy]\ndefault = \"deny\"\n"] {
        let path = file(folder.path(), "rules.toml", more);
        let (code, shown, _) = run(&["check", "--config", path.to_str().unwrap()]);
        assert!(code == 1 && shown.contains("error[MW-1307]"), "{shown}");
    }
}

#[test]
fn quiet_says_nothing_of_a_good_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.toml", SMALL);
    assert_eq!(run(&["check", "-q", "--config", path.to_str().unwrap()]), (0, String::new(), String::new()));
}

#[test]
fn a_file_that_is_not_there_is_exit_code_three() {
    for subcommand in ["check", "run"] {
        let (code, stdout, stderr) = run(&[subcommand, "--config", "/nowhere/a.toml"]);
        assert_eq!((code, stdout.as_str()), (3, ""));
        assert!(stderr.starts_with("error[MW-1001]: the file cannot be read: there is no such file\n"), "{stderr}");
    }
    let (code, _, stderr) = run(&["check", "--config", "/"]);
    assert_eq!(code, 3, "{stderr}");
}

#[test]
fn a_file_that_is_not_text_is_refused_where_it_stops_being_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    fs::write(&path, b"[admin]\naddress = \"\xff\"\n").unwrap();
    let (code, stdout, _) = run(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(stdout.contains("error[MW-1002]") && stdout.contains("a.toml:2:12\n"), "{stdout}");
}

#[test]
fn files_that_are_named_must_be_there() {
    let content = SMALL
        .replacen("tls = \"none\"\n", "tls = \"implicit\"\ncertificate = { chain = \"c.pem\", key = \".\" }\n", 1)
        .replace("tls = \"none\"\n", "tls = \"implicit\"\nroots = \"r.pem\"\n");
    let (code, shown) = check(&content);
    assert_eq!(code, 1);
    assert_eq!(shown.matches("error[MW-1601]").count(), 3, "{shown}");
    assert!(shown.contains("^^^^^^^ c.pem: there is no such file"), "{shown}");
    assert!(shown.contains(": it is a directory"), "{shown}");
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.toml", EXAMPLE);
    let config = Config::load(&path).unwrap();
    assert_eq!(config.authority.unwrap().directory, folder.path().join("ca"));
}

#[test]
fn run_starts_nothing_with_a_refused_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.toml", "[[listener]]\nname = 3\n");
    let path = path.to_str().unwrap();
    let (code, stdout, stderr) = run(&["run", "--config", path]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("error[MW-1104]") && stderr.ends_with("nothing was started\n"), "{stderr}");
    let (code, _, stderr) = run(&["--log-format", "json", "run", "--config", path]);
    assert_eq!(code, 1);
    for line in stderr.lines() {
        let problem: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(problem["code"].as_str().unwrap().starts_with("MW-1"), "{line}");
    }
}

#[test]
fn run_says_where_it_listens_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.toml", SMALL);
    let arguments = ["--log-format", "json", "run", "--config", path.to_str().unwrap()];
    let mut child = mailwarden(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = child.stderr.take().unwrap();
    let mut seen = String::new();
    let mut octet = [0];
    while !seen.contains("\"listening\"") || !seen.ends_with('\n') {
        assert_eq!(log.read(&mut octet).unwrap(), 1, "it ended: {seen}");
        seen.push(char::from(octet[0]));
    }
    assert!(seen.contains("\"listener\":\"a\"") && seen.contains("\"address\":\"127.0.0.1:"), "{seen}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if std::time::Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it did not stop");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(0));
    log.read_to_string(&mut seen).unwrap();
    assert!(seen.contains("\"signal\":\"SIGTERM\"") && seen.contains("\"stopped\""), "{seen}");
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.toml", SMALL);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = mailwarden(&["check", "--config", path.to_str().unwrap()])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.toml", "");
    let path = path.to_str().unwrap();
    assert!(!run(&["check", "--config", path]).1.contains('\x1b'));
    assert!(run(&["--color", "always", "check", "--config", path]).1.contains("\x1b[1;31merror["));
}

fn authority(folder: &Path) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "Mailwarden local authority");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.not_before = rcgen::date_time_ymd(2026, 1, 2);
    parameters.not_after = rcgen::date_time_ymd(2036, 1, 2);
    let pem = parameters.self_signed(&key).unwrap().pem();
    file(folder, "ca.pem", &pem);
    pem
}

#[test]
fn ca_show_tells_what_it_is_and_how_to_trust_it() {
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path());
    let (code, stdout, stderr) = run(&["ca", "show", "--directory", folder.path().to_str().unwrap()]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let place = fs::canonicalize(folder.path()).unwrap();
    let mut shown = stdout.replace(place.to_str().unwrap(), "DIR");
    for digits in stdout.lines().filter(|line| line.matches(':').count() >= 15) {
        let digits = digits.trim_start_matches("SHA-256").trim();
        assert!(digits.chars().all(|c| c == ':' || c.is_ascii_hexdigit()), "{digits}");
        shown = shown.replace(digits, "(digits)");
    }
    snapshot("ca-show", &shown);
}

#[test]
fn ca_export_writes_the_certificate_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().to_str().unwrap().to_owned();
    let pem = authority(folder.path());
    assert_eq!(run(&["ca", "export", "--directory", &directory]).1, pem);
    let out = folder.path().join("out.der");
    let (code, stdout, _) = run(&["ca", "export", "--directory", &directory, "--der", "--out", out.to_str().unwrap()]);
    assert_eq!((code, stdout.as_str()), (0, ""));
    assert_eq!(fs::read(&out).unwrap().first(), Some(&0x30));
    let (code, _, stderr) = run(&["ca", "export", "--directory", &directory, "--out", "/nowhere/a.pem"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.starts_with("error: /nowhere/a.pem cannot be written: "), "{stderr}");
}

#[test]
fn ca_show_without_an_authority_says_when_it_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, stderr) = run(&["ca", "show", "--directory", folder.path().to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(stderr.contains("there is no authority in") && stderr.contains("it is made when"), "{stderr}");
    let path = file(folder.path(), "a.toml", SMALL);
    let (code, _, stderr) = run(&["ca", "show", "--config", path.to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(stderr.contains("has no [authority] section"), "{stderr}");
}

#[test]
fn the_example_is_good_and_shows_the_defaults() {
    let loaded = Loaded::parse("examples/mailwarden.toml", EXAMPLE).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let bare = Config::parse("small.toml", SMALL).unwrap();
    assert_eq!(loaded.config.limits, bare.limits);
    assert_eq!(loaded.config.process, bare.process);
}

#[test]
fn the_number_of_workers_is_what_the_file_says() {
    let config = |lines: &str| Config::parse("small.toml", &format!("{SMALL}{lines}"));
    assert_eq!(config("").unwrap().process.workers, None);
    assert_eq!(config("[process]\nworkers = 3\n").unwrap().process.workers.map(NonZeroUsize::get), Some(3));
    assert!(config("[process]\nworkers = 0\n").is_err());
}

/// `section.key` of every key a TOML text sets or shows in a comment.
fn keys_of(toml: &str) -> Vec<String> {
    let mut section = "";
    let mut keys = Vec::new();
    for line in toml.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            keys.push(format!("{section}.{key}"));
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

/// `section.key` of every row of the manual's tables.
fn keys_of_the_manual() -> Vec<String> {
    let mut section = "";
    let mut keys = Vec::new();
    for line in MANUAL.lines() {
        if let Some(header) = line.strip_prefix("## `") {
            section = header.trim_matches(['[', ']', '`']);
        } else if line.starts_with("### `") {
            // a table inside a section: config::schema compares it
            section = "";
        } else if let Some((key, _)) =
            line.strip_prefix("| `").filter(|_| !section.is_empty()).and_then(|row| row.split_once('`'))
        {
            keys.push(format!("{section}.{key}"));
        }
    }
    keys.sort();
    keys
}

#[test]
fn the_manual_and_the_example_have_the_same_keys() {
    assert_eq!(keys_of_the_manual(), keys_of(EXAMPLE));
}

#[test]
fn the_manual_has_every_word_of_operations_and_effects() {
    use mailwarden::wire::{Effect, Operation};

    let paragraph = |start: &str| MANUAL.split("\n\n").find(|text| text.starts_with(start)).unwrap().to_owned();
    let words = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let operations: Vec<_> = Operation::ALL.iter().map(|operation| operation.as_label().to_owned()).collect();
    let effects: Vec<_> = Effect::ALL.iter().map(|effect| effect.as_label().to_owned()).collect();
    assert_eq!(words(&paragraph("The **operations**")), operations);
    assert_eq!(words(&paragraph("The **effects**")), effects);
}

#[test]
fn the_smallest_file_of_the_manual_is_good() {
    let text = MANUAL.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let loaded = Loaded::parse("smallest.toml", text).unwrap();
    assert!(loaded.warnings.is_empty());
}

#[test]
fn every_code_is_in_the_manual_with_its_severity() {
    let rows: Vec<String> = ERRORS
        .lines()
        .filter_map(|line| line.strip_prefix("| `MW-1"))
        .map(|row| row.split(" | ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let codes: Vec<String> = Code::ALL
        .iter()
        .map(|code| format!("{}` {}", &code.as_str()[4..], format!("{:?}", code.severity()).to_lowercase()))
        .collect();
    assert_eq!(rows, codes);
}

#[test]
fn every_protocol_violation_is_in_the_manual_under_its_code() {
    let rows: Vec<&str> =
        ERRORS.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(code, _)| code).collect();
    let rows: Vec<&str> = rows.into_iter().filter(|code| code.starts_with("MW-3")).collect();
    let codes: Vec<&str> = ViolationKind::ALL.iter().map(|kind| kind.code()).collect();
    assert_eq!(rows, codes);
}

#[test]
fn every_fault_of_tls_is_in_the_manual_under_its_code() {
    for code in mailwarden::fault::Code::ALL {
        assert!(ERRORS.contains(&format!("| `{code}` |")), "{code} is not in docs/errors.md");
    }
}
