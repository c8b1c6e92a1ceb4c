//! The server form becomes a document in normal form: what `write` and the server did is undone.

use std::sync::Arc;

use super::Quirks;
use super::server::{
    DEFAULT_INTERVAL, DEFAULT_MODE, DEFAULT_PROBE_TIMEOUT, DEFAULT_RETRIES, DEFAULT_SIZE, DEFAULT_TIMEOUT, Probe, Service, Spec, Stored,
    Update,
};
use super::translate::reference;
use super::world::{Object, State};
use crate::desired::document::{Document, DocumentBuilder, Leaf};
use crate::desired::owner::Owner;
use crate::desired::path::Path;
use crate::desired::quantity::{Bytes, Cpu, Duration};
use crate::desired::resource::ResourceId;
use crate::desired::text::{Segment, Text};
use crate::health::RolloutState;
use crate::platform::ObservedResource;
use crate::platform::memory::world::Key;
use zeroize::Zeroizing;

/// What an owner sees of an object.
pub(crate) fn observed(state: &State, place: &str, id: ResourceId, object: &Object, owner: &Owner) -> ObservedResource {
    let ownership = super::ownership(object, owner);
    let mut reader = Reader::new(state, place, &id);
    reader.spec(&object.spec);
    let Reader { out, secret_values, secrets_moved, .. } = reader;
    let refers = object.spec.sources().filter_map(|source| state.by_server_id(place, source));
    let refers = refers.map(|(key, _)| ResourceId::new(&id.environment, &key.kind, &key.name));
    let service = matches!(object.spec, Spec::Service(_));
    ObservedResource {
        uid: Some(object.uid.clone()),
        attributes: object.attributes.clone(),
        secret_values,
        secrets_moved,
        holds_data: matches!(object.spec, Spec::Volume(_)),
        has_health: service,
        depends_on: refers.chain(object.needs.iter().cloned()).collect(),
        rollout: if service { object.progress.state() } else { RolloutState::Done },
        ..ObservedResource::new(id, ownership, out.build())
    }
}

/// The document of an object.
pub(crate) fn document(state: &State, place: &str, id: &ResourceId, object: &Object) -> Document {
    let mut reader = Reader::new(state, place, id);
    reader.spec(&object.spec);
    reader.out.build()
}

/// What a declared document would be stored as: no live document knows what a secret is made of.
pub(crate) fn stored(declared: &Document, most_replicas: u32) -> Document {
    let most = i64::from(most_replicas);
    let kept = declared.leaves().iter().map(|(path, leaf)| match leaf {
        Leaf::Secret { fingerprint, .. } => (path.clone(), Leaf::Secret { text: None, fingerprint: fingerprint.clone() }),
        Leaf::Integer(replicas) if *path == Path::new(["replicas"]) => (path.clone(), Leaf::Integer(most.min(*replicas))),
        leaf => (path.clone(), leaf.clone()),
    });
    kept.collect()
}

/// A text with the addresses that the world knows now; None where it does not know one of them.
pub(crate) fn resolved(state: &State, place: &str, text: &Text) -> Option<String> {
    let mut out = String::new();
    for segment in text.segments() {
        match segment {
            Segment::Literal(literal) => out.push_str(literal),
            Segment::Attribute { of, name } => out.push_str(state.object(place, &Key::of(of))?.attributes.get(name)?),
            Segment::Secret { .. } => return None,
        }
    }
    Some(out)
}

struct Reader<'a> {
    state: &'a State,
    place: &'a str,
    id: &'a ResourceId,
    out: DocumentBuilder,
    secret_values: Vec<(Path, Zeroizing<String>)>,
    secrets_moved: Vec<Path>,
}

impl<'a> Reader<'a> {
    fn new(state: &'a State, place: &'a str, id: &'a ResourceId) -> Self {
        let out = DocumentBuilder::default();
        Self { state, place, id, out, secret_values: Vec::new(), secrets_moved: Vec::new() }
    }

    fn quirks(&self) -> Quirks {
        self.state.quirks
    }

    fn spec(&mut self, spec: &Spec) {
        match spec {
            Spec::Service(service) => self.service(service),
            Spec::Config(config) => self.stored(&["content"], &config.data),
            Spec::Secret(secret) => self.stored(&["content"], &secret.content),
            Spec::Volume(volume) => {
                self.bytes(&["size"], volume.size.as_deref(), Some(DEFAULT_SIZE));
                self.text(&["access"], &volume.access, "replica");
            }
        }
    }

    fn service(&mut self, service: &Service) {
        let Service { image, args, replicas, ports, env, files, mounts, ready, live, limits, update } = service;
        self.out.put(["image"], Leaf::image(image));
        for (index, argument) in args.iter().enumerate() {
            self.stored(&["command", &format!("[{index:04}]")], argument);
        }
        self.integer(&["replicas"], *replicas, 1);
        for (index, port) in ports.iter().enumerate() {
            let key = self.key(index, &port.name);
            self.out.integer(["ports", &key, "port"], port.target);
            if let Some(published) = port.published {
                self.out.integer(["ports", &key, "publish"], published);
            }
            self.text(&["ports", &key, "protocol"], &port.protocol.to_lowercase(), "tcp");
        }
        for (index, variable) in env.iter().enumerate() {
            let key = self.key(index, &variable.name);
            self.stored(&["env", &key], &variable.value);
        }
        for (index, file) in files.iter().enumerate() {
            let key = self.key(index, &file.path);
            self.source(&["files", &key], &file.source);
            self.integer(&["files", &key, "mode"], file.mode, DEFAULT_MODE);
        }
        for (index, mount) in mounts.iter().enumerate() {
            let key = self.key(index, &mount.target);
            let leaf = self.referred(&mount.source).map_or_else(|| self.dangling(&mount.source), |id| reference(&id));
            self.out.put(["mounts", &key], leaf);
        }
        for (role, probe) in [("ready", ready), ("live", live)] {
            probe.iter().for_each(|probe| self.probe(role, probe));
        }
        self.cpu(&["resources", "cpu"], limits.cpu.as_deref());
        self.cpu(&["resources", "cpu_limit"], limits.cpu_limit.as_deref());
        self.bytes(&["resources", "memory"], limits.memory.as_deref(), None);
        self.update(update);
    }

    fn update(&mut self, update: &Update) {
        let Update { strategy, max_surge, max_unavailable, timeout, on_failure } = update;
        self.text(&["rollout", "strategy"], strategy, "rolling");
        self.integer(&["rollout", "max_surge"], *max_surge, 1);
        self.integer(&["rollout", "max_unavailable"], *max_unavailable, 0);
        self.duration(&["rollout", "timeout"], Some(timeout), DEFAULT_TIMEOUT);
        self.text(&["rollout", "on_failure"], on_failure, "rollback");
    }

    fn probe(&mut self, role: &str, probe: &Probe) {
        let Probe { http, tcp, command, port, interval, timeout, retries, start_period } = probe;
        for (name, value) in [("http", http), ("tcp", tcp), ("port", port)] {
            if let Some(value) = value {
                self.out.text([role, name], value);
            }
        }
        let words: Vec<Text> = command.iter().map(|word| Text::literal(word.clone())).collect();
        self.out.list(&[role, "command"], &words);
        self.duration(&[role, "interval"], interval.as_deref(), DEFAULT_INTERVAL);
        self.duration(&[role, "timeout"], timeout.as_deref(), DEFAULT_PROBE_TIMEOUT);
        self.duration(&[role, "start_period"], start_period.as_deref(), Duration(0));
        if let Some(retries) = retries {
            self.integer(&[role, "retries"], *retries, DEFAULT_RETRIES);
        }
    }

    /// What tells the items of an unordered list apart; their place in it, where the platform forgets to look.
    fn key(&self, index: usize, name: &str) -> String {
        if self.quirks().sorts { name.to_owned() } else { format!("[{index:04}]") }
    }

    fn integer(&mut self, path: &[&str], value: u32, default: u32) {
        if value != default || !self.quirks().drops_defaults {
            self.out.integer(path.iter().copied(), value);
        }
    }

    fn text(&mut self, path: &[&str], value: &str, default: &str) {
        if value != default || !self.quirks().drops_defaults {
            self.out.text(path.iter().copied(), value);
        }
    }

    fn duration(&mut self, path: &[&str], written: Option<&str>, default: Duration) {
        let Some(written) = written else { return };
        let read = written.parse().ok().filter(|_| self.quirks().reads_quantities);
        if read == Some(default) && self.quirks().drops_defaults {
            return;
        }
        self.out.put(path.iter().copied(), read.map_or_else(|| Leaf::Text(written.into()), Leaf::Duration));
    }

    fn bytes(&mut self, path: &[&str], written: Option<&str>, default: Option<Bytes>) {
        let Some(written) = written else { return };
        let read = written.parse().ok().filter(|_| self.quirks().reads_quantities);
        if read.is_some() && read == default && self.quirks().drops_defaults {
            return;
        }
        self.out.put(path.iter().copied(), read.map_or_else(|| Leaf::Text(written.into()), Leaf::Bytes));
    }

    fn cpu(&mut self, path: &[&str], written: Option<&str>) {
        let Some(written) = written else { return };
        let read = written.parse::<Cpu>().ok().filter(|_| self.quirks().reads_quantities);
        self.out.put(path.iter().copied(), read.map_or_else(|| Leaf::Text(written.into()), Leaf::Cpu));
    }

    /// The resource that has this server id.
    fn referred(&self, source: &str) -> Option<ResourceId> {
        let (key, _) = self.state.by_server_id(self.place, source).filter(|_| self.quirks().follows_references)?;
        Some(ResourceId::new(&self.id.environment, &key.kind, &key.name))
    }

    /// A reference to something that is not there any more, or has another address now: it is one, and leads nowhere.
    fn dangling(&self, value: &str) -> Leaf {
        if self.quirks().follows_references { Leaf::Unknown } else { Leaf::Text(value.into()) }
    }

    fn source(&mut self, path: &[&str], source: &str) {
        let (kind, leaf) = match self.referred(source) {
            Some(id) => (id.kind.to_string(), reference(&id)),
            None => ("source".to_owned(), self.dangling(source)),
        };
        self.out.put(path.iter().copied().chain([kind.as_str()]), leaf);
    }

    fn stored(&mut self, path: &[&str], stored: &Stored) {
        let leaf = match stored {
            Stored::Plain(text) => Leaf::Text(text.as_str().into()),
            Stored::Hidden { secret, fingerprint, made_from: _, with } => {
                if self.quirks().returns_secrets {
                    self.secret_values.push((Path::new(path.iter().copied()), Zeroizing::new(secret.clone())));
                }
                // An address that was put into the text beside the secret is not in the fingerprint. The leaf stays as it
                // is, so that a fence does not take for an edit what the same run has made anew.
                if with.iter().any(|(name, value)| self.attribute(name) != Some(value)) {
                    self.secrets_moved.push(Path::new(path.iter().copied()));
                }
                Leaf::Secret { text: None, fingerprint: fingerprint.clone() }
            }
            Stored::Composed { value, made_from } => {
                let current = resolved(self.state, self.place, made_from);
                if current.is_some_and(|current| current != *value) {
                    self.dangling(value)
                } else if self.quirks().follows_references {
                    Leaf::Ref(Arc::new(made_from.clone()))
                } else {
                    Leaf::Text(value.as_str().into())
                }
            }
        };
        self.out.put(path.iter().copied(), leaf);
    }

    /// The present value of an attribute, named `kind/name#attribute`.
    fn attribute(&self, name: &str) -> Option<&String> {
        let (key, attribute) = name.split_once('#')?;
        self.state.object(self.place, &key.parse().ok()?)?.attributes.get(attribute)
    }
}
