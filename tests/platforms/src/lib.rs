//! Real servers for tests. They run on this machine alone, apart from everything that it has already, and end with the
//! test process, however that ends.

mod catalogue;
mod engine;
mod image;
mod private;
mod program;

pub use catalogue::provide;
pub use engine::{Engines, shared_swarm};
pub use image::{WEB, build};
pub use private::{PASSWORD, PrivateRegistry, USER};
pub use program::image_of;
