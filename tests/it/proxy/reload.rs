//! Rules change while sessions go on.

use std::path::Path;

use mailwarden::reload::Outcome;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::admin::{ask, get};
use super::rig::{ADMIN, Proxy, Server, in_clear, line, soon};

/// The configuration's file with this in it.
fn write(file: &Path, server: &Server, more: &str) {
    std::fs::write(file, in_clear(server.address) + ADMIN + more).unwrap();
}

const NO_LIST: &str = "[[rule]]\nname = \"no list\"\naction = \"deny\"\ncommand = \"LIST\"\n";

const LIST: &[u8] = b"a1 LIST \"\" *\r\n";

async fn list(client: &mut TcpStream) -> String {
    client.write_all(LIST).await.unwrap();
    line(client).await
}

/// A client that has logged in.
async fn client(proxy: &Proxy) -> TcpStream {
    let mut client = proxy.connect().await;
    assert!(line(&mut client).await.starts_with("* OK"));
    client.write_all(b"a0 LOGIN joe pass\r\n").await.unwrap();
    assert_eq!(line(&mut client).await, "a0 OK done\r\n");
    client
}

#[tokio::test]
async fn new_rules_hold_from_the_next_command_of_every_session_and_none_is_dropped() {
    let server = Server::start(None).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.toml");
    write(&path, &server, "");
    let (proxy, reloads) = Proxy::start_from(&path).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = client(&proxy).await;
        assert_eq!(list(&mut client).await, "a1 OK done\r\n");
        clients.push(client);
    }
    for (rules, expected) in [(NO_LIST, "a1 NO [NOPERM] Not allowed by policy\r\n"), ("", "a1 OK done\r\n")] {
        write(&path, &server, rules);
        // some commands are under way while the rules change
        for client in &mut clients[..25] {
            client.write_all(LIST).await.unwrap();
        }
        let outcome = soon(reloads.reload("test")).await;
        assert!(matches!(outcome, Outcome::Applied(change) if change.added + change.removed == 1), "{outcome}");
        for client in &mut clients[..25] {
            assert!(line(client).await.starts_with("a1 "));
        }
        for client in &mut clients {
            assert_eq!(list(client).await, expected);
        }
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_used_or_needs_a_restart_changes_nothing() {
    let server = Server::start(None).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.toml");
    write(&path, &server, NO_LIST);
    let (proxy, reloads) = Proxy::start_from(&path).await;
    let mut client = client(&proxy).await;
    assert_eq!(soon(reloads.reload("test")).await, Outcome::Unchanged);
    write(&path, &server, "[[rule]]\nname = \"x\"\naction = \"perhaps\"\n");
    let outcome = soon(reloads.reload("test")).await;
    assert!(matches!(&outcome, Outcome::Refused(why) if why.contains("perhaps")), "{outcome}");
    write(&path, &server, "[limits]\nerrors = 7\n");
    let outcome = soon(reloads.reload("test")).await;
    assert_eq!(outcome, Outcome::RestartNeeded(vec!["[limits]".to_owned()]));
    std::fs::remove_file(&path).unwrap();
    let outcome = soon(reloads.reload("test")).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome}");
    assert_eq!(list(&mut client).await, "a1 NO [NOPERM] Not allowed by policy\r\n");
    proxy.stop().await;
}

#[tokio::test]
async fn the_admin_endpoint_reloads_for_who_means_it() {
    let server = Server::start(None).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.toml");
    write(&path, &server, "");
    let (proxy, _reloads) = Proxy::start_from(&path).await;
    let shown = get(proxy.admin(), "/metrics").await;
    assert!(shown.contains("mailwarden_config_last_reload_successful 1\n"), "{shown}");
    write(&path, &server, NO_LIST);
    for (header, expected, said) in [
        ("x-other: 1", "403", "only from this machine"),
        ("mailwarden-request: reload", "200", "1 rules; 1 added"),
        ("mailwarden-request: reload", "200", "as it was"),
    ] {
        let answer = ask(proxy.admin(), "POST /reload", &format!("Host: 127.0.0.1\r\n{header}\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")) && answer.contains(said), "{answer}");
    }
    // nobody has asked for anything yet
    let shown = get(proxy.admin(), "/metrics").await;
    let rule = "mailwarden_policy_decisions_total{action=\"deny\",mode=\"enforce\",rule=\"no list\"} 0\n";
    assert!(shown.contains(rule), "{shown}");
    proxy.stop().await;
}
