//! Rules before a real server, with real clients: what the client sees, and that the server's mail stays as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::command::{run, succeed};
use super::lab::{Lab, PASSWORD, Route, Tls, USER, direct_only, maildir};
use super::mail::awkward;
use super::talk::Talk;

const READ_ONLY: &str = include_str!("../../../policies/read-only.toml");

type Mail = BTreeMap<String, usize>;

/// A server with the awkward mail, behind a proxy with these rules; none where only servers are tested.
pub(super) fn lab(client: Tls, rules: &str) -> Option<Lab> {
    (!direct_only()).then(|| Lab::start_with(Route::Proxied(Tls::Implicit), client, &awkward(), rules))
}

/// A session in clear, logged in.
pub(super) fn imap(lab: &Lab) -> Talk {
    let mut talk = Talk::greeted(lab.ports().imap);
    assert!(ask(&mut talk, &format!("l LOGIN {USER} {PASSWORD}")).starts_with("l OK"), "{}", lab.logs());
    talk
}

pub(super) fn pop3(lab: &Lab) -> Talk {
    let mut talk = Talk::greeted(lab.ports().pop3);
    for line in [format!("USER {USER}"), format!("PASS {PASSWORD}")] {
        assert!(ask(&mut talk, &line).starts_with("+OK"), "{}", lab.logs());
    }
    talk
}

/// Sends one line and gives the line that answers it.
pub(super) fn ask(talk: &mut Talk, line: &str) -> String {
    talk.send(format!("{line}\r\n").as_bytes());
    talk.answer()
}

/// All lines up to the one that completes `tag`.
fn until(talk: &mut Talk, tag: &str) -> Vec<String> {
    let mut lines = Vec::new();
    // no answer here is longer; after a close there are only empty lines
    while lines.len() < 10_000 {
        lines.push(talk.line());
        if lines.last().is_some_and(|line| line.starts_with(&format!("{tag} "))) {
            return lines;
        }
    }
    panic!("{tag} is not completed: {:?}", lines.first())
}

/// The lines of a multi-line answer, or the refusal.
pub(super) fn body(talk: &mut Talk) -> Vec<String> {
    let mut lines = vec![talk.line()];
    while lines[0].starts_with("+OK") && lines.last().is_some_and(|line| line != ".") {
        lines.push(talk.line());
    }
    lines
}

fn mbsync(lab: &Lab, local: &Path, more: &str) -> Command {
    let file = local.join("mbsyncrc");
    let text = format!(
        "IMAPAccount server\nHost localhost\nPort {}\nUser {USER}\nPass {PASSWORD}\nSSLType IMAPS\n\
         SystemCertificates no\nCertificateFile {}\n\nIMAPStore far\nAccount server\n\n\
         MaildirStore near\nPath {near}/mail/\nInbox {near}/mail/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nSyncState *\n{more}\n",
        lab.ports().imap,
        lab.ca().display(),
        near = local.display(),
    );
    fs::write(&file, text).unwrap();
    let mut command = Command::new("mbsync");
    command.arg("-c").arg(file).arg("--all");
    command
}

fn messages(mail: &Mail) -> usize {
    mail.values().sum()
}

/// The messages without their flags: reading sets one.
fn contents(mail: &Mail) -> BTreeSet<String> {
    mail.keys().map(|key| key.split_once(' ').unwrap().1.to_owned()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let names = ["cur", "new"].iter().flat_map(|part| fs::read_dir(folder.join(part)).unwrap());
    names.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn mbsync_pulls_all_mail_under_read_only_and_the_server_is_as_before() {
    let Some(lab) = lab(Tls::Implicit, READ_ONLY) else { return };
    let before = lab.server.kept();
    let local = lab.home("mbsync");
    fs::create_dir(local.join("mail")).unwrap();
    let pull = "Create Near\nExpunge Near\nSync Pull";
    for _ in 0..2 {
        succeed(&mut mbsync(&lab, &local, pull));
        assert_eq!(messages(&maildir(&local.join("mail"))), awkward().len(), "{}", lab.logs());
        assert_eq!(lab.server.kept(), before, "{}", lab.logs());
    }
}

#[test]
fn mbsync_that_would_push_changes_under_read_only_changes_nothing() {
    let Some(lab) = lab(Tls::Implicit, READ_ONLY) else { return };
    let local = lab.home("mbsync");
    fs::create_dir(local.join("mail")).unwrap();
    succeed(&mut mbsync(&lab, &local, "Create Near\nSync Pull"));
    let before = lab.server.kept();
    let inbox = local.join("mail/INBOX");
    for (path, flags) in files(&inbox).iter().zip(["T", "RS"]) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let (base, _) = name.split_once(":2,").unwrap_or((name, ""));
        fs::rename(path, inbox.join("cur").join(format!("{base}:2,{flags}"))).unwrap();
    }
    fs::write(inbox.join("cur/1704070800.M99.lab:2,S"), "Subject: new\n\nx\n").unwrap();
    let done = run(&mut mbsync(&lab, &local, "Create Both\nExpunge Both\nSync All"));
    assert_ne!(done.code, Some(0), "it is told that nothing was stored: {}", done.stderr);
    assert_eq!(lab.server.kept(), before, "{}", lab.logs());
}

fn curl(lab: &Lab, protocol: &str, path: &str, extra: &[&str]) -> (Option<i32>, String) {
    let port = if protocol == "imaps" { lab.ports().imap } else { lab.ports().pop3 };
    let mut command = Command::new("curl");
    command.args(["-q", "--silent", "--show-error", "--max-time", "120", "--cacert"]).arg(lab.ca());
    command.args(["--user", &format!("{USER}:{PASSWORD}")]).args(extra);
    command.arg(format!("{protocol}://localhost:{port}/{path}"));
    let done = run(&mut command);
    (done.code, String::from_utf8_lossy(&done.stdout).into_owned() + &done.stderr)
}

#[test]
fn curl_reads_and_is_denied_what_destroys_in_both_protocols() {
    let rules = "[[rule]]\nname = \"keep\"\naction = \"deny\"\neffect = \"destroy\"\nreply = \"Mail is kept\"\n";
    let Some(lab) = lab(Tls::Implicit, rules) else { return };
    let before = lab.server.kept();
    for request in ["STORE 1 +FLAGS \\Deleted", "EXPUNGE", "UID EXPUNGE 1"] {
        let (code, shown) = curl(&lab, "imaps", "INBOX", &["--request", request]);
        assert_eq!(code, Some(21), "{request}: CURLE_QUOTE_ERROR: {shown}");
    }
    let (code, shown) = curl(&lab, "imaps", "INBOX;MAILINDEX=1;SECTION=HEADER", &[]);
    assert!(code == Some(0) && shown.contains("Subject: plain"), "{shown}");
    let (code, shown) = curl(&lab, "pop3s", "1", &["--request", "DELE"]);
    assert_eq!(code, Some(8), "CURLE_WEIRD_SERVER_REPLY: {shown}");
    let (code, shown) = curl(&lab, "pop3s", "1", &[]);
    assert!(code == Some(0) && shown.contains("Subject: plain"), "{shown}");
    assert_eq!(contents(&lab.server.kept()), contents(&before), "{}", lab.logs());
}

#[test]
fn a_denied_append_in_the_middle_of_a_pipeline_leaves_the_session_in_step() {
    let rules = "[[rule]]\nname = \"no uploads\"\naction = \"deny\"\ncommand = \"APPEND\"\n";
    let Some(lab) = lab(Tls::None, rules) else { return };
    let before = lab.server.kept();
    let mut talk = imap(&lab);
    // the message looks like commands: a proxy that lost count would run them
    let message = "x DELETE INBOX\r\ny CREATE Smuggled\r\n";
    talk.send(format!("a NOOP\r\nb APPEND INBOX {{{}+}}\r\n{message}\r\nc NOOP\r\n", message.len()).as_bytes());
    assert!(talk.line().starts_with("a OK"));
    assert_eq!(talk.line(), "b NO [NOPERM] Not allowed by policy");
    assert!(talk.line().starts_with("c OK"));
    // one that waits is not asked to go on, and so sends its next command
    talk.send(format!("d NOOP\r\ne APPEND INBOX {{{}}}\r\n", message.len()).as_bytes());
    assert!(talk.line().starts_with("d OK"));
    assert_eq!(talk.line(), "e NO [NOPERM] Not allowed by policy");
    talk.send(b"f NOOP\r\ng LOGOUT\r\n");
    assert!(talk.line().starts_with("f OK"));
    assert!(talk.answer().starts_with("* BYE"));
    assert!(talk.answer().starts_with("g OK"));
    assert_eq!(lab.server.kept(), before, "{}", lab.logs());
}

#[test]
fn a_denied_retr_between_two_allowed_ones_is_answered_in_its_place() {
    let rules = "[[rule]]\nname = \"not this one\"\naction = \"deny\"\ncommand = \"RETR\"\nmessage = 2\n";
    let Some(lab) = lab(Tls::None, rules) else { return };
    let mut talk = pop3(&lab);
    talk.send(b"RETR 1\r\nRETR 2\r\nRETR 3\r\nSTAT\r\n");
    assert!(body(&mut talk).iter().any(|line| line == "Subject: plain"));
    assert_eq!(body(&mut talk), ["-ERR [SYS/PERM] Not allowed by policy"]);
    assert!(body(&mut talk).iter().any(|line| line == "Subject: looks like protocol"));
    assert!(talk.line().starts_with(&format!("+OK {} ", awkward().len())));
}

/// Rules of one action for both protocols.
pub(super) fn rules(action: &str, imap: &str, pop3: &str) -> String {
    let rule = |protocol: &str, more: &str| {
        format!("[[rule]]\nname = \"{action} {protocol}\"\nprotocol = \"{protocol}\"\naction = \"{action}\"\n{more}\n")
    };
    rule("imap", imap) + &rule("pop3", pop3)
}

#[test]
fn rewritten_commands_are_what_the_server_gets() {
    let rules = rules(
        "rewrite",
        "command = \"FETCH\"\nrewrite = { peek = true }",
        "command = \"TOP\"\nrewrite = { arguments = \"{message} 0\" }",
    );
    let Some(lab) = lab(Tls::None, &rules) else { return };
    let before = lab.server.kept();
    let mut talk = imap(&lab);
    talk.send(b"a SELECT INBOX\r\nb FETCH 1 BODY[]\r\n");
    until(&mut talk, "a");
    assert!(until(&mut talk, "b").iter().any(|line| line == "nothing special here."), "{}", lab.logs());
    // not behind the other at once, for Dovecot may run the two together
    talk.send(b"c FETCH 1 FLAGS\r\nd LOGOUT\r\n");
    let flags = until(&mut talk, "c").concat();
    assert!(flags.contains("FLAGS (") && !flags.contains("Seen"), "{flags}");
    until(&mut talk, "d");
    let mut talk = pop3(&lab);
    talk.send(b"TOP 1 5\r\n");
    let top = body(&mut talk);
    assert!(top.iter().any(|line| line == "Subject: plain"), "{top:?}");
    assert!(!top.iter().any(|line| line == "Hello,"), "no line of the text: {top:?}");
    assert_eq!(contents(&lab.server.kept()), contents(&before));
}

#[test]
fn what_the_proxy_answers_itself_never_reaches_the_server() {
    let rules = rules(
        "answer",
        "command = [\"CREATE\", \"EXPUNGE\"]\nreply = \"As you like\"",
        "command = \"DELE\"\nreply = \"As you like\"",
    );
    let Some(lab) = lab(Tls::None, &rules) else { return };
    let before = lab.server.kept();
    let mut talk = imap(&lab);
    assert_eq!(ask(&mut talk, "a CREATE Never"), "a OK As you like");
    talk.send(b"b LIST \"\" *\r\nc LOGOUT\r\n");
    assert!(!until(&mut talk, "b").concat().contains("Never"), "{}", lab.logs());
    until(&mut talk, "c");
    let mut talk = pop3(&lab);
    talk.send(b"DELE 1\r\nDELE 2\r\nSTAT\r\nQUIT\r\n");
    assert_eq!([talk.line(), talk.line()], ["+OK As you like", "+OK As you like"]);
    assert!(talk.line().starts_with(&format!("+OK {} ", awkward().len())), "nothing is marked as deleted");
    assert!(talk.line().starts_with("+OK"));
    assert_eq!(lab.server.kept(), before, "{}", lab.logs());
}

#[test]
fn what_is_slowed_down_arrives_whole_and_in_order() {
    let slow = "throttle = { delay = \"40ms\", octets_per_second = \"1 MiB\" }";
    let rules = rules("throttle", &format!("command = \"FETCH\"\n{slow}"), &format!("command = \"RETR\"\n{slow}"));
    let Some(lab) = lab(Tls::Implicit, &rules) else { return };
    let large = awkward().len().to_string();
    let direct = String::from_utf8(awkward().pop().unwrap()).unwrap().replace('\n', "\r\n");
    let (code, shown) = curl(&lab, "imaps", &format!("INBOX;MAILINDEX={large}"), &[]);
    assert!(code == Some(0) && shown == direct, "{code:?}: {} octets\n{}", shown.len(), lab.logs());
    let (code, shown) = curl(&lab, "pop3s", &large, &[]);
    assert!(code == Some(0) && shown == direct, "{code:?}: {} octets\n{}", shown.len(), lab.logs());
}

#[test]
fn a_session_that_is_ended_gets_a_farewell_and_none_of_the_rest() {
    let rules =
        rules("disconnect", "effect = \"destroy\"\nreply = \"Goodbye\"", "effect = \"destroy\"\nreply = \"Goodbye\"");
    let Some(lab) = lab(Tls::None, &rules) else { return };
    let before = lab.server.kept();
    let mut talk = imap(&lab);
    talk.send(b"a DELETE INBOX\r\nb CREATE Never\r\n");
    let lines = talk.rest();
    assert!(lines.iter().any(|line| line.starts_with("* BYE ") && line.contains("Goodbye")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("b ")), "{lines:?}");
    let mut talk = pop3(&lab);
    talk.send(b"DELE 1\r\nDELE 2\r\n");
    let lines = talk.rest();
    assert!(lines.len() == 1 && lines[0].starts_with("-ERR ") && lines[0].ends_with("Goodbye"), "{lines:?}");
    assert_eq!(lab.server.kept(), before, "{}", lab.logs());
}

#[test]
fn a_hidden_folder_is_as_one_that_does_not_exist() {
    let rules = "[[rule]]\nname = \"hidden\"\naction = \"deny\"\nmailbox = [\"Secret\", \"Secret/**\"]\n\
                 code = \"NONEXISTENT\"\nreply = \"Mailbox doesn't exist: {mailbox}\"\n";
    let Some(lab) = lab(Tls::None, rules) else { return };
    // the server has the folder: it is made behind the proxy's back
    let mut direct = Talk::greeted(lab.server.ports(Tls::None).imap);
    ask(&mut direct, &format!("l LOGIN {USER} {PASSWORD}"));
    for name in ["Secret", "Open"] {
        assert!(ask(&mut direct, &format!("c CREATE {name}")).starts_with("c OK"));
    }
    let mut talk = imap(&lab);
    talk.send(b"a LIST \"\" *\r\n");
    let listed = until(&mut talk, "a").concat();
    assert!(listed.contains("Open") && !listed.contains("Secret"), "{listed}\n{}", lab.logs());
    for command in ["SELECT", "EXAMINE", "STATUS", "DELETE"] {
        let items = if command == "STATUS" { " (MESSAGES)" } else { "" };
        let hidden = ask(&mut talk, &format!("b {command} Secret{items}"));
        let absent = ask(&mut talk, &format!("b {command} Absent{items}"));
        assert!(hidden.starts_with("b NO [NONEXISTENT] "), "{command}: {hidden}");
        // Dovecot itself gives the code to some commands only, and tells the time it took
        let text = |line: &str| {
            let plain = line.replace("[NONEXISTENT] ", "").replace("Secret", "Absent");
            plain.split(" (").next().unwrap().to_owned()
        };
        assert_eq!(text(&hidden), text(&absent), "{command}");
    }
    direct.send(b"d LIST \"\" *\r\n");
    assert!(until(&mut direct, "d").concat().contains("Secret"));
}

/// A service that allows what is about the one word and nothing else. It ends with the tests' process.
fn hook(allowed: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for connection in listener.incoming() {
            // a proxy that hangs up asks again
            connection.and_then(|connection| decide(connection, allowed)).ok();
        }
    });
    port
}

pub(super) fn decide(mut connection: TcpStream, allowed: &str) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = Vec::new();
    let is_whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
        length.is_some_and(|length: usize| body.len() >= length)
    };
    while !is_whole(&request) {
        let mut piece = [0; 4096];
        let count = connection.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&piece[..count]);
    }
    let document = String::from_utf8_lossy(&request).into_owned();
    let answer = format!("{{\"allow\":{}}}", document.contains(allowed) && document.contains(USER));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length:";
    connection.write_all(format!("{head} {}\r\n\r\n{answer}", answer.len()).as_bytes())
}

#[test]
fn a_service_that_is_asked_decides_and_the_session_stays_in_step() {
    let rules = rules(
        "ask",
        "command = [\"CREATE\", \"DELETE\"]\nhook = \"imap\"\nreply = \"The service says no\"",
        "command = [\"RETR\", \"DELE\"]\nhook = \"pop3\"\nreply = \"The service says no\"",
    );
    let hooks: String = [("imap", hook("CREATE")), ("pop3", hook("RETR"))]
        .map(|(name, port)| format!("[[hook]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:{port}/\"\n\n"))
        .concat();
    let Some(lab) = lab(Tls::None, &(hooks + &rules)) else { return };
    let mut talk = imap(&lab);
    talk.send(b"a NOOP\r\nb CREATE Yes\r\nc DELETE Yes\r\nd NOOP\r\ne LIST \"\" Yes\r\nf LOGOUT\r\n");
    assert!(talk.answer().starts_with("a OK"));
    assert!(talk.answer().starts_with("b OK"), "{}", lab.logs());
    assert_eq!(talk.answer(), "c NO [NOPERM] The service says no");
    assert!(talk.answer().starts_with("d OK"));
    assert!(until(&mut talk, "e").concat().contains("Yes"), "it was made and not deleted");
    until(&mut talk, "f");
    let mut talk = pop3(&lab);
    talk.send(b"DELE 1\r\nRETR 1\r\nDELE 2\r\nSTAT\r\n");
    assert_eq!(talk.line(), "-ERR [SYS/PERM] The service says no");
    assert!(body(&mut talk).iter().any(|line| line == "Subject: plain"), "{}", lab.logs());
    assert_eq!(talk.line(), "-ERR [SYS/PERM] The service says no");
    assert!(talk.line().starts_with(&format!("+OK {} ", awkward().len())));
}
