//! Where cartridges are found: in the catalogue that is part of the program, or in a folder beside the manifest.

use std::collections::BTreeMap;
use std::path::Path;

use rust_embed::RustEmbed;

use super::{Cartridge, DESCRIPTION};
use crate::manifest::diagnostic::{Diagnostic, Report, Sources};
use crate::manifest::suggest;
use crate::render::folder::{Folder, checked_text};

/// The folder `cartridges/` of this repository. A debug build reads it from there, so that a change shows at once.
#[derive(RustEmbed)]
#[folder = "../../cartridges"]
struct Embedded;

/// Cartridges by name.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// The files of each cartridge, by their path in its folder.
    cartridges: BTreeMap<String, BTreeMap<String, String>>,
}

impl Catalogue {
    /// The catalogue that is part of the program.
    pub fn embedded() -> Self {
        let mut cartridges: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for path in Embedded::iter() {
            let text = Embedded::get(&path).and_then(|file| checked_text(file.data.into_owned()).ok());
            if let (Some((name, inner)), Some(text)) = (path.split_once('/'), text) {
                cartridges.entry(name.to_owned()).or_default().insert(inner.to_owned(), text);
            }
        }
        // A file beside the folders (a README) or a folder that is something else is no cartridge.
        cartridges.retain(|_, files| files.contains_key(DESCRIPTION));
        Self { cartridges }
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.cartridges.keys().map(String::as_str)
    }

    /// All cartridges, sorted by name.
    pub fn list(&self) -> Result<Vec<Cartridge>, Report> {
        self.names().map(|name| self.get(name)).collect()
    }

    /// The cartridge of this name. An unknown name is answered with the nearest, or with all there are.
    pub fn get(&self, name: &str) -> Result<Cartridge, Report> {
        let mut sources = Sources::default();
        self.read(name, &mut sources).map_err(|diagnostics| Report::new(sources.into(), diagnostics))
    }

    /// The cartridge that an app names: one of the catalogue, or a folder inside `manifest`, the manifest's folder.
    pub fn find(&self, reference: &str, manifest: &Path) -> Result<Cartridge, Report> {
        if !is_folder(reference) {
            return self.get(reference);
        }
        let mut sources = Sources::default();
        let folder = Folder::open(manifest).map_err(|why| Report::new(Default::default(), vec![Diagnostic::new(why, None)]))?;
        read_folder(&folder, reference, &mut sources).map_err(|diagnostics| Report::new(sources.into(), diagnostics))
    }

    pub(in crate::render) fn read(&self, name: &str, sources: &mut Sources) -> Result<Cartridge, Vec<Diagnostic>> {
        let Some(files) = self.cartridges.get(name) else {
            let names: Vec<&str> = self.names().collect();
            let help = suggest::help(name, names, "there are").unwrap_or_else(|| "the catalogue is empty".into());
            let help = format!("{help}; a cartridge of your own is a folder: \"./cartridges/{name}\"");
            return Err(vec![Diagnostic::new(format!("there is no cartridge `{name}` in the catalogue"), None).with_help(help)]);
        };
        Cartridge::read(files.clone(), &format!("catalogue/{name}"), sources)
    }
}

/// Whether a cartridge is named by its folder rather than by its name.
pub(in crate::render) fn is_folder(reference: &str) -> bool {
    reference.contains('/') || reference.starts_with('.')
}

/// Reads a cartridge from a folder inside the manifest's folder.
pub(in crate::render) fn read_folder(folder: &Folder, reference: &str, sources: &mut Sources) -> Result<Cartridge, Vec<Diagnostic>> {
    let files = folder.inner(reference).and_then(|inner| inner.read_all()).map_err(|why| {
        let help = "a cartridge's folder must be inside the manifest's folder";
        vec![Diagnostic::new(format!("the cartridge cannot be read: {why}"), None).with_help(help)]
    })?;
    Cartridge::read(files, reference.trim_start_matches("./").trim_end_matches('/'), sources)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn every_cartridge_of_the_catalogue_is_whole_and_called_like_its_folder() {
        let catalogue = Catalogue::embedded();
        let cartridges = catalogue.list().unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(catalogue.names().collect::<Vec<_>>(), ["hello", "mysql", "nginx", "php", "redis", "tomcat"]);
        for (cartridge, name) in cartridges.iter().zip(catalogue.names()) {
            assert_eq!(&*cartridge.name, name);
            assert!(cartridge.description.ends_with('.'), "{name}: a description is a sentence");
            assert!(cartridge.parameters.values().all(|p| p.description.ends_with('.')), "{name}: a description is a sentence");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let error = Catalogue::embedded().get("mysq").unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no cartridge `mysq` in the catalogue (did you mean `mysql`?; a cartridge of your own is a folder: \"./cartridges/mysq\")"
        );
    }
}
