//! Requests through a published port, without a pause, until they are told to end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::subject::engines;

/// So many clients ask at once.
const CLIENTS: usize = 8;

/// Clients that go on asking.
pub struct Load {
    ends: Arc<AtomicBool>,
    clients: JoinSet<(BTreeMap<String, usize>, Vec<String>)>,
}

/// One request on a connection of its own: what the app answers.
pub async fn ask(port: u16) -> Result<String, String> {
    ask_for(port, "/").await
}

/// The same for another path.
pub async fn ask_for(port: u16, path: &str) -> Result<String, String> {
    let asked = async {
        let mut stream = TcpStream::connect((engines().address(0), port)).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(20), asked).await.map_err(|_| "no answer in time".to_owned())?;
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.trim().to_owned()),
        _ => Err(format!("no good answer: {answer:?}")),
    }
}

impl Load {
    pub fn begin(port: u16) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let ends = ends.clone();
            clients.spawn(async move {
                let (mut answers, mut failures) = (BTreeMap::new(), Vec::new());
                while !ends.load(Ordering::Relaxed) {
                    match ask(port).await {
                        Ok(answer) => *answers.entry(answer).or_insert(0) += 1,
                        Err(error) => failures.push(error),
                    }
                }
                (answers, failures)
            });
        }
        Self { ends, clients }
    }

    /// How often each answer came, and what went wrong.
    pub async fn end(mut self) -> (BTreeMap<String, usize>, Vec<String>) {
        self.ends.store(true, Ordering::Relaxed);
        let (mut answers, mut failures) = (BTreeMap::new(), Vec::new());
        while let Some(client) = self.clients.join_next().await {
            let (some, wrong) = client.unwrap();
            some.into_iter().for_each(|(answer, count)| *answers.entry(answer).or_insert(0) += count);
            failures.extend(wrong);
        }
        (answers, failures)
    }
}
