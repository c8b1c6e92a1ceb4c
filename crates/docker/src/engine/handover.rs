//! A published port that goes from one app to another within one plan.
//!
//! The manifest gives a port to one app alone. So where another app's proxy has a port that is to be taken, that app's change
//! is under way, or about to be: whoever takes waits for it, and has released its own ports before. Else two apps that
//! exchange their ports would wait for each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::query_parameters::ListContainersOptions;
use stratos_engine::platform::PlatformError;
use tokio::time::Instant;

use super::DockerPlatform;
use super::record::{PROXY, RESOURCE, ROLE};
use crate::failure::failure;
use crate::labels;

/// A port is waited for so long while its holder is not being changed: the change may have to wait for its turn.
const TURN: Duration = Duration::from_secs(10);

/// The resources that are being changed by this process, with the number of changes.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<BTreeMap<String, usize>>);

/// While it lives, its resources are being changed.
pub(crate) struct Changing<'a> {
    all: &'a UnderWay,
    names: BTreeSet<String>,
}

impl UnderWay {
    /// Notes that these resources are being changed.
    pub fn begin(&self, names: BTreeSet<String>) -> Changing<'_> {
        let mut all = self.lock();
        names.iter().for_each(|name| *all.entry(name.clone()).or_default() += 1);
        Changing { all: self, names }
    }

    fn contains(&self, name: &str) -> bool {
        self.lock().get(name).is_some_and(|changes| *changes > 0)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        for name in &self.names {
            if let Some(changes) = all.get_mut(name) {
                *changes -= 1;
            }
        }
    }
}

/// Waiting for ports that other apps of the environment have.
pub(crate) struct Patience {
    since: Instant,
}

impl Patience {
    pub fn new() -> Self {
        Self { since: Instant::now() }
    }

    /// Whether it is worth waiting for what this resource has.
    pub fn lasts(&mut self, under_way: &UnderWay, holder: &str) -> bool {
        if under_way.contains(holder) {
            self.since = Instant::now();
        }
        self.since.elapsed() < TURN
    }
}

/// The resource of this environment whose proxy has one of these ports, other than these containers; None where none has.
pub(crate) async fn holder(platform: &DockerPlatform, ports: &BTreeSet<u16>, but_for: &[&str]) -> Result<Option<String>, PlatformError> {
    let mut filters = labels::filter(&platform.config.owner);
    filters.entry("label".to_owned()).or_default().push(format!("{ROLE}={PROXY}"));
    let options = ListContainersOptions { filters: Some(filters), ..ListContainersOptions::default() };
    let listed = platform.connection.docker.list_containers(Some(options)).await;
    let listed = listed.map_err(|error| failure("looking for whoever has a published port", &error))?;
    let mut holders = listed.into_iter().filter(|proxy| {
        let others = proxy.id.as_deref().is_some_and(|id| !but_for.contains(&id));
        others && proxy.ports.iter().flatten().filter_map(|port| port.public_port).any(|port| ports.contains(&port))
    });
    Ok(holders.next().and_then(|proxy| proxy.labels?.remove(RESOURCE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_holder_is_waited_for_while_it_changes_and_a_little_longer() {
        let (under_way, mut patience) = (UnderWay::default(), Patience::new());
        let changing = under_way.begin(["shop-web".to_owned()].into());
        tokio::time::advance(TURN * 10).await;
        assert!(patience.lasts(&under_way, "shop-web"));
        drop(changing);
        assert!(patience.lasts(&under_way, "shop-web"));
        tokio::time::advance(TURN).await;
        assert!(!patience.lasts(&under_way, "shop-web"));
    }

    #[test]
    fn what_two_changes_are_about_is_under_way_until_both_have_ended() {
        let under_way = UnderWay::default();
        let names = BTreeSet::from(["shop-web".to_owned()]);
        let first = under_way.begin(names.clone());
        let second = under_way.begin(names);
        drop(first);
        assert!(under_way.contains("shop-web"));
        drop(second);
        assert!(!under_way.contains("shop-web"));
    }
}
