//! An app with a native part, as a plan sees it: on a platform that has none.

use crate::deploy::Connector;
use crate::desired::desired;
use crate::manifest::Manifest;
use crate::manifest::schema::Environment;
use crate::platform::memory::{MemoryConnector, World};
use crate::render::{VariableInputs, render};

/// The part for the kind of the environment is refused by a platform without native parts, and the others do not count.
async fn problems(app: &str) -> Result<usize, String> {
    let text = format!("[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"swarm\"\n[apps.web]\n{app}\n");
    let manifest = Manifest::parse(&text).map_err(|report| report.to_string())?;
    let (name, settings): (_, &Environment) = manifest.environments.first().unwrap();
    let mut rendered = render(&manifest, name, &VariableInputs::default()).map_err(|report| report.to_string())?;
    let platform = MemoryConnector::new(World::new()).connect(&manifest.project, name, settings).await.unwrap();
    let desired = desired(&mut rendered, &manifest, &*platform, &Default::default());
    desired.map(|desired| desired.resources.len()).map_err(|report| report.to_string())
}

#[tokio::test]
async fn a_platform_without_native_parts_says_so_where_the_part_is() {
    let error = problems("image = \"web:1\"\nplatform.swarm = { compose = \"x.yml\" }").await.unwrap_err();
    assert_eq!(error, "stratos.toml:7:18: this platform has no native parts (remove it)");
}

#[tokio::test]
async fn parts_of_other_platforms_do_not_count() {
    assert_eq!(problems("image = \"web:1\"\nplatform.kubernetes = { manifests = [\"x.yml\"] }").await, Ok(1));
}

#[tokio::test]
async fn without_an_image_what_is_about_a_container_is_refused() {
    let error = problems("replicas = 2\nports.http = 80\nenv.A = \"b\"\nplatform.swarm = { compose = \"x.yml\" }").await.unwrap_err();
    assert_eq!(
        error,
        "stratos.toml:6:12: `replicas` is about a container of the app itself, and web has none: no `image`, no `command` \
         (say it in the files of `platform.swarm`)\nstratos.toml:9:18: this platform has no native parts (remove it)"
    );
}
