//! The published attacks on STARTTLS and STLS (RFC 9051 §11.1, RFC 2595 §2.4 and §9, "NO STARTTLS" 2021), in both
//! directions, by a peer in the middle that writes what it likes before TLS.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

use super::authority::Authority;
use super::fake::{Fake, Mood};
use super::lab::{Ports, Tls, direct_only};
use super::mailwarden::{Mailwarden, Upstream};
use super::talk::Talk;

/// What stands in all that the attacker writes.
const MARK: &str = "injected";
const IMAP: &str = "* OK [CAPABILITY IMAP4rev1 STARTTLS LITERAL+ AUTH=PLAIN] ready\r\n";
const STRIPPED: &str = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] injected\r\n";
const POP3: &str = "+OK ready\r\n";
const CAPA: &str = "+OK\r\nSTLS\r\nUSER\r\n.\r\n";

/// What the attacker says: the greeting, the answer to CAPABILITY or CAPA, the answer to STARTTLS or
/// STLS (`%` is the tag), and whether it hangs up then.
struct Attack {
    name: &'static str,
    greeting: &'static str,
    capabilities: &'static str,
    answer: &'static str,
}

const fn attack(
    name: &'static str,
    greeting: &'static str,
    capabilities: &'static str,
    answer: &'static str,
) -> Attack {
    Attack { name, greeting, capabilities, answer }
}

const IMAP_ATTACKS: &[Attack] = &[
    attack(
        "the capability is stripped",
        STRIPPED,
        "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n% OK injected\r\n",
        "% BAD injected\r\n",
    ),
    attack("refused with NO", IMAP, "", "% NO injected\r\n"),
    attack("refused with BAD", IMAP, "", "% BAD injected\r\n"),
    attack("BYE", IMAP, "", "* BYE injected\r\n"),
    attack("another tag is answered", IMAP, "", "injected OK go\r\n% NO injected\r\n"),
    attack("an untagged OK is no go-ahead", IMAP, "", "* OK injected\r\n% NO injected\r\n"),
    attack("a continuation request", IMAP, "", "+ injected\r\n"),
    attack("a response behind the OK", IMAP, "", "% OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN injected\r\n"),
    attack(
        "a login's answer behind the OK",
        IMAP,
        "",
        "% OK go\r\n* OK injected\r\nA1 OK [CAPABILITY injected] in\r\n",
    ),
    attack("an alert before the refusal", IMAP, "", "* OK [ALERT] injected\r\n* 5 EXISTS\r\n% NO injected\r\n"),
    attack("mail before the OK", IMAP, "", "* 1 FETCH (BODY[] {8}\r\ninjected)\r\n% NO injected\r\n"),
    attack("a referral", IMAP, "", "% NO [REFERRAL imap://injected/] injected\r\n"),
    attack("a line end is missing", IMAP, "", "% OK injected"),
    attack("PREAUTH", "* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] injected\r\n", "", "% BAD injected\r\n"),
    attack("PREAUTH behind a greeting", "* OK ready\r\n* PREAUTH injected\r\n", "", "% BAD injected\r\n"),
    attack("an answer to nothing behind the greeting", "* OK ready\r\nA1 OK injected\r\n", "", "% BAD injected\r\n"),
    attack("BYE as the greeting", "* BYE [ALERT injected] injected\r\n", "", ""),
];

const POP3_ATTACKS: &[Attack] = &[
    attack("the capability is stripped", POP3, "+OK\r\nUSER\r\n.\r\n", "-ERR injected\r\n"),
    attack("CAPA is refused", POP3, "-ERR injected\r\n", "-ERR injected\r\n"),
    attack("refused", POP3, CAPA, "-ERR injected\r\n"),
    attack("a response behind the +OK", POP3, CAPA, "+OK go\r\n+OK injected\r\n"),
    attack("a list behind the +OK", POP3, CAPA, "+OK go\r\n+OK injected\r\nUSER\r\n.\r\n"),
    attack("no status", POP3, CAPA, "injected\r\n"),
    attack("a continuation request", POP3, CAPA, "+ injected\r\n"),
    attack("a line end is missing", POP3, CAPA, "+OK injected"),
    attack("an answer behind the greeting", "+OK ready\r\n+OK injected\r\n", CAPA, "-ERR injected\r\n"),
    attack("an answer behind the capabilities", POP3, "+OK\r\nSTLS\r\n.\r\n+OK injected\r\n", "-ERR injected\r\n"),
];

/// A server that plays one attack at each connection, and keeps what it is sent.
fn attacker(attack: &'static Attack) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (port, heard) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&heard);
    // It ends with the test's process.
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            // A peer that hangs up in the middle is what is wanted.
            play(attack, socket, &kept).ok();
        }
    });
    (port, heard)
}

fn play(attack: &Attack, mut socket: TcpStream, heard: &Mutex<Vec<u8>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    socket.write_all(attack.greeting.as_bytes())?;
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        heard.lock().unwrap().extend(&line);
        let line = String::from_utf8_lossy(&line).to_uppercase();
        let tag = line.split(' ').next().unwrap_or_default();
        if line.contains("STARTTLS") || line.starts_with("STLS") {
            socket.write_all(attack.answer.replace('%', tag).as_bytes())?;
            if !attack.answer.ends_with('\n') {
                return Ok(());
            }
        } else if line.contains("CAPA") {
            socket.write_all(attack.capabilities.replace('%', tag).as_bytes())?;
        } else if !line.contains(" OK ") {
            socket.write_all(format!("{tag} OK {MARK}\r\n").as_bytes())?;
        }
    }
}

/// The client must read one refusal and no word of the attacker's, and no login may go out in clear.
fn is_refused(attack: &'static Attack, choose: fn(Ports) -> u16, starts: &[&str]) {
    let (port, heard) = attacker(attack);
    let directory = TempDir::new().unwrap();
    let own = Authority::create(directory.path());
    let upstream = Upstream {
        host: "127.0.0.1".to_owned(),
        ports: Ports { imap: port, pop3: port },
        tls: Tls::Starttls,
        roots: own.ca.clone(),
        compress: false,
    };
    let limits = "[limits]\ngreeting_timeout = \"2s\"\nhandshake_timeout = \"2s\"\n";
    let proxy = Mailwarden::start(directory.path(), &own, Tls::None, &upstream, limits);
    let mut talk = Talk::to(choose(proxy.ports));
    talk.send(b"a LOGIN ada sesame-1815\r\nUSER ada\r\nPASS sesame-1815\r\n");
    let lines = talk.rest();
    let context = format!("{}: {lines:?}\n{}", attack.name, proxy.log());
    assert!(lines.len() == 1 && starts.iter().any(|start| lines[0].starts_with(start)), "{context}");
    let is_greeting = attack.greeting.starts_with("* BYE");
    assert!(is_greeting || !lines[0].contains(MARK), "{context}");
    let heard = String::from_utf8_lossy(&heard.lock().unwrap()).to_uppercase();
    assert!(!heard.contains("SESAME") && !heard.contains("LOGIN") && !heard.contains("USER"), "{heard}\n{context}");
    assert!(!heard.contains('\u{16}'), "no handshake is begun: {context}");
}

#[test]
fn no_imap_server_in_the_middle_gets_a_login_in_clear() {
    for attack in IMAP_ATTACKS.iter().filter(|_| !direct_only()) {
        is_refused(attack, |ports| ports.imap, &["* BYE "]);
    }
}

#[test]
fn no_pop3_server_in_the_middle_gets_a_login_in_clear() {
    for attack in POP3_ATTACKS.iter().filter(|_| !direct_only()) {
        is_refused(attack, |ports| ports.pop3, &["-ERR "]);
    }
}

/// Octets a client in the middle sends in clear, and the starts of the answers; nothing goes up.
type Row = (&'static str, &'static [&'static str]);

const FROM_IMAP_CLIENTS: &[Row] = &[
    ("a STARTTLS\r\nb LOGIN ada sesame-1815\r\n", &["a OK"]),
    ("a STARTTLS\r\nb NOOP\r\nc NOOP\r\n", &["a OK"]),
    ("a STARTTLS\r\n\r\n", &["a OK"]),
    ("a STARTTLS\nb LOGIN ada sesame-1815\r\n", &["a BAD"]),
    ("a STARTTLS x\r\nb SELECT INBOX\r\n", &["a BAD"]),
    ("a STARTTLS {22+}\r\nb LOGIN ada sesame-1815\r\n\r\n", &["a BAD"]),
    ("a LOGIN ada sesame-1815\r\n", &["a NO [PRIVACYREQUIRED]"]),
    ("a LOGIN {3+}\r\nada {11+}\r\nsesame-1815\r\n", &["a NO [PRIVACYREQUIRED]"]),
    ("a AUTHENTICATE PLAIN AGFkYQBzZXNhbWUtMTgxNQ==\r\n", &["a NO [PRIVACYREQUIRED]"]),
    ("a AUTHENTICATE PLAIN\r\n", &["a NO [PRIVACYREQUIRED]"]),
    ("a SELECT INBOX\r\n", &["a BAD"]),
];

const FROM_POP3_CLIENTS: &[Row] = &[
    ("STLS\r\nUSER ada\r\nPASS sesame-1815\r\n", &["+OK"]),
    ("STLS\r\n\r\n", &["+OK"]),
    ("STLS\nUSER ada\r\n", &["-ERR"]),
    ("STLS x\r\n", &["-ERR"]),
    ("USER ada\r\n", &["-ERR"]),
    ("PASS sesame-1815\r\n", &["-ERR"]),
    ("AUTH PLAIN AGFkYQBzZXNhbWUtMTgxNQ==\r\n", &["-ERR"]),
    ("AUTH PLAIN\r\n", &["-ERR"]),
    ("APOP ada c4c9334bac560ecc979e58001b3e22fb\r\n", &["-ERR"]),
    ("STAT\r\n", &["-ERR"]),
];

fn nothing_goes_up(rows: &[Row], choose: fn(Ports) -> u16) {
    let fake = Fake::start(Mood::Obliging);
    let directory = TempDir::new().unwrap();
    let own = Authority::create(directory.path());
    let upstream = Upstream {
        host: "127.0.0.1".to_owned(),
        ports: fake.ports,
        tls: Tls::None,
        roots: own.ca.clone(),
        compress: false,
    };
    let proxy = Mailwarden::start(directory.path(), &own, Tls::Starttls, &upstream, "");
    for (octets, starts) in rows {
        let mut talk = Talk::greeted(choose(proxy.ports));
        talk.send(octets.as_bytes());
        for start in *starts {
            let answer = talk.answer();
            assert!(answer.starts_with(start), "{octets:?}: {answer:?}\n{}", proxy.log());
        }
        if starts[0].contains("OK") {
            // What is behind the command goes to the handshake, which it is not: the session ends, unanswered.
            let rest = String::from_utf8_lossy(&talk.octets()).into_owned();
            assert!(!rest.contains("OK") && !rest.contains("NO ") && !rest.contains("BAD"), "{octets:?}: {rest:?}");
        }
    }
    let received = fake.received().to_uppercase();
    for word in ["ADA", "SESAME", "LOGIN", "AUTH", "SELECT", "STAT", "NOOP", "YQBZZXNHBWUT"] {
        assert!(!received.contains(word), "{word} in {received}");
    }
}

#[test]
fn nothing_an_imap_client_says_before_tls_reaches_the_server() {
    if !direct_only() {
        nothing_goes_up(FROM_IMAP_CLIENTS, |ports| ports.imap);
    }
}

#[test]
fn nothing_a_pop3_client_says_before_tls_reaches_the_server() {
    if !direct_only() {
        nothing_goes_up(FROM_POP3_CLIENTS, |ports| ports.pop3);
    }
}
