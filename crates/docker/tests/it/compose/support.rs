//! Manifests of the test, and the platform that they go to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use stratos_docker::DockerPlatform;
use stratos_docker::config::{DockerOptions, EnvironmentConfig, SwarmOptions};
use stratos_docker::endpoint::Endpoint;
use stratos_docker::swarm::SwarmPlatform;
use stratos_engine::deploy::Connector;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::resource::Resource;
use stratos_engine::desired::{Desired, desired, owner_in};
use stratos_engine::manifest::Manifest;
use stratos_engine::manifest::diagnostic::Report;
use stratos_engine::manifest::schema::{Environment, PlatformKind, Project};
use stratos_engine::platform::{Platform, PlatformError};
use stratos_engine::render::secret::Secrets;
use stratos_engine::render::{VariableInputs, native, render};
use zeroize::Zeroizing;

/// The folder of a case, or of all of them.
pub fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/compose").join(path)
}

/// The names of all cases.
pub fn cases() -> Vec<String> {
    let entries = std::fs::read_dir(folder("files")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Compares with a file, or writes it where that was asked for.
pub fn compare(path: &Path, actual: &str, differing: &mut Vec<String>) {
    if std::env::var_os("STRATOS_BLESS").is_some() {
        std::fs::write(path, actual).unwrap();
    } else if std::fs::read_to_string(path).unwrap_or_default() != actual {
        differing.push(format!("{}:\n{actual}", path.display()));
    }
}

/// Makes platforms on an engine: of a swarm, or of the engine alone, as an environment says.
pub struct Engine {
    pub endpoint: Endpoint,
    pub options: SwarmOptions,
    pub proxy_image: Option<String>,
}

impl Engine {
    /// One that is not there: for what asks it nothing.
    pub fn nowhere() -> Self {
        Self { endpoint: Endpoint::Http("127.0.0.1:9".into()), options: SwarmOptions::default(), proxy_image: None }
    }

    pub fn platform(&self, project: &Project, name: &Name, environment: &Environment) -> Arc<dyn Platform> {
        let namespace = environment.namespace.as_ref().map(|namespace| Name::new(namespace).unwrap());
        let config = EnvironmentConfig {
            environment: name.clone(),
            owner: owner_in(project, name),
            prefix: namespace.unwrap_or_else(|| project.name.clone()),
            endpoint: self.endpoint.clone(),
            credentials: None,
            swarm: self.options,
            docker: DockerOptions { proxy_image: self.proxy_image.clone() },
        };
        match environment.platform {
            PlatformKind::Swarm => Arc::new(SwarmPlatform::connect(config).unwrap()),
            _ => Arc::new(DockerPlatform::connect(config).unwrap()),
        }
    }
}

#[async_trait]
impl Connector for Engine {
    async fn connect(&self, project: &Project, name: &Name, environment: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
        Ok(self.platform(project, name, environment))
    }
}

/// Everything up to the documents, as a plan does it, for the first environment.
pub fn translated(manifest: &Manifest) -> Result<Desired, Report> {
    translated_in(manifest, manifest.environments.keys().next().unwrap().as_str())
}

/// The same for an environment.
pub fn translated_in(manifest: &Manifest, environment: &str) -> Result<Desired, Report> {
    let name = &Name::new(environment).unwrap();
    let platform = Engine::nowhere().platform(&manifest.project, name, &manifest.environments[name]);
    let mut rendered = render(manifest, name, &VariableInputs::default())?;
    native::load(&mut rendered, manifest, &|part| platform.native_files(part))?;
    desired(&mut rendered, manifest, &*platform, &Default::default())
}

/// A value for each secret of a manifest.
pub fn secrets(manifest: &Manifest) -> Secrets {
    Secrets::new(manifest.secrets.keys().map(|name| (name.clone(), Ok(Zeroizing::new(format!("the value of {name}"))))))
}

/// Resources as text: one line for each leaf.
pub fn text(resources: &[Resource]) -> String {
    let mut out = String::new();
    for resource in resources {
        out.push_str(&format!("{}\n", resource.id));
        for needed in &resource.depends_on {
            out.push_str(&format!("  after {needed}\n"));
        }
        for (path, leaf) in resource.document.leaves() {
            out.push_str(&format!("  {path} = {leaf}\n"));
        }
        out.push('\n');
    }
    out
}
