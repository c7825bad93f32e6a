//! mbsync, which pipelines and which notices every octet and flag that is not as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::succeed;
use super::lab::{Lab, PASSWORD, Tls, USER, maildir, same_both_ways};
use super::mail::awkward;

type Mail = BTreeMap<String, usize>;

/// Pull all; then change both ends and synchronise again. The mail of both ends after each.
fn two_syncs(lab: &Lab) -> [(Mail, Mail); 2] {
    let local = lab.home("mbsync");
    let file = configure(lab, &local);
    let sync = || {
        succeed(Command::new("mbsync").arg("-c").arg(&file).arg("--all"));
        (maildir(&local.join("mail")), lab.server.kept())
    };
    let pulled = sync();
    change(&local.join("mail/INBOX"));
    let pushed = sync();
    assert_eq!(pulled.0.values().sum::<usize>(), awkward().len(), "{}", lab.logs());
    assert_eq!(pushed.1.values().sum::<usize>(), awkward().len(), "one deleted, one new: {}", lab.logs());
    [pulled, pushed]
}

fn configure(lab: &Lab, local: &Path) -> PathBuf {
    fs::create_dir(local.join("mail")).unwrap();
    let tls = match lab.client {
        Tls::Implicit => "IMAPS",
        Tls::Starttls => "STARTTLS",
        Tls::None => "None",
    };
    let text = format!(
        "IMAPAccount server\nHost localhost\nPort {}\nUser {USER}\nPass {PASSWORD}\nSSLType {tls}\n\
         SystemCertificates no\nCertificateFile {}\n\nIMAPStore far\nAccount server\n\n\
         MaildirStore near\nPath {near}/mail/\nInbox {near}/mail/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
        lab.ports().imap,
        lab.ca().display(),
        near = local.display(),
    );
    let file = local.join("mbsyncrc");
    fs::write(&file, text).unwrap();
    file
}

/// Answers one message, deletes one, and writes a new one.
fn change(inbox: &Path) {
    let mut names: Vec<PathBuf> = ["cur", "new"]
        .iter()
        .flat_map(|folder| fs::read_dir(inbox.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort_by_key(|path| fs::metadata(path).unwrap().len());
    for (path, flag) in names.iter().zip(["R", "T"]) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let (base, _) = name.split_once(":2,").unwrap_or((name, ""));
        fs::rename(path, inbox.join("cur").join(format!("{base}:2,{flag}S"))).unwrap();
    }
    let letter =
        "From: Ada <ada@example.com>\nSubject: written offline\nDate: Mon, 01 Jan 2024 01:00:00 +0000\n\n.\nx\n";
    fs::write(inbox.join("cur/1704070800.M99.lab:2,S"), letter).unwrap();
}

#[test]
fn mbsync_synchronises_both_ways_with_implicit_tls() {
    same_both_ways(Tls::Implicit, &awkward(), two_syncs);
}

#[test]
fn mbsync_synchronises_both_ways_with_starttls() {
    same_both_ways(Tls::Starttls, &awkward(), two_syncs);
}

#[test]
fn mbsync_synchronises_both_ways_in_clear() {
    same_both_ways(Tls::None, &awkward(), two_syncs);
}
