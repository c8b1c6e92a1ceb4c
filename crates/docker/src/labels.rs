//! The marks on live objects: labels.
//!
//! On a service, config, secret, network or volume of a swarm they can change without a restart. A container's labels, and a
//! volume's and a network's on a plain engine, are fixed when it is made.

use std::collections::HashMap;

use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::{Marks, Owner, Ownership};

/// The project's id.
pub(crate) const PROJECT: &str = "stratos.project";
/// The environment's name.
pub(crate) const ENVIRONMENT: &str = "stratos.environment";
/// The app's name.
pub(crate) const APP: &str = "stratos.app";
/// Held against deletion and replacement.
pub(crate) const PROTECT: &str = "stratos.protect";
/// The commit of the manifest.
pub(crate) const REVISION: &str = "stratos.revision";
/// The digest of the document that was written.
pub(crate) const SPECIFICATION: &str = "stratos.specification";
/// What every label of ours begins with: users' labels may not.
pub(crate) const PREFIX: &str = "stratos.";

/// The labels that say whose an object is.
pub(crate) fn of(marks: &Marks) -> HashMap<String, String> {
    let Marks { owner, app, protect, revision, specification } = marks;
    let mut labels = of_owner(owner);
    labels.insert(APP.to_owned(), app.to_string());
    if *protect {
        labels.insert(PROTECT.to_owned(), "true".to_owned());
    }
    labels.extend(revision.clone().map(|revision| (REVISION.to_owned(), revision)));
    labels.extend(specification.clone().map(|digest| (SPECIFICATION.to_owned(), digest)));
    labels
}

/// The labels of what belongs to an environment and to no app: its network.
pub(crate) fn of_owner(owner: &Owner) -> HashMap<String, String> {
    [(PROJECT.to_owned(), owner.project.to_string()), (ENVIRONMENT.to_owned(), owner.environment.to_string())].into()
}

/// The owner that labels name, where they name one.
pub(crate) fn owner(labels: &HashMap<String, String>) -> Option<Owner> {
    let environment = Name::new(labels.get(ENVIRONMENT)?).ok()?;
    Some(Owner::new(labels.get(PROJECT)?, environment))
}

/// Whose an object with these labels is.
pub(crate) fn ownership(labels: &HashMap<String, String>, us: &Owner) -> Ownership {
    let Some(owner) = owner(labels) else { return Ownership::Unmarked };
    if owner != *us {
        return Ownership::Another(owner);
    }
    // What belongs to us and to no app was not made by translating one: its environment's own.
    let Some(app) = labels.get(APP).and_then(|app| Name::new(app).ok()) else { return Ownership::Another(owner) };
    Ownership::Ours(Marks {
        owner,
        app,
        protect: labels.get(PROTECT).is_some_and(|value| value == "true"),
        revision: labels.get(REVISION).cloned(),
        specification: labels.get(SPECIFICATION).cloned(),
    })
}

/// Filters for a list call: everything that carries this owner's mark.
pub(crate) fn filter(owner: &Owner) -> HashMap<String, Vec<String>> {
    let labels = vec![format!("{PROJECT}={}", owner.project), format!("{ENVIRONMENT}={}", owner.environment)];
    [("label".to_owned(), labels)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner_of(project: &str) -> Owner {
        Owner::new(project, Name::new("dev").unwrap())
    }

    #[test]
    fn marks_survive_the_round_trip() {
        let marks = Marks {
            owner: owner_of("k3v9q2xw"),
            app: Name::new("web").unwrap(),
            protect: true,
            revision: Some("abc".into()),
            specification: Some("b3:1".into()),
        };
        assert_eq!(ownership(&of(&marks), &marks.owner), Ownership::Ours(marks));
    }

    #[test]
    fn what_has_no_marks_or_others_is_not_ours() {
        assert_eq!(ownership(&HashMap::new(), &owner_of("a")), Ownership::Unmarked);
        let compose = HashMap::from([("com.docker.stack.namespace".to_owned(), "shop".to_owned())]);
        assert_eq!(ownership(&compose, &owner_of("a")), Ownership::Unmarked);
        assert_eq!(ownership(&of_owner(&owner_of("b")), &owner_of("a")), Ownership::Another(owner_of("b")));
    }
}
