//! Free ports for instances and balancers, and who has one that is not free.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;

/// Where ports are chosen from: below the range from which the kernel takes ports for outgoing connections (32768 and
/// up on Linux), so that a port which was free a moment ago, or before a restart, most likely still is.
pub(crate) const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// The ports that are in use here. A process may not have bound its port yet, so asking the kernel is not enough.
#[derive(Default, Clone)]
pub(crate) struct PortPool(Rc<RefCell<HashSet<u16>>>);

/// A port that nobody else gets while this lives.
pub(crate) struct Port {
    pub number: u16,
    pool: PortPool,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.pool.0.borrow_mut().remove(&self.number);
    }
}

impl PortPool {
    /// A free port for an instance.
    pub fn port(&self) -> io::Result<Port> {
        // The listener is closed again: an instance binds the port itself.
        self.choose().map(|(number, _listener)| {
            self.0.borrow_mut().insert(number);
            Port { number, pool: self.clone() }
        })
    }

    /// A listener for other apps to connect to: on the port that it had before, where that is free.
    pub fn listener(&self, before: Option<u16>) -> io::Result<(u16, TcpListener)> {
        let before = before.filter(|number| !self.0.borrow().contains(number));
        match before.and_then(|number| Some((number, bind(number).ok()?))) {
            Some(bound) => Ok(bound),
            None => self.choose(),
        }
    }

    fn choose(&self) -> io::Result<(u16, TcpListener)> {
        let length = RANGE.end - RANGE.start;
        let start: u16 = rand::random::<u16>() % length;
        let candidates = (0..length).map(|i| RANGE.start + (start + i) % length);
        for number in candidates.filter(|number| !self.0.borrow().contains(number)) {
            if let Ok(listener) = bind(number) {
                return Ok((number, listener));
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no port from {} to {} is free", RANGE.start, RANGE.end)))
    }
}

/// Listens on the loopback interface.
pub(crate) fn bind(number: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number))
}

/// The process that listens on a port, by its id and name, where `/proc` shows it: other users' processes do not show.
pub(crate) fn holder(number: u16) -> Option<(u32, String)> {
    let wanted = format!(":{number:04X}");
    // proc(5): sl, local_address, rem_address, st, …, inode as the tenth column; 0A is LISTEN.
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().find_map(|table| {
        let text = std::fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let listens = columns.get(1)?.ends_with(&wanted) && *columns.get(3)? == "0A";
            listens.then(|| columns.get(9).map(|inode| format!("socket:[{inode}]")))?
        })
    })?;
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    // `self` is there besides the numbers.
    let mut processes = processes.filter(|p| p.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    processes.find_map(|process| {
        let descriptors = std::fs::read_dir(process.path().join("fd")).ok()?;
        let holds = descriptors.flatten().any(|d| std::fs::read_link(d.path()).is_ok_and(|link| link.as_os_str() == inode.as_str()));
        let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        let id = process.file_name().to_str()?.parse().ok()?;
        holds.then(|| (id, name.trim().to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_while_it_is_held() {
        let pool = PortPool::default();
        let ports: Vec<Port> = (0..50).map(|_| pool.port().unwrap()).collect();
        let distinct: HashSet<u16> = ports.iter().map(|p| p.number).collect();
        assert_eq!(distinct.len(), ports.len());
        drop(ports);
        assert!(pool.0.borrow().is_empty());
    }

    #[test]
    fn a_listener_keeps_its_port_where_it_can() {
        let pool = PortPool::default();
        let (number, listener) = pool.listener(None).unwrap();
        assert_ne!(pool.listener(Some(number)).unwrap().0, number, "it is taken");
        drop(listener);
        assert_eq!(pool.listener(Some(number)).unwrap().0, number);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_holder_of_a_port_is_found() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (process, name) = holder(listener.local_addr().unwrap().port()).unwrap();
        assert_eq!(process, std::process::id());
        assert!(!name.is_empty());
    }
}
