//! Stage 1: text becomes a manifest. Whatever is wrong with it is reported at once, each at its place.

pub mod check;
pub mod diagnostic;
pub mod schema;
pub mod source;
mod suggest;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use crate::desired::name::Name;
use crate::render::secret::SecretSource;
use diagnostic::{Report, Sources};
use schema::{Environment, Moved, Project, Variable};
use source::Node;

/// What a user wrote: checked as far as it can be before its templates are rendered.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// `[project]`.
    pub project: Project,
    /// `[variables]`.
    pub variables: IndexMap<String, Variable>,
    /// `[environments]`, in the order in which they are written.
    pub environments: IndexMap<Name, Environment>,
    /// `[secrets]`.
    pub secrets: IndexMap<String, SecretSource>,
    /// `[apps]`: as written, since any string in them may be a template.
    pub apps: IndexMap<Name, Node>,
    /// `[[moved]]`.
    pub moved: Vec<Moved>,
    /// The folder that relative paths in it are relative to.
    pub folder: PathBuf,
    /// The files that it was read from.
    pub sources: Arc<Sources>,
}

impl Manifest {
    /// Reads `stratos.toml` (or the file named) and what it includes.
    pub fn load(_path: &Path) -> Result<Self, Report> {
        todo!()
    }

    /// Reads a manifest from text. `include` finds nothing.
    pub fn parse(_text: &str) -> Result<Self, Report> {
        todo!()
    }
}
