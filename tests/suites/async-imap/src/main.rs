//! async-imap: log in, look, file, mark, wait, tidy up. Arguments: host port tls ca user password. What it saw is printed,
//! without what differs between two servers that hold the same mail.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_imap::extensions::idle::IdleResponse;
use async_imap::types::Fetch;
use async_imap::{Client, Session};
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

type Outcome<T> = Result<T, Box<dyn Error>>;

const LETTER: &str = "From: Ada <ada@example.com>\r\nSubject: letter\r\n\r\nA letter.\r\n.\r\n";

/// A socket, in clear or inside TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Debug + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Debug + Send> Stream for T {}

struct Place {
    host: String,
    port: u16,
    tls: String,
    ca: String,
    user: String,
    password: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let [host, port, tls, ca, user, password] =
        <[String; 6]>::try_from(std::env::args().skip(1).collect::<Vec<_>>()).map_err(|_| "six arguments")?;
    let place = Place { host, port: port.parse()?, tls, ca, user, password };
    tokio::time::timeout(Duration::from_secs(60), session(&place)).await?
}

async fn session(place: &Place) -> Outcome<()> {
    let prefix = std::env::var("MAILBOX_PREFIX").unwrap_or_default();
    let work = format!("{prefix}Work");
    let mut session = log_in(place).await?;
    let inbox = session.select("INBOX").await?;
    println!("select {} {:?}", inbox.exists, inbox.uid_next);
    look(&mut session).await?;
    session.create(&work).await?;
    session.append(&work, Some("(\\Seen)"), None, LETTER).await?;
    session.copy("1:2", &work).await?;
    println!("stored {:?}", flags(session.store("2", "+FLAGS (\\Flagged)").await?.try_collect().await?));
    println!("deleted {:?}", flags(session.uid_store("3", "+FLAGS (\\Deleted)").await?.try_collect().await?));
    println!("expunged {:?}", session.expunge().await?.try_collect::<Vec<_>>().await?);
    println!("status {}", session.status(&work, "(MESSAGES UNSEEN)").await?.exists);
    println!("refused {}", session.copy("1", &format!("{prefix}Nowhere")).await.is_err());
    let mut session = wait_for_news(session, place).await?;
    session.noop().await?;
    session.delete(&work).await?;
    session.logout().await?;
    println!("bye");
    Ok(())
}

async fn log_in(place: &Place) -> Outcome<Session<Box<dyn Stream>>> {
    let socket = TcpStream::connect((place.host.as_str(), place.port)).await?;
    let stream: Box<dyn Stream> = match place.tls.as_str() {
        "implicit" => secure(place, socket).await?,
        "starttls" => {
            let mut client = Client::new(socket);
            client.read_response().await?.ok_or("no greeting")?;
            client.run_command_and_check_ok("STARTTLS", None).await?;
            secure(place, client.into_inner()).await?
        }
        _ => Box::new(socket),
    };
    let mut client = Client::new(stream);
    if place.tls != "starttls" {
        client.read_response().await?.ok_or("no greeting")?;
    }
    Ok(client.login(&place.user, &place.password).await.map_err(|(error, _)| error)?)
}

async fn secure(place: &Place, socket: TcpStream) -> Outcome<Box<dyn Stream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&place.ca)?)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(place.host.clone())?;
    Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, socket).await?))
}

async fn look(session: &mut Session<Box<dyn Stream>>) -> Outcome<()> {
    println!("search {:?}", session.search("ALL").await?.into_iter().collect::<BTreeSet<_>>());
    println!("uids {:?}", session.uid_search("SUBJECT plain").await?.into_iter().collect::<BTreeSet<_>>());
    let items = "(UID FLAGS RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])";
    let messages: Vec<Fetch> = session.fetch("1:*", items).await?.try_collect().await?;
    for message in &messages {
        let hash = Sha256::digest(message.body().unwrap_or_default());
        let structure = message.bodystructure().is_some();
        let subject = message.envelope().and_then(|envelope| envelope.subject.as_deref());
        let subject = String::from_utf8_lossy(subject.unwrap_or_default()).into_owned();
        println!("message {} {:?} {:?} {hash:x} {subject} {structure}", message.message, message.uid, message.size);
    }
    Ok(())
}

fn flags(messages: Vec<Fetch>) -> Vec<(u32, BTreeSet<String>)> {
    let named =
        |message: &Fetch| message.flags().map(|flag| format!("{flag:?}")).filter(|flag| flag != "Recent").collect();
    messages.iter().map(|message| (message.message, named(message))).collect()
}

/// A second session appends while this one idles.
async fn wait_for_news(session: Session<Box<dyn Stream>>, place: &Place) -> Outcome<Session<Box<dyn Stream>>> {
    let mut idle = session.idle();
    idle.init().await?;
    let (news, stop) = idle.wait_with_timeout(Duration::from_secs(20));
    let other = async {
        let mut other = log_in(place).await?;
        other.append("INBOX", None, None, LETTER).await?;
        other.logout().await?;
        Outcome::Ok(())
    };
    let (news, other) = tokio::join!(news, other);
    other?;
    drop(stop);
    println!("news {}", matches!(news?, IdleResponse::NewData(_)));
    Ok(idle.done().await?)
}
