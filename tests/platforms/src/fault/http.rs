//! HTTP in front, and behind it whatever answers HTTP: a socket, or a client that is connected already.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::{Entrance, FaultProxy, Rules, Side, lock};

/// Accepts connections until it is dropped.
pub(super) struct Server(tokio::task::JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Answered = Pin<Box<dyn Future<Output = Result<Response<Body>, String>> + Send>>;
type Upstream = dyn Fn(Request<Bytes>) -> Answered + Send + Sync;

/// The way of each request: the server behind the proxy, and the rules.
struct Way {
    upstream: Box<Upstream>,
    rules: Arc<Rules>,
}

impl FaultProxy {
    /// A socket of its own in front of a server's socket.
    ///
    /// # Panics
    /// When there is no room for a socket, or no runtime.
    pub fn of_socket(upstream: PathBuf) -> Self {
        let folder = tempfile::Builder::new().prefix("sp").tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("sock")).expect("a socket in the temporary folder");
        let way = Way::new(move |request| {
            let upstream = upstream.clone();
            async move { ask_socket(&upstream, request).await }
        });
        let rules = way.rules.clone();
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                way.clone().serve(client);
            }
        });
        Self { entrance: Entrance::Socket { folder, _server: Server(server) }, rules }
    }

    /// A port in front of a server that `upstream` asks. A client that comes by the port is the one that `upstream` is there.
    ///
    /// # Panics
    /// When there is no port, or no runtime.
    pub fn of_server<F>(upstream: impl Fn(Request<Bytes>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Response<Body>, String>> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        listener.set_nonblocking(true).expect("a port without waiting");
        let listener = TcpListener::from_std(listener).expect("a runtime");
        let address = listener.local_addr().expect("a port has an address");
        let way = Way::new(upstream);
        let rules = way.rules.clone();
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                way.clone().serve(client);
            }
        });
        Self { entrance: Entrance::Port { address, _server: Server(server) }, rules }
    }
}

impl Way {
    fn new<F>(upstream: impl Fn(Request<Bytes>) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Result<Response<Body>, String>> + Send + 'static,
    {
        Arc::new(Self { upstream: Box::new(move |request| Box::pin(upstream(request))), rules: Arc::default() })
    }

    fn serve(self: Arc<Self>, client: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        // A request that fails closes its connection without an answer.
        let service = service_fn(move |request| self.clone().pass(request));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(client), service).with_upgrades());
    }

    /// A request is carried out to its end, also when its client has gone.
    async fn pass(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, String> {
        self.rules.begin(format!("{} {}", request.method(), request.uri()));
        let carried = tokio::spawn(async move {
            let answer = self.answer(request).await;
            self.rules.end();
            answer
        });
        carried.await.map_err(|error| error.to_string())?
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Result<Response<Body>, String> {
        let cut = || Err("the line is cut".to_owned());
        if self.rules.is_cut() {
            return cut();
        }
        let client = hyper::upgrade::on(&mut request);
        let (mut parts, body) = request.into_parts();
        let body = whole(Body::new(body)).await?;
        if let Some(answer) = self.fault(&mut parts).await? {
            return Ok(answer);
        }
        let is_read = parts.method == Method::GET;
        if is_read && lock(&self.rules.refused).iter().any(|refused| parts.uri.path().contains(refused)) {
            // In the words of both an engine and an API server.
            let why = r#"{"kind":"Status","code":403,"reason":"Forbidden","message":"this account may not read it"}"#;
            return Ok((StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "application/json")], why).into_response());
        }
        let is_write = !is_read && !parts.uri.query().unwrap_or_default().contains("dryRun");
        let dies = if is_write { self.rules.dies_at_this_write() } else { None };
        if dies == Some(Side::Before) {
            self.rules.die();
            return cut();
        }
        let mut answer = (self.upstream)(Request::from_parts(parts, body)).await?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS && dies.is_none() {
            tokio::spawn(join(client, hyper::upgrade::on(&mut answer)));
            return Ok(answer);
        }
        let (mut head, mut body) = answer.into_parts();
        if !is_read {
            // A write has had its effect when its answer is there to the end.
            body = whole(body).await?.into();
        }
        if dies.is_some() {
            self.rules.die();
            return cut();
        }
        // The server in front says how it sends what it sends.
        for name in [header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::CONNECTION] {
            head.headers.remove(name);
        }
        Ok(Response::from_parts(head, body))
    }

    /// The fault that a test wants. It may block: it asks the server by another way meanwhile.
    async fn fault(&self, parts: &mut axum::http::request::Parts) -> Result<Option<Response<Body>>, String> {
        if lock(&self.rules.fault).is_none() {
            return Ok(None);
        }
        let (rules, method, mut uri) = (self.rules.clone(), parts.method.clone(), parts.uri.clone());
        let happened = tokio::task::spawn_blocking(move || {
            let answer = lock(&rules.fault).as_mut().and_then(|fault| fault(&method, &mut uri));
            (answer, uri)
        });
        let (answer, uri) = happened.await.map_err(|error| error.to_string())?;
        parts.uri = uri;
        Ok(answer)
    }
}

/// After its answer an upgraded connection carries bytes in both directions: a command's input and output, for example.
async fn join(client: OnUpgrade, server: OnUpgrade) {
    if let Ok((client, server)) = tokio::try_join!(client, server) {
        // It ends when one of them has gone.
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(server)).await;
    }
}

async fn whole(body: Body) -> Result<Bytes, String> {
    axum::body::to_bytes(body, usize::MAX).await.map_err(|error| error.to_string())
}

/// Asks over a connection of its own.
async fn ask_socket(socket: &Path, request: Request<Bytes>) -> Result<Response<Body>, String> {
    let (mut parts, body) = request.into_parts();
    for name in [header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
        parts.headers.remove(name);
    }
    if !parts.headers.contains_key(header::UPGRADE) {
        parts.headers.remove(header::CONNECTION);
    }
    let stream = UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection.with_upgrades());
    let answer = sender.send_request(Request::from_parts(parts, Body::from(body))).await.map_err(|error| error.to_string())?;
    Ok(answer.map(Body::new))
}
