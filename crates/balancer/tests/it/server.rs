//! A target.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::balancer::PATIENCE;

/// A server that answers each byte with its letter.
pub struct Server {
    pub letter: u8,
    pub target: String,
    /// While it is false, answers wait.
    gate: watch::Sender<bool>,
    counts: Arc<Counts>,
}

struct Counts {
    /// How many connections there were in all, and how many there are.
    seen: watch::Sender<(usize, usize)>,
    most: AtomicUsize,
}

impl Server {
    pub async fn start(letter: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let (gate, opens) = watch::channel(true);
        let counts = Arc::new(Counts { seen: watch::channel((0, 0)).0, most: AtomicUsize::new(0) });
        let shared = counts.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                shared.change(1, 1);
                let (counts, opens) = (shared.clone(), opens.clone());
                tokio::spawn(async move {
                    drop(serve(client, letter, opens).await);
                    counts.change(0, -1);
                });
            }
        });
        Self { letter, target, gate, counts }
    }

    pub fn close_gate(&self) {
        self.gate.send_replace(false);
    }

    pub fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    /// Waits until it has this many connections.
    pub async fn has_open(&self, connections: usize) {
        let mut seen = self.counts.seen.subscribe();
        timeout(PATIENCE, seen.wait_for(|(_, open)| *open >= connections)).await.expect("connections come").unwrap();
    }

    /// Waits until it gets a connection that it does not have yet.
    pub async fn takes_another(&self) {
        let mut seen = self.counts.seen.subscribe();
        let before = seen.borrow().0;
        timeout(PATIENCE, seen.wait_for(|(all, _)| *all > before)).await.expect("a connection comes").unwrap();
    }

    pub fn most_at_once(&self) -> usize {
        self.counts.most.load(Ordering::Relaxed)
    }
}

impl Counts {
    fn change(&self, all: usize, open: isize) {
        self.seen.send_modify(|seen| {
            *seen = (seen.0 + all, seen.1.checked_add_signed(open).unwrap());
            self.most.fetch_max(seen.1, Ordering::Relaxed);
        });
    }
}

async fn serve(mut client: TcpStream, letter: u8, mut opens: watch::Receiver<bool>) -> std::io::Result<()> {
    loop {
        client.read_u8().await?;
        drop(opens.wait_for(|open| *open).await);
        client.write_u8(letter).await?;
    }
}
