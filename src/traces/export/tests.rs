//! The queue, and collectors that are well, ill and away.

use std::convert::Infallible;
use std::sync::Mutex;

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::net::TcpListener;

use super::*;
use crate::witness::TraceId;

/// A collector that gives these answers, one after the other, and remembers how many spans it was given.
struct Fake {
    port: u16,
    given: Arc<Mutex<Vec<usize>>>,
}

async fn answer(
    request: Request<Incoming>,
    given: Arc<Mutex<Vec<usize>>>,
    answers: Arc<Vec<(u16, i64)>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.uri().path(), "/v1/traces");
    assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    assert_eq!(request.headers()["authorization"], "Bearer hunter2");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let read = ExportTraceServiceRequest::decode(body).unwrap();
    let mut given = given.lock().unwrap();
    let (status, rejected_spans) = answers.get(given.len()).copied().unwrap_or((200, 0));
    given.push(read.resource_spans[0].scope_spans[0].spans.len());
    let partial_success = Some(ExportTracePartialSuccess { rejected_spans, error_message: String::new() });
    let body = ExportTraceServiceResponse { partial_success }.encode_to_vec();
    Ok(Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap())
}

impl Fake {
    async fn start(answers: Vec<(u16, i64)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (given, answers) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answers));
        let kept = Arc::clone(&given);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (given, answers) = (Arc::clone(&kept), Arc::clone(&answers));
                let service = service_fn(move |request| answer(request, Arc::clone(&given), Arc::clone(&answers)));
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service));
            }
        });
        Self { port, given }
    }

    fn given(&self) -> Vec<usize> {
        self.given.lock().unwrap().clone()
    }
}

fn span() -> Span {
    Span {
        trace: TraceId::random().unwrap(),
        id: 1,
        parent: 0,
        name: "IMAP session",
        start: 1,
        end: 2,
        failed: false,
        attributes: Vec::new(),
        notes: Vec::new(),
    }
}

struct Rig {
    metrics: Arc<Metrics>,
    tracer: Arc<Tracer>,
    exporter: Exporter,
    stop: CancellationToken,
}

impl Rig {
    fn new(port: u16, spans: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let headers = directory.path().join("headers");
        std::fs::write(&headers, "Authorization: Bearer hunter2\n").unwrap();
        let text = format!("endpoint = 'http://127.0.0.1:{port}'\nsample = 1\nheaders_file = {headers:?}");
        let metrics = Arc::new(Metrics::new(&[], &[]).unwrap());
        let collector = Collector::new(&toml::from_str(&text).unwrap()).unwrap();
        let (tracer, mut exporter) = collector.start(&metrics);
        exporter.pauses = [Duration::from_millis(1); 4];
        for _ in 0..spans {
            tracer.put(span());
        }
        Self { metrics, tracer, exporter, stop: CancellationToken::new() }
    }

    fn counted(&self, result: &str) -> u64 {
        let shown = self.metrics.render().unwrap();
        let start = format!("mailwarden_trace_spans_total{{result=\"{result}\"}} ");
        shown.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
    }

    /// Stops, and tells what became of the spans: exported, refused, failed.
    async fn stopped(self) -> [u64; 3] {
        self.stop.cancel();
        let Self { metrics, tracer, exporter, stop } = self;
        exporter.run(stop.clone()).await;
        let (_, exporter) = Collector::new(&toml::from_str("endpoint = 'http://127.0.0.1:9'\nsample = 0").unwrap())
            .unwrap()
            .start(&metrics);
        let rig = Self { metrics, tracer, exporter, stop };
        ["exported", "refused", "failed"].map(|result| rig.counted(result))
    }
}

/// A port that nobody listens on.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn what_is_left_at_the_stop_is_posted() {
    let fake = Fake::start(Vec::new()).await;
    assert_eq!(Rig::new(fake.port, BATCH + 3).stopped().await, [BATCH as u64 + 3, 0, 0]);
    assert_eq!(fake.given(), [BATCH, 3]);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_collector_that_is_away() {
    assert_eq!(Rig::new(closed_port(), BATCH + 3).stopped().await, [0, 0, BATCH as u64 + 3]);
}

#[tokio::test]
async fn what_the_collector_refuses_is_counted() {
    for (answers, expected) in [(vec![(400, 0)], [0, 3, 0]), (vec![(200, 2)], [1, 2, 0]), (vec![(200, 9)], [0, 3, 0])] {
        let fake = Fake::start(answers.clone()).await;
        assert_eq!(Rig::new(fake.port, 3).stopped().await, expected, "{answers:?}");
    }
}

#[tokio::test]
async fn a_collector_that_is_ill_is_asked_again() {
    let fake = Fake::start(vec![(503, 0)]).await;
    let Rig { metrics, tracer, mut exporter, stop } = Rig::new(fake.port, 0);
    let mut batch = vec![span(), span()];
    exporter.deliver(&mut batch, &stop).await;
    assert_eq!((batch.len(), fake.given()), (0, vec![2, 2]));
    let rig = Rig { metrics, tracer, exporter, stop };
    assert_eq!((rig.counted("exported"), rig.counted("failed")), (2, 0));
}

#[tokio::test]
async fn a_collector_that_stays_away_costs_its_batch() {
    let Rig { metrics, tracer, mut exporter, stop } = Rig::new(closed_port(), 0);
    let mut batch = vec![span(), span()];
    exporter.deliver(&mut batch, &stop).await;
    let rig = Rig { metrics, tracer, exporter, stop };
    assert_eq!((batch.len(), rig.counted("failed")), (0, 2));
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let rig = Rig::new(closed_port(), QUEUE + 5);
    assert_eq!(rig.counted("queue_full"), 5);
}

#[test]
fn the_secret_in_a_header_is_never_shown() {
    let exporter = Rig::new(1, 0).exporter;
    assert!(!format!("{exporter:?} {:?}", exporter.collector.headers).contains("hunter2"));
}
