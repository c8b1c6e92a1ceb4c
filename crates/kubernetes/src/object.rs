//! Objects as documents, and back.
//!
//! A document has the fields that are ours to say, below the paths that they have in the object; elements of keyed lists are
//! `[name=web]`, those of other lists `[0003]`. Kind, name, namespace and our marks are not in it; the version of the API is.

pub(crate) mod arrange;
pub(crate) mod cleared;
pub(crate) mod desired;
pub(crate) mod fields;
pub(crate) mod filled;
pub(crate) mod leaf;
pub(crate) mod lists;
pub(crate) mod live;
pub(crate) mod project;
pub(crate) mod quantity;
pub(crate) mod references;
pub(crate) mod segment;
pub(crate) mod unions;
pub(crate) mod write;
