//! One connection: from a client to a target and back.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::net::TcpStream;

use crate::pool::{Activity, HOLD, Pool};

/// A side that vanished without a word is found out after a few minutes, where the kernel alone would take two hours.
#[cfg(target_os = "linux")]
const KEEP_ALIVE_SECONDS: u32 = 60;

/// Hands a client on to a target of the pool, until one of the two ends it.
pub(crate) async fn proxy(client: TcpStream, pool: Rc<Pool>) {
    let Some((connection, server)) = pool.connect().await else {
        tracing::warn!("a connection was closed: no target took it within {} s", HOLD.as_secs());
        return;
    };
    [&client, &server].into_iter().for_each(prepare);
    let mut client = Watched { stream: client, activity: &connection.activity, is_server: false };
    let mut server = Watched { stream: server, activity: &connection.activity, is_server: true };
    // A side that breaks off ends the connection, which the other side then sees: there is nobody else to tell.
    drop(copy_bidirectional(&mut client, &mut server).await);
}

/// A socket that refuses this has just lost its other side, which the first read finds out.
fn prepare(stream: &TcpStream) {
    // Small messages must not wait for each other on their way through.
    drop(stream.set_nodelay(true));
    let _ = setsockopt(stream, sockopt::KeepAlive, &true);
    #[cfg(target_os = "linux")]
    let _ = setsockopt(stream, sockopt::TcpKeepIdle, &KEEP_ALIVE_SECONDS);
}

/// Reads from a stream, and remembers that it did.
struct Watched<'a> {
    stream: TcpStream,
    activity: &'a Activity,
    is_server: bool,
}

impl AsyncRead for Watched<'_> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.read(self.is_server);
        }
        polled
    }
}

impl AsyncWrite for Watched<'_> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
