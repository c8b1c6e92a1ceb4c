//! Helm releases that own objects which an environment is to take over.
//!
//! Helm knows its objects by a record of its own, a Secret. While that is there, `helm upgrade` writes the objects again and `helm uninstall`
//! deletes them, whoever manages them by then.

use stratos_engine::compare::Difference;

use crate::object::live::Live;
use crate::platform::KubernetesPlatform;

/// A release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release {
    name: String,
    namespace: String,
}

impl Release {
    /// The one that owns an object by Helm's label and annotations.
    pub(crate) fn of(live: &Live) -> Option<Self> {
        let (name, namespace) = live.helm_release()?;
        Some(Self { name: name.to_owned(), namespace: namespace.to_owned() })
    }
}

/// A sentence for each release that owns something of somebody else's that is wanted.
pub(crate) fn notes(platform: &KubernetesPlatform, differences: &[Difference]) -> Vec<String> {
    let taken = differences.iter().filter_map(|difference| match difference {
        Difference::Taken { desired, .. } => Some(&desired.id),
        _ => None,
    });
    let note = |(Release { name, namespace }, ids): (Release, Vec<_>)| {
        let ids = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!(
            "the Helm release {name} in the namespace {namespace} owns {ids}: `helm upgrade` would write them again, and `helm uninstall` \
             would delete them. Helm forgets the release, and deletes nothing, by: \
             kubectl delete secret --namespace {namespace} --selector owner=helm,name={name}"
        )
    };
    platform.releases(taken).into_iter().map(note).collect()
}
