//! COMPRESS=DEFLATE on the client's side, on the server's, and on both, with Dovecot's own zlib there.

use std::fs;
#[cfg(feature = "suites")]
use std::path::Path;
use std::process::Command;

use super::clients::script;
#[cfg(feature = "suites")]
use super::command::run;
use super::command::succeed;
#[cfg(feature = "suites")]
use super::lab::sha256;
use super::lab::{Lab, PASSWORD, Route, Tls, USER, direct_only};
use super::mail::awkward;

/// The value of one series of `mailwarden_compression_bytes_total`.
fn counted(lab: &Lab, side: &str, flow: &str, form: &str) -> u64 {
    let metrics = lab.proxy.as_ref().unwrap().metrics();
    let series = format!("mailwarden_compression_bytes_total{{flow=\"{flow}\",form=\"{form}\",side=\"{side}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
}

#[test]
fn a_compressed_day_is_as_any_other_whichever_side_is_compressed() {
    let day = |route, extra: &[&str]| {
        let lab = Lab::start(route, Tls::Implicit, &awkward());
        let seen = script(&lab, "imap_session.py", lab.ports().imap, extra);
        (seen, lab.server.kept(), lab)
    };
    let direct = [&["--compress"][..], &[]].map(|extra| day(Route::Direct, extra));
    if direct_only() {
        return;
    }
    for (route, extra) in [
        (Route::Proxied(Tls::Implicit), &["--compress"][..]),
        (Route::Compressed, &["--compress"]),
        (Route::Compressed, &[]),
    ] {
        let (seen, kept, lab) = day(route, extra);
        let (as_direct, kept_direct, _) = &direct[usize::from(extra.is_empty())];
        assert!(seen == *as_direct && kept == *kept_direct, "{route:?} {extra:?}:\n{seen}\ndirect:\n{as_direct}");
        for (side, used) in [("client", !extra.is_empty()), ("upstream", route == Route::Compressed)] {
            for flow in ["received", "sent"] {
                let [plain, deflated] = ["plain", "deflated"].map(|form| counted(&lab, side, flow, form));
                assert_eq!(plain > 0 && deflated > 0, used, "{side} {flow}: {plain} {deflated}\n{}", lab.logs());
            }
        }
    }
}

#[test]
#[cfg(feature = "suites")]
fn outside_imaplib2_is_not_left_waiting_for_what_it_has_read() {
    if direct_only() {
        return;
    }
    let line = b"All work and no play makes Jack a dull boy.\r\n";
    let message = [b"Subject: dull\r\n\r\n", line.repeat(40_000).as_slice()].concat();
    for route in [Route::Proxied(Tls::Implicit), Route::Compressed] {
        let lab = Lab::start(route, Tls::Implicit, std::slice::from_ref(&message));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/imaplib2_compressed.py");
        // the interpreter for which Debian packages the library, with offlineimap
        let mut command = Command::new("/usr/bin/python3");
        command.arg(path).arg(lab.ports().imap.to_string()).arg(lab.ca()).args([USER, PASSWORD]);
        let done = run(&mut command);
        let expected = format!("{} {}\n", message.len(), sha256(&message));
        assert_eq!(String::from_utf8_lossy(&done.stdout), expected, "{}\n{}", done.stderr, lab.logs());
    }
}

#[test]
fn interimap_synchronises_through_compression_on_both_sides() {
    let near = Lab::start(Route::Direct, Tls::Implicit, &[]);
    let far = Lab::start(if direct_only() { Route::Direct } else { Route::Compressed }, Tls::Implicit, &awkward());
    let home = near.home("interimap");
    let config = home.join("config");
    let section = |name: &str, lab: &Lab| {
        format!(
            "[{name}]\ntype = imaps\nhost = localhost\nport = {}\nusername = {USER}\npassword = {PASSWORD}\n\
             compress = YES\nSSL_CAfile = {}\n\n",
            lab.ports().imap,
            lab.ca().display(),
        )
    };
    let database = home.join("interimap.db");
    let text = format!("database = {}\n\n{}{}", database.display(), section("local", &near), section("remote", &far));
    fs::write(&config, text).unwrap();
    for _ in 0..2 {
        let mut command = Command::new("interimap");
        command
            .arg("--config")
            .arg(&config)
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", &home)
            .env("XDG_DATA_HOME", &home);
        succeed(&mut command);
    }
    let (here, there) = (near.server.kept(), far.server.kept());
    assert_eq!(here.values().sum::<usize>(), awkward().len(), "{}", far.logs());
    assert!(here == there, "{here:#?}\n{there:#?}");
    if !direct_only() {
        for side in ["client", "upstream"] {
            assert!(counted(&far, side, "sent", "plain") > 0, "{side} is not compressed: {}", far.logs());
        }
    }
}

#[test]
#[cfg(feature = "suites")]
fn outside_imapflow_sees_the_same_compressed_on_each_side() {
    let day = |route| {
        let lab = Lab::start(route, Tls::Implicit, &awkward());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/imapflow_compressed.mjs");
        let mut command = Command::new("node");
        command.arg(path).arg(lab.ports().imap.to_string()).arg(lab.ca()).args([USER, PASSWORD]);
        let done = run(&mut command);
        assert_eq!(done.code, Some(0), "{}\n{}", done.stderr, lab.logs());
        (String::from_utf8(done.stdout).unwrap(), lab.server.kept(), lab)
    };
    let (direct, kept, _) = day(Route::Direct);
    assert!(direct.contains("\"compressed\": true") && direct.contains("\"large\": true"), "{direct}");
    for route in [Route::Proxied(Tls::Implicit), Route::Compressed] {
        let (seen, kept_too, lab) = day(route);
        assert!(seen == direct && kept_too == kept, "{route:?}: {seen}\ndirect: {direct}");
        let [plain, deflated] = ["plain", "deflated"].map(|form| counted(&lab, "client", "received", form));
        assert!(deflated * 4 < plain, "{deflated} of {plain}");
    }
}
