//! A TCP balancer that sends only to healthy targets and drains those that leave.
//!
//! Who knows which targets are healthy decides what is in a [`Pool`]: the supervisor of the platform `local` does, in its
//! own process. Where the balancer runs by itself, in a container, a file says it: [`run()`] reads it, and again on SIGHUP.
//!
//! What holds for both:
//!
//! - A connection goes to the target with the fewest connections; among those with as few, to the one that got none for
//!   the longest time. A target's name is looked up for each connection, so that it may move.
//! - A target that refuses a connection, or is silent for a second, is skipped for the next one, and comes last for a
//!   moment. A connection that no target takes waits for one, and is closed after five seconds.
//! - A target that leaves gets no new connections. Those that it has go on to their end.
//! - At its limit of connections a balancer accepts no more of them: the next ones wait in the kernel's queue until one ends.
//!
//! It has one thread, and wants to be called within a [`LocalSet`](tokio::task::LocalSet).
//!
//! Reading order: [`pool`] (which target), `proxy` (one connection), [`listeners`] (where connections come from), and
//! for the balancer by itself [`configuration`] and [`run`](mod@run).

pub mod configuration;
pub mod listeners;
pub mod pool;
mod proxy;
pub mod run;
pub mod target;

pub use configuration::Configuration;
pub use listeners::Listeners;
pub use pool::{Backend, Pool};
pub use run::run;
pub use target::Target;
