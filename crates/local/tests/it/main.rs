//! The platform, driven through its contract against a real supervisor and real processes.

mod bench;

mod documents;
mod leases;
mod lifecycle;
mod rollouts;
mod secrets;
mod supervision;
