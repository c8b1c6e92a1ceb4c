//! The marks on live objects: labels for what is searched for, annotations for the rest.
//!
//! They are on the object itself and never on the pods of a workload: operators copy labels on, and what carries our marks is
//! pruned.

use std::collections::BTreeMap;

use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::{Marks, Owner, Ownership};

/// Label: the project's id.
pub(crate) const PROJECT: &str = "stratos/project";
/// Label: the environment's name.
pub(crate) const ENVIRONMENT: &str = "stratos/environment";
/// Label: the app's name.
pub(crate) const APP: &str = "stratos/app";
/// Annotation: held against deletion and replacement.
pub(crate) const PROTECT: &str = "stratos/protect";
/// Annotation: the commit of the manifest.
pub(crate) const REVISION: &str = "stratos/revision";
/// Annotation: the digest of the document that was written.
pub(crate) const SPECIFICATION: &str = "stratos/specification";
/// What labels and annotations of ours begin with: users' own may not.
pub(crate) const PREFIX: &str = "stratos/";

/// Annotation: what it comes after, so that it is deleted before that: ids, with a comma between them.
pub(crate) const NEEDS: &str = "stratos/needs";
/// Annotation: the generated objects that it refers to, whose live names its fields hold: ids, with a comma between them.
pub(crate) const REFERS: &str = "stratos/refers";
/// Annotation of a Secret: the fingerprints of its entries, as JSON.
pub(crate) const FINGERPRINTS: &str = "stratos/fingerprints";
/// Annotation of a Secret that is made of an app: the number of its generation.
pub(crate) const GENERATION: &str = "stratos/generation";
/// Label: the ApplySet that an object is a member of (KEP-3659).
pub(crate) const APPLY_SET: &str = "applyset.kubernetes.io/part-of";

/// Whether a label or an annotation is ours, and no part of a document.
pub(crate) fn is_ours(key: &str) -> bool {
    key.starts_with(PREFIX) || key == APPLY_SET
}

/// Labels or annotations.
pub(crate) type Map = BTreeMap<String, String>;

/// The labels of an owner's objects.
pub(crate) fn labels_of_owner(owner: &Owner) -> Map {
    [(PROJECT.to_owned(), owner.project.to_string()), (ENVIRONMENT.to_owned(), owner.environment.to_string())].into()
}

/// The labels that say whose an object is.
pub(crate) fn labels(marks: &Marks) -> Map {
    let mut labels = labels_of_owner(&marks.owner);
    labels.insert(APP.to_owned(), marks.app.to_string());
    labels
}

/// The annotations beside them.
pub(crate) fn annotations(marks: &Marks) -> Map {
    let Marks { owner: _, app: _, protect, revision, specification } = marks;
    let mut annotations = Map::new();
    if *protect {
        annotations.insert(PROTECT.to_owned(), "true".to_owned());
    }
    annotations.extend(revision.clone().map(|revision| (REVISION.to_owned(), revision)));
    annotations.extend(specification.clone().map(|digest| (SPECIFICATION.to_owned(), digest)));
    annotations
}

/// Whose an object with these labels and annotations is.
pub(crate) fn ownership(labels: &Map, annotations: &Map, us: &Owner) -> Ownership {
    let owner = || Some(Owner::new(labels.get(PROJECT)?, Name::new(labels.get(ENVIRONMENT)?).ok()?));
    let Some(owner) = owner() else { return Ownership::Unmarked };
    if owner != *us {
        return Ownership::Another(owner);
    }
    // What belongs to us and to no app was not made by translating one: the namespace, the lease, the record of kinds.
    let Some(app) = labels.get(APP).and_then(|app| Name::new(app).ok()) else { return Ownership::Another(owner) };
    Ownership::Ours(Marks {
        owner,
        app,
        protect: annotations.get(PROTECT).is_some_and(|value| value == "true"),
        revision: annotations.get(REVISION).cloned(),
        specification: annotations.get(SPECIFICATION).cloned(),
    })
}

/// The label selector of a list request: everything that carries this owner's mark. Nothing in it needs percent-encoding but what
/// is encoded here.
pub(crate) fn selector(owner: &Owner) -> String {
    let Owner { project, environment } = owner;
    format!("{}%3D{project}%2C{}%3D{environment}", PROJECT.replace('/', "%2F"), ENVIRONMENT.replace('/', "%2F"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(project: &str) -> Owner {
        Owner::new(project, Name::new("dev").unwrap())
    }

    #[test]
    fn marks_survive_the_round_trip() {
        let marks = Marks {
            owner: owner("k3v9q2xw"),
            app: Name::new("web").unwrap(),
            protect: true,
            revision: Some("abc".into()),
            specification: Some("1f".into()),
        };
        assert_eq!(ownership(&labels(&marks), &annotations(&marks), &marks.owner), Ownership::Ours(marks));
    }

    #[test]
    fn what_has_no_marks_or_others_is_not_ours() {
        let none = Map::new();
        assert_eq!(ownership(&none, &none, &owner("a")), Ownership::Unmarked);
        assert_eq!(ownership(&labels_of_owner(&owner("b")), &none, &owner("a")), Ownership::Another(owner("b")));
    }

    #[test]
    fn the_selector_is_encoded() {
        assert_eq!(selector(&owner("a")), "stratos%2Fproject%3Da%2Cstratos%2Fenvironment%3Ddev");
    }
}
