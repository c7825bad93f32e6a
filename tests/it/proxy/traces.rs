//! Traces through the whole proxy: real sessions in front, a collector that reads OTLP behind.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mailwarden::sandbox::{Sandbox, SandboxSettings};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::admin::{get, get_as};
use super::rig::{Proxy, Server, greet_and_noop, in_clear, line, soon};

const PASSWORD: &str = "canary-4711-password";
const TOKEN: &str = "canary-4712-token";

/// What a collector was posted.
#[derive(Default)]
struct Posted {
    octets: Vec<u8>,
    spans: Vec<Span>,
    tokens: Vec<String>,
}

/// A collector as OpenTelemetry's library reads.
struct Collector {
    address: SocketAddr,
    posted: Arc<Mutex<Posted>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let posted = Arc::new(Mutex::new(Posted::default()));
        let kept = Arc::clone(&posted);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let kept = Arc::clone(&kept);
                let service = service_fn(move |request| take(request, Arc::clone(&kept)));
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service));
            }
        });
        Self { address, posted }
    }

    /// Waits for so many roots of traces; all spans.
    async fn traces(&self, roots: usize) -> Vec<Span> {
        let there = async {
            loop {
                let spans = self.posted.lock().unwrap().spans.clone();
                if spans.iter().filter(|span| span.parent_span_id.is_empty()).count() >= roots {
                    return spans;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon(there).await
    }
}

async fn take(request: Request<Incoming>, posted: Arc<Mutex<Posted>>) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
    let token = request.headers().get("x-token").map(|token| token.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let read = ExportTraceServiceRequest::decode(body.clone()).unwrap();
    let mut posted = posted.lock().unwrap();
    posted.octets.extend_from_slice(&body);
    posted.tokens.extend(token);
    for resource in read.resource_spans {
        let name = &resource.resource.unwrap().attributes[0];
        assert_eq!(
            (name.key.as_str(), text(name.value.clone().and_then(|any| any.value))),
            ("service.name", "mailwarden".to_owned())
        );
        posted.spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
    Ok(Response::new(Full::new(Bytes::new())))
}

fn text(value: Option<Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text,
        other => format!("{other:?}"),
    }
}

fn attribute(span: &Span, key: &str) -> Option<Value> {
    span.attributes.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone()?.value)
}

fn seconds(span: &Span, key: &str) -> f64 {
    match attribute(span, key) {
        Some(Value::DoubleValue(seconds)) => seconds,
        other => panic!("{key} of {}: {other:?}", span.name),
    }
}

/// Says a line and reads until the answer's last line, which begins like this.
async fn ask(client: &mut TcpStream, said: &str, last: &str) {
    client.write_all(format!("{said}\r\n").as_bytes()).await.unwrap();
    loop {
        let answer = line(client).await;
        assert!(!answer.is_empty(), "{said}: the connection ended");
        if answer.starts_with(last) {
            return;
        }
    }
}

async fn imap_session(address: SocketAddr) {
    let mut client = TcpStream::connect(address).await.unwrap();
    assert!(line(&mut client).await.starts_with("* OK"));
    ask(&mut client, &format!("a LOGIN ann {PASSWORD}"), "a OK").await;
    ask(&mut client, "b SELECT Archive", "b OK").await;
    ask(&mut client, "c UID FETCH 1 BODY.PEEK[]", "c OK").await;
    ask(&mut client, "d DELETE Projects", "d NO").await;
    ask(&mut client, "e SELECT canary-folder", "e NO").await;
    ask(&mut client, &format!("f {PASSWORD}"), "f BAD").await;
    ask(&mut client, "g LOGOUT", "g OK").await;
}

async fn pop3_session(address: SocketAddr) {
    let mut client = TcpStream::connect(address).await.unwrap();
    assert!(line(&mut client).await.starts_with("+OK"));
    ask(&mut client, "USER ann", "+OK").await;
    ask(&mut client, &format!("PASS {PASSWORD}"), "+OK").await;
    ask(&mut client, "RETR 1", ".\r\n").await;
    ask(&mut client, "RETR 999", "-ERR").await;
    ask(&mut client, "QUIT", "+OK").await;
}

fn config(collector: SocketAddr, mail: &Sandbox, more: &str) -> String {
    let (imap, pop3) = (mail.imap_addr, mail.pop3_addr);
    format!(
        "[admin]\naddress = '127.0.0.1:0'\n[tracing]\nendpoint = 'http://{collector}'\nsample = 1\n{more}\n\
         [[listener]]\nname = 'i'\naddress = '127.0.0.1:0'\nprotocol = 'imap'\ntls = 'none'\nupstream = 'imap'\n\
         [[listener]]\nname = 'p'\naddress = '127.0.0.1:0'\nprotocol = 'pop3'\ntls = 'none'\nupstream = 'pop3'\n\
         [[upstream]]\nname = 'imap'\naddress = '{imap}'\ntls = 'none'\n\
         [[upstream]]\nname = 'pop3'\naddress = '{pop3}'\ntls = 'none'\n\
         [[rule]]\nname = 'nothing is deleted'\ncommand = 'DELETE'\naction = 'deny'\n"
    )
}

/// Parentage, and times in order.
fn is_sound(trace: &[Span]) -> &Span {
    let roots: Vec<_> = trace.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    let [root] = roots[..] else { panic!("{trace:?}") };
    let mut ids: Vec<_> = trace.iter().map(|span| &span.span_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), trace.len());
    for span in trace {
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        assert!(span.start_time_unix_nano >= root.start_time_unix_nano, "{span:?}");
        assert!(span.end_time_unix_nano <= root.end_time_unix_nano, "{span:?}");
        if span != root {
            assert_eq!(span.parent_span_id, root.span_id);
        }
    }
    let started = trace.iter().filter(|span| *span != root).map(|span| span.start_time_unix_nano);
    assert!(started.is_sorted());
    root
}

fn names(trace: &[Span]) -> Vec<&str> {
    trace.iter().map(|span| span.name.as_str()).collect()
}

#[tokio::test]
async fn a_session_is_a_trace_of_its_commands() {
    let collector = Collector::start().await;
    let mail = Sandbox::start(SandboxSettings::new("ann", PASSWORD)).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let headers = directory.path().join("headers");
    std::fs::write(&headers, format!("X-Token: {TOKEN}\n")).unwrap();
    let proxy = Proxy::start(&config(collector.address, &mail, &format!("headers_file = {headers:?}"))).await;
    soon(imap_session(proxy.bound.listeners[0].1)).await;
    let (info, _) = proxy.seen.ended().await;
    let imap_trace = info.trace.unwrap();
    soon(pop3_session(proxy.bound.listeners[1].1)).await;
    let spans = collector.traces(2).await;

    let of = |protocol: &str| -> Vec<Span> {
        let of_root = |span: &&Span| {
            attribute(span, "network.protocol.name").map(|value| text(Some(value))) == Some(protocol.to_owned())
        };
        let root = spans.iter().find(of_root).unwrap();
        spans.iter().filter(|span| span.trace_id == root.trace_id).cloned().collect()
    };
    let (imap, pop3) = (of("imap"), of("pop3"));
    assert_eq!(imap.len() + pop3.len(), spans.len());
    let octets = <[u8; 16]>::try_from(&imap[0].trace_id[..]).unwrap();
    assert_eq!(imap_trace.to_string(), format!("{:032x}", u128::from_be_bytes(octets)));
    assert_eq!(names(&imap), ["LOGIN", "SELECT", "UID FETCH", "DELETE", "SELECT", "LOGOUT", "IMAP session"]);
    assert_eq!(names(&pop3), ["USER", "PASS", "RETR", "RETR", "QUIT", "POP3 session"]);
    let root = is_sound(&imap);
    assert_eq!(attribute(root, "mailwarden.close_reason"), Some(Value::StringValue("logout".to_owned())));
    assert!(root.events.iter().any(|event| event.name == "protocol violation"), "{:?}", root.events);
    is_sound(&pop3);

    for (span, key, expected) in [
        (&imap[2], "mailwarden.operation", "download"),
        (&imap[2], "mailwarden.result", "ok"),
        (&imap[2], "mailwarden.answered_by", "upstream"),
        (&imap[3], "mailwarden.answered_by", "policy"),
        (&imap[3], "mailwarden.rule", "nothing is deleted"),
        (&imap[3], "mailwarden.response_code", "NOPERM"),
        (&imap[4], "mailwarden.result", "no"),
        (&pop3[2], "mailwarden.operation", "download"),
        (&pop3[3], "mailwarden.result", "no"),
    ] {
        assert_eq!(attribute(span, key), Some(Value::StringValue(expected.to_owned())), "{key} of {}", span.name);
    }
    for span in [&imap[2], &pop3[2]] {
        assert!(matches!(attribute(span, "mailwarden.message_octets"), Some(Value::IntValue(100..))), "{span:?}");
        let took = Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano).as_secs_f64();
        let (upstream, proxy) =
            (seconds(span, "mailwarden.upstream_seconds"), seconds(span, "mailwarden.proxy_seconds"));
        assert!(upstream > 0.0 && proxy > 0.0 && upstream <= took + 1e-6, "{upstream} {proxy} of {took}");
    }
    assert_eq!(imap[4].status.as_ref().unwrap().code, 2);

    let posted = std::mem::take(&mut *collector.posted.lock().unwrap());
    assert!(!posted.tokens.is_empty() && posted.tokens.iter().all(|token| token == TOKEN));
    // no secret, user, mailbox, address, or mail
    for secret in [PASSWORD, TOKEN, "ann", "Archive", "Projects", "canary", "127.0.0.1", "Minutes"] {
        let found = posted.octets.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret}");
    }
    let shown = get(proxy.admin(), "/metrics").await;
    let exported = format!("mailwarden_trace_spans_total{{result=\"exported\"}} {}\n", spans.len());
    assert!(shown.contains(&exported), "{shown}");
    proxy.stop().await;
}

/// Debian's Prometheus client reads what the endpoint says, and finds the trace of a session in it.
#[tokio::test]
async fn openmetrics_leads_to_a_trace() {
    let mail = Sandbox::start(SandboxSettings::new("ann", PASSWORD)).await.unwrap();
    let collector = Collector::start().await;
    let proxy = Proxy::start(&config(collector.address, &mail, "")).await;
    soon(imap_session(proxy.bound.listeners[0].1)).await;
    let (info, _) = proxy.seen.ended().await;
    let admin = proxy.admin();
    let directory = tempfile::tempdir().unwrap();
    let mut python = std::process::Command::new("/usr/bin/python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/proxy/openmetrics.py"));
    for accept in ["application/openmetrics-text;version=1.0.0", "text/plain"] {
        let answer = get_as(admin, "/metrics", accept).await;
        let file = directory.path().join(&accept[..4]);
        std::fs::write(&file, answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        python.arg(file);
    }
    let output = python.output().unwrap();
    let (said, complaint) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "is python3-prometheus-client there? tests/run installs it\n{complaint}");
    let words: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(words[2..], [info.trace.unwrap().to_string()], "{said}");
    proxy.stop().await;
}

#[tokio::test]
async fn a_collector_that_is_away_harms_no_session_and_no_stop() {
    let mail = Sandbox::start(SandboxSettings::new("ann", PASSWORD)).await.unwrap();
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start(&config(away, &mail, "")).await;
    for _ in 0..3 {
        soon(imap_session(proxy.bound.listeners[0].1)).await;
        soon(pop3_session(proxy.bound.listeners[1].1)).await;
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_collector_that_does_not_answer_harms_no_session() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mail = Sandbox::start(SandboxSettings::new("ann", PASSWORD)).await.unwrap();
    let proxy = Proxy::start(&config(silent.local_addr().unwrap(), &mail, "timeout = '200ms'")).await;
    soon(imap_session(proxy.bound.listeners[0].1)).await;
    soon(imap_session(proxy.bound.listeners[0].1)).await;
    proxy.stop().await;
}

/// A proxy without TLS, of whose sessions this share is traced.
fn sampled(collector: &Collector, server: &Server, sample: u8) -> String {
    format!("[tracing]\nendpoint = 'http://{}'\nsample = {sample}\n{}", collector.address, in_clear(server.address))
}

#[tokio::test]
async fn a_stop_delivers_what_has_ended_and_what_it_ends() {
    let collector = Collector::start().await;
    let server = Server::start(None).await;
    let proxy = Proxy::start(&sampled(&collector, &server, 1)).await;
    let mut client = proxy.connect().await;
    greet_and_noop(&mut client).await;
    proxy.stop().await;
    let posted = collector.posted.lock().unwrap();
    assert_eq!(names(&posted.spans), ["NOOP", "IMAP session"]);
    let reason = attribute(&posted.spans[1], "mailwarden.close_reason");
    assert_eq!(reason, Some(Value::StringValue("drain".to_owned())));
}

#[tokio::test]
async fn a_session_that_is_not_sampled_has_no_trace() {
    let collector = Collector::start().await;
    let server = Server::start(None).await;
    let proxy = Proxy::start(&sampled(&collector, &server, 0)).await;
    let mut client = proxy.connect().await;
    greet_and_noop(&mut client).await;
    drop(client);
    let (info, _) = proxy.seen.ended().await;
    assert_eq!(info.trace, None);
    proxy.stop().await;
    assert!(collector.posted.lock().unwrap().spans.is_empty());
}
