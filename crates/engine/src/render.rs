//! Stage 2: the manifest with its variables, templates and cartridges filled in, for one environment at a time.

pub mod secret;

use indexmap::IndexMap;

use crate::desired::name::Name;
use crate::desired::text::Text;
use crate::manifest::Manifest;
use crate::manifest::diagnostic::Report;
use crate::manifest::schema::{App, Environment};
use crate::platform::FileContent;

/// Values of variables from outside the manifest, from the weakest to the strongest. Text is read as the variable's type.
///
/// The whole order, strongest first: `--var`, `STRATOS_VAR_*`, `--var-file`, the environment's `variables`, the default.
#[derive(Debug, Clone, Default)]
pub struct VariableInputs {
    /// From `--var-file`s, the later ones stronger: name and TOML value as text.
    pub files: Vec<(String, String)>,
    /// From `STRATOS_VAR_<NAME>`; the name in lower case.
    pub environment: Vec<(String, String)>,
    /// From `--var name=value`.
    pub arguments: Vec<(String, String)>,
}

/// One environment's apps, typed and effective.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Which environment.
    pub environment: Name,
    /// Its settings.
    pub settings: Environment,
    /// The apps that go there, in the order in which they are written.
    pub apps: IndexMap<Name, RenderedApp>,
}

/// An app with its cartridge, its override and its templates applied.
#[derive(Debug, Clone)]
pub struct RenderedApp {
    /// The app.
    pub app: App,
    /// Its files by the path at which the app finds them.
    pub files: IndexMap<String, FileContent>,
    /// What its cartridge exports to apps that bind it: variable (without prefix) to text. The app's own address in it
    /// is `Segment::Attribute` of the pseudo resource `<environment>/app/<name>`, attributes `host` and `port`.
    pub exports: IndexMap<String, Text>,
}

/// Renders one environment.
pub fn render(_manifest: &Manifest, _environment: &Name, _inputs: &VariableInputs) -> Result<Rendered, Report> {
    todo!()
}
