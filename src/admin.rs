//! The admin endpoint: its own listener, loopback by default.
//!
//! - `GET /metrics`: all metrics, in the text format of Prometheus or in `OpenMetrics`, as the scraper prefers
//! - `GET /api/top`: who does most, as JSON; the answer names people, so `guard` says who may ask
//! - `GET /livez`: 200 while the process serves
//! - `GET /readyz`: 200 when every listener is bound; 503 with reasons before, and while draining
//! - `POST /reload`: reads the configuration again; 200 when it is in force, 409 when not. Only from this machine, and
//!   only with the header `mailwarden-request: reload`, which no page in a browser can send unasked

mod guard;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::guard::Refusal;
pub(crate) use self::guard::Token;
use crate::accept::{Accepted, Acceptor};
use crate::heavy::{By, HeavyHitters, Measure};
use crate::metrics::{Metrics, OPENMETRICS, Runtime};
use crate::reload::ReloadHandle;

/// Time for a request's head, on a kept connection for the next one's too.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection takes requests, and how long the last answer may then take; scrapers come again.
const LIFE: Duration = Duration::from_mins(2);
/// Connections at a time.
const CONNECTIONS: usize = 32;
/// Lines of `/api/top`, if the question does not say, and at most.
const TOP: usize = 20;
const TOP_MOST: usize = 100;
const JSON: &str = "application/json";
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
    pub(crate) heavy: Arc<HeavyHitters>,
    pub(crate) readiness: Arc<Readiness>,
    /// `None`: the configuration of this proxy does not change.
    pub(crate) reload: Option<ReloadHandle>,
    /// What whoever asks must know; see [`guard`].
    pub(crate) token: Option<Token>,
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
        if let Err(refusal) = guard::check(&request, local, served.token.as_ref()) {
            return Ok::<_, Infallible>(refused(refusal));
        }
        if request.uri().path() == "/reload" && request.method() == Method::POST {
            let meant = request.headers().get("mailwarden-request").is_some_and(|word| word == "reload");
            return Ok(reload(local && meant, served.reload.as_ref()).await);
        }
        let served = served.clone();
        served.metrics.runtime(runtime());
        // it takes milliseconds, which the sessions of a worker are not to wait for
        let work = tokio::task::spawn_blocking(move || answer(&request, &served));
        Ok(work
            .await
            .unwrap_or_else(|_| respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the answer failed\n".to_owned())))
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

fn refused(refusal: Refusal) -> Response<Full<Bytes>> {
    let mut response = respond(refusal.status(), TEXT, refusal.sentence().to_owned());
    if refusal == Refusal::NoToken {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// How the runtime does that serves the sessions.
fn runtime() -> Runtime {
    let of = tokio::runtime::Handle::current().metrics();
    let workers = of.num_workers();
    let busy = (0..workers).map(|worker| of.worker_total_busy_duration(worker)).sum();
    Runtime { workers, tasks: of.num_alive_tasks(), queued: of.global_queue_depth(), busy }
}

/// Whether the scraper likes `OpenMetrics` better than the text format of Prometheus (RFC 9110 §12.5.1).
fn prefers_openmetrics(accept: &str) -> bool {
    let weight = |wanted: &str| {
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next().is_some_and(|media| media.eq_ignore_ascii_case(wanted));
            let mut weight = 1.0;
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim() {
                    "q" => weight = value.trim().parse().unwrap_or(0.0),
                    // the one version there is; 0.0.1 was a draft
                    "version" if wanted.starts_with("application/") && value.trim() != "1.0.0" => return None,
                    _ => {}
                }
            }
            named.then_some(weight)
        });
        ranges.fold(0.0, f32::max)
    };
    let openmetrics = weight("application/openmetrics-text");
    openmetrics > 0.0 && openmetrics >= weight("text/plain").max(weight("text/*"))
}

fn answer<B>(request: &Request<B>, served: &Served) -> Response<Full<Bytes>> {
    let (method, path) = (request.method(), request.uri().path());
    let known = matches!(path, "/metrics" | "/livez" | "/readyz" | "/api/top");
    if known && method != Method::GET && method != Method::HEAD {
        let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let openmetrics = prefers_openmetrics(accept);
    match path {
        "/metrics" if openmetrics => respond(StatusCode::OK, OPENMETRICS, served.metrics.render_openmetrics()),
        "/metrics" => match served.metrics.render() {
            Ok(text) => respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
            Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("metrics: {error}\n")),
        },
        "/api/top" => top(request.uri().query().unwrap_or_default(), &served.heavy),
        "/reload" => {
            let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only POST\n".to_owned());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            response
        }
        "/livez" => respond(StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" => {
            let missing = served.readiness.missing();
            let status = if missing.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let reasons: Vec<_> = missing.into_iter().collect();
            let body = serde_json::json!({ "ready": reasons.is_empty(), "reasons": reasons });
            respond(status, JSON, format!("{body}\n"))
        }
        _ => respond(StatusCode::NOT_FOUND, TEXT, "try /metrics, /api/top, /livez or /readyz\n".to_owned()),
    }
}

/// Who does most: `by`, `of` and `n` as in `docs/metrics.md`.
fn top(query: &str, heavy: &HeavyHitters) -> Response<Full<Bytes>> {
    let (mut by, mut of, mut most) = (Some(By::Users), Some(Measure::Octets), Some(TOP));
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "by" => by = By::from_label(value),
            "of" => of = Measure::from_label(value),
            "n" => most = value.parse().ok().filter(|most| (1..=TOP_MOST).contains(most)),
            _ => {}
        }
    }
    let (Some(by), Some(of), Some(most)) = (by, of, most) else {
        let help = "by is users, clients or mailboxes; of is octets, messages, commands or failures; n is 1 to 100\n";
        return respond(StatusCode::BAD_REQUEST, TEXT, help.to_owned());
    };
    match serde_json::to_string(&heavy.top(by, of, most)) {
        Ok(body) => respond(StatusCode::OK, JSON, body + "\n"),
        Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("top: {error}\n")),
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;

    use super::*;
    use crate::session::{Event, MessageRef, Observation};
    use crate::witness::{SessionInfo, Witness};

    fn served(readiness: &Arc<Readiness>) -> Served {
        let (metrics, heavy) = (Arc::new(Metrics::new(&[], &[]).unwrap()), Arc::new(HeavyHitters::new()));
        Served { metrics, heavy, readiness: Arc::clone(readiness), reload: None, token: None }
    }

    fn status(method: &Method, path: &str, readiness: &Arc<Readiness>) -> u16 {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        let response = answer(&request, &served(readiness));
        assert_eq!(response.headers().get(CACHE_CONTROL).unwrap(), "no-store");
        assert_eq!(response.headers().get(X_CONTENT_TYPE_OPTIONS).unwrap(), "nosniff");
        response.status().as_u16()
    }

    #[tokio::test]
    async fn a_client_that_asks_and_does_not_read_is_cut_off() {
        // what is asked fills the pipe long before the connection's life is over
        let listener = TcpSocket::new_v4().unwrap();
        listener.set_send_buffer_size(4096).unwrap();
        listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = listener.listen(1).unwrap();
        let client = TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(4096).unwrap();
        let mut client = client.connect(listener.local_addr().unwrap()).await.unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        let served = served(&Arc::new(Readiness::starting()));
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
    fn a_scraper_gets_the_format_it_prefers() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert!(prefers_openmetrics(prometheus));
        assert!(prefers_openmetrics("application/openmetrics-text; version=1.0.0"));
        for accept in [
            "",
            "*/*",
            "text/plain;version=0.0.4",
            "text/plain, application/openmetrics-text;version=1.0.0;q=0.5",
            "application/openmetrics-text;version=1.0.0;q=0",
            "application/openmetrics-text;version=0.0.1",
        ] {
            assert!(!prefers_openmetrics(accept), "{accept}");
        }
    }

    #[test]
    fn is_ready_between_start_and_drain() {
        let readiness = Arc::new(Readiness::starting());
        assert_eq!(status(&Method::GET, "/readyz", &readiness), 503);
        readiness.ready();
        assert_eq!(status(&Method::GET, "/readyz", &readiness), 200);
        readiness.draining();
        assert_eq!(status(&Method::GET, "/readyz", &readiness), 503);
        assert_eq!(status(&Method::GET, "/livez", &readiness), 200);
    }

    #[test]
    fn knows_its_routes_and_methods() {
        let readiness = Arc::new(Readiness::starting());
        for (method, path, expected) in [
            (Method::GET, "/metrics", 200),
            (Method::HEAD, "/metrics", 200),
            (Method::POST, "/metrics", 405),
            (Method::GET, "/api/top", 200),
            (Method::GET, "/api/top?by=mailboxes&of=failures&n=100", 200),
            (Method::GET, "/api/top?by=passwords", 400),
            (Method::GET, "/api/top?n=0", 400),
            (Method::GET, "/api/top?n=101", 400),
            (Method::PUT, "/api/top", 405),
            (Method::DELETE, "/livez", 405),
            (Method::GET, "/", 404),
            (Method::GET, "/metrics/x", 404),
            (Method::GET, "/reload", 405),
        ] {
            assert_eq!(status(&method, path, &readiness), expected, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn another_machine_reloads_nothing_whatever_it_knows() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789abcdef").unwrap();
        let (handle, source) = ReloadHandle::new(file.path());
        // nobody reloads any more: who is let through is told so
        drop(source);
        let served = Served {
            reload: Some(handle),
            token: Some(Token::read(file.path()).unwrap()),
            ..served(&Arc::new(Readiness::starting()))
        };
        let (listener, stop) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), CancellationToken::new());
        for (local, expected) in [(true, "HTTP/1.1 409"), (false, "HTTP/1.1 403")] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (tcp, _) = listener.accept().await.unwrap();
            let request = "POST /reload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer 0123456789abcdef\r\n\
                           mailwarden-request: reload\r\nconnection: close\r\n\r\n";
            client.write_all(request.as_bytes()).await.unwrap();
            connection(tcp, local, &served, &stop, LIFE).await;
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with(expected), "{answer}");
        }
    }

    #[tokio::test]
    async fn one_connection_more_than_there_may_be_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, served(&Arc::new(Readiness::starting())), stop.clone()));
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut surplus = TcpStream::connect(address).await.unwrap();
        let closed = tokio::time::timeout(HEADER_TIMEOUT / 2, surplus.read_u8()).await;
        assert!(closed.is_ok_and(|read| read.is_err()), "it was taken");
        clients[0].write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert_eq!(clients[0].read_u8().await.unwrap(), b'H');
        stop.cancel();
        serving.await.unwrap();
    }

    #[test]
    fn who_needs_a_token_is_told_the_scheme_and_who_does_not_is_not() {
        for (refusal, scheme) in
            [(Refusal::NoToken, Some("Bearer")), (Refusal::Elsewhere, None), (Refusal::OtherName, None)]
        {
            let response = refused(refusal);
            let told = response.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap());
            assert_eq!(told, scheme, "{refusal:?}");
        }
    }

    #[tokio::test]
    async fn the_first_twenty_are_shown_unless_more_are_asked_for() {
        use http_body_util::BodyExt;

        let heavy = HeavyHitters::new();
        for id in 0..30 {
            let client = format!("192.0.2.{id}:5").parse().unwrap();
            let info = SessionInfo { client, ..SessionInfo::example(id) };
            heavy.opened(&info);
            let (message, extent) = (MessageRef::default(), crate::session::Extent::Whole);
            let what = Observation::Retrieved { id: None, message, extent, octets: 1 };
            heavy.events(&info, &[Event { at: Duration::ZERO, what }]);
            heavy.closed(&info, 0, 0);
        }
        for (query, expected) in [("by=clients", 20), ("by=clients&n=7", 7), ("by=clients&n=100", 30)] {
            let body = top(query, &heavy).into_body().collect().await.unwrap().to_bytes();
            let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(answer["top"].as_array().map(Vec::len), Some(expected), "{query}");
        }
    }
}
