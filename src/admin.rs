//! The admin endpoint: its own listener, loopback by default.
//!
//! - `GET /metrics`: all metrics, text format of Prometheus
//! - `GET /livez`: 200 while the process serves
//! - `GET /readyz`: 200 when every listener is bound; 503 with reasons before, and while draining
//! - `POST /reload`: reads the configuration again; 200 when it is in force, 409 when not. Only from this machine, and
//!   only with the header `mailwarden-request: reload`, which no page in a browser can send unasked

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;
use crate::proxy::ReloadHandle;
use crate::proxy::listener::{Accepted, Acceptor};

/// Time for a request's head, on a kept connection for the next one's too.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection takes requests, and how long the last answer may then take; scrapers come again.
const LIFE: Duration = Duration::from_mins(2);
/// Connections at a time.
const CONNECTIONS: usize = 32;
const TEXT: &str = "text/plain; charset=utf-8";

/// Whether the proxy takes connections.
#[derive(Debug)]
pub struct Readiness(AtomicU8);

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

impl Readiness {
    /// Not yet.
    #[must_use]
    pub fn starting() -> Self {
        Self(AtomicU8::new(STARTING))
    }

    /// Every listener is bound.
    pub fn ready(&self) {
        self.0.store(READY, Ordering::Relaxed);
    }

    /// The proxy is being stopped.
    pub fn draining(&self) {
        self.0.store(DRAINING, Ordering::Relaxed);
    }

    /// Why not, if not.
    fn missing(&self) -> Option<&'static str> {
        match self.0.load(Ordering::Relaxed) {
            READY => None,
            DRAINING => Some("draining"),
            _ => Some("starting"),
        }
    }
}

/// What the endpoint shows and does.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) readiness: Arc<Readiness>,
    /// `None`: the configuration of this proxy does not change.
    pub(crate) reload: Option<ReloadHandle>,
}

/// Serves until `stop`.
pub(crate) async fn serve(listener: TcpListener, served: Served, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    let mut acceptor = Acceptor::new(listener);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = acceptor.accept() => accepted,
        };
        // the last descriptor is spent on an answer: metrics matter most when descriptors are short
        let (tcp, local) = match accepted {
            Accepted::Connection(tcp, client) => (tcp, client.ip().to_canonical().is_loopback()),
            Accepted::Shed(tcp) => (tcp, false),
        };
        if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
            let (served, stop) = (served.clone(), stop.clone());
            connections.spawn(async move {
                let _permit = permit;
                connection(tcp, local, &served, &stop, LIFE).await;
            });
        }
    }
    connections.close();
    connections.wait().await;
}

async fn connection(tcp: TcpStream, local: bool, served: &Served, stop: &CancellationToken, life: Duration) {
    let service = service_fn(|request: Request<Incoming>| async move {
        let (method, path) = (request.method(), request.uri().path());
        let response = if path == "/reload" && method == Method::POST {
            let meant = request.headers().get("mailwarden-request").is_some_and(|word| word == "reload");
            reload(local && meant, served.reload.as_ref()).await
        } else {
            answer(method, path, &served.metrics, &served.readiness)
        };
        Ok::<_, Infallible>(response)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(16 << 10);
    let mut served = pin!(builder.serve_connection(TokioIo::new(tcp), service));
    let served = tokio::select! {
        served = served.as_mut() => served,
        () = stop.cancelled() => return,
        () = tokio::time::sleep(life) => {
            served.as_mut().graceful_shutdown();
            // whoever asks and does not read is cut off
            tokio::time::timeout(life, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an admin connection ended badly");
    }
}

async fn reload(may: bool, handle: Option<&ReloadHandle>) -> Response<Full<Bytes>> {
    let Some(handle) = handle.filter(|_| may) else {
        let why = "only from this machine, with the header `mailwarden-request: reload`: see `mailwarden reload`\n";
        return respond(StatusCode::FORBIDDEN, TEXT, why.to_owned());
    };
    let outcome = handle.reload("command").await;
    let status = if outcome.is_in_force() { StatusCode::OK } else { StatusCode::CONFLICT };
    respond(status, TEXT, format!("{outcome}\n"))
}

fn answer(method: &Method, path: &str, metrics: &Metrics, readiness: &Readiness) -> Response<Full<Bytes>> {
    let known = matches!(path, "/metrics" | "/livez" | "/readyz");
    if known && method != Method::GET && method != Method::HEAD {
        let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => match metrics.render() {
            Ok(text) => respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
            Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("metrics: {error}\n")),
        },
        "/reload" => {
            let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only POST\n".to_owned());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            response
        }
        "/livez" => respond(StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" => {
            let missing = readiness.missing();
            let status = if missing.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let reasons: Vec<_> = missing.into_iter().collect();
            let body = serde_json::json!({ "ready": reasons.is_empty(), "reasons": reasons });
            respond(status, "application/json", format!("{body}\n"))
        }
        _ => respond(StatusCode::NOT_FOUND, TEXT, "try /metrics, /livez or /readyz\n".to_owned()),
    }
}

fn respond(status: StatusCode, content: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn status(method: &Method, path: &str, readiness: &Readiness) -> u16 {
        let metrics = Metrics::new(&[], &[]).unwrap();
        let response = answer(method, path, &metrics, readiness);
        assert_eq!(response.headers().get(CACHE_CONTROL).unwrap(), "no-store");
        assert_eq!(response.headers().get(X_CONTENT_TYPE_OPTIONS).unwrap(), "nosniff");
        response.status().as_u16()
    }

    #[tokio::test]
    async fn a_client_that_asks_and_does_not_read_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        let metrics = Arc::new(Metrics::new(&[], &[]).unwrap());
        let served = Served { metrics, readiness: Arc::new(Readiness::starting()), reload: None };
        let asking = async {
            // neither end of the pipe takes any more
            while client.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.is_ok() {}
            std::future::pending::<()>().await;
        };
        let stop = CancellationToken::new();
        let late = tokio::time::sleep(Duration::from_secs(10));
        tokio::select! {
            () = connection(tcp, true, &served, &stop, Duration::from_millis(200)) => {}
            () = asking => {}
            () = late => panic!("it is still there"),
        }
    }

    #[test]
    fn is_ready_between_start_and_drain() {
        let readiness = Readiness::starting();
        assert_eq!(status(&Method::GET, "/readyz", &readiness), 503);
        readiness.ready();
        assert_eq!(status(&Method::GET, "/readyz", &readiness), 200);
        readiness.draining();
        assert_eq!(status(&Method::GET, "/readyz", &readiness), 503);
        assert_eq!(status(&Method::GET, "/livez", &readiness), 200);
    }

    #[test]
    fn knows_its_routes_and_methods() {
        let readiness = Readiness::starting();
        for (method, path, expected) in [
            (Method::GET, "/metrics", 200),
            (Method::HEAD, "/metrics", 200),
            (Method::POST, "/metrics", 405),
            (Method::DELETE, "/livez", 405),
            (Method::GET, "/", 404),
            (Method::GET, "/metrics/x", 404),
            (Method::GET, "/reload", 405),
        ] {
            assert_eq!(status(&method, path, &readiness), expected, "{method} {path}");
        }
    }
}
