//! Stands between a platform and the API server: counts requests, refuses some, cuts the line. Plain HTTP, without any
//! credentials: behind it is the administrator.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use stratos_engine::platform::contract::When;
use tokio::sync::Notify;

/// A server of its own in front of the cluster's.
pub struct Proxy {
    address: SocketAddr,
    rules: Arc<Rules>,
    server: tokio::task::JoinHandle<()>,
}

/// A fault: an answer in place of the server's, or another request in place of this one (by changing its address).
pub type Fault = dyn FnMut(&Method, &mut Uri) -> Option<Response> + Send;

struct Rules {
    upstream: kube::Client,
    /// Nothing gets through.
    cut: AtomicBool,
    /// Reads of paths that hold one of these are refused.
    refused: Mutex<Vec<String>>,
    /// The process behind it dies at this write.
    dies: Option<(usize, When)>,
    writes: AtomicUsize,
    died: Notify,
    open: AtomicUsize,
    /// So many requests were under way at once.
    most: AtomicUsize,
    /// What else happens to a request.
    fault: Mutex<Option<Box<Fault>>>,
    /// What was asked for: method, path and query.
    seen: Mutex<Vec<String>>,
}

impl Proxy {
    pub async fn new(upstream: kube::Client) -> Self {
        Self::start(upstream, None).await
    }

    /// One that lets a process die at a write. Reads are not counted: before and after a read the world is the same.
    pub async fn that_kills(upstream: kube::Client, write: usize, when: When) -> Self {
        Self::start(upstream, Some((write, when))).await
    }

    async fn start(upstream: kube::Client, dies: Option<(usize, When)>) -> Self {
        let rules = Arc::new(Rules {
            upstream,
            cut: AtomicBool::default(),
            refused: Mutex::default(),
            dies,
            writes: AtomicUsize::default(),
            died: Notify::default(),
            open: AtomicUsize::default(),
            most: AtomicUsize::default(),
            fault: Mutex::default(),
            seen: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().fallback(pass).with_state(rules.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, rules, server }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn cut(&self, cut: bool) {
        self.rules.cut.store(cut, Ordering::SeqCst);
    }

    pub fn refuse(&self, paths: &[String]) {
        *self.rules.refused.lock().unwrap() = paths.to_vec();
    }

    /// Ends when the process behind it has died.
    pub async fn died(&self) {
        self.rules.died.notified().await;
    }

    pub fn is_dead(&self) -> bool {
        self.rules.dies.is_some() && self.rules.cut.load(Ordering::SeqCst)
    }

    /// From now on this happens to each request.
    pub fn fault(&self, fault: impl FnMut(&Method, &mut Uri) -> Option<Response> + Send + 'static) {
        *self.rules.fault.lock().unwrap() = Some(Box::new(fault));
    }

    /// How many requests were under way at once, at most.
    pub fn most(&self) -> usize {
        self.rules.most.load(Ordering::SeqCst)
    }

    /// What was asked for since the last time: `GET /api/v1/…`.
    pub fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.rules.seen.lock().unwrap())
    }

    /// Waits until nothing of the process is under way any more.
    pub async fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.rules.open.load(Ordering::SeqCst) > 0 {
            assert!(Instant::now() < deadline, "a request of the dead process does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A request is carried out to its end, also when whoever sent it has gone.
async fn pass(State(rules): State<Arc<Rules>>, request: Request) -> Response {
    rules.most.fetch_max(rules.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    let carried = tokio::spawn(async move {
        let answer = rules.serve(request).await;
        rules.open.fetch_sub(1, Ordering::SeqCst);
        answer
    });
    match carried.await {
        Ok(Some(answer)) => answer,
        // The connection is closed without an answer.
        _ => {
            let broken = futures::stream::once(async { Err::<bytes::Bytes, _>(std::io::Error::other("the line is cut")) });
            Response::new(Body::from_stream(broken))
        }
    }
}

impl Rules {
    async fn serve(&self, request: Request) -> Option<Response> {
        let (mut parts, body) = request.into_parts();
        self.seen.lock().unwrap().push(format!("{} {}", parts.method, parts.uri));
        if self.cut.load(Ordering::SeqCst) {
            return None;
        }
        let body = axum::body::to_bytes(body, usize::MAX).await.ok()?;
        if let Some(answer) = self.fault.lock().unwrap().as_mut().and_then(|fault| fault(&parts.method, &mut parts.uri)) {
            return Some(answer);
        }
        let path = parts.uri.path();
        if parts.method == Method::GET && self.refused.lock().unwrap().iter().any(|refused| path.contains(refused)) {
            let why = r#"{"kind":"Status","code":403,"reason":"Forbidden","message":"this user cannot read it"}"#;
            return Some((StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "application/json")], why).into_response());
        }
        let writes = parts.method != Method::GET && !parts.uri.query().unwrap_or_default().contains("dryRun");
        let dies = self.dies.filter(|(at, _)| writes && self.writes.fetch_add(1, Ordering::SeqCst) == *at);
        if dies.is_some_and(|(_, when)| when == When::Before) {
            self.die();
            return None;
        }
        let mut forwarded = axum::http::Request::builder().method(parts.method).uri(parts.uri);
        for name in [header::ACCEPT, header::CONTENT_TYPE] {
            if let Some(value) = parts.headers.get(&name) {
                forwarded = forwarded.header(name, value);
            }
        }
        let answer = self.upstream.send(forwarded.body(body.to_vec().into()).unwrap()).await.ok()?;
        let (mut parts, body) = answer.into_parts();
        if dies.is_some() {
            let _ = body.collect_bytes().await;
            self.die();
            return None;
        }
        // The server in front says how it sends what it sends.
        parts.headers.remove(header::TRANSFER_ENCODING);
        parts.headers.remove(header::CONTENT_LENGTH);
        Some(Response::from_parts(parts, Body::new(body)))
    }

    fn die(&self) {
        self.cut.store(true, Ordering::SeqCst);
        self.died.notify_one();
    }
}
