//! Requests to a cluster's API: counted, limited, repeated when the server asks for that, and answered with bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::core::Status;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};
use tokio::sync::Semaphore;

use crate::failure::{self, Failure};

/// So many requests are under way at once: more would only wait in the server's queue of one user (priority and fairness).
const IN_FLIGHT: usize = 32;
/// How long one request may take, its answer included. The server itself gives up after 60 s.
const TIMEOUT: Duration = Duration::from_secs(70);
/// A server that is too busy says when to come back; so often we do before somebody hears of it.
const BUSY_ATTEMPTS: u32 = 6;
/// The longest wait that a server's `Retry-After` makes us take without telling anybody.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A cluster's API, as one user.
#[derive(Clone)]
pub struct Connection {
    client: kube::Client,
    sent: Arc<AtomicU64>,
    limit: Arc<Semaphore>,
}

/// A body and how it is encoded.
pub(crate) struct Content {
    /// `application/json`, `application/apply-patch+yaml`, …
    pub(crate) kind: &'static str,
    /// The encoded body. It may hold secrets: it is in no error and no log.
    pub(crate) bytes: Vec<u8>,
}

/// What a server answered with 2xx.
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    /// What the server wants people to know: `Warning` headers, one sentence each.
    pub(crate) warnings: Vec<String>,
}

impl Connection {
    /// Sends nothing yet.
    ///
    /// # Errors
    /// Where a certificate or a key is none.
    pub fn new(mut config: kube::Config) -> Result<Self, PlatformError> {
        // Who asks is told of each attempt; a retry that nobody sees would hide it.
        config.default_retry = false;
        config.read_timeout = None;
        let url = config.cluster_url.to_string();
        let client = kube::Client::try_from(config).map_err(|error| {
            let why = failure::with_causes(&error);
            PlatformError::new(PlatformErrorKind::Rejected, format!("preparing the connection to {url}"), why)
        })?;
        Ok(Self { client, sent: Arc::default(), limit: Arc::new(Semaphore::new(IN_FLIGHT)) })
    }

    /// How many requests were sent.
    pub fn requests(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The client itself, for streams that outlive a request (logs, exec). Count what is sent through it with [`Connection::count`].
    pub(crate) fn client(&self) -> &kube::Client {
        &self.client
    }

    /// Counts a request that is sent past [`Connection::send`].
    pub(crate) fn count(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads one thing.
    pub(crate) async fn get(&self, path: &str) -> Result<Bytes, Failure> {
        Ok(self.send(Method::GET, path, "application/json", None).await?.body)
    }

    /// The same, where it may not be there.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Bytes>, Failure> {
        match self.get(path).await {
            Ok(body) => Ok(Some(body)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Sends one request, and reads its answer. A server that is too busy is asked again, when it said to.
    pub(crate) async fn send(&self, method: Method, path: &str, accept: &str, content: Option<&Content>) -> Result<Answer, Failure> {
        let mut attempt = 1;
        loop {
            let failed = match tokio::time::timeout(TIMEOUT, self.once(&method, path, accept, content)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => failure,
                Err(_) => return Err(Failure::no_answer(TIMEOUT)),
            };
            // Nothing of what was asked for has happened yet.
            match failed.retry_after().filter(|_| failed.is_busy() && attempt < BUSY_ATTEMPTS) {
                Some(wait) if wait <= LONGEST_WAIT => tokio::time::sleep(wait).await,
                _ => return Err(failed),
            }
            attempt += 1;
        }
    }

    /// Opens an answer that is read as it comes: a log, which may be followed. It is not among those that [`IN_FLIGHT`] limits.
    pub(crate) async fn open(&self, path: &str) -> Result<impl Stream<Item = Result<Bytes, Failure>> + Send + use<>, Failure> {
        // What is followed is not compressed: a packed line would wait for the next one.
        let request = Request::get(path).header(header::ACCEPT_ENCODING, "identity").body(Body::empty());
        let request = request.map_err(|error| Failure::unsent(&error))?;
        self.count();
        let response = tokio::time::timeout(TIMEOUT, self.client.send(request)).await.map_err(|_| Failure::no_answer(TIMEOUT))?;
        let (parts, body) = response.map_err(|error| Failure::of(&error))?.into_parts();
        if parts.status.is_success() {
            return Ok(body.into_data_stream().map_err(|error| Failure::of(&error)));
        }
        let body = body.collect_bytes().await.map_err(|error| Failure::of(&error))?;
        Err(Failure::answered(parts.status, &parts.headers, status(parts.status, &body)))
    }

    async fn once(&self, method: &Method, path: &str, accept: &str, content: Option<&Content>) -> Result<Answer, Failure> {
        let request = Request::builder().method(method.clone()).uri(path).header(header::ACCEPT, accept);
        let request = match content {
            Some(content) => request.header(header::CONTENT_TYPE, content.kind).body(Body::from(content.bytes.clone())),
            None => request.body(Body::empty()),
        };
        let request = request.map_err(|error| Failure::unsent(&error))?;
        let _permit = self.limit.acquire().await.map_err(|error| Failure::unsent(&error))?;
        self.count();
        let response = self.client.send(request).await.map_err(|error| Failure::of(&error))?;
        let (parts, body) = response.into_parts();
        let body = body.collect_bytes().await.map_err(|error| Failure::of(&error))?;
        if parts.status.is_success() {
            return Ok(Answer { body, warnings: warnings(&parts.headers) });
        }
        Err(Failure::answered(parts.status, &parts.headers, status(parts.status, &body)))
    }
}

/// What a server says about a failure. A proxy in between may answer with anything.
fn status(code: StatusCode, body: &[u8]) -> Status {
    serde_json::from_slice(body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(body);
        let first = text.lines().next().unwrap_or_default().trim();
        Status { code: code.as_u16(), message: first.chars().take(200).collect(), ..Status::default() }
    })
}

/// The texts of `Warning: 299 - "text"` headers.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let text = |value: &header::HeaderValue| {
        let value = value.to_str().ok()?;
        let (_, quoted) = value.split_once('"')?;
        Some(quoted.trim_end_matches('"').replace("\\\"", "\""))
    };
    headers.get_all(header::WARNING).iter().filter_map(text).collect()
}
