//! One environment of a shared engine, for one case of the conformance suite: with a project id, a prefix and a proxy of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest, NetworkingConfig,
};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, ListContainersOptions, ListNetworksOptions, ListVolumesOptions, LogsOptions,
    RemoveContainerOptions, RemoveVolumeOptions, StartContainerOptions, TagImageOptions,
};
use futures::StreamExt;
use serde_json::Value;
use stratos_docker::DockerPlatform;
use stratos_docker::config::{DockerOptions, EnvironmentConfig, SwarmOptions};
use stratos_docker::endpoint::Endpoint;
use stratos_engine::apply::{ApplyOptions, Quiet};
use stratos_engine::deploy::{self, Connector};
use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::owner_in;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::manifest::schema::{Environment, Project};
use stratos_engine::plan::Plan;
use stratos_engine::platform::contract::stage::KnownValues;
use stratos_engine::platform::contract::{Body, Crash, Edited, Subject, When};
use stratos_engine::platform::{Field, Platform, PlatformError, Support};
pub use stratos_test_platforms::shared_engine as engines;
use stratos_test_platforms::{FaultProxy, free_port, unique_name};

use super::edit;
use crate::death::side;
use crate::proxy_image;

/// An environment on the shared engine.
pub struct DockerSubject {
    pub prefix: String,
    pub proxy: FaultProxy,
}

/// Connects to it, as another process each time.
pub struct Connect {
    socket: PathBuf,
    prefix: String,
}

fn configuration(socket: PathBuf, prefix: &str, owner: Owner) -> EnvironmentConfig {
    EnvironmentConfig {
        environment: owner.environment.clone(),
        owner,
        prefix: Name::new(prefix).unwrap(),
        endpoint: Endpoint::Unix(socket),
        credentials: None,
        swarm: SwarmOptions::default(),
        docker: DockerOptions { proxy_image: Some(proxy_image::name(engines())) },
    }
}

#[async_trait]
impl Connector for Connect {
    async fn connect(&self, project: &Project, name: &Name, _: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
        let owner = owner_in(project, name);
        Ok(Arc::new(DockerPlatform::connect(configuration(self.socket.clone(), &self.prefix, owner))?))
    }
}

/// The engine itself, past the proxy: what an administrator has.
pub fn engine() -> Docker {
    Docker::connect_with_unix(&engines().socket(0).display().to_string(), 60, bollard::API_DEFAULT_VERSION).unwrap()
}

/// An image of the tests' registry.
pub fn web(tag: &str) -> String {
    format!("{}/web:{tag}", engines().registry())
}

impl DockerSubject {
    /// The live name of an app.
    pub fn live(&self, app: &str) -> String {
        format!("{}-{app}", self.prefix)
    }

    /// A connection to it.
    pub fn platform(&self) -> DockerPlatform {
        DockerPlatform::connect(self.configuration()).unwrap()
    }

    /// Where it is, and whose.
    pub fn configuration(&self) -> EnvironmentConfig {
        let owner = Owner::new(&self.prefix, Name::new("dev").unwrap());
        configuration(self.proxy.socket(), &self.prefix, owner)
    }

    /// The containers whose names begin like this, as they are: sorted by name.
    pub async fn containers(&self, start: &str) -> Vec<ContainerInspectResponse> {
        let engine = engine();
        let filters = Some([("name".to_owned(), vec![format!("^/{start}")])].into());
        let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
        let mut found = Vec::new();
        for listed in engine.list_containers(Some(options)).await.unwrap() {
            if let Ok(inspected) = engine.inspect_container(&listed.id.unwrap(), None::<InspectContainerOptions>).await {
                found.push(inspected);
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// The containers of an app, its proxy included.
    pub async fn of(&self, live: &str) -> Vec<ContainerInspectResponse> {
        let mut found = self.containers(live).await;
        found.retain(|container| {
            let rest = container.name.as_deref().unwrap().trim_start_matches('/').strip_prefix(live).unwrap();
            let rest = rest.strip_prefix('-').unwrap_or(rest);
            rest.starts_with('.') || rest.split('.').next().is_some_and(|number| number.parse::<u32>().is_ok())
        });
        found
    }

    /// Makes a container anew by hand: under the same name, with the same labels.
    async fn recreate(&self, inspected: ContainerInspectResponse, name: &str) {
        let engine = engine();
        let id = inspected.id.clone().unwrap();
        let config = inspected.config.unwrap();
        let networks = inspected.network_settings.unwrap().networks.unwrap_or_default();
        let endpoint = |(network, endpoint): (String, EndpointSettings)| {
            let aliases = endpoint.aliases.unwrap_or_default().into_iter().filter(|alias| !id.starts_with(alias.as_str())).collect();
            (network, EndpointSettings { aliases: Some(aliases), ..EndpointSettings::default() })
        };
        let body = ContainerCreateBody {
            env: config.env,
            cmd: config.cmd,
            entrypoint: config.entrypoint,
            image: config.image,
            labels: config.labels,
            healthcheck: config.healthcheck,
            stop_timeout: config.stop_timeout,
            host_config: inspected.host_config,
            networking_config: Some(NetworkingConfig { endpoints_config: Some(networks.into_iter().map(endpoint).collect()) }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
        let made = engine.create_container(Some(options), body).await.unwrap();
        // What somebody writes by hand need not work.
        let _ = engine.start_container(&made.id, None::<StartContainerOptions>).await;
    }

    async fn edit_container(&self, id: &ResourceId, path: &Path, leaf: Option<&Leaf>) -> Edited {
        let engine = engine();
        let all = self.of(&id.name).await;
        let is_proxy = |container: &&ContainerInspectResponse| container.name.as_deref().unwrap().contains(".proxy");
        let Some(first) = all.iter().find(|container| !is_proxy(container)).cloned() else {
            return Edited::NotPossible("it is not there".into());
        };
        let name = first.name.clone().unwrap().trim_start_matches('/').to_owned();
        let container_id = first.id.clone().unwrap();
        let segments: Vec<&str> = path.segments().collect();
        match segments.as_slice() {
            ["ports", _, "published"] => {
                for proxy in all.iter().filter(is_proxy) {
                    remove(proxy.id.as_deref().unwrap()).await;
                }
                return Edited::Done;
            }
            ["deploy", "replicas"] => {
                match leaf {
                    Some(Leaf::Integer(replicas)) => {
                        let mut copy = first;
                        let labels = copy.config.as_mut().unwrap().labels.as_mut().unwrap();
                        labels.insert("stratos.instance".into(), replicas.to_string());
                        self.recreate(copy, &format!("{}-{replicas}", id.name)).await;
                    }
                    _ => {
                        for other in all.iter().filter(|container| !is_proxy(container)).skip(1) {
                            remove(other.id.as_deref().unwrap()).await;
                        }
                    }
                }
                return Edited::Done;
            }
            ["networks", network, "aliases", alias] => {
                let settings = first.network_settings.unwrap().networks.unwrap().remove(*network).unwrap();
                let disconnect = NetworkDisconnectRequest { container: container_id.clone(), force: None };
                engine.disconnect_network(network, disconnect).await.unwrap();
                let keeps = |name: &String| name != alias && !container_id.starts_with(name.as_str());
                let aliases = settings.aliases.unwrap_or_default().into_iter().filter(keeps).collect();
                let endpoint_config = Some(EndpointSettings { aliases: Some(aliases), ..EndpointSettings::default() });
                engine.connect_network(network, NetworkConnectRequest { container: container_id, endpoint_config }).await.unwrap();
                return Edited::Done;
            }
            ["image"] => {
                if let Some(Leaf::Image(image)) = leaf {
                    let (repo, tag) = image.reference.rsplit_once(':').unwrap();
                    let tag = TagImageOptions { repo: Some(repo.to_owned()), tag: Some(tag.to_owned()) };
                    engine.tag_image(first.config.as_ref().unwrap().image.as_deref().unwrap(), Some(tag)).await.unwrap();
                }
            }
            _ => {}
        }
        let mut edited = first;
        if let Err(why) = edit::container(&mut edited, path, leaf) {
            return Edited::NotPossible(why);
        }
        remove(&container_id).await;
        self.recreate(edited, &name).await;
        Edited::Done
    }
}

/// The tables of a client's answer have no order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(table) => {
            let table: BTreeMap<String, Value> = table.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            table.into_iter().collect()
        }
        Value::Array(list) => list.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// Takes a container away by hand.
pub async fn remove(id: &str) {
    let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
    engine().remove_container(id, Some(options)).await.unwrap();
}

#[async_trait]
impl Subject for DockerSubject {
    const NAME: &'static str = "docker";

    async fn fresh() -> Self {
        Self { proxy: FaultProxy::of_socket(engines().socket(0)), prefix: unique_name() }
    }

    async fn clean_up(&self) {
        let engine = engine();
        for container in self.containers(&self.prefix).await {
            let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
            let _ = engine.remove_container(&container.id.unwrap(), Some(options)).await;
        }
        let named = std::collections::HashMap::from([("name".to_owned(), vec![format!("{}-", self.prefix)])]);
        let volumes = engine.list_volumes(Some(ListVolumesOptions { filters: Some(named.clone()) })).await;
        for volume in volumes.ok().and_then(|volumes| volumes.volumes).unwrap_or_default() {
            let _ = engine.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await;
        }
        let networks = ListNetworksOptions { filters: Some(named) };
        for network in engine.list_networks(Some(networks)).await.unwrap_or_default() {
            let _ = engine.remove_network(&network.id.unwrap_or_default()).await;
        }
    }

    fn project(&self) -> String {
        self.prefix.clone()
    }

    fn patience(&self) -> std::time::Duration {
        std::time::Duration::from_secs(10)
    }

    fn environment(&self) -> Vec<String> {
        vec!["platform = \"docker\"".into()]
    }

    fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(Connect { socket: self.proxy.socket(), prefix: self.prefix.clone() })
    }

    fn support(&self, field: Field) -> Support {
        self.platform().support(field)
    }

    fn body(&self, body: Body) -> Vec<String> {
        let image = |tag: &str| format!("image = \"{}\"", web(tag));
        match body {
            Body::Web(version) => vec![image(&version.to_string())],
            Body::WebByCommand(version) => vec![image("1"), format!("command = [\"/bin/web\", \"$(PORT_HTTP)\", \"{version}\"]")],
            Body::NeverHealthy => vec![image("sick")],
            Body::CrashLoop => vec![image("crash")],
            Body::Missing => vec![image("missing")],
            // One engine starts everything at once, or refuses it.
            Body::NeverSettles => vec![],
        }
    }

    fn free_port(&self) -> u16 {
        free_port()
    }

    async fn take_port(&self, port: u16) -> Edited {
        let (name, publish) = (format!("{}-taken", self.prefix), format!("{port}:8080"));
        engines().docker(0, &["run", "--detach", "--name", &name, "--publish", &publish, &web("1")]);
        Edited::Done
    }

    async fn edit(&self, id: &ResourceId, path: &Path, leaf: Option<&Leaf>) -> Edited {
        match &*id.kind {
            "container" => self.edit_container(id, path, leaf).await,
            kind => Edited::NotPossible(format!("a {kind} cannot be changed")),
        }
    }

    async fn make_foreign(&self, id: &ResourceId) -> Edited {
        let name = format!("{}-1", id.name);
        match &*id.kind {
            "container" => drop(engines().docker(0, &["run", "--detach", "--name", &name, &web("1")])),
            _ => return Edited::NotPossible("a volume's labels are fixed: it cannot be adopted".into()),
        }
        Edited::Done
    }

    async fn hide(&self, id: &ResourceId) -> Edited {
        let containers = self.of(&id.name).await;
        let paths: Vec<String> = containers.iter().map(|container| format!("/containers/{}", container.id.as_deref().unwrap())).collect();
        self.proxy.refuse(&paths);
        Edited::Done
    }

    async fn reveal(&self) {
        self.proxy.refuse::<&str>(&[]);
    }

    async fn cut_off(&self) -> Edited {
        self.proxy.cut(true);
        Edited::Done
    }

    async fn reconnect(&self) {
        self.proxy.cut(false);
    }

    async fn apply_and_crash(&self, plan: &Plan, secrets: &KnownValues, call: usize, when: When) -> Crash {
        let proxy = FaultProxy::of_socket(engines().socket(0));
        proxy.kill_at(call, side(when));
        let connector = Connect { socket: proxy.socket(), prefix: self.prefix.clone() };
        let options = ApplyOptions::default();
        tokio::select! {
            biased;
            () = proxy.died() => {}
            applied = deploy::apply(plan, &secrets.secrets, &connector, &options, &Quiet) => drop(applied),
        }
        if !proxy.is_dead() {
            return Crash::Finished;
        }
        proxy.settle().await;
        Crash::Crashed
    }

    /// A container's variables and arguments can be read by whoever may use the engine: that is a limit of the platform, which
    /// its documentation names.
    async fn dump(&self) -> String {
        let engine = engine();
        let mut out = String::new();
        for mut container in self.containers(&self.prefix).await {
            if let Some(config) = &mut container.config {
                (config.env, config.cmd, config.entrypoint) = (None, None, None);
            }
            (container.path, container.args) = (None, None);
            let options = LogsOptions { stdout: true, stderr: true, ..LogsOptions::default() };
            let mut log = engine.logs(container.id.as_deref().unwrap(), Some(options));
            while let Some(Ok(line)) = log.next().await {
                out.push_str(&line.to_string());
            }
            drop(log);
            out.push_str(&format!("{container:?}\n"));
        }
        let named = std::collections::HashMap::from([("name".to_owned(), vec![format!("{}-", self.prefix)])]);
        let networks = ListNetworksOptions { filters: Some(named.clone()) };
        let networks = engine.list_networks(Some(networks)).await.unwrap();
        let volumes = engine.list_volumes(Some(ListVolumesOptions { filters: Some(named) })).await.unwrap();
        out + &format!("{networks:?}\n{volumes:?}")
    }

    async fn read(&self, app: &str, field: Field) -> Result<Value, String> {
        let containers = self.of(&self.live(app)).await;
        let name = |container: &ContainerInspectResponse| container.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned();
        let names: Vec<String> = containers.iter().map(name).filter(|name| !name.ends_with(".proxy")).collect();
        tokio::task::spawn_blocking(move || read(&names, field)).await.unwrap()
    }

    async fn state(&self, id: &ResourceId) -> Option<String> {
        if &*id.kind == "volume" {
            let name = format!("{}-1", id.name);
            return engine().inspect_volume(&name).await.ok().map(|volume| volume.created_at.map(|at| at.to_string()).unwrap_or_default());
        }
        let containers = self.of(&id.name).await;
        let one = |container: ContainerInspectResponse| {
            let config = sorted(serde_json::to_value((container.config, container.host_config)).unwrap());
            format!("{:?} {:?} {config}", container.id, container.name)
        };
        let all: Vec<String> = containers.into_iter().map(one).collect();
        (!all.is_empty()).then(|| all.join("\n"))
    }
}

/// A field of these containers as the command line of Docker shows it.
fn read(names: &[String], field: Field) -> Result<Value, String> {
    let first = names.first().ok_or("there is no container")?;
    let inspect = |what: &str| -> Value { serde_json::from_str(&engines().docker(0, &["inspect", "--format", what, first])).unwrap() };
    let exec = |words: &[&str]| {
        let output = engines().try_docker(0, &[&["exec", first, "/bin/busybox"], words].concat());
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    // The files that the contract declares.
    let declared = ["/etc/web/app.conf", "/etc/web/other.conf"];
    let there =
        declared.into_iter().filter(|path| engines().try_docker(0, &["exec", first, "/bin/busybox", "test", "-e", path]).status.success());
    Ok(match field {
        Field::Replicas => names.len().into(),
        Field::Env => variables(&inspect("{{json .Config.Env}}")),
        Field::Files => there.map(|path| (path.to_owned(), Value::from(exec(&["cat", path])))).collect(),
        Field::FilesMode => {
            there.map(|path| (path.to_owned(), Value::from(format!("0{}", exec(&["stat", "-c", "%a", path]).trim_end())))).collect()
        }
        Field::ResourcesCpuLimit => inspect("{{json .HostConfig.NanoCpus}}").as_u64().map(|nano| nano / 1_000_000).into(),
        Field::ResourcesMemory => inspect("{{json .HostConfig.Memory}}"),
        Field::Volumes => {
            let mounts = inspect("{{json .Mounts}}");
            mounts.as_array().into_iter().flatten().map(|mount| mount["Destination"].clone()).collect()
        }
        _ => return Err("docker inspect does not show it in these terms".into()),
    })
}

/// `NAME=value` lines as a map.
fn variables(lines: &Value) -> Value {
    let pair =
        |line: &Value| line.as_str().and_then(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), Value::from(value)));
    lines.as_array().into_iter().flatten().filter_map(pair).collect()
}
