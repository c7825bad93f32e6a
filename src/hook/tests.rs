//! A hook against a real HTTP server.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::policy::Denial;
use crate::service::LONGEST;

/// A service; the path says what it answers.
struct Service {
    port: u16,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(request: Request<Incoming>, asked: Arc<AtomicUsize>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let sound = request.method() == Method::POST
        && request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let document = request.into_body().collect().await.unwrap().to_bytes();
    asked.fetch_add(1, Ordering::SeqCst);
    let (status, body) = match path.as_str() {
        _ if !sound => (400, "how was that asked".to_owned()),
        "/allow" => (200, "{\"allow\": true, \"why\": \"it is Tuesday\"}".to_owned()),
        "/deny" => (200, "{\"allow\": false}".to_owned()),
        "/joe" => (200, format!("{{\"allow\": {}}}", document.windows(3).any(|window| window == b"joe"))),
        "/broken" => (500, "{\"allow\": true}".to_owned()),
        "/garbage" => (200, "yes".to_owned()),
        "/long" => (200, format!("{{\"allow\": true, \"x\": \"{}\"}}", "x".repeat(LONGEST))),
        _ => std::future::pending().await,
    };
    Ok(Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap())
}

impl Service {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(request, Arc::clone(&counter)));
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service).await
                });
            }
        });
        Self { port, asked, task }
    }

    fn hook(&self, path: &str, more: &str) -> Hooks {
        hooks(&format!("name = 'h'\nurl = 'http://127.0.0.1:{}{path}'\n{more}", self.port))
    }
}

fn hooks(toml: &str) -> Hooks {
    let settings: HookSettings = toml::from_str(toml).unwrap();
    Hooks::new(HookSet::new(&[settings]).unwrap())
}

fn question(document: &str) -> Question {
    let [rule, code, pop3_code, reply] = ["r", "NOPERM", "SYS/PERM", "No"].map(Arc::from);
    let refusal = Denial { rule: Arc::clone(&rule), code, pop3_code, reply };
    Question { rule, hook: "h".into(), document: document.to_owned(), refusal }
}

async fn ask(hooks: &Hooks, document: &str) -> bool {
    let metrics = Arc::new(Metrics::new(&[], &[]).unwrap());
    hooks.clone().ask(question(document), metrics).await
}

#[tokio::test]
async fn a_service_decides_and_its_silence_counts_as_the_hook_says() {
    let service = Service::start().await;
    for (path, if_deny, if_allow) in [
        ("/allow", true, true),
        ("/deny", false, false),
        ("/broken", false, true),
        ("/garbage", false, true),
        ("/long", false, true),
        ("/never", false, true),
    ] {
        for (on_failure, expected) in [("deny", if_deny), ("allow", if_allow)] {
            let hooks = service.hook(path, &format!("on_failure = '{on_failure}'\ntimeout = '300ms'"));
            assert_eq!(ask(&hooks, "{}").await, expected, "{path} {on_failure}");
        }
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_denies_unless_it_is_said_otherwise() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("name = 'h'\nurl = 'http://127.0.0.1:{port}/'\n");
    assert!(!ask(&hooks(&url), "{}").await);
    assert!(ask(&hooks(&(url + "on_failure = 'allow'")), "{}").await);
}

#[tokio::test]
async fn an_answer_is_remembered_for_the_same_document_alone() {
    let service = Service::start().await;
    let hooks = service.hook("/joe", "cache = '1h'");
    for _ in 0..3 {
        assert!(ask(&hooks, "{\"user\": \"joe\"}").await);
        assert!(!ask(&hooks, "{\"user\": \"ann\"}").await);
    }
    assert_eq!(service.asked.load(Ordering::SeqCst), 2);
    let forgetful = service.hook("/joe", "");
    for _ in 0..3 {
        assert!(ask(&forgetful, "{\"user\": \"joe\"}").await);
    }
    assert_eq!(service.asked.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_failure_is_not_remembered() {
    let service = Service::start().await;
    let hooks = service.hook("/broken", "cache = '1h'");
    for _ in 0..2 {
        assert!(!ask(&hooks, "{}").await);
    }
    assert_eq!(service.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_hook_that_is_not_configured_any_more_denies() {
    let service = Service::start().await;
    let hooks = service.hook("/allow", "");
    hooks.replace(HookSet::new(&[]).unwrap());
    assert!(!ask(&hooks, "{}").await);
}

#[tokio::test]
async fn every_end_of_a_question_is_counted_as_what_it_is() {
    let service = Service::start().await;
    let metrics = Arc::new(Metrics::new(&[], &[]).unwrap());
    for (path, documents) in [("/allow", ["a", "a"].as_slice()), ("/deny", &["a", "b"]), ("/broken", &["a", "b", "c"])]
    {
        let hooks = service.hook(path, "cache = '1h'");
        for document in documents {
            hooks.clone().ask(question(document), Arc::clone(&metrics)).await;
        }
    }
    let text = metrics.render().unwrap();
    for (result, times) in [("allowed", 1), ("cached", 1), ("denied", 2), ("failed", 3)] {
        let line = format!("mailwarden_hook_answers_total{{result=\"{result}\"}} {times}\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn an_answer_whose_time_is_over_does_not_count() {
    let service = Service::start().await;
    let hooks = service.hook("/deny", "cache = '1h'");
    let hook = Arc::clone(&hooks.0.load()["h"]);
    hook.answers.insert(digest(b"{}"), (true, now()));
    assert!(!ask(&hooks, "{}").await);
}

#[tokio::test]
async fn a_question_waits_for_its_turn_within_its_own_time() {
    let service = Service::start().await;
    let hooks = service.hook("/allow", "timeout = '50ms'");
    let hook = Arc::clone(&hooks.0.load()["h"]);
    let most = u32::try_from(AT_A_TIME).unwrap();
    let others = hook.permits.acquire_many(most).await.unwrap();
    assert!(!ask(&hooks, "{}").await);
    assert_eq!(service.asked.load(Ordering::SeqCst), 0);
    drop(others);
    let patient = service.hook("/allow", "timeout = '1m'");
    assert!(ask(&patient, "{}").await);
}
