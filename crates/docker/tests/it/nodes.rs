//! A swarm of three nodes, all of them managers, some of which are lost. Each node is an engine of its own.

mod cluster;
mod drain;
mod loss;
mod manager;
mod placement;
mod project;
mod quorum;
