//! The three nodes. One test at a time has them, and finds them whole.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stratos_test_platforms::{Engines, eventually, swarm_of};

/// How many there are.
pub const NODES: usize = 3;

/// The nodes, for one test.
pub struct Cluster {
    engines: Arc<Engines>,
    nodes: MutexGuard<'static, Nodes>,
}

/// The engines, where they have been started, and which of them are there.
struct Nodes {
    engines: Option<Arc<Engines>>,
    alive: [bool; NODES],
}

/// So many tests have the nodes or wait for them: the last one ends the engines.
static USERS: AtomicUsize = AtomicUsize::new(0);

/// Waits for the nodes. Whatever the test before has done to them, or did not get to mend, is mended.
pub fn cluster() -> Cluster {
    static SHARED: Mutex<Nodes> = Mutex::new(Nodes { engines: None, alive: [true; NODES] });
    USERS.fetch_add(1, Ordering::SeqCst);
    let mut nodes = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if nodes.engines.is_none() {
        *nodes = Nodes { engines: Some(Arc::new(swarm_of(NODES))), alive: [true; NODES] };
    }
    let mut cluster = Cluster { engines: nodes.engines.clone().unwrap(), nodes };
    for node in 0..NODES {
        if !cluster.nodes.alive[node] {
            cluster.revive(node);
        }
    }
    eventually("all nodes are ready", || (0..NODES).all(|node| cluster.nodes(node) == Some(whole())));
    cluster
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if USERS.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.nodes.engines = None;
        }
    }
}

/// Each node is there, and takes work.
fn whole() -> BTreeMap<String, String> {
    (0..NODES).map(|node| (format!("node{node}"), "Ready Active".to_owned())).collect()
}

impl Cluster {
    pub fn engines(&self) -> &Arc<Engines> {
        &self.engines
    }

    /// The image of an app that works.
    pub fn image(&self) -> String {
        format!("{}/web:1", self.engines.registry())
    }

    /// Takes a node away, as a power cut would.
    pub fn kill(&mut self, node: usize) {
        self.is_lost(node);
        self.engines.kill(node);
    }

    /// Whoever has this node from here on kills it.
    pub fn is_lost(&mut self, node: usize) {
        self.nodes.alive[node] = false;
    }

    /// Brings a node back.
    pub fn revive(&mut self, node: usize) {
        self.engines.revive(node);
        self.nodes.alive[node] = true;
    }

    /// What a manager says of the nodes: `Ready Active`, `Down Active`. None where it cannot say.
    pub fn nodes(&self, manager: usize) -> Option<BTreeMap<String, String>> {
        let listed = self.engines.try_docker(manager, &["node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.Availability}}"]);
        let text = String::from_utf8(listed.stdout).ok().filter(|_| listed.status.success())?;
        Some(text.lines().filter_map(|line| line.split_once(' ')).map(|(name, state)| (name.to_owned(), state.to_owned())).collect())
    }

    /// The manager that leads the others.
    pub fn leader(&self) -> usize {
        let leads = |node: &usize| {
            let asked = self.engines.try_docker(*node, &["node", "inspect", "self", "--format", "{{.ManagerStatus.Leader}}"]);
            String::from_utf8_lossy(&asked.stdout).trim() == "true"
        };
        eventually("a leader", || (0..NODES).filter(|node| self.nodes.alive[*node]).find(leads))
    }

    /// The manager that leads, and one that does not: without that one, nobody has to be elected.
    pub fn leader_and_another(&self) -> (usize, usize) {
        let leader = self.leader();
        (leader, (leader + 1) % NODES)
    }

    /// Waits until a manager says this of a node.
    pub fn until_node_is(&self, manager: usize, node: usize, state: &str) {
        eventually(&format!("node{node} is {state}"), || {
            let nodes = self.nodes(manager).unwrap_or_default();
            if nodes.get(&format!("node{node}")).is_some_and(|found| found == state) { Ok(()) } else { Err(format!("{nodes:?}")) }
        });
    }

    /// The nodes that run an instance of a service, as a manager knows them: one entry for each instance that is to run.
    pub fn places(&self, manager: usize, service: &str) -> Vec<String> {
        let wanted = ["service", "ps", "--filter", "desired-state=running", "--format", "{{.Node}} {{.CurrentState}}", service];
        let listed = self.engines.docker(manager, &wanted);
        let mut places: Vec<String> =
            listed.lines().filter_map(|line| line.split_once(" Running ")).map(|(node, _)| node.to_owned()).collect();
        places.sort();
        places
    }

    /// The names of a project's services.
    pub fn services(&self, manager: usize, project: &str) -> Vec<String> {
        let label = format!("label=stratos.project={project}");
        let listed = self.engines.docker(manager, &["service", "ls", "--format", "{{.Name}}", "--filter", &label]);
        let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Whether no node has a network any more.
    pub fn has_no_network(&self, name: &str) -> bool {
        let filter = format!("name={name}");
        (0..NODES).all(|node| self.engines.docker(node, &["network", "ls", "--quiet", "--filter", &filter]).is_empty())
    }

    /// How many containers of a service really run, on all nodes that are there.
    pub fn containers(&self, service: &str) -> usize {
        (0..NODES).filter(|node| self.nodes.alive[*node]).map(|node| self.containers_on(node, service)).sum()
    }

    /// How many of them run on one node.
    pub fn containers_on(&self, node: usize, service: &str) -> usize {
        let label = format!("label=com.docker.swarm.service.name={service}");
        self.engines.docker(node, &["ps", "--quiet", "--filter", &label]).lines().count()
    }
}
