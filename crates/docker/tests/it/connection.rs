//! Reaching real engines: over a socket, plain TCP, TLS and ssh, by address and by context; and what is said when that
//! fails.

mod contexts;
mod exec;
mod jobs;
mod logs;
mod places;
mod sockets;
mod ssh;
mod tls;
