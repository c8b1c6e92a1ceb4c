//! Requests to a cluster's API: counted, limited, repeated when the server asks for that, and answered with bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use kube::client::{Body, ConfigExt as _};
use kube::core::Status;
use serde_json::Value;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::access::plugin::{Plugin, Printed};
use crate::failure::{self, Failure};

/// So many requests are under way at once: more would only wait in the server's queue of one user (priority and fairness).
const IN_FLIGHT: usize = 32;
/// How long one request may take, its answer included. The server itself gives up after 60 s.
const TIMEOUT: Duration = Duration::from_secs(70);
/// A server that is too busy says when to come back; so often we do before somebody hears of it.
const BUSY_ATTEMPTS: u32 = 6;
/// The most memory that is taken because a server says that so much will come.
const LARGEST_AT_ONCE: usize = 4 << 20;
/// The longest wait that a server's `Retry-After` makes us take without telling anybody.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A cluster's API, as one user.
#[derive(Clone)]
pub struct Connection {
    access: Arc<Access>,
    made: Arc<Mutex<Option<Made>>>,
    sent: Arc<AtomicU64>,
    limit: Arc<Semaphore>,
}

/// What makes clients. It holds secrets.
struct Access {
    config: kube::Config,
    plugin: Option<Plugin>,
    printed: Mutex<Option<Arc<Printed>>>,
}

/// A client, and what its plugin printed for it.
struct Made {
    client: kube::Client,
    printed: Option<Arc<Printed>>,
}

impl Access {
    /// What the plugin says of us: what it printed before, as long as that is valid. None where there is no plugin.
    async fn printed(&self) -> Result<Option<Arc<Printed>>, Failure> {
        let Some(plugin) = &self.plugin else { return Ok(None) };
        let mut printed = self.printed.lock().await;
        if printed.as_ref().is_none_or(|printed| !printed.is_valid()) {
            *printed = Some(Arc::new(plugin.run().await.map_err(Failure::unknown_to_us)?));
        }
        Ok(printed.clone())
    }

    fn client(&self, printed: Option<&Printed>) -> Result<kube::Client, Failure> {
        let mut config = self.config.clone();
        if let Some(token) = printed.and_then(|printed| printed.token.as_ref()) {
            config.auth_info.token = Some(token.as_str().to_owned().into());
        }
        if let Some((certificate, key)) = printed.and_then(|printed| printed.certificate.as_ref()) {
            config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate));
            config.auth_info.client_key_data = Some(STANDARD.encode(key.as_bytes()).into());
        }
        kube::Client::try_from(config).map_err(|error| Failure::of(&error))
    }
}

/// A body and how it is encoded.
pub(crate) struct Content {
    /// `application/json`, `application/apply-patch+yaml`, …
    pub(crate) kind: &'static str,
    /// The encoded body. It may hold secrets: it is in no error and no log.
    pub(crate) bytes: Vec<u8>,
}

impl Content {
    /// A value as JSON that is YAML, too: the API server reads an apply as that. In YAML some characters end a line, or are forbidden,
    /// unless they are escaped.
    pub(crate) fn of(kind: &'static str, value: &Value) -> Self {
        let mut bytes = Vec::with_capacity(1024);
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, ReadableAsYaml);
        // Nothing in a value fails to be written into memory.
        let _ = serde::Serialize::serialize(value, &mut serializer);
        Self { kind, bytes }
    }
}

/// Escapes what is printed in JSON and not in YAML (YAML 1.1, `c-printable` and `b-char`).
struct ReadableAsYaml;

impl serde_json::ser::Formatter for ReadableAsYaml {
    fn write_string_fragment<W: ?Sized + std::io::Write>(&mut self, out: &mut W, fragment: &str) -> std::io::Result<()> {
        let is_special = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
        let mut rest = fragment;
        while let Some((at, special)) = rest.char_indices().find(|(_, c)| is_special(*c)) {
            write!(out, "{}\\u{:04x}", &rest[..at], u32::from(special))?;
            rest = &rest[at + special.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

/// What a server answered with 2xx.
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    /// What the server wants people to know: `Warning` headers, one sentence each.
    pub(crate) warnings: Vec<String>,
    /// What time it is there.
    pub(crate) date: Option<jiff::Timestamp>,
}

impl Connection {
    /// Sends nothing yet.
    ///
    /// # Errors
    /// Where a certificate or a key is none.
    pub fn new(config: kube::Config) -> Result<Self, PlatformError> {
        Self::with_plugin(config, None)
    }

    /// The same, where a program says who we are. It runs when the first request is sent.
    ///
    /// # Errors
    /// Where a certificate or a key is none.
    pub(crate) fn with_plugin(mut config: kube::Config, plugin: Option<Plugin>) -> Result<Self, PlatformError> {
        // Who asks is told of each attempt; a retry that nobody sees would hide it.
        config.default_retry = false;
        config.read_timeout = None;
        // Whoever was first in this process has installed the same provider.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // Certificates and keys that are none are found here, and not in the middle of something.
        config.rustls_client_config().map_err(|error| {
            let why = failure::with_causes(&error);
            let roots = why.contains("No CA certificates were loaded");
            let error = PlatformError::new(PlatformErrorKind::Rejected, format!("preparing the connection to {}", config.cluster_url), why);
            match roots {
                true => error.with_hint("name the cluster's own authority with the option `ca`, or install the package `ca-certificates`"),
                false => error,
            }
        })?;
        Ok(Self::of(Arc::new(Access { config, plugin, printed: Mutex::default() })))
    }

    /// To no cluster at all, for what is done without asking one.
    ///
    /// # Errors
    /// As [`Connection::new`].
    pub fn nowhere() -> Result<Self, PlatformError> {
        // Nothing can listen on this port.
        let mut config = kube::Config::new(http::Uri::from_static("http://127.0.0.1:0/"));
        config.root_cert = Some(Vec::new());
        Self::new(config)
    }

    fn of(access: Arc<Access>) -> Self {
        Self { access, made: Arc::default(), sent: Arc::default(), limit: Arc::new(Semaphore::new(IN_FLIGHT)) }
    }

    /// A second one of its own, for another thread: a client lives on the runtime that it was made on. What a plugin printed is
    /// for both.
    pub(crate) fn again(&self) -> Self {
        Self::of(Arc::clone(&self.access))
    }

    /// How many requests were sent.
    pub fn requests(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The client itself, for streams that outlive a request (logs, exec). Count what is sent through it with [`Connection::count`].
    pub(crate) async fn client(&self) -> Result<kube::Client, Failure> {
        Ok(self.current().await?.0)
    }

    /// The client, and what its plugin printed for it.
    async fn current(&self) -> Result<(kube::Client, Option<Arc<Printed>>), Failure> {
        let mut made = self.made.lock().await;
        let is_valid = |made: &&Made| made.printed.as_ref().is_none_or(|printed| printed.is_valid());
        if let Some(Made { client, printed }) = made.as_ref().filter(is_valid) {
            return Ok((client.clone(), printed.clone()));
        }
        let printed = self.access.printed().await?;
        let client = self.access.client(printed.as_deref())?;
        *made = Some(Made { client: client.clone(), printed: printed.clone() });
        Ok((client, printed))
    }

    /// Lets the plugin say anew who we are: the server does not know this. Others may have been told so at the same time, and one
    /// run is for all.
    async fn renew(&self, unknown: &Arc<Printed>) {
        let mut made = self.made.lock().await;
        made.take_if(|made| made.printed.as_ref().is_some_and(|printed| Arc::ptr_eq(printed, unknown)));
        let mut latest = self.access.printed.lock().await;
        latest.take_if(|latest| Arc::ptr_eq(latest, unknown));
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

    /// Sends one request, and reads its answer.
    pub(crate) async fn send(&self, method: Method, path: &str, accept: &str, content: Option<&Content>) -> Result<Answer, Failure> {
        let mut opened = self.start(method, path, accept, content).await?;
        let mut body = Vec::with_capacity(opened.length().min(LARGEST_AT_ONCE));
        // Each part is dropped as soon as it is copied: the parts of a long answer would be as much memory again.
        while let Some(part) = opened.next().await? {
            body.extend_from_slice(&part);
        }
        let date = opened.headers.get(header::DATE).and_then(|date| jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok());
        Ok(Answer { body: body.into(), warnings: warnings(&opened.headers), date: date.map(|date| date.timestamp()) })
    }

    /// Begins to read one thing, which comes part by part.
    pub(crate) async fn read(&self, path: &str) -> Result<Opened<'_>, Failure> {
        self.start(Method::GET, path, "application/json", None).await
    }

    /// Sends one request, whose answer has begun. A server that is too busy is asked again, when it said to.
    async fn start(&self, method: Method, path: &str, accept: &str, content: Option<&Content>) -> Result<Opened<'_>, Failure> {
        let (mut attempt, mut renewed) = (1, false);
        loop {
            // A plugin may wait for somebody to log in: that is no time of the server's.
            let (client, printed) = self.current().await?;
            let deadline = Instant::now() + TIMEOUT;
            let failed = match tokio::time::timeout_at(deadline, self.once(client, &method, path, accept, content, deadline)).await {
                Ok(Ok(opened)) => return Ok(opened),
                Ok(Err(failure)) => failure,
                Err(_) => return Err(Failure::no_answer(TIMEOUT)),
            };
            if let Some(printed) = printed.filter(|_| failed.is_unauthenticated() && !renewed) {
                renewed = true;
                self.renew(&printed).await;
                continue;
            }
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
        let client = self.client().await?;
        let response = tokio::time::timeout(TIMEOUT, client.send(request)).await.map_err(|_| Failure::no_answer(TIMEOUT))?;
        let (parts, body) = response.map_err(|error| Failure::of(&error))?.into_parts();
        if parts.status.is_success() {
            return Ok(body.into_data_stream().map_err(|error| Failure::of(&error)));
        }
        let body = body.collect_bytes().await.map_err(|error| Failure::of(&error))?;
        Err(Failure::answered(parts.status, &parts.headers, status(parts.status, &body)))
    }

    async fn once(
        &self,
        client: kube::Client,
        method: &Method,
        path: &str,
        accept: &str,
        content: Option<&Content>,
        deadline: Instant,
    ) -> Result<Opened<'_>, Failure> {
        let request = Request::builder().method(method.clone()).uri(path).header(header::ACCEPT, accept);
        let request = match content {
            Some(content) => request.header(header::CONTENT_TYPE, content.kind).body(Body::from(content.bytes.clone())),
            None => request.body(Body::empty()),
        };
        let request = request.map_err(|error| Failure::unsent(&error))?;
        let permit = self.limit.acquire().await.map_err(|error| Failure::unsent(&error))?;
        self.count();
        let response = client.send(request).await.map_err(|error| Failure::of(&error))?;
        let (parts, body) = response.into_parts();
        if parts.status.is_success() {
            return Ok(Opened { headers: parts.headers, body, deadline, _permit: permit });
        }
        let body = body.collect_bytes().await.map_err(|error| Failure::of(&error))?;
        Err(Failure::answered(parts.status, &parts.headers, status(parts.status, &body)))
    }
}

/// An answer with 2xx that has begun. It counts among those under way until it is dropped.
pub(crate) struct Opened<'a> {
    headers: HeaderMap,
    body: Body,
    deadline: Instant,
    _permit: SemaphorePermit<'a>,
}

impl Opened<'_> {
    /// How many bytes come, as far as the server says so.
    fn length(&self) -> usize {
        let length = self.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        length.unwrap_or_default()
    }

    /// The next part of its body; None at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = tokio::time::timeout_at(self.deadline, self.body.frame()).await;
            match frame.map_err(|_| Failure::no_answer(TIMEOUT))? {
                None => return Ok(None),
                Some(Err(error)) => return Err(Failure::of(&error)),
                Some(Ok(frame)) => {
                    if let Ok(part) = frame.into_data() {
                        return Ok(Some(part));
                    }
                }
            }
        }
    }
}

/// What a server says about a failure. A proxy in between may answer with anything.
fn status(code: StatusCode, body: &[u8]) -> Status {
    let status = serde_json::from_slice(body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(body);
        let first = text.lines().next().unwrap_or_default().trim();
        Status { message: first.chars().take(200).collect(), ..Status::default() }
    });
    // Other JSON than a Status has no code in it.
    Status { code: code.as_u16(), ..status }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_is_json_and_yaml() {
        let value = json!({ "a\u{85}b": "\u{7f}\u{9f} \u{2028}x\u{2029}\u{feff}\u{ffff} \u{a0}é🔐\n\"" });
        let bytes = Content::of("", &value).bytes;
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(text, "{\"a\\u0085b\":\"\\u007f\\u009f \\u2028x\\u2029\\ufeff\\uffff \u{a0}é🔐\\n\\\"\"}");
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), value);
    }
}
