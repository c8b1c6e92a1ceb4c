//! Stands between a platform and the engine's socket: counts requests, refuses some, cuts the line.
//!
//! One request for each connection: then what is counted are requests, and an answer has an end.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stratos_engine::platform::contract::When;
use tempfile::TempDir;
use tokio::sync::Notify;

/// A socket of its own in front of an engine's.
pub struct Proxy {
    folder: TempDir,
    rules: Arc<Rules>,
}

#[derive(Default)]
struct Rules {
    upstream: PathBuf,
    /// Nothing gets through.
    cut: AtomicBool,
    /// Reads of paths that begin like this are refused.
    refused: Mutex<Vec<String>>,
    /// The process behind it dies at this write.
    dies: Option<(usize, When)>,
    writes: AtomicUsize,
    died: Notify,
    open: AtomicUsize,
    /// What was asked for: method and path.
    seen: Mutex<Vec<String>>,
    /// Happens before the next update of a service gets through: somebody else is faster.
    interference: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Proxy {
    pub fn new(upstream: PathBuf) -> Self {
        Self::start(Rules { upstream, ..Rules::default() })
    }

    /// One that lets a process die at a write. Reads are not counted: before and after a read the world is the same.
    pub fn that_kills(upstream: PathBuf, write: usize, when: When) -> Self {
        Self::start(Rules { upstream, dies: Some((write, when)), ..Rules::default() })
    }

    fn start(rules: Rules) -> Self {
        let folder = tempfile::Builder::new().prefix("sp").tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("sock")).unwrap();
        let rules = Arc::new(rules);
        let serving = rules.clone();
        // It ends with the test process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let rules = serving.clone();
                rules.open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let _ = rules.serve(client);
                    rules.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { folder, rules }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    pub fn cut(&self, cut: bool) {
        self.rules.cut.store(cut, Ordering::SeqCst);
    }

    pub fn refuse(&self, paths: &[&str]) {
        *self.rules.refused.lock().unwrap() = paths.iter().map(|path| (*path).to_owned()).collect();
    }

    pub fn interfere(&self, what: impl FnOnce() + Send + 'static) {
        *self.rules.interference.lock().unwrap() = Some(Box::new(what));
    }

    /// Ends when the process behind it has died.
    pub async fn died(&self) {
        self.rules.died.notified().await;
    }

    pub fn is_dead(&self) -> bool {
        self.rules.dies.is_some() && self.rules.cut.load(Ordering::SeqCst)
    }

    /// What was asked for since the last time: `GET /services`.
    pub fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.rules.seen.lock().unwrap())
    }

    /// Waits until nothing of the process is under way any more.
    pub async fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.rules.open.load(Ordering::SeqCst) > 0 {
            assert!(Instant::now() < deadline, "a request of the dead process does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Rules {
    fn serve(&self, mut client: UnixStream) -> std::io::Result<()> {
        client.set_read_timeout(Some(Duration::from_secs(60)))?;
        let Some((head, body)) = request(&mut client)? else { return Ok(()) };
        let mut words = head.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        self.seen.lock().unwrap().push(format!("{method} {}", path.split('?').next().unwrap_or_default()));
        if self.cut.load(Ordering::SeqCst) {
            return Ok(());
        }
        if method == "GET" && self.refused.lock().unwrap().iter().any(|refused| path.starts_with(refused)) {
            let body = r#"{"message":"this account may not read it"}"#;
            return write!(
                client,
                "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
        if path.starts_with("/services/") && method == "POST" {
            let interference = self.interference.lock().unwrap().take();
            interference.into_iter().for_each(|interfere| interfere());
        }
        let dies = self.dies.filter(|(at, _)| method != "GET" && self.writes.fetch_add(1, Ordering::SeqCst) == *at);
        if dies.is_some_and(|(_, when)| when == When::Before) {
            self.die();
            return Ok(());
        }
        let answer = self.ask(&head, &body, (method == "GET").then_some(&mut client))?;
        if dies.is_some() {
            self.die();
            return Ok(());
        }
        client.write_all(&answer)?;
        client.shutdown(Shutdown::Both)
    }

    fn die(&self) {
        self.cut.store(true, Ordering::SeqCst);
        self.died.notify_one();
    }

    /// Asks the engine. The answer to a read is passed on as it comes.
    fn ask(&self, head: &str, body: &[u8], mut pass_on: Option<&mut UnixStream>) -> std::io::Result<Vec<u8>> {
        let mut engine = UnixStream::connect(&self.upstream)?;
        let (first, rest) = head.split_once("\r\n").unwrap_or((head, ""));
        write!(engine, "{first}\r\nConnection: close\r\n{rest}\r\n\r\n")?;
        engine.write_all(body)?;
        let mut answer = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = engine.read(&mut buffer)?;
            if read == 0 {
                return Ok(answer);
            }
            match &mut pass_on {
                Some(client) => client.write_all(&buffer[..read])?,
                None => answer.extend_from_slice(&buffer[..read]),
            }
        }
    }
}

/// The head of a request without its last line end, and its body. None where the client has gone.
fn request(client: &mut UnixStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut read = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        match client.read(&mut buffer)? {
            0 => return Ok(None),
            n => read.extend_from_slice(&buffer[..n]),
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let mut body = read.split_off(end + 4);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    while body.len() < length.unwrap_or(0) {
        match client.read(&mut buffer)? {
            0 => return Ok(None),
            n => body.extend_from_slice(&buffer[..n]),
        }
    }
    Ok(Some((head, body)))
}
