//! Asks each registry for each tag once, a few at a time, and not again after it failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use stratos_engine::deploy::{Registry, Unanswered};
use tokio::sync::{OnceCell, Semaphore};

use crate::credentials::{Credential, CredentialError, Credentials};
use crate::exchange::{Exchange, Failure};
use crate::http::Http;
use crate::reference::{Reference, is_host_and_port};

/// How many questions one registry is asked at a time.
const AT_A_TIME: usize = 8;

/// Asks registries. It remembers what it was told: one is made for each command.
#[derive(Debug)]
pub struct Client {
    http: Http,
    credentials: Credentials,
    insecure: BTreeSet<String>,
    hosts: Mutex<BTreeMap<String, Arc<Host>>>,
    answers: Mutex<BTreeMap<Reference, Arc<Answer>>>,
}

type Answer = OnceCell<Result<String, Unanswered>>;

/// What is known of one registry.
#[derive(Debug)]
struct Host {
    turns: Semaphore,
    /// Why it is not asked any more.
    failed: OnceLock<Unanswered>,
    credential: OnceCell<Result<Option<Credential>, CredentialError>>,
}

/// Something that was named as a registry and is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no registry: write its host and port alone, such as registry.example.com:5000")]
pub struct InvalidRegistry(String);

impl Client {
    /// Asks with these credentials. The registries in `insecure` (`host:port`, with commas between them) are asked without
    /// TLS, as are those on this machine.
    pub fn new(credentials: Credentials, insecure: &str) -> Result<Self, InvalidRegistry> {
        let written = insecure.split(',').map(str::trim).filter(|registry| !registry.is_empty());
        let checked = written.map(|registry| match is_host_and_port(registry) {
            true => Ok(registry.to_owned()),
            false => Err(InvalidRegistry(registry.to_owned())),
        });
        let insecure = checked.collect::<Result<_, _>>()?;
        Ok(Self { http: Http::default(), credentials, insecure, hosts: Mutex::default(), answers: Mutex::default() })
    }

    async fn ask(&self, reference: &Reference) -> Result<String, Unanswered> {
        let host = self.host(reference);
        let _turn = host.turns.acquire().await;
        if let Some(failed) = host.failed.get() {
            return Err(failed.clone());
        }
        let is_plain = reference.is_on_this_machine() || self.insecure.contains(reference.registry());
        let credential = || async { host.credential.get_or_init(|| self.credentials.for_registry(reference)).await.clone() };
        let exchange = Exchange::new(&self.http, reference, if is_plain { "http" } else { "https" });
        let answer = exchange.digest(credential).await;
        tracing::debug!(%reference, ?answer, "asked");
        answer.map_err(|failure| match failure {
            Failure::Image(why) => Unanswered(why),
            // Those that were asked at the same time failed, too: one of the causes stands for all.
            Failure::Registry(why) => host.failed.get_or_init(|| Unanswered(why)).clone(),
        })
    }

    fn host(&self, reference: &Reference) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Host { turns: Semaphore::new(AT_A_TIME), failed: OnceLock::new(), credential: OnceCell::new() };
        hosts.entry(reference.registry().to_owned()).or_insert_with(|| Arc::new(new())).clone()
    }

    fn answer(&self, reference: &Reference) -> Arc<Answer> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(reference.clone()).or_default().clone()
    }
}

#[async_trait]
impl Registry for Client {
    async fn digest(&self, reference: &str) -> Result<String, Unanswered> {
        let reference = Reference::parse(reference).map_err(|error| Unanswered(error.to_string()))?;
        self.answer(&reference).get_or_init(|| self.ask(&reference)).await.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, Credentials};

    #[test]
    fn insecure_registries_are_hosts() {
        let client = |text| Client::new(Credentials::default(), text).map(|client| client.insecure.into_iter().collect::<Vec<_>>());
        assert_eq!(client(""), Ok(vec![]));
        assert_eq!(client(" b:5000, a ,"), Ok(vec!["a".to_owned(), "b:5000".to_owned()]));
        let error = client("a,http://b").unwrap_err().to_string();
        assert!(error.starts_with("\"http://b\" is no registry"), "{error}");
    }
}
