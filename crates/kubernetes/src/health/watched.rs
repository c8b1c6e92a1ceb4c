//! What was seen before, and need not be asked for again at once. Health is asked for several times a second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What is remembered for the life of the platform value.
#[derive(Default)]
pub(crate) struct Watched {
    /// Since when containers run, as far as we have seen it ourselves.
    since: Recent<()>,
    /// Warnings about objects, by uid.
    pub(super) events: Recent<Vec<String>>,
    /// The last lines of containers.
    pub(super) logs: Recent<Vec<String>>,
    /// Where workloads are reached from outside, by namespace and name.
    pub(super) endpoints: Recent<Vec<String>>,
    /// The addresses of nodes.
    pub(super) nodes: Recent<Vec<String>>,
}

impl Watched {
    /// How long this container has been seen running.
    pub(super) fn seen_for(&self, container: &str) -> Duration {
        self.since.since(container)
    }
}

/// More than this is not kept: it is a memory for speed, and of no importance.
const MOST: usize = 10_000;

/// Answers with the time at which they were got.
pub(super) struct Recent<T>(Mutex<HashMap<String, (Instant, T)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Recent<T> {
    /// What is known and no older than this.
    pub(super) fn get(&self, key: &str, no_older: Duration) -> Option<T> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(at, _)| at.elapsed() <= no_older).map(|(_, value)| value.clone())
    }

    pub(super) fn put(&self, key: String, value: T) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, (Instant::now(), value));
    }
}

impl Recent<()> {
    fn since(&self, key: &str) -> Duration {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.entry(key.to_owned()).or_insert_with(|| (Instant::now(), ())).0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_old_is_asked_for_again() {
        let recent = Recent::default();
        assert_eq!(recent.get("a", Duration::MAX), None);
        recent.put("a".into(), 1);
        assert_eq!(recent.get("a", Duration::from_secs(1)), Some(1));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(recent.get("a", Duration::from_secs(1)), None);
        let watched = Watched::default();
        assert_eq!(watched.seen_for("c"), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(watched.seen_for("c"), Duration::from_secs(2));
    }
}
