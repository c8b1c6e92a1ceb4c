//! The reasons for which a live object may differ from its file.

/// One reason. Its documentation says why the file is right and the live object, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exception {
    /// A quantity has one normal form: `1000m` is stored as `1`.
    Quantity,
    /// The server rounds a resource up that is finer than a thousandth: `100u` is stored as `1m`.
    RoundedUp,
    /// A time is stored in UTC, and with as many digits as its type has: `+02:00` becomes `Z`.
    Time,
    /// A field of type `[]byte` is stored in base64 without line breaks.
    Bytes,
    /// JSON has one type for numbers: `1.0` is stored as `1`.
    Number,
    /// A built-in type drops the zero value of a field that is marked `omitempty`: `hostNetwork: false` is not stored. The field
    /// then has no default, or the live object would hold it. Maps with free keys and custom resources drop nothing.
    Zero,
    /// `null` declares nothing: it is not written, and a default fills the field in, also one of a definition's schema.
    Null,
    /// The cluster writes `status`, through a subresource.
    Status,
    /// The server moves `stringData` of a Secret into `data`. The value there is compared.
    StringData,
    /// The server sets these fields of the metadata: they are left from an object that was read (`kubectl get --output yaml`).
    SetByServer,
    /// A cluster-scoped object has no namespace, and kubectl and this platform both ignore one.
    NoNamespace,
    /// The cluster fills in the rules of a ClusterRole that aggregates others.
    Aggregated,
    /// The Deployment's controller counts its revisions in an annotation, also over what is declared there.
    Revision,
    /// Elements that have keys are written in the order of their keys, as the design says, but where their order means something:
    /// there it is compared ([`ORDERED`]).
    Order,
    /// An image is pinned: `web:1` is stored as `web:1@sha256:…`.
    Pinned,
}

/// Fields of `metadata` for [`Exception::SetByServer`].
pub const SET_BY_SERVER: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The annotation for [`Exception::Revision`].
pub const REVISION: &str = "deployment.kubernetes.io/revision";

/// The types of the elements that are started, filled in, tried or called one after another: see [`Exception::Order`].
pub const ORDERED: [&str; 4] = [".Container", ".EnvVar", ".ValidationRule", ".MutatingWebhook"];
