//! Stage 3: what was rendered becomes resources that should exist, in each platform's own terms.

pub mod binding;
pub mod document;
pub mod name;
pub mod owner;
pub mod path;
pub mod quantity;
pub mod resource;
pub mod text;
