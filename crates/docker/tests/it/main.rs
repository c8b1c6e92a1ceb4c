//! Real engines: alone, as a swarm, and as a swarm whose nodes are lost; ways to reach them; compose files on them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it cannot go on")]

mod compose;
mod connection;
mod death;
mod docker;
mod login;
mod nodes;
mod proxy_image;
mod swarm;
