//! One environment of a shared swarm, for one case of the conformance suite: with a project id, a prefix and a proxy of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::{SecretSpec, ServiceSpec};
use bollard::query_parameters::{
    InspectServiceOptions, ListConfigsOptions, ListNetworksOptions, ListSecretsOptions, ListServicesOptions, ListTasksOptions,
    UpdateServiceOptions,
};
use serde_json::Value;
use stratos_docker::config::{DockerOptions, EnvironmentConfig, SwarmOptions};
use stratos_docker::endpoint::Endpoint;
use stratos_docker::swarm::SwarmPlatform;
use stratos_engine::apply::{ApplyOptions, Quiet};
use stratos_engine::deploy::{self, Connector};
use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::owner_in;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::quantity::Duration as Quantity;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::manifest::schema::{Environment, Project};
use stratos_engine::plan::Plan;
use stratos_engine::platform::contract::stage::KnownValues;
use stratos_engine::platform::contract::{Body, Crash, Edited, Subject, When};
use stratos_engine::platform::{Field, Platform, PlatformError, Support};
/// Two nodes: what is exchanged with new instances first needs as many CPUs again, and two instances that publish on the
/// host need two.
pub use stratos_test_platforms::shared_swarm_of_two as swarm;
use stratos_test_platforms::{FaultProxy, ReservedCpus, free_port, unique_name};

use super::edit;
use crate::death::side;

/// Short enough for hundreds of roll-outs of what works. A case with an app that ends right after its start takes what the
/// engine takes: on a busy machine such a container may live for longer than this.
const WATCH: Quantity = Quantity(300);

/// An environment in the shared swarm.
pub struct SwarmSubject {
    pub prefix: String,
    pub proxy: FaultProxy,
    /// As they are where nothing is said. The kernel here has no IPVS: nothing gets through the routing mesh, but the swarm
    /// does not know, and all that the suite looks at is there. Tests that want to be answered publish on the host.
    pub options: SwarmOptions,
    cpus: ReservedCpus,
    /// Whether an app of the case ends right after its start.
    crashes: AtomicBool,
}

/// Connects to it, as another process each time.
pub struct Connect {
    socket: PathBuf,
    prefix: String,
    watch: Option<Quantity>,
    options: SwarmOptions,
}

#[async_trait]
impl Connector for Connect {
    async fn connect(&self, project: &Project, name: &Name, _: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
        let owner = owner_in(project, name);
        let platform = SwarmPlatform::connect(EnvironmentConfig {
            environment: name.clone(),
            owner,
            prefix: Name::new(&self.prefix).unwrap(),
            endpoint: Endpoint::Unix(self.socket.clone()),
            credentials: None,
            swarm: self.options,
            docker: DockerOptions::default(),
        })?;
        Ok(Arc::new(match self.watch {
            Some(watch) => platform.watching_for(watch),
            None => platform,
        }))
    }
}

/// The engine itself, past the proxy: what an administrator has.
pub fn engine() -> Docker {
    let socket = swarm().socket(0);
    Docker::connect_with_unix(&socket.display().to_string(), 60, bollard::API_DEFAULT_VERSION).unwrap()
}

impl SwarmSubject {
    fn connect_through(&self, proxy: &FaultProxy) -> Connect {
        Connect { socket: proxy.socket(), prefix: self.prefix.clone(), watch: self.watch(), options: self.options }
    }

    fn platform(&self) -> SwarmPlatform {
        let environment = Name::new("dev").unwrap();
        SwarmPlatform::connect(EnvironmentConfig {
            owner: Owner::new(&self.prefix, environment.clone()),
            environment,
            prefix: Name::new(&self.prefix).unwrap(),
            endpoint: Endpoint::Unix(self.proxy.socket()),
            credentials: None,
            swarm: self.options,
            docker: DockerOptions::default(),
        })
        .unwrap()
    }

    /// How long a new instance is watched; None is the engine's own time.
    fn watch(&self) -> Option<Quantity> {
        (!self.crashes.load(Ordering::Relaxed)).then_some(WATCH)
    }

    /// The live name of an app's service.
    pub fn service(&self, app: &str) -> String {
        format!("{}-{app}", self.prefix)
    }

    /// Ends the time of a lease whose holder was killed.
    async fn expire_lease(&self) {
        for config in engine().list_configs(None::<ListConfigsOptions>).await.unwrap() {
            let labels = config.spec.and_then(|spec| spec.labels).unwrap_or_default();
            if labels.get("stratos.lease").is_some_and(|owner| *owner == format!("{}/dev", self.prefix)) {
                let _ = engine().delete_config(&config.id.unwrap()).await;
            }
        }
    }

    fn named(&self) -> std::collections::HashMap<String, Vec<String>> {
        [("name".to_owned(), vec![format!("{}-", self.prefix)])].into()
    }
}

/// A service by its name.
pub async fn inspect(name: &str) -> Option<bollard::models::Service> {
    engine().inspect_service(name, None::<InspectServiceOptions>).await.ok()
}

/// A service's health check, as the command line shows it.
fn healthcheck(name: &str) -> Option<bollard::models::HealthConfig> {
    let shown = swarm().docker(0, &["service", "inspect", "--format", "{{json .Spec.TaskTemplate.ContainerSpec.Healthcheck}}", name]);
    serde_json::from_str(&shown).unwrap()
}

/// Writes a service past Stratos. The orchestrator may be faster: it is tried again.
pub async fn update(name: &str, edit: impl Fn(&mut ServiceSpec) -> Result<(), String>) -> Edited {
    for _ in 0..50 {
        let Some(service) = inspect(name).await else { return Edited::NotPossible("it is not there".into()) };
        let mut spec = service.spec.unwrap();
        let inside = spec.task_template.as_mut().and_then(|task| task.container_spec.as_mut());
        // The client does not read it by itself.
        inside.unwrap().health_check = healthcheck(name);
        if let Err(why) = edit(&mut spec) {
            return Edited::NotPossible(why);
        }
        let version = i32::try_from(service.version.unwrap().index.unwrap()).unwrap();
        let options = UpdateServiceOptions { version, ..UpdateServiceOptions::default() };
        match engine().update_service(name, spec, options, None).await {
            Ok(_) => return Edited::Done,
            Err(error) if error.to_string().contains("out of sequence") => {}
            Err(error) => panic!("an edit of {name} by hand: {error}"),
        }
    }
    panic!("{name} is written all the time");
}

#[async_trait]
impl Subject for SwarmSubject {
    const NAME: &'static str = "swarm";

    async fn fresh() -> Self {
        Self {
            proxy: FaultProxy::of_socket(swarm().socket(0)),
            prefix: unique_name(),
            options: SwarmOptions::default(),
            cpus: ReservedCpus::default(),
            crashes: AtomicBool::default(),
        }
    }

    async fn clean_up(&self) {
        self.expire_lease().await;
        let engine = engine();
        let services = ListServicesOptions { filters: Some(self.named()), ..ListServicesOptions::default() };
        for service in engine.list_services(Some(services)).await.unwrap_or_default() {
            let _ = engine.delete_service(&service.id.unwrap_or_default()).await;
        }
        for config in engine.list_configs(Some(ListConfigsOptions { filters: Some(self.named()) })).await.unwrap_or_default() {
            let _ = engine.delete_config(&config.id.unwrap_or_default()).await;
        }
        for secret in engine.list_secrets(Some(ListSecretsOptions { filters: Some(self.named()) })).await.unwrap_or_default() {
            let _ = engine.delete_secret(&secret.id.unwrap_or_default()).await;
        }
    }

    fn project(&self) -> String {
        self.prefix.clone()
    }

    fn patience(&self) -> std::time::Duration {
        // An app that ends right after each start is found out by its second end at the earliest.
        Duration::from_secs(if self.crashes.load(Ordering::Relaxed) { 25 } else { 10 })
    }

    fn environment(&self) -> Vec<String> {
        vec!["platform = \"swarm\"".into()]
    }

    fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(self.connect_through(&self.proxy))
    }

    fn support(&self, field: Field) -> Support {
        // Who asks this is about to reserve some, and would wait for a node that has them free.
        if field == Field::ResourcesCpu {
            self.cpus.reserve(&swarm().registry());
        }
        self.platform().support(field)
    }

    fn body(&self, body: Body) -> Vec<String> {
        let image = |tag: &str| format!("image = \"{}/web:{tag}\"", swarm().registry());
        match body {
            Body::Web(version) => vec![image(&version.to_string())],
            Body::WebByCommand(version) => vec![image("1"), format!("command = [\"/bin/web\", \"$(PORT_HTTP)\", \"{version}\"]")],
            Body::NeverHealthy => vec![image("sick")],
            Body::CrashLoop => {
                self.crashes.store(true, Ordering::Relaxed);
                vec![image("crash")]
            }
            Body::Missing => vec![image("missing")],
            // No node has as much.
            Body::NeverSettles => vec![image("1"), "resources.cpu = 1000".into()],
        }
    }

    fn free_port(&self) -> u16 {
        free_port()
    }

    async fn take_port(&self, port: u16) -> Edited {
        let image = format!("{}/web:1", swarm().registry());
        let (name, publish) = (self.service(&format!("taken-{port}")), format!("published={port},target=8080"));
        swarm().docker(0, &["service", "create", "--quiet", "--detach", "--name", &name, "--publish", &publish, &image]);
        Edited::Done
    }

    async fn edit(&self, id: &ResourceId, path: &Path, leaf: Option<&Leaf>) -> Edited {
        match &*id.kind {
            "service" => update(&id.name, |spec| edit::service(spec, path, leaf)).await,
            kind => Edited::NotPossible(format!("the content of a {kind} cannot be changed")),
        }
    }

    async fn make_foreign(&self, id: &ResourceId) -> Edited {
        match &*id.kind {
            "service" => {
                let image = format!("{}/web:1", swarm().registry());
                swarm().docker(0, &["service", "create", "--quiet", "--detach", "--name", &id.name, &image]);
            }
            "secret" => {
                let data = Some("dGhlaXJz".to_owned());
                let spec = SecretSpec { name: Some(format!("{}.1", id.name)), data, ..SecretSpec::default() };
                engine().create_secret(spec).await.unwrap();
            }
            _ => return Edited::NotPossible("a config's name holds a hash of its content".into()),
        }
        Edited::Done
    }

    async fn hide(&self, id: &ResourceId) -> Edited {
        self.proxy.refuse(&[format!("/{}s", id.kind)]);
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
        let proxy = FaultProxy::of_socket(swarm().socket(0));
        proxy.kill_at(call, side(when));
        let (connector, options) = (self.connect_through(&proxy), ApplyOptions::default());
        tokio::select! {
            biased;
            () = proxy.died() => {}
            applied = deploy::apply(plan, &secrets.secrets, &connector, &options, &Quiet) => drop(applied),
        }
        if !proxy.is_dead() {
            return Crash::Finished;
        }
        proxy.settle().await;
        self.expire_lease().await;
        Crash::Crashed
    }

    /// What a service's variables and arguments are can be read by whoever may use the engine: that is a limit of the
    /// platform, which its documentation names.
    async fn dump(&self) -> String {
        let engine = engine();
        let services = ListServicesOptions { filters: Some(self.named()), ..ListServicesOptions::default() };
        let mut services = engine.list_services(Some(services)).await.unwrap();
        for service in &mut services {
            hide_variables(service.spec.as_mut().and_then(|spec| spec.task_template.as_mut()));
        }
        let ids: Vec<String> = services.iter().filter_map(|service| service.id.clone()).collect();
        let mut tasks = vec![];
        if !ids.is_empty() {
            let options = ListTasksOptions { filters: Some([("service".to_owned(), ids)].into()) };
            tasks = engine.list_tasks(Some(options)).await.unwrap();
        }
        tasks.iter_mut().for_each(|task| hide_variables(task.spec.as_mut()));
        let mut configs = engine.list_configs(Some(ListConfigsOptions { filters: Some(self.named()) })).await.unwrap();
        for spec in configs.iter_mut().filter_map(|config| config.spec.as_mut()) {
            use base64::Engine as _;
            let data = base64::engine::general_purpose::STANDARD.decode(spec.data.take().unwrap_or_default()).unwrap();
            spec.data = Some(String::from_utf8(data).unwrap());
        }
        let secrets = engine.list_secrets(Some(ListSecretsOptions { filters: Some(self.named()) })).await.unwrap();
        let networks = engine.list_networks(Some(ListNetworksOptions { filters: Some(self.named()) })).await.unwrap();
        format!("{services:?}\n{tasks:?}\n{configs:?}\n{secrets:?}\n{networks:?}")
    }

    async fn read(&self, app: &str, field: Field) -> Result<Value, String> {
        let name = self.service(app);
        tokio::task::spawn_blocking(move || read(&name, field)).await.unwrap()
    }

    async fn state(&self, id: &ResourceId) -> Option<String> {
        let engine = engine();
        match &*id.kind {
            "service" => {
                let service = inspect(&id.name).await?;
                Some(shown(service.id, &service.spec))
            }
            "config" => engine.inspect_config(&id.name).await.ok().map(|config| shown(config.id, &config.spec)),
            _ => {
                let options = ListSecretsOptions { filters: Some([("name".to_owned(), vec![format!("{}.", id.name)])].into()) };
                let secrets = engine.list_secrets(Some(options)).await.unwrap();
                let mut found: Vec<String> = secrets.into_iter().map(|secret| shown(secret.id, &secret.spec)).collect();
                found.sort();
                (!found.is_empty()).then(|| found.join("\n"))
            }
        }
    }
}

/// An object by its identity and its specification, always in the same order.
fn shown(id: Option<String>, spec: &impl serde::Serialize) -> String {
    let mut spec = serde_json::to_value(spec).unwrap();
    spec.sort_all_objects();
    format!("{id:?} {spec}")
}

fn hide_variables(task: Option<&mut bollard::models::TaskSpec>) {
    if let Some(inside) = task.and_then(|task| task.container_spec.as_mut()) {
        (inside.env, inside.args) = (None, None);
    }
}

/// A field of a service as the command line of Docker shows it.
fn read(name: &str, field: Field) -> Result<Value, String> {
    let json = |words: &[&str]| -> Value { serde_json::from_str(&swarm().docker(0, words)).unwrap() };
    let spec = json(&["service", "inspect", "--format", "{{json .Spec}}", name]);
    let container = &spec["TaskTemplate"]["ContainerSpec"];
    let limits = &spec["TaskTemplate"]["Resources"]["Limits"];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let content = |config: &Value| {
        let config = json(&["config", "inspect", "--format", "{{json .Spec.Data}}", config["ConfigName"].as_str().unwrap_or_default()]);
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(config.as_str().unwrap_or_default()).unwrap();
        Value::from(String::from_utf8(bytes).unwrap())
    };
    let files = |value: &dyn Fn(&Value) -> Value| -> Value {
        let path = |config: &Value| config["File"]["Name"].as_str().unwrap_or_default().to_owned();
        list(&container["Configs"]).iter().map(|config| (path(config), value(config))).collect()
    };
    Ok(match field {
        Field::Replicas => spec["Mode"]["Replicated"]["Replicas"].clone(),
        Field::PortsPublish => list(&spec["EndpointSpec"]["Ports"]).iter().map(|port| port["PublishedPort"].clone()).collect(),
        Field::Env => {
            let pair = |line: &Value| {
                line.as_str().and_then(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), Value::from(value)))
            };
            list(&container["Env"]).iter().filter_map(pair).collect()
        }
        Field::Files => files(&content),
        Field::FilesMode => files(&|config| format!("{:04o}", config["File"]["Mode"].as_u64().unwrap_or_default()).into()),
        Field::ResourcesCpuLimit => limits["NanoCPUs"].as_u64().map(|nano| nano / 1_000_000).into(),
        Field::ResourcesMemory => limits["MemoryBytes"].clone(),
        Field::Volumes => list(&container["Mounts"]).iter().map(|mount| mount["Target"].clone()).collect(),
        Field::RolloutMaxSurge => spec["UpdateConfig"]["Parallelism"].clone(),
        _ => return Err("docker service inspect does not show it in these terms".into()),
    })
}
