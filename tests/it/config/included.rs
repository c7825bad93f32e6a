//! Configurations of several files.

use mailwarden::config::{Loaded, Paint};

use super::mistakes::GOOD;

/// A configuration in a folder of its own, with other files beside it; what is said of it.
fn in_folder(files: &[(&str, &str)]) -> (Result<Loaded, ()>, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let (loaded, report) = match Loaded::read(&folder.path().join("mailwarden.toml")) {
        Ok(loaded) => {
            let report = loaded.warnings.iter().map(|problem| loaded.source.render(problem, Paint::Plain)).collect();
            (Ok(loaded), report)
        }
        Err(errors) => (Err(()), errors.render(Paint::Plain)),
    };
    (loaded, report.replace(&format!("{}/", folder.path().display()), ""))
}

fn including(policy: &str) -> String {
    GOOD.replace("[limits]", &format!("[policy]\n{policy}\n[limits]"))
}

const STAFF: &str = "[[group]]\nname = \"staff\"\nmembers = \"eve\"\nfile = \"staff.txt\"\n";

#[test]
fn rules_groups_and_hooks_of_included_files_come_behind_the_files_own() {
    let rule = |name: &str| {
        format!("[[rule]]\nname = \"{name}\"\naction = \"deny\"\ngroup = \"staff\"\nlistener = \"imaps\"\n")
    };
    let main = including("include = [\"first.toml\", \"policy.d/*.toml\"]");
    let hook = "[[hook]]\nname = \"dlp\"\nurl = \"http://127.0.0.1:1/\"\nroots = \"ca.pem\"\n";
    let (loaded, report) = in_folder(&[
        ("mailwarden.toml", &main),
        ("first.toml", &format!("{}{STAFF}", rule("a").replace("imaps", "pop3s"))),
        (
            "policy.d/2.toml",
            &format!("{}{hook}", rule("c").replace("deny", "ask").replace("group", "hook = \"dlp\"\ngroup")),
        ),
        ("policy.d/1.toml", &rule("b").replace("imaps", "pop3s").replace("group", "effect = \"read\"\ngroup")),
        ("policy.d/1.toml.bak", "broken ["),
        ("staff.txt", "# who works here\nann@example.org\n\n  *@staff.example.org  \n"),
    ]);
    assert_eq!(
        report,
        "warning[MW-1506]: rule `b` never matches\n  ╭─ policy.d/1.toml:1:1\n1 │ [[rule]]\n  │ ^^^^^^^^ rule `a` before it matches all that it would\n  help: the first match decides: move it before rule `a`, or remove it\n"
    );
    let config = loaded.unwrap().config;
    let names: Vec<&str> = config.rules.iter().map(mailwarden::policy::Rule::name).collect();
    assert_eq!(names, ["contractors may not delete", "no folders", "a", "b", "c"]);
    let group = &config.groups[0].group;
    assert_eq!(group.len(), 3);
    assert!(group.contains("x@staff.example.org") && group.contains("EVE"));
    assert_eq!(config.hooks.len(), 1);
}

/// What is wrong, the other files with their names, what is said.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

#[test]
fn a_mistake_in_another_file_is_told_with_that_files_name() {
    let main = including("include = \"policy.d/*.toml\"");
    let rule = "[[rule]]\nname = \"x\"\naction = \"deny\"\n";
    #[rustfmt::skip]
    let rows: &[Row<'_>] = &[
        ("a misspelt key", &[("policy.d/a.toml", "[[rule]]\nname = \"x\"\nactoin = \"deny\"\n")],
            "error[MW-1101]: unknown key `actoin` in [[rule]]\n  ╭─ policy.d/a.toml:3:1\n"),
        ("no TOML", &[("policy.d/a.toml", "[[rule]\n")], "error[MW-1003]: "),
        ("another section", &[("policy.d/a.toml", "[limits]\nerrors = 3\n")],
            "error[MW-1107]: `limits` does not belong in an included file\n  ╭─ policy.d/a.toml:1:2\n"),
        ("a name of another file", &[("policy.d/a.toml", rule), ("policy.d/b.toml", rule)],
            "error[MW-1301]: two [[rule]] sections are named `x`\n  ╭─ policy.d/b.toml:2:8\n"),
        ("no such group", &[("policy.d/a.toml", "[[rule]]\nname = \"x\"\naction = \"deny\"\ngroup = \"y\"\n")],
            "error[MW-1312]: rule `x` names a group that does not exist\n  ╭─ policy.d/a.toml:4:9\n"),
        ("a rule without conditions", &[("policy.d/a.toml", rule)],
            "warning[MW-1505]: rule `x` has no conditions\n  ╭─ policy.d/a.toml:1:1\n"),
        ("a group without its file", &[("policy.d/a.toml", STAFF)],
            "error[MW-1601]: the file of this group cannot be read\n  ╭─ policy.d/a.toml:4:8\n"),
        ("a member that is no pattern", &[("policy.d/a.toml", STAFF), ("policy.d/staff.txt", "ann\nb{ob\n")],
            "error[MW-1401]: `b{ob` is not a pattern\n  ╭─ policy.d/staff.txt:2:1\n"),
        ("nothing to include", &[("policy.d/a.txt", "")],
            "warning[MW-1508]: no file matches `policy.d/*.toml`\n"),
        ("no folder", &[], "error[MW-1601]: a file that is included cannot be read\n"),
        ("no UTF-8", &[("policy.d/a.toml", "\u{FFFD}")], "error[MW-1003]: "),
    ];
    for (what, files, expected) in rows {
        let mut all = vec![("mailwarden.toml", main.as_str())];
        all.extend(files.iter().copied());
        let (_, report) = in_folder(&all);
        let plain = report.lines().fold(String::new(), |all, line| all + line.trim_start() + "\n");
        let expected = expected.lines().fold(String::new(), |all, line| all + line.trim_start() + "\n");
        assert!(plain.starts_with(expected.trim_end()), "{what}\n{report}");
    }
}
