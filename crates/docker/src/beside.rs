//! Work that is done while somebody listens, and no longer.

use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, Stream, StreamExt as _};

/// The events of a stream, with work that is done while they are waited for. The work ends with the stream.
pub(crate) fn beside<T: 'static>(
    mut events: impl Stream<Item = T> + Send + Unpin + 'static,
    work: impl Future<Output = ()> + Send + 'static,
) -> BoxStream<'static, T> {
    let mut work = Some(Box::pin(work));
    stream::poll_fn(move |cx| {
        if work.as_mut().is_some_and(|work| work.poll_unpin(cx).is_ready()) {
            work = None;
        }
        events.poll_next_unpin(cx)
    })
    .boxed()
}
