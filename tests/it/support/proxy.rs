//! Stands between the program and the supervisor of an environment, and counts their requests.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// On which side of a request something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The supervisor has not got it.
    Before,
    /// The supervisor has answered, and nobody has got the answer.
    After,
}

/// A proxy in the place of a supervisor's socket. The socket itself has been moved away.
pub struct Proxy {
    place: PathBuf,
    moved_to: PathBuf,
    /// Gets a message when the request is reached that was asked for: it goes no further.
    pub reached: Receiver<()>,
    ends: Arc<AtomicBool>,
}

impl Proxy {
    /// Takes the place of the socket. The request with this number, counted from 0, is not passed on.
    pub fn new(socket: &Path, moved_to: &Path, request: usize, side: Side) -> Self {
        std::fs::rename(socket, moved_to).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        let (reached, receiver) = channel();
        let ends = Arc::new(AtomicBool::new(false));
        let way = Arc::new(Way { to: moved_to.into(), stop_at: request, side, met: AtomicUsize::new(0), reached: Mutex::new(reached) });
        let stop = ends.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (way, stream) = (way.clone(), stream.unwrap());
                std::thread::spawn(move || way.serve(stream));
            }
        });
        Self { place: socket.into(), moved_to: moved_to.into(), reached: receiver, ends }
    }

    /// Puts the socket back, where its supervisor still listens.
    pub fn remove(self) {
        self.ends.store(true, Ordering::SeqCst);
        drop(UnixStream::connect(&self.place));
        match UnixStream::connect(&self.moved_to) {
            Ok(_) => std::fs::rename(&self.moved_to, &self.place).unwrap(),
            Err(_) => std::fs::remove_file(&self.moved_to).unwrap(),
        }
    }
}

/// What every connection needs to know.
struct Way {
    to: PathBuf,
    stop_at: usize,
    side: Side,
    met: AtomicUsize,
    reached: Mutex<Sender<()>>,
}

impl Way {
    /// One request of one line, answered by one line. Whoever breaks the connection meanwhile was killed: so nothing here
    /// is an error.
    fn serve(&self, client: UnixStream) {
        let mut request = String::new();
        let mut reader = BufReader::new(&client);
        if !matches!(reader.read_line(&mut request), Ok(1..)) {
            return;
        }
        let here = self.met.fetch_add(1, Ordering::SeqCst) == self.stop_at;
        if here && self.side == Side::Before {
            return self.stop(&client);
        }
        let Ok(mut server) = UnixStream::connect(&self.to) else { return };
        let mut answer = String::new();
        if server.write_all(request.as_bytes()).is_err() || BufReader::new(server).read_line(&mut answer).is_err() {
            return;
        }
        if here {
            return self.stop(&client);
        }
        let _ = (&client).write_all(answer.as_bytes());
    }

    /// Says that it is here, and keeps the connection until the client has gone.
    fn stop(&self, mut client: &UnixStream) {
        let _ = self.reached.lock().unwrap().send(());
        let _ = client.read_to_end(&mut Vec::new());
    }
}
