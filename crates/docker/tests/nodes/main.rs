//! A swarm of three nodes, all of them managers, some of which are lost. Each node is an engine of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it cannot go on")]

mod cluster;
mod drain;
mod loss;
mod manager;
mod placement;
mod project;
mod quorum;
