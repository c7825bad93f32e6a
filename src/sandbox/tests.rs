//! Conversations with a running sandbox, in clear.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use super::*;

struct Client(BufStream<TcpStream>);

impl Client {
    async fn connect(to: SocketAddr) -> Self {
        let mut client = Self(BufStream::new(TcpStream::connect(to).await.unwrap()));
        client.line().await;
        client
    }

    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = self.0.read_until(b'\n', &mut line);
        tokio::time::timeout(Duration::from_mins(1), read).await.expect("no line in time").unwrap();
        String::from_utf8_lossy(&line).into_owned()
    }

    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Sends a tagged command and reads up to its completion result.
    async fn imap(&mut self, command: &str) -> String {
        self.say(&format!("t {command}\r\n")).await;
        self.until(|line| line.starts_with("t ")).await
    }

    async fn until(&mut self, last: impl Fn(&str) -> bool) -> String {
        let mut all = String::new();
        loop {
            let line = self.line().await;
            assert!(!line.is_empty(), "the connection ended after {all:?}");
            all.push_str(&line);
            if last(&line) {
                return all;
            }
        }
    }

    /// Sends a command and reads its one-line or multi-line response.
    async fn pop3(&mut self, command: &str, multi_line: bool) -> String {
        self.say(&format!("{command}\r\n")).await;
        let status = self.line().await;
        if !multi_line || status.starts_with('-') {
            return status;
        }
        status + &self.until(|line| line == ".\r\n").await
    }
}

async fn sandbox() -> Sandbox {
    Sandbox::start(SandboxSettings::new("ann", "secret")).await.unwrap()
}

async fn imap(sandbox: &Sandbox) -> Client {
    let mut client = Client::connect(sandbox.imap_addr).await;
    assert!(client.imap("LOGIN ann secret").await.contains("t OK [CAPABILITY IMAP4rev1 "));
    client
}

async fn pop3(sandbox: &Sandbox) -> Client {
    let mut client = Client::connect(sandbox.pop3_addr).await;
    client.pop3("USER ann", false).await;
    assert_eq!(client.pop3("PASS secret", false).await, "+OK Logged in, 9 messages\r\n");
    client
}

#[tokio::test]
async fn logs_in_by_every_imap_way_and_no_other() {
    let sandbox = sandbox().await;
    // NUL ann NUL secret
    let plain = "AGFubgBzZWNyZXQ=";
    let ways = [
        ("LOGIN ann secret\r\n", true),
        ("LOGIN \"ann\" {6+}\r\nsecret\r\n", true),
        ("LOGIN ann wrong\r\n", false),
        (&format!("AUTHENTICATE PLAIN {plain}\r\n"), true),
        (&format!("AUTHENTICATE PLAIN\r\n{plain}\r\n"), true),
        ("AUTHENTICATE PLAIN\r\n*\r\n", false),
        ("AUTHENTICATE PLAIN !\r\n", false),
        ("AUTHENTICATE SCRAM-SHA-1\r\n", false),
        ("SELECT INBOX\r\n", false),
    ];
    for (way, accepted) in ways {
        let mut client = Client::connect(sandbox.imap_addr).await;
        client.say(&format!("t {way}")).await;
        let answer = client.until(|line| line.starts_with("t ")).await;
        assert_eq!(answer.contains("t OK"), accepted, "{way} {answer}");
    }
}

#[tokio::test]
async fn waits_for_synchronizing_literals() {
    let sandbox = sandbox().await;
    let mut client = Client::connect(sandbox.imap_addr).await;
    for (part, answer) in [("t LOGIN {3}\r\n", "+ "), ("ann {6}\r\n", "+ "), ("secret\r\n", "t OK")] {
        client.say(part).await;
        assert!(client.line().await.starts_with(answer));
    }
}

#[tokio::test]
async fn shows_mailboxes_and_messages() {
    let sandbox = sandbox().await;
    let mut client = imap(&sandbox).await;
    let list = client.imap("LIST \"\" %").await;
    assert!(list.contains("* LIST (\\HasChildren) \"/\" \"Projects\"\r\n") && !list.contains("2026"));
    assert!(client.imap("STATUS Archive (MESSAGES UIDNEXT)").await.contains("\"Archive\" (MESSAGES 4 UIDNEXT 5)"));
    assert!(client.imap("FETCH 1 FLAGS").await.starts_with("t BAD"));
    assert!(client.imap("SELECT Nowhere").await.starts_with("t NO [NONEXISTENT]"));
    let selected = client.imap("SELECT inbox").await;
    assert!(selected.contains("* 9 EXISTS\r\n") && selected.ends_with("t OK [READ-WRITE] Selected\r\n"));
    let fetched = client.imap("UID FETCH 1,6 (RFC822.SIZE FLAGS)").await;
    assert!(fetched.contains("* 1 FETCH (UID 1 RFC822.SIZE "), "{fetched}");
    assert!(client.imap("FETCH 4 BODY[TEXT]").await.contains("{47}\r\nThe canal."), "implicit seen");
    assert!(client.imap("SEARCH SEEN").await.contains("* SEARCH 1 4\r\n"));
    assert!(client.imap("FETCH 99 FLAGS").await.starts_with("t BAD"));
    assert!(client.imap("LOGOUT").await.starts_with("* BYE"));
}

#[tokio::test]
async fn appends_copies_moves_and_expunges() {
    let sandbox = sandbox().await;
    let mut client = imap(&sandbox).await;
    let appended = client.imap("APPEND Drafts (\\Draft) \" 7-Jul-2026 02:44:25 +0000\" {8+}\r\nA: b\r\n\r\n").await;
    assert!(appended.contains(" 1] Append completed"), "{appended}");
    assert_eq!(sandbox.messages("Drafts")[0].content, &b"A: b\r\n\r\n"[..]);
    assert!(client.imap("APPEND Nowhere {1+}\r\nx").await.starts_with("t NO [TRYCREATE]"));
    client.imap("SELECT INBOX").await;
    assert!(client.imap("COPY 1:2,4 Archive").await.contains(" 1:2,4 5:7] Copy completed"));
    let moved = client.imap("UID MOVE 2:3 Trash").await;
    assert!(moved.contains(" 2:3 1:2] Moved\r\n* 2 EXPUNGE\r\n* 2 EXPUNGE\r\nt OK"), "{moved}");
    assert!(client.imap("STORE 1:2 +FLAGS.SILENT (\\Deleted)").await.starts_with("t OK"));
    assert!(client.imap("STORE 1 +FLAGS (\\Deleted)").await.contains("FLAGS (\\Deleted \\Seen \\Recent)"));
    assert_eq!(client.imap("UID EXPUNGE 4").await, "* 2 EXPUNGE\r\nt OK Expunge completed\r\n");
    assert_eq!(client.imap("CLOSE").await, "t OK Closed\r\n");
    assert_eq!(sandbox.messages("INBOX").len(), 5);
}

#[tokio::test]
async fn tells_idling_sessions_of_changes() {
    let sandbox = sandbox().await;
    let mut idler = imap(&sandbox).await;
    idler.imap("SELECT INBOX").await;
    idler.say("t IDLE\r\n").await;
    assert!(idler.line().await.starts_with("+ "));
    let mut other = imap(&sandbox).await;
    other.imap("SELECT INBOX").await;
    other.imap("STORE 2 FLAGS (\\Deleted)").await;
    assert_eq!(idler.line().await, "* 2 FETCH (UID 2 FLAGS (\\Deleted \\Recent))\r\n");
    other.imap("EXPUNGE").await;
    assert_eq!(idler.line().await, "* 2 EXPUNGE\r\n");
    sandbox.deliver("INBOX", large("more", 1000));
    assert_eq!(idler.line().await, "* 9 EXISTS\r\n");
    assert!(idler.line().await.ends_with("RECENT\r\n"));
    idler.say("DONE\r\n").await;
    assert_eq!(idler.line().await, "t OK Idle completed\r\n");
}

#[tokio::test]
async fn answers_what_is_no_command() {
    let sandbox = sandbox().await;
    let mut client = Client::connect(sandbox.imap_addr).await;
    for (line, answer) in
        [("\r\n", "* BAD"), ("x\r\n", "* BAD"), ("x NONSENSE\r\n", "x BAD"), ("x UID NOOP\r\n", "x BAD")]
    {
        client.say(line).await;
        assert!(client.line().await.starts_with(answer), "{line}");
    }
    let mut client = Client::connect(sandbox.pop3_addr).await;
    for line in ["", "NONSENSE", "STAT", "PASS x", "AUTH X", "STLS"] {
        assert!(client.pop3(line, false).await.starts_with("-ERR"), "{line}");
    }
}

#[tokio::test]
async fn gives_mail_by_pop3() {
    let sandbox = sandbox().await;
    let mut client = pop3(&sandbox).await;
    assert!(client.pop3("STAT", false).await.starts_with("+OK 9 3"));
    assert_eq!(client.pop3("LIST", true).await.lines().count(), 11);
    assert_eq!(client.pop3("UIDL 2", false).await, "+OK 2 68e7780000000002\r\n");
    let stuffed = client.pop3("RETR 5", true).await;
    assert!(stuffed.contains("\r\n...and cake, I hear.\r\n...\r\n.. See you at noon.\r\n.\r\n"), "{stuffed}");
    assert!(client.pop3("TOP 1 0", true).await.ends_with("\r\n\r\n.\r\n"));
    assert!(client.pop3("RETR 99", true).await.starts_with("-ERR"));
}

#[tokio::test]
async fn deletes_by_pop3_only_at_quit() {
    let sandbox = sandbox().await;
    let mut client = pop3(&sandbox).await;
    client.pop3("DELE 1", false).await;
    assert!(client.pop3("DELE 1", false).await.starts_with("-ERR"));
    assert!(client.pop3("STAT", false).await.starts_with("+OK 8 "));
    drop(client);
    assert_eq!(sandbox.messages("INBOX").len(), 9);
    let mut client = pop3(&sandbox).await;
    client.pop3("DELE 1", false).await;
    client.pop3("RSET", false).await;
    client.pop3("DELE 9", false).await;
    assert_eq!(client.pop3("QUIT", false).await, "+OK Bye, 1 messages deleted\r\n");
    assert_eq!(client.line().await, "");
    assert_eq!(sandbox.messages("INBOX").len(), 8);
}

#[tokio::test]
async fn logs_in_by_every_pop3_way_and_no_other() {
    let sandbox = sandbox().await;
    let digest = md5::md5_hex(b"<1.1793606400@sandbox.example>secret");
    let ways: [(&str, bool); 6] = [
        (&format!("APOP ann {digest}\r\n"), true),
        ("APOP ann 00000000000000000000000000000000\r\n", false),
        ("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", true),
        ("AUTH PLAIN\r\nAGFubgBzZWNyZXQ=\r\n", true),
        ("AUTH PLAIN\r\n*\r\n", false),
        ("USER ann\r\nPASS wrong\r\n", false),
    ];
    for (way, accepted) in ways {
        let mut client = Client::connect(sandbox.pop3_addr).await;
        client.say(&format!("{way}QUIT\r\n")).await;
        let mut answers = String::new();
        client.0.read_to_string(&mut answers).await.unwrap();
        assert_eq!(answers.contains("+OK Logged in"), accepted, "{way} {answers}");
    }
}

#[tokio::test]
async fn ends_when_it_is_told_to() {
    let sandbox = sandbox().await;
    let mut client = imap(&sandbox).await;
    client.imap("SELECT INBOX").await;
    tokio::time::timeout(Duration::from_mins(1), sandbox.shutdown()).await.unwrap();
    assert_eq!(client.line().await, "");
}
