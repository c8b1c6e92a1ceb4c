//! `volumes` and `tmpfs` of a service: volumes, folders of the host, and memory.

use std::collections::BTreeSet;

use stratos_engine::desired::document::{DocumentBuilder, Leaf};

use super::at::{At, Check, On};
use super::service::texts;

/// What a volume of the project is called on the engine.
pub(super) type LiveVolume<'a> = dyn Fn(&str) -> String + 'a;

const RELATIVE: &str =
    "it is a folder beside the manifest, which the machines that run the service do not have: use a config, a volume, or an absolute path";

/// Writes `volumes.<path>`. The keys of the project's volumes among them.
pub(super) fn write(
    service: &At<'_>,
    volumes: &At<'_>,
    live: &LiveVolume<'_>,
    check: &Check<'_, '_>,
    out: &mut DocumentBuilder,
) -> BTreeSet<String> {
    let mut mounts = Mounts { volumes, live, check, out, seen: BTreeSet::new(), used: BTreeSet::new() };
    for item in service.get("volumes").filter(|at| check.list(at)).iter().flat_map(At::items) {
        if item.is_table() { mounts.long(&item) } else { mounts.short(&item) }
    }
    for item in service.get("tmpfs").iter().flat_map(At::items) {
        mounts.tmpfs(&item);
    }
    mounts.used
}

struct Mounts<'m, 'c, 'a> {
    volumes: &'m At<'m>,
    live: &'m LiveVolume<'m>,
    check: &'m Check<'c, 'a>,
    out: &'m mut DocumentBuilder,
    seen: BTreeSet<String>,
    /// The keys of volumes of the project.
    used: BTreeSet<String>,
}

impl Mounts<'_, '_, '_> {
    /// `[source:]target[:options]`.
    fn short(&mut self, at: &At<'_>) {
        let Some(text) = self.check.plain(at) else { return };
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, options) = match parts.as_slice() {
            [target] => (None, *target, ""),
            [source, target] => (Some(*source), *target, ""),
            [source, target, options] => (Some(*source), *target, *options),
            _ => return self.check.report(format!("`{}` must be source:target[:options], found {text:?}", at.path), at),
        };
        let is_path = source.is_some_and(|source| source.starts_with(['/', '.', '~']));
        let kind = if is_path { "bind" } else { "volume" };
        if !self.begin(target, kind, source, at) {
            return;
        }
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "rw" => {}
                "ro" => self.put(target, &["read_only"], Leaf::Bool(true)),
                "nocopy" if !is_path => self.put(target, &["volume", "nocopy"], Leaf::Bool(true)),
                "shared" | "rshared" | "slave" | "rslave" | "private" if is_path => self.text(target, &["bind", "propagation"], option),
                "rprivate" | "consistent" | "cached" | "delegated" => {}
                "z" | "Z" => self.check.unsupported("volumes.selinux", "labels of SELinux are not set", at),
                _ => self.check.report(format!("`{}`: there is no option {option:?} of a mount", at.path), at),
            }
        }
    }

    fn long(&mut self, at: &At<'_>) {
        self.check.known(at, &["type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs", "image"]);
        let kinds = ["volume", "bind", "tmpfs"];
        let kind = match at.get("type") {
            Some(kind) if kind.yaml.as_text().is_some_and(|word| ["npipe", "cluster", "image"].contains(&word)) => {
                return self.check.unsupported("volumes.type", "only volume, bind and tmpfs are", &kind);
            }
            Some(kind) => self.check.one_of(&kind, &kinds),
            None => Some("volume"),
        };
        let target = at.get("target").and_then(|at| self.check.plain(&at));
        let (Some(kind), Some(target)) = (kind, target) else {
            if at.get("target").is_none() {
                self.check.report(format!("`{}` has no `target`", at.path), at);
            }
            return;
        };
        let source = at.get("source").and_then(|at| self.check.plain(&at));
        if !self.begin(&target, kind, source.as_deref(), at) {
            return;
        }
        if at.get("read_only").and_then(|at| self.check.flag(&at)) == Some(true) {
            self.put(&target, &["read_only"], Leaf::Bool(true));
        }
        for (name, options) in ["bind", "volume", "tmpfs"].into_iter().filter_map(|name| Some((name, at.get(name)?))) {
            if name != kind {
                self.check.report(format!("`{}` is not about a mount of type {kind}", options.path), &options);
                continue;
            }
            match name {
                "bind" => self.bind(&target, &options),
                "volume" => self.volume(&target, &options),
                _ => self.memory(&target, &options),
            }
        }
    }

    fn bind(&mut self, target: &str, at: &At<'_>) {
        self.check.known(at, &["propagation", "create_host_path", "selinux", "recursive"]);
        let words = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];
        let propagation = at.get("propagation").and_then(|at| self.check.one_of(&at, &words));
        if let Some(propagation) = propagation.filter(|word| *word != "rprivate") {
            self.text(target, &["bind", "propagation"], propagation);
        }
        if let Some(create) = at.get("create_host_path").filter(|at| self.check.flag(at) == Some(true)) {
            self.check.unsupported("volumes.bind.create_host_path", "the folder must be there on the machine", &create);
        }
        for key in ["selinux", "recursive"] {
            if let Some(at) = at.get(key) {
                self.check.unsupported(&format!("volumes.bind.{key}"), "it is not translated", &at);
            }
        }
    }

    fn volume(&mut self, target: &str, at: &At<'_>) {
        self.check.known(at, &["nocopy", "subpath", "labels"]);
        if at.get("nocopy").and_then(|at| self.check.flag(&at)) == Some(true) {
            self.put(target, &["volume", "nocopy"], Leaf::Bool(true));
        }
        if let Some(subpath) = at.get("subpath").and_then(|at| self.check.plain(&at)) {
            self.text(target, &["volume", "subpath"], &subpath);
        }
        if let Some(labels) = at.get("labels") {
            if self.check.on == On::Engine {
                return self.check.unsupported(
                    "volumes.volume.labels",
                    "a volume is made before what uses it: say them in `volumes`",
                    &labels,
                );
            }
            texts(&labels, &["volumes", target, "volume", "labels"], self.check, self.out);
        }
    }

    fn memory(&mut self, target: &str, at: &At<'_>) {
        self.check.known(at, &["size", "mode"]);
        if let Some(size) = at.get("size").and_then(|at| self.check.bytes(&at)).filter(|size| size.0 != 0) {
            self.put(target, &["tmpfs", "size"], Leaf::Bytes(size));
        }
        if let Some(mode) = at.get("mode").and_then(|at| super::files::mode(&at, self.check)) {
            self.put(target, &["tmpfs", "mode"], Leaf::Integer(i64::from(mode)));
        }
    }

    /// `path[:size=64m,mode=1777]`.
    fn tmpfs(&mut self, at: &At<'_>) {
        let Some(text) = self.check.plain(at) else { return };
        let (target, options) = text.split_once(':').unwrap_or((&text, ""));
        if !self.begin(target, "tmpfs", None, at) {
            return;
        }
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let yaml = |value: &str| super::yaml::Yaml { value: super::yaml::Value::Text(value.to_owned()), place: at.place() };
            match option.split_once('=') {
                Some(("size", size)) => {
                    let yaml = yaml(size);
                    if let Some(size) = self.check.bytes(&At { yaml: &yaml, path: at.path.clone() }) {
                        self.put(target, &["tmpfs", "size"], Leaf::Bytes(size));
                    }
                }
                Some(("mode", mode)) => match u32::from_str_radix(mode, 8) {
                    Ok(mode) => self.put(target, &["tmpfs", "mode"], Leaf::Integer(i64::from(mode))),
                    Err(_) => self.check.report(format!("`{}`: the mode {mode:?} is not octal", at.path), at),
                },
                _ => self.check.unsupported("tmpfs.options", "only size and mode are", at),
            }
        }
    }

    /// The type and the source of a mount. Whether it goes on.
    fn begin(&mut self, target: &str, kind: &str, source: Option<&str>, at: &At<'_>) -> bool {
        if !target.starts_with('/') || target == "/" {
            self.check.report(format!("`{}`: the path in the container must be absolute; found {target:?}", at.path), at);
            return false;
        }
        if !self.seen.insert(target.to_owned()) {
            self.check.report(format!("`{}`: something is mounted at {target} already", at.path), at);
            return false;
        }
        match (kind, source) {
            ("bind", Some(source)) if source.starts_with('/') => {
                self.text(target, &["type"], kind);
                self.text(target, &["source"], source);
            }
            ("bind", Some(_)) => {
                self.check.unsupported("volumes.relative", RELATIVE, at);
                return false;
            }
            ("bind", None) => {
                self.check.report(format!("`{}` needs a `source`", at.path), at);
                return false;
            }
            ("volume", Some(name)) => return self.named(target, name, at),
            _ => self.text(target, &["type"], kind),
        }
        true
    }

    /// A volume of the project. A swarm makes it where an instance needs it, so its driver is said here.
    fn named(&mut self, target: &str, name: &str, at: &At<'_>) -> bool {
        if !self.volumes.yaml.entries().iter().any(|(key, _)| key.name == name) {
            let help = format!("add `{name}:` to the top-level `volumes`; a folder of the host begins with /");
            self.check.files.report_with_help(format!("there is no volume `{name}`"), help, at.place());
            return false;
        }
        self.text(target, &["type"], "volume");
        self.text(target, &["source"], &(self.live)(name));
        self.used.insert(name.to_owned());
        if self.check.on == On::Engine {
            return true;
        }
        let Some(volume) = self.volumes.get(name).filter(|volume| self.check.table(volume)) else { return true };
        self.check.known(&volume, &["driver", "driver_opts", "external", "labels", "name"]);
        if volume.get("external").is_some_and(|at| self.check.flag(&at) == Some(true)) {
            return true;
        }
        if let Some(driver) = volume.get("driver").and_then(|at| self.check.plain(&at)) {
            self.text(target, &["volume", "driver"], &driver);
        }
        for (key, path) in [("driver_opts", "driver_opts"), ("labels", "labels")] {
            if let Some(table) = volume.get(key) {
                texts(&table, &["volumes", target, "volume", path], self.check, self.out);
            }
        }
        true
    }

    fn put(&mut self, target: &str, path: &[&str], leaf: Leaf) {
        self.out.put(["volumes", target].into_iter().chain(path.iter().copied()), leaf);
    }

    fn text(&mut self, target: &str, path: &[&str], text: &str) {
        self.put(target, path, Leaf::Text(text.into()));
    }
}
