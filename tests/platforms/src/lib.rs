//! Real servers for tests. They run on this machine alone, apart from everything that it has already, and end with the
//! process that started them, however that ends.
//!
//! A test program starts the servers that it needs. Under `cargo test-all` several programs share
//! those of [`Servers`].

mod audit;
mod catalogue;
mod cluster;
mod engine;
mod fault;
mod helm;
mod image;
mod keeper;
mod kubectl;
mod private;
mod program;
mod servers;
mod shared;
mod wait;

pub use audit::{Mark, Request};
pub use catalogue::{provide, provide_to};
pub use cluster::{Cluster, Part};
pub use engine::{Engines, shared_engine, shared_swarm, shared_swarm_of_two, swarm_of};
pub use fault::{Fault, FaultProxy, Side};
pub use helm::helm;
pub use image::{WEB, build};
pub use private::{PASSWORD, PrivateRegistry, USER};
pub use program::image_of;
pub use servers::{Servers, VARIABLE as SERVERS_VARIABLE};
pub use shared::{ReservedCpus, free_port, unique_name};
pub use wait::{Look, PATIENCE, eventually, eventually_async, eventually_within};
