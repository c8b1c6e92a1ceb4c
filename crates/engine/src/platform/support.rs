//! The fields of the portable model, and what a platform makes of each.

use crate::manifest::schema::{App, HealthCheck, OnFailure, Probe, Protocol, Strategy, VolumeAccess};

/// What a platform makes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// What the manifest says.
    Full,
    /// The same purpose by its own means; the text says how.
    Adapted(&'static str),
    /// It has no meaning here and is left out; shown, never an error.
    Ignored(&'static str),
    /// It cannot be done: an error, unless the app allows it in `allow_degraded`.
    Unsupported(&'static str),
}

macro_rules! fields {
    ($($variant:ident $name:literal),* $(,)?) => {
        /// A field of the portable model, as `allow_degraded` and `stratos check` name it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the names are the manifest's own")]
        pub enum Field { $($variant),* }

        impl Field {
            /// All fields, in the order of the manifest's documentation.
            pub const ALL: &[Field] = &[$(Field::$variant),*];

            /// The field's dotted name.
            pub fn as_str(self) -> &'static str {
                match self { $(Field::$variant => $name),* }
            }
        }
    };
}

fields! {
    Image "image",
    Command "command",
    Replicas "replicas",
    Ports "ports",
    PortsPublish "ports.publish",
    PortsUdp "ports.protocol",
    Env "env",
    Files "files",
    FilesMode "files.mode",
    HealthHttp "health.http",
    HealthTcp "health.tcp",
    HealthCommand "health.command",
    HealthLive "health.live",
    ResourcesCpu "resources.cpu",
    ResourcesCpuLimit "resources.cpu_limit",
    ResourcesMemory "resources.memory",
    Volumes "volumes",
    VolumesSize "volumes.size",
    VolumesShared "volumes.access",
    Bind "bind",
    DependsOn "depends_on",
    RolloutStrategy "rollout.strategy",
    RolloutMaxSurge "rollout.max_surge",
    RolloutMaxUnavailable "rollout.max_unavailable",
    RolloutTimeout "rollout.timeout",
    RolloutOnFailure "rollout.on_failure",
    Protect "protect",
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Field {
    /// Whether an app asks for anything by it.
    pub fn is_used_by(self, app: &App) -> bool {
        let probe = |test: fn(&Probe) -> bool| {
            let probes = app.health.as_ref().map(|h| [h.ready(), h.live()]);
            probes.into_iter().flatten().flatten().any(test)
        };
        let rollout = app.rollout.as_ref();
        let resources = app.resources.as_ref();
        match self {
            Self::Image => app.image.is_some(),
            Self::Command => app.command.is_some(),
            Self::Replicas => app.replicas.is_some(),
            Self::Ports => !app.ports.is_empty(),
            Self::PortsPublish => app.ports.values().any(|p| p.publish.is_some()),
            Self::PortsUdp => app.ports.values().any(|p| p.protocol == Protocol::Udp),
            Self::Env => !app.env.is_empty(),
            Self::Files => !app.files.is_empty(),
            Self::FilesMode => app.files.values().any(|f| f.mode.is_some()),
            Self::HealthHttp => probe(|p| p.http.is_some()),
            Self::HealthTcp => probe(|p| p.tcp.is_some()),
            Self::HealthCommand => probe(|p| p.command.is_some()),
            Self::HealthLive => app.health.as_ref().and_then(HealthCheck::live).is_some(),
            Self::ResourcesCpu => resources.is_some_and(|r| r.cpu.is_some()),
            Self::ResourcesCpuLimit => resources.is_some_and(|r| r.cpu_limit.is_some()),
            Self::ResourcesMemory => resources.is_some_and(|r| r.memory.is_some()),
            Self::Volumes => !app.volumes.is_empty(),
            Self::VolumesSize => app.volumes.values().any(|v| v.size.is_some()),
            Self::VolumesShared => app.volumes.values().any(|v| v.access == VolumeAccess::Shared),
            Self::Bind => !app.bind.is_empty(),
            Self::DependsOn => !app.depends_on.is_empty(),
            Self::RolloutStrategy => rollout.is_some_and(|r| r.strategy == Some(Strategy::Recreate)),
            Self::RolloutMaxSurge => rollout.is_some_and(|r| r.max_surge.is_some()),
            Self::RolloutMaxUnavailable => rollout.is_some_and(|r| r.max_unavailable.is_some()),
            Self::RolloutTimeout => rollout.is_some_and(|r| r.timeout.is_some()),
            Self::RolloutOnFailure => rollout.is_some_and(|r| r.on_failure == Some(OnFailure::Pause)),
            Self::Protect => app.protect,
        }
    }
}
