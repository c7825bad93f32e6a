//! Rules change while sessions go on.

use std::path::Path;

use mailwarden::config::Config;
use mailwarden::proxy::{ReloadHandle, ReloadOutcome, run_reloading};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::rig::{Server, line, soon, upstream};

fn config(server: &Server, more: &str) -> String {
    let listener = "[admin]\naddress = \"127.0.0.1:0\"\n[[listener]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n\
                    protocol = \"imap\"\nupstream = \"u\"\ntls = \"none\"\n";
    format!("{listener}{}{more}", upstream(server.address, "tls = \"none\""))
}

const NO_LIST: &str = "[[rule]]\nname = \"no list\"\naction = \"deny\"\ncommand = \"LIST\"\n";

struct Running {
    handle: ReloadHandle,
    address: std::net::SocketAddr,
    admin: std::net::SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), mailwarden::proxy::RunError>>,
}

impl Running {
    async fn start(path: &Path) -> Self {
        let (handle, source) = ReloadHandle::new(path);
        let config = Config::load(path).unwrap();
        let (report, bound) = tokio::sync::oneshot::channel();
        let (stop, mine) = (CancellationToken::new(), handle.clone());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let ready = move |bound: &mailwarden::proxy::Bound| report.send(bound.clone()).unwrap();
            Box::pin(run_reloading(config, Some((mine, source)), Vec::new(), ready, stopped)).await
        });
        let bound = soon(bound).await.unwrap();
        Self { handle, address: bound.listeners[0].1, admin: bound.admin.unwrap(), stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        soon(self.task).await.unwrap().unwrap();
    }
}

const LIST: &[u8] = b"a1 LIST \"\" *\r\n";

async fn list(client: &mut TcpStream) -> String {
    client.write_all(LIST).await.unwrap();
    line(client).await
}

/// A client that has logged in.
async fn client(proxy: &Running) -> TcpStream {
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
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
    std::fs::write(&path, config(&server, "")).unwrap();
    let proxy = Running::start(&path).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = client(&proxy).await;
        assert_eq!(list(&mut client).await, "a1 OK done\r\n");
        clients.push(client);
    }
    for (rules, expected) in [(NO_LIST, "a1 NO [NOPERM] Not allowed by policy\r\n"), ("", "a1 OK done\r\n")] {
        std::fs::write(&path, config(&server, rules)).unwrap();
        // some commands are under way while the rules change
        for client in &mut clients[..25] {
            client.write_all(LIST).await.unwrap();
        }
        let outcome = soon(proxy.handle.reload("test")).await;
        assert!(matches!(outcome, ReloadOutcome::Applied(change) if change.added + change.removed == 1), "{outcome}");
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
    std::fs::write(&path, config(&server, NO_LIST)).unwrap();
    let proxy = Running::start(&path).await;
    let mut client = client(&proxy).await;
    assert_eq!(soon(proxy.handle.reload("test")).await, ReloadOutcome::Unchanged);
    std::fs::write(&path, config(&server, "[[rule]]\nname = \"x\"\naction = \"perhaps\"\n")).unwrap();
    let outcome = soon(proxy.handle.reload("test")).await;
    assert!(matches!(&outcome, ReloadOutcome::Refused(why) if why.contains("perhaps")), "{outcome}");
    std::fs::write(&path, config(&server, "[limits]\nerrors = 7\n")).unwrap();
    let outcome = soon(proxy.handle.reload("test")).await;
    assert_eq!(outcome, ReloadOutcome::RestartNeeded(vec!["[limits]".to_owned()]));
    std::fs::remove_file(&path).unwrap();
    let outcome = soon(proxy.handle.reload("test")).await;
    assert!(matches!(outcome, ReloadOutcome::Refused(_)), "{outcome}");
    assert_eq!(list(&mut client).await, "a1 NO [NOPERM] Not allowed by policy\r\n");
    proxy.stop().await;
}

#[tokio::test]
async fn the_admin_endpoint_reloads_for_who_means_it() {
    use tokio::io::AsyncReadExt;

    let server = Server::start(None).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.toml");
    std::fs::write(&path, config(&server, "")).unwrap();
    let proxy = Running::start(&path).await;
    std::fs::write(&path, config(&server, NO_LIST)).unwrap();
    for (header, expected, said) in [
        ("x-other: 1", "403", "only from this machine"),
        ("mailwarden-request: reload", "200", "1 rules; 1 added"),
        ("mailwarden-request: reload", "200", "as it was"),
    ] {
        let mut tcp = TcpStream::connect(proxy.admin).await.unwrap();
        let request = format!(
            "POST /reload HTTP/1.1\r\nhost: 127.0.0.1\r\n{header}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(tcp.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")) && answer.contains(said), "{answer}");
    }
    proxy.stop().await;
}
