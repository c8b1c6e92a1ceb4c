//! Commands in running containers, over a web socket that carries several channels.
//!
//! The protocols are `v5.channel.k8s.io` and, on clusters before 1.30, `v4.channel.k8s.io`: the first byte of each message says what
//! it is. The older one has no way to say that the input has ended.

mod channel;
mod choose;
mod session;

use futures::StreamExt as _;
use futures::stream;
use http::Request;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::PlatformError;
use stratos_engine::platform::exec::{ExecEvent, ExecEvents, ExecRequest};

use crate::config::EnvironmentConfig;
use crate::connection::Connection;
use crate::discovery::Discovery;
use crate::failure::Failure;
use crate::pods::{self, Pods};
use crate::query::Query;
use choose::Target;
use session::Place;

/// Starts a command in an instance of a resource.
///
/// # Errors
/// Where there is no such instance, where it does not run, and where we may not.
pub(crate) async fn exec(
    connection: &Connection,
    discovery: &Discovery,
    config: &EnvironmentConfig,
    of: &ResourceId,
    request: ExecRequest,
) -> Result<ExecEvents, PlatformError> {
    let pods = Pods::of(connection, discovery, config, of).await?;
    let found = pods.read(connection).await.map_err(|failure| failure.error("finding an instance to run a command in"))?;
    let Target { pod, container, instance } = choose::choose(&found, request.instance.as_deref())?;
    let ExecRequest { command, instance: _, terminal, input } = request;
    let attempted = format!("running {} in {instance}", command.first().map_or("nothing", String::as_str));
    let path = format!("{}/{pod}", pods::collection(pods.namespace()));
    let flag = |on: bool| if on { "true" } else { "false" };
    let mut query = Query::of(format!("{path}/exec")).with("container", &container).with("stdout", "true");
    // A terminal has one output instead of two.
    query = query.with("stderr", flag(terminal.is_none())).with("stdin", flag(input.is_some())).with("tty", flag(terminal.is_some()));
    for word in &command {
        query = query.with("command", word);
    }
    let refused = |failure: Failure| failure.error(attempted.clone());
    let request = Request::get(query.as_str()).body(vec![]).map_err(|error| refused(Failure::unsent(&error)))?;
    connection.count();
    let opened = connection.client().await.map_err(refused)?.connect(request).await.map_err(|error| refused(Failure::of(&error)))?;
    let begin = stream::iter([Ok(ExecEvent::Started { instance })]);
    let place = Place { connection: connection.clone(), pod: path, container, attempted };
    Ok(begin.chain(session::events(place, opened, terminal, input)).boxed())
}
