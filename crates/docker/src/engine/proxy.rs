//! The container that has an app's published ports: a balancer that sends to the instances which are ready.
//!
//! What it does is read from its own log: it says what it has taken over, and that is what counts, not what its file says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HostConfig, HostConfigLogConfig, NetworkConnectRequest,
    NetworkDisconnectRequest, NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptions, KillContainerOptions, LogsOptions, RemoveContainerOptions, RenameContainerOptions, StopContainerOptions,
    UploadToContainerOptions,
};
use futures::StreamExt;
use stratos_balancer::configuration::{CONNECTIONS, Configuration, Listener};
use stratos_balancer::target::Target;
use stratos_engine::desired::owner::{Marks, Ownership};
use stratos_engine::platform::{PlatformError, PlatformErrorKind};
use tokio::time::{Instant, sleep};

use super::archive::{Archive, ROOT};
use super::goal::Goal;
use super::handover::{self, Patience};
use super::ports::Published;
use super::record::{PROXY, RESOURCE, ROLE};
use super::{DockerPlatform, image, names, network, translate};
use crate::failure::{failure, is_not_found};
use crate::labels;

/// Its file.
const FILE: &str = "/stratos/balancer.json";
/// It takes a new file over, or says why not, within this time.
const TAKEN_OVER: Duration = Duration::from_secs(15);
/// A little more than the balancer itself waits for a target that has left.
const DRAINED: Duration = Duration::from_secs(35);
/// Between two looks into its log, and between two attempts to have its ports.
const LOOK: Duration = Duration::from_millis(50);
/// More lines than one change of its targets makes it write.
const LINES: &str = "200";
/// How much of its log is kept.
const LOG_SIZE: &str = "1m";

/// Where one published port leads: the host names and ports of instances.
pub(crate) type Routes = BTreeMap<u16, BTreeSet<(String, u16)>>;

/// A live proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub ownership: Ownership,
    /// The ports that it has on the engine's machine.
    ports: BTreeSet<u16>,
    /// The addresses of the machine on which it has some of them, instead of on all.
    addresses: BTreeMap<u16, String>,
    /// The networks that it is on.
    networks: BTreeSet<String>,
    /// What it does; None where it does not run, or says nothing that is understood.
    routes: Option<Routes>,
    /// Other containers that were to take its place, or whose place it took.
    leftovers: Vec<String>,
}

impl Proxy {
    /// Reads it, and what it does.
    pub async fn read(
        platform: &DockerPlatform,
        inspected: ContainerInspectResponse,
        ownership: &Ownership,
    ) -> Result<Self, PlatformError> {
        let id = inspected.id.unwrap_or_default();
        let bindings = inspected.host_config.and_then(|host| host.port_bindings).unwrap_or_default();
        let bindings = || bindings.values().flatten().flatten();
        let port = |binding: &PortBinding| binding.host_port.as_ref()?.parse::<u16>().ok();
        let address = |binding: &PortBinding| binding.host_ip.clone().filter(|address| !address.is_empty());
        let ports = bindings().filter_map(port).collect();
        let addresses = bindings().filter_map(|binding| Some((port(binding)?, address(binding)?))).collect();
        let networks = inspected.network_settings.and_then(|settings| settings.networks).unwrap_or_default().into_keys().collect();
        let runs = inspected.state.is_some_and(|state| state.running.unwrap_or_default() && !state.restarting.unwrap_or_default());
        let routes = if runs { said(&log(platform, &id).await?).and_then(|(line, _)| routes_of(&line)) } else { None };
        let name = names::plain(inspected.name.as_deref().unwrap_or_default()).to_owned();
        Ok(Self { id, name, ownership: ownership.clone(), ports, addresses, networks, routes, leftovers: vec![] })
    }

    /// Keeps one of two: the one that has the name.
    pub fn keep(&mut self, other: Self) {
        let (first, second) = (self.clone(), other);
        let (kept, left) = if first.name.len() <= second.name.len() { (first, second) } else { (second, first) };
        let leftovers = [kept.leftovers.clone(), left.leftovers, vec![left.id]].concat();
        *self = Self { leftovers, ..kept };
    }

    /// Whether there are others beside it, or it has not got its name yet.
    pub fn has_leftovers(&self) -> bool {
        !self.leftovers.is_empty() || !self.name.ends_with(".proxy")
    }

    /// The published ports. Which of them lead to these very hosts is told.
    pub fn published(&self, hosts: &BTreeSet<&str>) -> Vec<Published> {
        let Some(routes) = &self.routes else { return vec![] };
        let one = |(published, targets): (&u16, &BTreeSet<(String, u16)>)| {
            let (_, target) = targets.first()?;
            let right = self.ports.contains(published) && targets.iter().all(|(_, port)| port == target);
            let all = targets.iter().map(|(host, _)| host.as_str()).collect::<BTreeSet<_>>() == *hosts;
            let address = self.addresses.get(published).cloned();
            Some(Published { target: *target, port: *published, address, leads: right && all })
        };
        routes.iter().filter_map(one).collect()
    }

    /// Whether it can do what is asked without being made anew.
    pub fn fits(&self, goal: &Goal) -> bool {
        let ports = self.ports.iter().eq(goal.ports.keys());
        self.routes.is_some() && ports && self.addresses == goal.addresses && self.name == names::proxy(&goal.live)
    }

    /// Whether it runs and does what it was told.
    pub fn works(&self) -> bool {
        self.routes.is_some()
    }

    /// Where a published port leads inside the containers now.
    pub fn target_of(&self, published: u16) -> Option<u16> {
        self.routes.as_ref()?.get(&published)?.first().map(|(_, port)| *port)
    }

    /// Its published ports.
    pub fn ports(&self) -> &BTreeSet<u16> {
        &self.ports
    }

    /// The addresses of the machine on which it has some of its ports, instead of on all.
    pub fn addresses(&self) -> &BTreeMap<u16, String> {
        &self.addresses
    }

    /// Goes onto a network on which it reaches the instances that will be.
    pub async fn join(&mut self, platform: &DockerPlatform, goal: &Goal) -> Result<(), PlatformError> {
        let own = translate::network(&platform.config);
        let Some(network) = goal.network_of_proxy(&own).filter(|name| !self.networks.contains(*name)) else { return Ok(()) };
        attach(platform, &self.id, network).await?;
        self.networks.insert(network.to_owned());
        Ok(())
    }

    /// Leaves the networks on which there is nobody to reach any more.
    pub async fn leave(&mut self, platform: &DockerPlatform, goal: &Goal) -> Result<(), PlatformError> {
        let own = translate::network(&platform.config);
        let kept: BTreeSet<&str> = goal.network_of_proxy(&own).into_iter().chain([own.as_str()]).collect();
        let left: Vec<String> = self.networks.iter().filter(|network| !kept.contains(network.as_str())).cloned().collect();
        for network in left {
            let request = NetworkDisconnectRequest { container: self.id.clone(), force: None };
            match platform.connection.docker.disconnect_network(&network, request).await {
                Err(error) if !is_not_found(&error) => {
                    return Err(failure(format!("taking the proxy {} from the network {network}", self.name), &error));
                }
                _ => drop(self.networks.remove(&network)),
            }
        }
        Ok(())
    }

    /// Sends to these targets from now on, and waits until nothing of what goes to the others would be lost with them.
    pub async fn lead(&mut self, platform: &DockerPlatform, routes: Routes) -> Result<(), PlatformError> {
        if self.routes.as_ref() == Some(&routes) {
            return Ok(());
        }
        let docker = &platform.connection.docker;
        let attempted = format!("changing the targets of the proxy {}", self.name);
        upload(platform, &self.id, &routes).await?;
        let signal = KillContainerOptions { signal: "HUP".to_owned() };
        docker.kill_container(&self.id, Some(signal)).await.map_err(|error| failure(attempted.as_str(), &error))?;
        let before = self.routes.replace(routes.clone());
        let all = |routes: &Routes| routes.values().flatten().cloned().collect::<BTreeSet<_>>();
        let left: BTreeSet<(String, u16)> = before.iter().flat_map(all).collect();
        let left: Vec<String> = left.difference(&all(&routes)).map(|(host, port)| format!("{host}:{port}")).collect();
        self.taken_over(platform, &routes, &left, &attempted).await
    }

    /// Waits until its log says that it does this, and that these targets have nothing to do any more.
    async fn taken_over(&self, platform: &DockerPlatform, routes: &Routes, left: &[String], attempted: &str) -> Result<(), PlatformError> {
        let began = Instant::now();
        loop {
            let lines = log(platform, &self.id).await?;
            let (does, after) = said(&lines).map_or((None, vec![]), |(line, after)| (routes_of(&line), after));
            let taken = does.as_ref() == Some(routes);
            let open = left.iter().any(|target| !after.iter().any(|line| line == &format!("drained: {target}")));
            // What it does not do any more at all needs no word: it has ended, and so have its connections.
            if taken && (!open || began.elapsed() >= DRAINED) {
                return Ok(());
            }
            if !taken && began.elapsed() >= TAKEN_OVER {
                let last = lines.last().map_or("its log is empty".to_owned(), |line| format!("its last line is: {line}"));
                return Err(PlatformError::new(PlatformErrorKind::Internal, attempted, format!("it does not take its file over; {last}"))
                    .with_hint("is `proxy_image` an image of Stratos?"));
            }
            sleep(LOOK).await;
        }
    }

    /// Makes one that has these ports, and starts it. Where another one has them, that one stops as late as it can.
    pub async fn make(platform: &DockerPlatform, goal: &Goal, routes: Routes, before: Option<&Self>) -> Result<Self, PlatformError> {
        let live = goal.live.as_str();
        let name = if before.is_some() { names::next_proxy(live) } else { names::proxy(live) };
        let id = create(platform, goal, &name, &routes).await?;
        let mut proxy = Self {
            id,
            name,
            ownership: Ownership::Ours(goal.marks.clone()),
            ports: routes.keys().copied().collect(),
            addresses: goal.addresses.clone(),
            networks: [translate::network(&platform.config)].into(),
            routes: None,
            leftovers: vec![],
        };
        match proxy.take_place(platform, goal, before, &routes).await {
            Ok(()) => {
                proxy.routes = Some(routes);
                Ok(proxy)
            }
            Err(error) => {
                // It serves nobody; what was there before goes on.
                remove(platform, &proxy.id).await?;
                let Some(before) = before else { return Err(error) };
                match start(platform, &before.id, &before.name).await {
                    Ok(()) => Err(error),
                    Err(other) => {
                        let why = format!("{}; and the proxy that was there before does not start again: {}", error.why, other.why);
                        Err(PlatformError { why, ..error })
                    }
                }
            }
        }
    }

    async fn take_place(
        &mut self,
        platform: &DockerPlatform,
        goal: &Goal,
        before: Option<&Self>,
        routes: &Routes,
    ) -> Result<(), PlatformError> {
        self.join(platform, goal).await?;
        // It goes on for as long as it can.
        let mut running = before;
        if let Some(sharing) = running.take_if(|before| !before.ports.is_disjoint(&self.ports)) {
            stop(platform, &sharing.id).await?;
        }
        self.take_ports(platform, before, &mut running).await?;
        self.taken_over(platform, routes, &[], &format!("starting the proxy {}", self.name)).await?;
        if let Some(running) = running {
            stop(platform, &running.id).await?;
        }
        if let Some(before) = before {
            remove(platform, &before.id).await?;
            self.rename(platform, &goal.live).await?;
        }
        Ok(())
    }

    /// Starts it. A port that another app of the environment is about to release is waited for; what runs before it has
    /// released its own by then.
    async fn take_ports(&self, platform: &DockerPlatform, before: Option<&Self>, running: &mut Option<&Self>) -> Result<(), PlatformError> {
        let own: Vec<&str> = before.iter().map(|before| before.id.as_str()).chain([self.id.as_str()]).collect();
        let mut patience = Patience::new();
        let mut looked_in_vain = false;
        loop {
            let error = match start(platform, &self.id, &self.name).await {
                Err(error) if is_taken(&error) => error,
                other => return other,
            };
            match handover::holder(platform, &self.ports, &own).await? {
                // It may have released it since.
                None if !looked_in_vain => looked_in_vain = true,
                None => return Err(error),
                Some(holder) => {
                    if !patience.lasts(&platform.under_way, &holder) {
                        let hint = format!(
                            "{holder} has it, in this environment, and is not about to release it: release it there first, by an apply of its own"
                        );
                        return Err(PlatformError { hint: Some(hint), ..error });
                    }
                    looked_in_vain = false;
                    if let Some(running) = running.take() {
                        stop(platform, &running.id).await?;
                    }
                    sleep(LOOK).await;
                }
            }
        }
    }

    async fn rename(&mut self, platform: &DockerPlatform, live: &str) -> Result<(), PlatformError> {
        let name = names::proxy(live);
        let options = RenameContainerOptions { name: name.clone() };
        let renamed = platform.connection.docker.rename_container(&self.id, options).await;
        renamed.map_err(|error| failure(format!("renaming the proxy {} to {name}", self.name), &error))?;
        self.name = name;
        Ok(())
    }

    /// Takes it away, with what is left beside it. What it sends on is waited for.
    pub async fn end(&self, platform: &DockerPlatform) -> Result<(), PlatformError> {
        self.end_leftovers(platform).await?;
        stop(platform, &self.id).await?;
        remove(platform, &self.id).await
    }

    /// Takes away what is left beside it.
    pub async fn end_leftovers(&self, platform: &DockerPlatform) -> Result<(), PlatformError> {
        for leftover in &self.leftovers {
            remove(platform, leftover).await?;
        }
        Ok(())
    }
}

async fn create(platform: &DockerPlatform, goal: &Goal, name: &str, routes: &Routes) -> Result<String, PlatformError> {
    let image = platform.proxy_image();
    image::present(platform, &image).await.map_err(|error| {
        let hint = "published ports need an image of Stratos on the engine: the option `proxy_image` of the environment names it";
        if error.hint.is_none() { error.with_hint(hint) } else { error }
    })?;
    let mut all_labels = labels::of(&Marks { protect: false, revision: None, specification: None, ..goal.marks.clone() });
    all_labels.insert(RESOURCE.to_owned(), goal.live.clone());
    all_labels.insert(ROLE.to_owned(), PROXY.to_owned());
    let network = translate::network(&platform.config);
    let binding = |port: &u16| {
        let binding = PortBinding { host_ip: goal.addresses.get(port).cloned(), host_port: Some(port.to_string()) };
        (format!("{port}/tcp"), Some(vec![binding]))
    };
    let keep = [("max-size".to_owned(), LOG_SIZE.to_owned()), ("max-file".to_owned(), "2".to_owned())];
    let host = HostConfig {
        network_mode: Some(network.clone()),
        port_bindings: Some(routes.keys().map(binding).collect()),
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::UNLESS_STOPPED), maximum_retry_count: None }),
        // What it does is read from its log, whatever the engine does with others' logs.
        log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(keep.into()) }),
        ..HostConfig::default()
    };
    let body = ContainerCreateBody {
        image: Some(image),
        cmd: Some(vec!["balance".to_owned(), FILE.to_owned()]),
        exposed_ports: Some(routes.keys().map(|port| format!("{port}/tcp")).collect()),
        labels: Some(all_labels),
        host_config: Some(host),
        networking_config: Some(NetworkingConfig { endpoints_config: Some([(network, EndpointSettings::default())].into()) }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
    let created = platform.connection.docker.create_container(Some(options), body).await;
    let id = created.map_err(|error| failure(format!("creating the proxy {name}"), &error))?.id;
    upload(platform, &id, routes).await?;
    Ok(id)
}

async fn attach(platform: &DockerPlatform, id: &str, network: &str) -> Result<(), PlatformError> {
    let request = NetworkConnectRequest { container: id.to_owned(), endpoint_config: None };
    let attached = platform.connection.docker.connect_network(network, request).await;
    attached.map_err(|error| failure(format!("attaching a proxy to the network {network}"), &error))
}

async fn upload(platform: &DockerPlatform, id: &str, routes: &Routes) -> Result<(), PlatformError> {
    let attempted = "writing the file of a proxy";
    let wrong = |why: String| PlatformError::new(PlatformErrorKind::Internal, attempted, why);
    let listener = |(published, targets): (&u16, &BTreeSet<(String, u16)>)| Listener {
        listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, *published)),
        targets: targets.iter().map(|(host, port)| Target::new(host.as_str(), *port)).collect(),
    };
    let configuration = Configuration { connections: CONNECTIONS, listeners: routes.iter().map(listener).collect() };
    let text = serde_json::to_vec(&configuration).map_err(|error| wrong(error.to_string()))?;
    let mut archive = Archive::default();
    archive.add(FILE, &text, 0o444, ROOT).map_err(|error| wrong(error.to_string()))?;
    let archive = archive.finish().map_err(|error| wrong(error.to_string()))?.unwrap_or_default();
    let options = UploadToContainerOptions { path: "/".to_owned(), ..UploadToContainerOptions::default() };
    let uploaded = platform.connection.docker.upload_to_container(id, Some(options), bollard::body_full(archive)).await;
    uploaded.map_err(|error| failure(attempted, &error))
}

async fn start(platform: &DockerPlatform, id: &str, name: &str) -> Result<(), PlatformError> {
    network::start(platform, id).await?.map_err(|error| {
        let error = failure(format!("starting the proxy {name}, which has the published ports"), &error);
        let taken = is_taken(&error);
        // Nothing that is repeated at once frees a port: whoever has it has to let it go.
        let kind = if taken { PlatformErrorKind::Rejected } else { error.kind };
        let error = PlatformError { kind, ..error };
        if taken { error.with_hint("another program or container has that port: end it, or publish another one") } else { error }
    })
}

/// Whether somebody has one of its ports.
fn is_taken(error: &PlatformError) -> bool {
    ["already allocated", "already in use"].iter().any(|words| error.why.contains(words))
}

async fn stop(platform: &DockerPlatform, id: &str) -> Result<(), PlatformError> {
    match platform.connection.docker.stop_container(id, None::<StopContainerOptions>).await {
        Err(error) if !is_not_found(&error) => Err(failure("stopping a proxy", &error)),
        _ => Ok(()),
    }
}

async fn remove(platform: &DockerPlatform, id: &str) -> Result<(), PlatformError> {
    let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
    match platform.connection.docker.remove_container(id, Some(options)).await {
        Err(error) if !is_not_found(&error) => Err(failure("removing a proxy", &error)),
        _ => Ok(()),
    }
}

/// The last lines that it wrote.
async fn log(platform: &DockerPlatform, id: &str) -> Result<Vec<String>, PlatformError> {
    let options = LogsOptions { stderr: true, tail: LINES.to_owned(), ..LogsOptions::default() };
    let mut stream = platform.connection.docker.logs(id, Some(options));
    let mut text = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => text.extend_from_slice(&chunk.into_bytes()),
            Err(error) if is_not_found(&error) => break,
            Err(error) => return Err(failure("reading the log of a proxy", &error)),
        }
    }
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
}

/// The last line that says what it does, and the lines after it.
fn said(lines: &[String]) -> Option<(String, Vec<String>)> {
    let at = lines.iter().rposition(|line| line.starts_with("ready: "))?;
    Some((lines[at].clone(), lines[at + 1..].to_vec()))
}

/// What a line says: `ready: 0.0.0.0:80 to 3f2a:8080, 77bc:8080; 0.0.0.0:81 to nothing; at most 10000 connections`.
fn routes_of(line: &str) -> Option<Routes> {
    let (listeners, _) = line.strip_prefix("ready: ")?.rsplit_once("; at most ")?;
    if listeners == "no listeners" {
        return Some(Routes::new());
    }
    let target = |target: &str| {
        let (host, port) = target.rsplit_once(':')?;
        Some((host.to_owned(), port.parse().ok()?))
    };
    let listener = |listener: &str| {
        let (listen, targets) = listener.split_once(" to ")?;
        let listen: SocketAddr = listen.parse().ok()?;
        let targets: Option<BTreeSet<_>> = match targets {
            "nothing" => Some(BTreeSet::new()),
            targets => targets.split(", ").map(target).collect(),
        };
        Some((listen.port(), targets?))
    };
    listeners.split("; ").map(listener).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_is_what_it_does() {
        let line = "ready: 0.0.0.0:80 to 3f2a:8080, 77bc:8080; 0.0.0.0:81 to nothing; at most 10000 connections";
        let targets = [("3f2a".to_owned(), 8080), ("77bc".to_owned(), 8080)].into();
        assert_eq!(routes_of(line), Some(Routes::from([(80, targets), (81, BTreeSet::new())])));
        assert_eq!(routes_of("ready: no listeners; at most 10 connections"), Some(Routes::new()));
        for other in ["", "unchanged: reading /stratos/balancer.json: no", "ready: 0.0.0.0:80 to web; at most 1 connections"] {
            assert_eq!(routes_of(other), None, "{other}");
        }
    }

    #[test]
    fn the_last_word_counts_and_what_follows_it() {
        let lines: Vec<String> = ["ready: a", "drained: x:1", "ready: b", "unchanged: c", "drained: y:1"].map(str::to_owned).into();
        assert_eq!(said(&lines), Some(("ready: b".into(), vec!["unchanged: c".into(), "drained: y:1".into()])));
        assert_eq!(said(&[]), None);
    }

    #[test]
    fn a_port_is_published_when_it_leads_to_all_instances_and_to_nothing_else() {
        let targets = |hosts: &[&str]| hosts.iter().map(|host| ((*host).to_owned(), 8080)).collect::<BTreeSet<_>>();
        let proxy = |routes: Routes| Proxy {
            id: String::new(),
            name: "web.proxy".into(),
            ownership: Ownership::Unmarked,
            ports: [80].into(),
            addresses: BTreeMap::new(),
            networks: BTreeSet::new(),
            routes: Some(routes),
            leftovers: vec![],
        };
        let hosts = BTreeSet::from(["a", "b"]);
        let published = |port, leads| Published { target: 8080, port, address: None, leads };
        assert_eq!(proxy([(80, targets(&["a", "b"]))].into()).published(&hosts), [published(80, true)]);
        for wrong in [targets(&["a"]), targets(&["a", "b", "c"])] {
            assert_eq!(proxy([(80, wrong)].into()).published(&hosts), [published(80, false)]);
        }
        assert_eq!(proxy([(81, targets(&["a", "b"]))].into()).published(&hosts), [published(81, false)], "it does not have that port");
    }
}
