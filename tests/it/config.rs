//! Mistakes people make in a configuration file, one of each kind and more: each is found at the
//! right line and column, with its code, and with a help that mends it when pasted.

mod included;
mod mistakes;

use std::fmt::Write;

use mailwarden::config::{Code, Config, Loaded, Paint, Problem, Severity};

use self::mistakes::{GOOD, MISTAKES, Mistake, Paste};

/// All that is said of a text, and the report.
fn judge(text: &str) -> (Vec<Problem>, String) {
    match Loaded::parse("mailwarden.toml", text) {
        Ok(loaded) => {
            let report = loaded.warnings.iter().map(|problem| loaded.source.render(problem, Paint::Plain)).collect();
            (loaded.warnings, report)
        }
        Err(errors) => (errors.problems().to_vec(), errors.render(Paint::Plain)),
    }
}

fn seed(Mistake(what, from, to, ..): &Mistake) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{what}: the good file has this once: {from}");
    GOOD.replace(from, to)
}

#[test]
fn says_nothing_of_a_good_file() {
    assert_eq!(judge(GOOD).1, "");
    let config = Config::parse("mailwarden.toml", GOOD).unwrap();
    assert_eq!((config.listeners.len(), config.upstreams.len(), config.rules.len()), (2, 2, 2));
}

#[test]
fn has_no_objection_to_what_is_right() {
    #[rustfmt::skip]
    let variants = [
        ("\"127.0.0.1:1993\"", "\"[::1]:1993\""),
        ("\"127.0.0.1:1993\"", "\"0.0.0.0:993\""),
        ("\"127.0.0.1:1993\"", "\"127.0.0.2:1995\""),
        ("\"127.0.0.1:1993\"", "\"127.0.0.1:0\""),
        ("\"127.0.0.1:1993\"", "'127.0.0.1:1993' # in single quotes"),
        ("tls = \"implicit\"\nposture", "tls = \"starttls\"\nposture"),
        ("posture = \"enforce\"\n", ""),
        ("hide = [\"QRESYNC\"]", "hide = []\ncompress = false"),
        ("roots = \"system\"", "roots = \"system\"\ncompress = true"),
        ("hide = [\"QRESYNC\"]", "hide = [\n  \"AUTH=PLAIN\", # this\n  \"X-GM-EXT-1\",\n]"),
        ("hide = [\"QRESYNC\"]", "allow = [\"CATENATE\", \"CONTEXT=SEARCH\", \"xfoo\", \"AUTH=X-OWN\"]"),
        ("{ chain = \"cert.pem\", key = \"key.pem\" }", "[{ chain = \"a\", key = \"b\" }, { chain = \"c\", key = \"d\" }]"),
        ("certificate = { chain = \"cert.pem\", key = \"key.pem\" }", "certificate.chain = \"a\"\ncertificate.key = \"b\""),
        ("[[listener]]\nname = \"imaps\"", "[[ listener ]]\nname = \"ïmaps 1/2\""),
        ("\"imap.example.com:993\"", "\"192.0.2.1:993\""),
        ("\"[2001:db8::1]:110\"", "\"mail:110\""),
        ("roots = \"system\"", "roots = \"/etc/ssl/roots.pem\""),
        ("roots = \"system\"", "pin = \"sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"\nserver_name = \"x\""),
        ("\"pop.example.com\"", "\"192.0.2.7\""),
        ("\"64 KiB\"", "65536"),
        ("\"64 KiB\"", "\"0.5 MiB\""),
        ("\"64 KiB\"", "\"64K\""),
        ("errors = 20", "errors = 0x14"),
        ("errors = 20", "errors = 1_000"),
        ("\"31m\"", "\"1h 30m\""),
        ("[limits]", "# nothing\n[limits]"),
        ("effect = \"destroy\"", "effect = [\"destroy\", \"share\"]"),
        ("\"*@contractors.example.com\"", "[\"eve@*\", \"{ann,bob}@x\"]"),
        ("[\"CREATE\", \"RENAME\"]", "\"create\""),
        ("\"folder\"", "[]"),
        ("\"Board/**\"", "\"Entwürfe/[ab]?\""),
        ("\"Board/**\"", "'\\!Urgent'"),
        ("reply = \"Deleting is disabled\"\n", ""),
        ("nth_message = 3\naction = \"deny\"", "nth_message = 3\naction = \"allow\""),
        ("nth_message = 3\naction = \"deny\"", "action = \"throttle\"\nthrottle = { octets_per_second = \"64 KiB\", per = \"user\" }"),
        ("nth_message = 3\naction = \"deny\"", "action = \"rewrite\"\nrewrite = { hide = true }"),
        ("nth_message = 3\naction = \"deny\"", "action = \"answer\"\nanswer = { lines = [\"LIST () NIL x\"] }\nreply = \"Done\""),
        ("nth_message = 3\naction = \"deny\"", "action = \"disconnect\"\nmode = \"observe\"\nlog = \"warn\"\ntags = [\"a\", \"b\"]\nalert = true\nrecord = true"),
        ("operation = \"folder\"", "client = [\"192.0.2.0/24\", \"2001:db8::/32\"]\ntls = \"1.3\"\ntime = \"Sat,Sun Europe/Berlin\"\ndomain = \"*.org\""),
        ("operation = \"folder\"", "flag = ['\\Deleted', \"$Junk\"]\nitem = [\"headers\", \"body[text]\"]\nsearch_key = \"body\"\nmessages_over = 5\nlarger_than = \"1 MiB\""),
        ("[limits]", "[policy]\ndefault = \"deny\"\n[[group]]\nname = \"g\"\nmembers = \"a@*\"\n[limits]"),
    ];
    for (from, to) in variants {
        assert_eq!(GOOD.matches(from).count(), 1, "{from}");
        let text = GOOD.replace(from, to);
        assert_eq!(judge(&text).1, "", "{to}");
        assert_eq!(judge(&text.replace('\n', "\r\n")).1, "", "{to}");
        assert_eq!(judge(&format!("{}{text}", '\u{FEFF}')).1, "", "{to}");
    }
}

#[test]
fn warns_of_rules_on_what_is_never_judged() {
    let (both, imap) = (GOOD.to_owned(), GOOD.replace("protocol = \"pop3\"", "protocol = \"imap\""));
    for (file, conditions, warns) in [
        (&both, "command = \"LOGOUT\"", true),
        (&both, "command = [\"STARTTLS\", \"capability\"]", true),
        (&both, "command = [\"CAPABILITY\", \"IDLE\"]", false),
        (&both, "command = \"NOOP\"", false),
        (&both, "command = \"NOOP\"\nprotocol = \"imap\"", true),
        (&both, "command = \"NOOP\"\nmailbox = \"Board\"", true),
        (&both, "command = \"NOOP\"\nlistener = \"imaps\"", true),
        (&both, "command = \"NOOP\"\nlistener = \"pop3s\"", false),
        (&imap, "command = \"NOOP\"", true),
        (&both, "operation = \"logout\"", false),
        (&both, "operation = [\"logout\", \"connect\"]\nprotocol = \"imap\"", true),
        (&imap, "operation = \"logout\"", true),
        // CHECK, ID
        (&imap, "operation = \"noop\"", false),
        (&imap, "operation = \"capability\"", false),
        (&imap, "operation = \"part\"", false),
        (&both, "command = \"CAPABILITY\"\ncapability = \"IDLE\"", false),
        (&both, "command = \"NOOP\"\nprotocol = \"imap\"\nwhen = 'status == \"OK\"'", false),
    ] {
        let report = judge(&format!("{file}\n[[rule]]\nname = \"new\"\naction = \"deny\"\n{conditions}\n")).1;
        assert_eq!(report.contains("warning[MW-1511]: rule `new` never matches"), warns, "{conditions}\n{report}");
    }
}

#[test]
fn finds_each_mistake_at_its_line_and_column() {
    for mistake @ Mistake(what, from, to, code, under, _) in MISTAKES {
        let text = seed(mistake);
        let (problems, report) = judge(&text);
        let found = problems.iter().find(|problem| problem.code == *code);
        let problem = found.unwrap_or_else(|| panic!("{what}: no {code:?} in\n{report}"));
        let span = problem.span.clone().unwrap();
        let under = under.trim_end_matches(" # again");
        assert_eq!(&text[span.clone()], under, "{what}\n{report}");
        // where the edit holds what the caret is under, its place is known from the edit alone
        if to.matches(under).count() == 1 {
            let at = GOOD.find(from).unwrap() + to.find(under).unwrap();
            let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
            let column = text[line_start..at].chars().count() + 1;
            let place = format!("mailwarden.toml:{}:{column}\n", text[..at].matches('\n').count() + 1);
            assert!(report.contains(&place), "{what}: expected {place}\n{report}");
        }
    }
}

#[test]
fn says_only_what_is_wrong() {
    for mistake @ Mistake(what, _, _, code, ..) in MISTAKES.iter().filter(|mistake| mistake.3 != Code::Syntax) {
        let (problems, report) = judge(&seed(mistake));
        let errors: Vec<&Problem> =
            problems.iter().filter(|problem| problem.is_error() && problem.code != *code).collect();
        // one line more can be wrong where the seeded one leaves another without its partner
        assert!(errors.len() <= 1, "{what}\n{report}");
    }
}

#[test]
fn every_help_mends_the_file_when_pasted() {
    for mistake @ Mistake(what, _, _, code, _, paste) in MISTAKES {
        let text = seed(mistake);
        let (problems, report) = judge(&text);
        let problem = problems.iter().find(|problem| problem.code == *code).unwrap();
        assert!(!problem.help.is_empty(), "{what}");
        let span = problem.span.clone().unwrap();
        let (at, paste) = match paste {
            Paste::Over => (span, problem.help.rsplit('`').nth(1).unwrap().to_owned()),
            Paste::Below => {
                let line_end = span.end + text[span.end..].find('\n').unwrap() + 1;
                (line_end..line_end, format!("{}\n", problem.help.rsplit('`').nth(1).unwrap()))
            }
            Paste::No => continue,
        };
        let mut mended = text.clone();
        mended.replace_range(at, &paste);
        let (left, after) = judge(&mended);
        let worse = left.iter().find(|problem| problem.is_error() || problem.code == *code);
        assert!(worse.is_none(), "{what}: pasting {paste}\n{report}\nleaves\n{after}");
    }
}

#[test]
fn every_kind_of_mistake_is_seeded() {
    // these need a file on disk, or a file that says nothing
    let elsewhere = [Code::Unreadable, Code::NotUtf8, Code::NoListener, Code::FileMissing, Code::NotIncluded];
    // the sections' types have the last word only if the table of keys has missed something
    let never = [Code::Refused];
    for code in Code::ALL.iter().filter(|code| !elsewhere.contains(code) && !never.contains(code)) {
        assert!(MISTAKES.iter().any(|mistake| mistake.3 == *code), "no mistake triggers {code:?}");
    }
    assert!(MISTAKES.len() >= 60);
}

#[test]
fn reports_read_well() {
    let mut gallery = String::new();
    for mistake in MISTAKES {
        let (_, report) = judge(&seed(mistake));
        writeln!(gallery, "# {}\n{report}", mistake.0).unwrap();
    }
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("configuration-mistakes", gallery);
    });
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_report_fail(at in 0..GOOD.len(), cut in 0..40usize, put in "[\\[\\]{}\"'=,.#\n\\\\a-zé0-9 ]{0,6}") {
        // the good file is ASCII: every place is between characters
        let text = format!("{}{put}{}", &GOOD[..at], &GOOD[(at + cut).min(GOOD.len())..]);
        let (problems, report) = judge(&text);
        proptest::prop_assert_eq!(problems.is_empty(), report.is_empty());
    }
}

#[test]
fn tells_all_that_is_wrong_at_once_in_the_order_of_the_file() {
    let text =
        "[[listener]]\nnme = \"a\"\naddress = \"127.0.0.1\"\nprotocol = \"smtp\"\ntls = \"none\"\nupstream = \"b\"\n";
    let codes: Vec<Code> = judge(text).0.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [Code::UnknownKey, Code::SocketAddress, Code::Word, Code::UnknownUpstream]);
}

#[test]
fn an_empty_file_says_how_to_begin() {
    insta::assert_snapshot!(judge("").1, @r"
    error[MW-1307]: there is no [[listener]], so there is nothing to do
     ╭─ mailwarden.toml
      help: add a `[[listener]]` section; `examples/mailwarden.toml` shows a complete one
    ");
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    let errors = Config::parse("a.toml", "[[listener]]\nname = 3\n").unwrap_err();
    let coloured = errors.render(Paint::Coloured);
    assert!(coloured.contains("\x1b[1;31merror["));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_eq!(plain, errors.render(Paint::Plain));
}

#[test]
fn a_warning_does_not_keep_from_starting() {
    for mistake in MISTAKES.iter().filter(|mistake| mistake.3.severity() == Severity::Warning) {
        let loaded = Loaded::parse("mailwarden.toml", &seed(mistake));
        assert!(loaded.is_ok_and(|loaded| !loaded.warnings.is_empty()), "{}", mistake.0);
    }
}
