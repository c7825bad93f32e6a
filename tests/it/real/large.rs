//! Messages too large to be held, and two peers that send at the same time.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::authority::Authority;
use super::command::succeed;
use super::fake::{Fake, Mood};
use super::lab::{Lab, PASSWORD, Tls, USER, direct_only, same_both_ways, sha256};
use super::mail::of_size;
use super::mailwarden::Mailwarden;
use super::talk::Talk;

const MIB: usize = 1 << 20;

/// Sends a message of 25 MiB by APPEND, gets it back by FETCH and by RETR.
fn there_and_back(lab: &Lab) -> [String; 3] {
    let letter = lab.home("large").join("letter");
    let mut octets = of_size(25 * MIB).split(|octet| *octet == b'\n').collect::<Vec<_>>().join(b"\r\n".as_slice());
    octets.truncate(25 * MIB);
    octets.extend(b"\r\n");
    fs::write(&letter, &octets).unwrap();
    let curl = |protocol: &str, path: &str, port: u16| {
        let (scheme, ssl) = match lab.client {
            Tls::Implicit => (format!("{protocol}s"), "--ssl"),
            Tls::Starttls | Tls::None => (protocol.to_owned(), "--ssl-reqd"),
        };
        let mut command = Command::new("curl");
        command.args(["-q", "--silent", "--show-error", ssl, "--user", &format!("{USER}:{PASSWORD}"), "--cacert"]);
        command.arg(lab.ca()).arg(format!("{scheme}://localhost:{port}/{path}"));
        command
    };
    succeed(curl("imap", "INBOX", lab.ports().imap).arg("--upload-file").arg(&letter));
    let fetched = succeed(&mut curl("imap", "INBOX;MAILINDEX=1", lab.ports().imap));
    let retrieved = succeed(&mut curl("pop3", "1", lab.ports().pop3));
    [sha256(&octets), sha256(&fetched), sha256(&retrieved)]
}

#[test]
fn a_message_of_25_mib_comes_back_the_same_with_implicit_tls() {
    same_both_ways(Tls::Implicit, &[], |lab| {
        let hashes = there_and_back(lab);
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}\n{}", lab.server.log());
        hashes
    });
}

#[test]
fn a_message_of_25_mib_comes_back_the_same_with_starttls() {
    same_both_ways(Tls::Starttls, &[], |lab| {
        let hashes = there_and_back(lab);
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}\n{}", lab.server.log());
        hashes
    });
}

#[test]
fn two_peers_that_send_10_mib_at_once_do_not_wait_for_each_other() {
    let fake = Fake::start(Mood::Talkative(10 * MIB));
    upload_without_reading(fake.ports.imap);
    if direct_only() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let own = Authority::create(directory.path());
    let proxy = Mailwarden::start(directory.path(), &own, Tls::None, &fake.upstream(), "");
    upload_without_reading(proxy.ports.imap);
}

/// Sends all of a literal of 10 MiB before it reads again, while the server sends as much.
fn upload_without_reading(port: u16) {
    let mut talk = Talk::greeted(port);
    for command in ["a LOGIN ada secret\r\n", "a SELECT INBOX\r\n"] {
        talk.send(command.as_bytes());
        let answer = talk.answer();
        assert!(answer.starts_with("a OK"), "{answer}");
    }
    let octets = "0123456789abcde\n".repeat(10 * MIB / 16).replace("e\n", "\r\n");
    talk.send(format!("a APPEND INBOX {{{}}}\r\n", octets.len()).as_bytes());
    let answer = talk.answer();
    assert!(answer.starts_with('+'), "{answer}");
    assert!(talk.send(octets.as_bytes()) && talk.send(b"\r\n"), "the upload was cut off");
    let answer = talk.answer();
    assert!(answer.starts_with("a OK"), "{answer}");
}
