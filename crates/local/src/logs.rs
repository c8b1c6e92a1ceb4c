//! Reading logs: from the supervisor, which knows of new lines, or from the files that an ended one left.

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::{LogLine, LogOptions, PlatformError, PlatformErrorKind};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;

use crate::platform::LocalPlatform;
use crate::protocol::{Request, WireLine};
use crate::state::State;
use crate::supervisor::log;

type Lines = BoxStream<'static, Result<LogLine, PlatformError>>;

/// The lines of all instances of a workload.
pub(crate) async fn logs(platform: &LocalPlatform, of: &ResourceId, options: &LogOptions) -> Result<Lines, PlatformError> {
    let attempted = format!("reading the logs of {of}");
    if options.previous {
        let why = "the lines of an instance before its last restart are not kept apart here";
        let error = PlatformError::new(PlatformErrorKind::Rejected, attempted, why);
        return Err(error.with_hint("they are among the others: leave `--previous` away"));
    }
    if let Some(stream) = platform.client.connect().await? {
        let request = Request::Logs { of: of.clone(), follow: options.follow, tail: options.tail };
        let opened = platform.client.open::<()>(stream, request, &attempted).await;
        let ((), connection) = opened.map_err(|e| e.into_platform_error(&attempted))?;
        return Ok(lines(connection, attempted));
    }
    let error = |kind, why: String| PlatformError::new(kind, attempted.as_str(), why);
    let folder = &platform.client.folder;
    let state = State::read(folder).map_err(|e| error(PlatformErrorKind::Internal, e.to_string()))?;
    let Some(object) = state.objects.iter().find(|object| object.id == *of) else {
        return Err(error(PlatformErrorKind::Rejected, "it is not there".into()));
    };
    let history = log::history(&folder.logs(&object.uid), &of.name, None, options.tail);
    let history = history.map_err(|e| error(PlatformErrorKind::Internal, e.to_string()))?;
    Ok(stream::iter(history.into_iter().map(|line| Ok(line.into()))).boxed())
}

fn lines(connection: BufReader<UnixStream>, attempted: String) -> Lines {
    let next = move |mut connection: BufReader<UnixStream>| {
        let attempted = attempted.clone();
        async move {
            let mut text = String::new();
            let read = connection.read_line(&mut text).await.map_err(|e| e.to_string());
            let line = match read {
                Ok(0) => return None,
                Ok(_) => serde_json::from_str::<WireLine>(&text).map_err(|e| e.to_string()),
                Err(e) => Err(e),
            };
            let line = line.map(LogLine::from).map_err(|why| PlatformError::new(PlatformErrorKind::Unreachable, attempted, why));
            Some((line, connection))
        }
    };
    stream::unfold(connection, next).boxed()
}
