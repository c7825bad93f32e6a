//! Services outside that are spoken to by HTTP: hooks, and whoever collects traces.
//!
//! No connection is kept: whoever asks often remembers answers, or sends many things at once.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::fault::{Code, Fault, plain};
use crate::tls::Roots;

/// Octets of an answer.
pub(crate) const LONGEST: usize = 16 << 10;

/// An address of a service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ServiceUrl {
    /// The request's host, as it stands in the address.
    authority: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    tls: bool,
    /// Path and query.
    pub(crate) path: String,
}

/// Not the address of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `https://host/path`, without a user name")]
pub struct ServiceUrlError;

impl ServiceUrl {
    /// Whether whoever is on the way can read and change everything: `http` to another machine.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let local = match self.host.parse::<std::net::IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        };
        !self.tls && !local
    }

    /// With this path, if it has none of its own.
    pub(crate) fn or_path(mut self, path: &str) -> Self {
        if self.path == "/" {
            path.clone_into(&mut self.path);
        }
        self
    }
}

impl TryFrom<String> for ServiceUrl {
    type Error = ServiceUrlError;

    fn try_from(text: String) -> Result<Self, ServiceUrlError> {
        let uri: Uri = text.parse().map_err(|_| ServiceUrlError)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(ServiceUrlError),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or(ServiceUrlError)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(ServiceUrlError);
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { authority: authority.to_string(), host, port, tls, path })
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// A service that can be asked.
pub(crate) struct Service {
    url: ServiceUrl,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// What a service said.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// `None`: it is longer than [`LONGEST`], or broke off.
    pub(crate) body: Option<Bytes>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("it cannot be reached: {0}")]
    Connect(#[source] std::io::Error),
    #[error("the exchange broke: {0}")]
    Http(#[source] hyper::Error),
}

impl Service {
    /// Makes what is needed to ask; nothing is asked by that. `called`: what reports call it.
    ///
    /// # Errors
    /// When the roots cannot be read, or the host's name can be in no certificate.
    pub(crate) fn new(called: &str, url: &ServiceUrl, roots: &Roots) -> Result<Self, Fault> {
        let tls = url.tls.then(|| {
            let name = ServerName::try_from(url.host.clone()).map_err(|_| {
                let sentence = format!("{called}: `{}` is no host name", plain(&url.host));
                Fault::new(Code::ServerName, sentence, "write the name in the service's certificate")
            })?;
            Ok::<_, Fault>((crate::tls::client_config(roots)?, name))
        });
        Ok(Self { url: url.clone(), tls: tls.transpose()? })
    }

    /// Posts a document; whoever calls gives it its time.
    pub(crate) async fn post(
        &self,
        content: &'static str,
        headers: Vec<(HeaderName, HeaderValue)>,
        document: Bytes,
    ) -> Result<Answer, Unanswered> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.url.path)
            .header(HOST, &self.url.authority)
            .header(CONTENT_TYPE, content)
            .header(USER_AGENT, concat!("mailwarden/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(document))
            .expect("the path and the host are parts of an address that was parsed");
        request.headers_mut().extend(headers.into_iter().map(|(name, value)| (Some(name), value)));
        let connected = TcpStream::connect((self.url.host.as_str(), self.url.port)).await;
        let tcp = connected.map_err(Unanswered::Connect)?;
        match &self.tls {
            None => exchange(tcp, request).await,
            Some((config, name)) => {
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
                let tls = connector.connect(name.clone(), tcp).await.map_err(Unanswered::Connect)?;
                Box::pin(exchange(tls, request)).await
            }
        }
    }
}

async fn exchange<IO>(io: IO, request: Request<Full<Bytes>>) -> Result<Answer, Unanswered>
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(Unanswered::Http)?;
    let mut answer = pin!(async move {
        let response = sender.send_request(request).await.map_err(Unanswered::Http)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        Ok(Answer { status, body: body.ok().map(http_body_util::Collected::to_bytes) })
    });
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // what was read before the end is still to be looked at
        _ended = &mut connection => answer.await,
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_no_user() {
        for (text, expected) in [
            ("https://policy.example.com/mail?x=1", Some(("policy.example.com", 443, "/mail?x=1", false))),
            ("http://127.0.0.1:8080", Some(("127.0.0.1", 8080, "/", false))),
            ("http://[::1]:8080/a", Some(("::1", 8080, "/a", false))),
            ("http://localhost/a", Some(("localhost", 80, "/a", false))),
            ("http://policy.example.com/", Some(("policy.example.com", 80, "/", true))),
            ("https://joe:secret@example.com/", None),
            ("ftp://example.com/", None),
            ("/mail", None),
            ("", None),
        ] {
            let read = ServiceUrl::try_from(text.to_owned());
            let read = read.as_ref().ok().map(|url| (url.host.as_str(), url.port, url.path.as_str(), url.is_open()));
            assert_eq!(read, expected, "{text}");
        }
    }
}
