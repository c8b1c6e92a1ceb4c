//! Real servers for tests. They run on this machine alone, apart from everything that it has already, and end with the
//! test process, however that ends.

mod audit;
mod catalogue;
mod cluster;
mod engine;
mod helm;
mod image;
mod keeper;
mod private;
mod program;
mod wait;

pub use audit::{Mark, Request};
pub use catalogue::{provide, provide_to};
pub use cluster::{Cluster, Part};
pub use engine::{Engines, shared_swarm};
pub use helm::helm;
pub use image::{WEB, build};
pub use private::{PASSWORD, PrivateRegistry, USER};
pub use program::image_of;
pub use wait::eventually;
