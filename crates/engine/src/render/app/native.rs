//! The native part of an app: that of its environment's platform.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::ValueKind;

use super::{Scope, Session};
use crate::desired::name::Name;
use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::schema::App;
use crate::manifest::source::Node;
use crate::render::native::{Native, Origin, as_text};

impl Session<'_> {
    /// The part of this environment's platform; those of others are of no account here.
    pub(super) fn native(&mut self, name: &Name, app: &App, rendered: &Node, scope: &Scope) -> Option<Native> {
        let part = rendered.at(["platform", self.platform.as_str()]);
        let runs = app.image.is_some() || app.command.is_some();
        let Some(part) = part else {
            if !runs {
                let message = format!("the app `{name}` says nothing that could run on {}, where {} is", self.platform, self.environment);
                let help = format!("give it an `image`, a `command` or `platform.{}`; or leave it out of this environment", self.platform);
                self.problems.push(Diagnostic::new(message, rendered.span).with_help(help));
            }
            return None;
        };
        // A part that a cartridge gives names files of the cartridge.
        let filled = scope.cartridge.as_ref().filter(|_| scope.rendered_files.contains(&part.span.file));
        let origin = match filled {
            Some(filled) => {
                Origin::Cartridge(Arc::new(filled.cartridge.files.clone()), filled.cartridge.shown("").trim_end_matches('/').into())
            }
            None => Origin::Folder(self.manifest.folder.clone()),
        };
        let context = filled.map_or(&scope.context, |filled| &filled.context).clone();
        let mut values = BTreeMap::new();
        for place in ["vars", "parameters"] {
            let all = context.get_attr(place).unwrap_or_default();
            if all.kind() != ValueKind::Map {
                continue;
            }
            for key in all.try_iter().into_iter().flatten() {
                let text = all.get_item(&key).ok().and_then(|value| as_text(&value));
                values.extend(key.as_str().map(str::to_owned).zip(text));
            }
        }
        let secrets = self.manifest.secrets.keys().cloned().collect();
        Some(Native::new(part.clone(), values, secrets, origin, context))
    }
}
