//! A tree is checked against the schema that its types generate, and typed.

use super::diagnostic::Diagnostic;
use super::schema::App;
use super::source::Node;

/// Types an app whose templates are rendered. Reports everything that is wrong, at the places where it was written.
pub fn typed_app(node: &Node) -> Result<App, Vec<Diagnostic>> {
    serde_json::from_value(node.to_json()).map_err(|error| vec![Diagnostic::new(error.to_string(), node.span)])
}
