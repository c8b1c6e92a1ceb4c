//! An app becomes a workload and what the workload needs.

mod files;
mod pod;
mod probe;
mod service;
mod storage;
mod workload;

use serde_json::{Value, json};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Marks;
use stratos_engine::desired::quantity::Duration;
use stratos_engine::desired::resource::{Resource, ResourceId, Shape};
use stratos_engine::desired::text::{Segment, Text};
use stratos_engine::platform::{Address, TranslatedApp};

use crate::config::EnvironmentConfig;
use crate::kind::GroupKind;
use crate::native::{self, Order, Patches};
use crate::object::desired::{self, Identity};
use crate::object::project::NAME;
use crate::{settings, shape};

/// For a whole roll-out, where the app does not say.
pub(crate) const ROLLOUT_TIMEOUT: Duration = Duration(300_000);

/// Where other apps reach a port: by a Service's name, in the environment's namespace.
pub(crate) fn address(app: &TranslatedApp<'_>, port: &Name) -> Address {
    let number = app.app.ports.get(port).map(|port| port.port.to_string()).unwrap_or_default();
    Address { host: Text::literal(settings::service(app)), port: Text::literal(number) }
}

/// The resources of an app.
pub(crate) fn translate(config: &EnvironmentConfig, app: &TranslatedApp<'_>) -> Vec<Resource> {
    patched(config, app, &Patches::of(app.native, config))
}

/// The same with these patches, which take note of what is wrong with them.
pub(crate) fn patched(config: &EnvironmentConfig, app: &TranslatedApp<'_>, patches: &Patches<'_>) -> Vec<Resource> {
    let maker = Maker { config, app, patches };
    let files = files::Files::of(app);
    let mut resources = Vec::new();
    resources.push(maker.object(json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": maker.metadata(app.name),
        "automountServiceAccountToken": false,
    })));
    resources.extend(files.config_map(&maker));
    resources.extend(files.secret(&maker));
    resources.extend(storage::claims(&maker));
    let needs = resources.iter().map(|resource| resource.id.clone()).collect();
    resources.extend(service::services(&maker));
    resources.extend(workload::budget(&maker));
    resources.push(workload::workload(&maker, &files, needs));
    resources
}

/// Makes the objects of one app.
pub(crate) struct Maker<'a> {
    pub(crate) config: &'a EnvironmentConfig,
    pub(crate) app: &'a TranslatedApp<'a>,
    pub(crate) patches: &'a Patches<'a>,
}

impl Maker<'_> {
    /// `metadata` with the labels that Kubernetes recommends.
    pub(crate) fn metadata(&self, name: &str) -> Value {
        json!({ "name": name, "labels": self.labels() })
    }

    /// The labels that tools group objects by.
    pub(crate) fn labels(&self) -> Value {
        json!({
            "app.kubernetes.io/name": &**self.app.name,
            "app.kubernetes.io/instance": &**self.app.name,
            "app.kubernetes.io/managed-by": "stratos",
        })
    }

    /// What the app's pods are found by. It can never change.
    pub(crate) fn selector(&self) -> Value {
        json!({ "app.kubernetes.io/name": &**self.app.name, "app.kubernetes.io/instance": &**self.app.name })
    }

    /// The resource of an object.
    pub(crate) fn object(&self, object: Value) -> Resource {
        self.shaped(object, None)
    }

    /// The same, with another shape than that of its kind.
    pub(crate) fn shaped(&self, object: Value, shape: Option<&'static Shape>) -> Resource {
        let identity = Identity::of(&object).unwrap_or_else(|wrong| unreachable!("an object that is made here says what it is: {}", wrong.why));
        let kind = identity.group_kind();
        let id = self.id(&kind, &identity.name);
        let document = |object: &Value| desired::document(&identity, object);
        let made = |object: Value| document(&object).unwrap_or_else(|wrong| unreachable!("{} at {:?}", wrong.why, wrong.at));
        let patched = self.patches.apply(&id, object.clone());
        let (document, depends_on) = match document(&patched) {
            Ok(document) if self.patches.touched(&id) => (document, self.named(&id, &patched)),
            Ok(document) => (document, vec![]),
            Err(wrong) => {
                self.patches.note(&id, &wrong);
                (made(object), vec![])
            }
        };
        Resource {
            id,
            marks: self.marks(),
            document,
            depends_on,
            rollout_timeout: None,
            moved_from: None,
            shape: shape.unwrap_or_else(|| shape::of(&kind)),
        }
    }

    /// What a patch names among the app's manifests.
    fn named(&self, id: &ResourceId, patched: &Value) -> Vec<ResourceId> {
        let mut order = Order::new(&self.config.namespace);
        self.app.native.into_iter().flat_map(|part| native::ids(self.config, part)).for_each(|id| order.add(&id, None));
        order.of(id, patched)
    }

    /// A protected app keeps what it uses because it uses it; protecting each would keep every old one, too.
    fn marks(&self) -> Marks {
        Marks { protect: false, ..self.app.marks.clone() }
    }

    pub(crate) fn id(&self, kind: &GroupKind, name: &str) -> ResourceId {
        ResourceId::new(&self.config.environment, &kind.to_string(), name)
    }

    /// The live name of a generated object, as rendered text.
    pub(crate) fn name_of(&self, kind: &str, name: &str) -> String {
        let of = Box::new(ResourceId::new(&self.config.environment, kind, name));
        Text::from_iter([Segment::Attribute { of, name: NAME.to_owned() }]).to_rendered()
    }

    /// How many instances there are at first.
    pub(crate) fn replicas(&self) -> u32 {
        self.app.app.replicas.unwrap_or(1)
    }

    /// What the whole app was called before, where it was renamed.
    pub(crate) fn name_before(&self) -> Option<&Name> {
        self.app.moved_from.get(&None).map(|before| &before.app)
    }
}

/// Whole seconds, at least one, rounded up.
pub(crate) fn seconds(time: Duration) -> u64 {
    time.0.div_ceil(1000).max(1)
}

/// The claim's name before, of a volume that was renamed or whose app was.
pub(crate) fn volume_before<'a>(app: &'a TranslatedApp<'a>, volume: &'a Name) -> Option<(&'a Name, &'a Name)> {
    let before = app.moved_from.get(&Some(volume.clone()))?;
    Some((&before.app, before.volume.as_ref().unwrap_or(volume)))
}

