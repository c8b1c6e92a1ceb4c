//! A fault proxy in front of the API server. Plain HTTP, without any credentials: behind it is the administrator.

use std::ops::Deref;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response, header};
use stratos_engine::platform::contract::When;
use stratos_test_platforms::{FaultProxy, Side};

/// A server of its own in front of the cluster's.
pub struct Proxy(FaultProxy);

impl Proxy {
    pub async fn new(upstream: kube::Client) -> Self {
        Self(FaultProxy::of_server(move |request| ask(upstream.clone(), request)))
    }

    /// One that lets a process die at a write.
    pub async fn that_kills(upstream: kube::Client, write: usize, when: When) -> Self {
        let proxy = Self::new(upstream).await;
        proxy.kill_at(write, if when == When::Before { Side::Before } else { Side::After });
        proxy
    }
}

impl Deref for Proxy {
    type Target = FaultProxy;

    fn deref(&self) -> &FaultProxy {
        &self.0
    }
}

/// Asks the API server as the administrator, who has other credentials than the request.
async fn ask(upstream: kube::Client, request: Request<Bytes>) -> Result<Response<Body>, String> {
    let (parts, body) = request.into_parts();
    let mut asked = Request::builder().method(parts.method).uri(parts.uri);
    for name in [header::ACCEPT, header::CONTENT_TYPE] {
        if let Some(value) = parts.headers.get(&name) {
            asked = asked.header(name, value);
        }
    }
    let asked = asked.body(body.to_vec().into()).map_err(|error| error.to_string())?;
    upstream.send(asked).await.map(|answer| answer.map(Body::new)).map_err(|error| error.to_string())
}
