//! Two platforms on the Docker Engine API: `docker`, one plain engine, and `swarm`, a swarm of them.
//!
//! What both need stands first; then each has a module with the same files: `platform`, `translate`, `observe`, `apply`,
//! `health`, `logs`. Documents speak the vocabulary of compose files, which users of Docker know (`docs/design/docker.md`).

mod app_network;
mod beside;
mod compose;
pub mod config;
pub mod connection;
mod container;
pub mod endpoint;
pub mod engine;
pub mod exec;
mod failure;
mod jobs;
mod labels;
pub mod logs;
mod raw;
pub mod swarm;

pub use engine::DockerPlatform;
pub use swarm::SwarmPlatform;
