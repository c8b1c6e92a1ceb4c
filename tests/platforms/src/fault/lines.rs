//! A protocol of one line there and one line back, as supervisors speak it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Entrance, FaultProxy, Rules, Side};

/// A socket that was moved away from its place, and is put back at the end.
pub(super) struct Moved {
    pub(super) socket: PathBuf,
    to: PathBuf,
    ends: Arc<AtomicBool>,
}

impl FaultProxy {
    /// Takes the place of a server's socket, which is moved away meanwhile. Each request is a write.
    ///
    /// # Panics
    /// When the socket cannot be moved.
    pub fn in_place_of(socket: &Path, moved_to: &Path) -> Self {
        std::fs::rename(socket, moved_to).expect("a socket that can be moved");
        let listener = UnixListener::bind(socket).expect("a socket in the place of the other");
        let (rules, ends) = (Arc::<Rules>::default(), Arc::new(AtomicBool::new(false)));
        let moved = Moved { socket: socket.to_owned(), to: moved_to.to_owned(), ends: ends.clone() };
        let (way, to) = (rules.clone(), moved_to.to_owned());
        // The program may have no runtime: it is met from outside.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let (rules, to) = (way.clone(), to.clone());
                std::thread::spawn(move || serve(&rules, &to, &client));
            }
        });
        Self { entrance: Entrance::Moved(moved), rules }
    }
}

impl Drop for Moved {
    /// Puts the socket back, where its server still listens.
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        drop(UnixStream::connect(&self.socket));
        let _ = match UnixStream::connect(&self.to) {
            Ok(_) => std::fs::rename(&self.to, &self.socket),
            Err(_) => std::fs::remove_file(&self.to),
        };
    }
}

/// One request of one line, answered by one line. A client that breaks the connection meanwhile was killed: so nothing here is
/// an error.
fn serve(rules: &Rules, server: &Path, mut client: &UnixStream) {
    let mut request = String::new();
    if !matches!(BufReader::new(client).read_line(&mut request), Ok(1..)) {
        return;
    }
    rules.begin(request.trim_end().to_owned());
    let answer = answer(rules, server, &request);
    rules.end();
    match answer {
        Some(answer) => drop(client.write_all(answer.as_bytes())),
        // The client hears nothing more until it is killed.
        None if rules.dead.load(Ordering::SeqCst) => drop(client.read_to_end(&mut Vec::new())),
        None => {}
    }
}

/// The server's answer. None where the client is not to have one.
fn answer(rules: &Rules, server: &Path, request: &str) -> Option<String> {
    if rules.is_cut() {
        return None;
    }
    let dies = rules.dies_at_this_write();
    if dies == Some(Side::Before) {
        rules.die();
        return None;
    }
    let mut answer = String::new();
    let mut server = UnixStream::connect(server).ok()?;
    server.write_all(request.as_bytes()).ok()?;
    BufReader::new(server).read_line(&mut answer).ok()?;
    if dies.is_some() {
        rules.die();
        return None;
    }
    Some(answer)
}
