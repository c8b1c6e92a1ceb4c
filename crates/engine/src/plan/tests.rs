//! What is chosen, held and ordered, from hand-made resources.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::change::{Action, Change, Reason, Verdict};
use super::policy::Policy;
use super::{Compared, HeldReason, choose, finish};
use crate::compare::compare;
use crate::desired::Others;
use crate::desired::document::{Document, DocumentBuilder, Leaf};
use crate::desired::name::Name;
use crate::desired::owner::{Marks, Owner, Ownership};
use crate::desired::path::Path;
use crate::desired::resource::{ReplaceOrder, Replacement, Resource, ResourceId, Shape};
use crate::desired::text::{Segment, Text};
use crate::observe::Observed;
use crate::platform::{Gap, ObservedResource};

const ANEW: Replacement = Replacement { order: ReplaceOrder::CreateFirst, downtime: false, loses_data: false };
static SERVICE: Shape = Shape { kind: "service", replaces: &[("mode", ANEW)], restarts: &["image"], has_health: true, ..Shape::UNKNOWN };
static VOLUME: Shape = Shape { kind: "volume", replaces: &[("driver", ANEW)], holds_data: true, ..Shape::UNKNOWN };
static CONFIG: Shape = Shape { kind: "config", ..Shape::UNKNOWN };
static DISK: Shape = Shape { kind: "disk", holds_data: true, renames: true, ..Shape::UNKNOWN };

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn marks(app: &str) -> Marks {
    let owner = Owner { project: "shop".into(), environment: name("dev") };
    Marks { owner, app: name(app), protect: false, revision: None, specification: None }
}

fn resource(shape: &'static Shape, app: &str, fields: &[(&str, &str)]) -> Resource {
    let mut document = DocumentBuilder::default();
    for (path, value) in fields {
        document.text(path.split('.'), value);
    }
    Resource {
        id: ResourceId::new(&name("dev"), shape.kind, app),
        marks: marks(app),
        document: document.build(),
        depends_on: vec![],
        rollout_timeout: None,
        moved_from: None,
        shape,
    }
}

fn live(resource: &Resource) -> ObservedResource {
    let ours = Ownership::Ours(resource.marks.clone());
    ObservedResource {
        holds_data: resource.shape.holds_data,
        has_health: resource.shape.has_health,
        depends_on: resource.depends_on.clone(),
        ..ObservedResource::new(resource.id.clone(), ours, resource.document.clone())
    }
}

/// A plan as a person would note it down: `create service/web (NotFound)`, held ones with a `!`.
fn noted(desired: Vec<Resource>, observed: Vec<ObservedResource>, policy: Policy) -> Vec<String> {
    noted_with(desired, Observed { resources: by_id(observed), gaps: vec![], ..Observed::default() }, policy)
}

fn by_id(observed: Vec<ObservedResource>) -> BTreeMap<ResourceId, Box<ObservedResource>> {
    observed.into_iter().map(|live| (live.id.clone(), live.into())).collect()
}

fn noted_with(desired: Vec<Resource>, observed: Observed, policy: Policy) -> Vec<String> {
    let has_apps = !desired.is_empty();
    let differences = compare(desired, &observed.resources);
    let (chosen, _) = choose(Compared { differences, observed, has_apps, conflicts: BTreeSet::new(), others: Others::default() }, &policy);
    let mut out: Vec<String> = finish(chosen.changes, &[name("dev")]).iter().map(note).collect();
    out.extend(chosen.held.iter().map(|held| format!("! {} {}/{}: {:?}", held.instead_of, held.id.kind, held.id.name, held.why)));
    out
}

fn note(change: &Change) -> String {
    let action = match change.action {
        Action::Replace(_) => "replace".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    let mut out = format!("{action} {}/{} ({:?})", change.id.kind, change.id.name, change.reason);
    for waited in &change.waits_for {
        out += &format!(" after {}/{}", waited.kind, waited.name);
    }
    out
}

#[test]
fn nothing_to_do() {
    assert_eq!(noted(vec![], vec![], Policy::default()), [""; 0]);
    let web = resource(&SERVICE, "web", &[("image", "web:1")]);
    assert_eq!(noted(vec![web.clone()], vec![live(&web)], Policy::default()), [""; 0]);
}

#[test]
fn what_is_missing_is_created_after_what_it_needs() {
    let volume = resource(&VOLUME, "web", &[]);
    let mut web = resource(&SERVICE, "web", &[("image", "web:1")]);
    web.depends_on = vec![volume.id.clone()];
    assert_eq!(
        noted(vec![web, volume], vec![], Policy::default()),
        ["create volume/web (NotFound)", "create service/web (NotFound) after volume/web"]
    );
}

#[test]
fn a_field_decides_between_update_and_replacement() {
    let before = live(&resource(&SERVICE, "web", &[("image", "web:1"), ("mode", "a")]));
    let update = resource(&SERVICE, "web", &[("image", "web:2"), ("mode", "a")]);
    assert_eq!(noted(vec![update], vec![before.clone()], Policy::default()), ["update service/web (Differs)"]);
    let replace = resource(&SERVICE, "web", &[("image", "web:1"), ("mode", "b")]);
    assert_eq!(noted(vec![replace], vec![before], Policy::default()), ["replace service/web (Differs)"]);
}

#[test]
fn data_is_neither_replaced_nor_pruned_unless_the_user_says_so() {
    let before = live(&resource(&VOLUME, "db", &[("driver", "a")]));
    let after = resource(&VOLUME, "db", &[("driver", "b")]);
    let deleting = Policy { delete_data: true, allow_delete: true, ..Policy::default() };
    assert_eq!(noted(vec![after.clone()], vec![before.clone()], Policy::default()), ["! replace volume/db: HoldsData"]);
    assert_eq!(noted(vec![after], vec![before.clone()], deleting), ["replace volume/db (Differs)"]);
    let allowed = Policy { allow_delete: true, ..Policy::default() };
    assert_eq!(noted(vec![], vec![before.clone()], allowed), ["! delete volume/db: HoldsData"]);
    // Adoption is no agreement to lose data.
    let (wanted, foreign) =
        (resource(&VOLUME, "db", &[("driver", "b")]), ObservedResource { ownership: Ownership::Unmarked, ..before.clone() });
    let adopt = Policy { adopt: true, ..Policy::default() };
    assert_eq!(noted(vec![wanted.clone()], vec![foreign.clone()], adopt), ["! replace volume/db: HoldsData"]);
    let agreed = Policy { delete_data: true, ..adopt };
    assert_eq!(noted(vec![wanted], vec![foreign], agreed), ["replace volume/db (Adopted)"]);
    // An object may hold data although its kind does not.
    let service = ObservedResource { holds_data: true, ..live(&resource(&SERVICE, "web", &[("mode", "a")])) };
    let replaced = resource(&SERVICE, "web", &[("mode", "b")]);
    assert_eq!(noted(vec![replaced], vec![service], Policy::default()), ["! replace service/web: HoldsData"]);
    assert_eq!(noted(vec![], vec![before], deleting), ["delete volume/db (NoLongerDeclared)"]);
}

#[test]
fn what_is_protected_on_the_live_object_stays_also_on_destroy() {
    let mut web = resource(&SERVICE, "web", &[("mode", "a")]);
    web.marks.protect = true;
    let destroy = Policy { destroy: true, ..Policy::default() };
    assert_eq!(noted(vec![], vec![live(&web)], destroy), ["! delete service/web: Protected"]);
    let unprotected = resource(&SERVICE, "web", &[("mode", "b")]);
    assert_eq!(noted(vec![unprotected], vec![live(&web)], Policy::default()), ["! replace service/web: Protected"]);
}

/// An environment was renamed, and marks cannot be changed here: what holds data stays as it is, with its old mark.
#[test]
fn marks_that_cannot_be_changed_make_an_object_anew_and_never_its_data() {
    static FIXED: Shape = Shape { kind: "service", replaces: &[("owner", ANEW)], has_health: true, ..Shape::UNKNOWN };
    static FIXED_DISK: Shape = Shape { kind: "disk", replaces: &[("owner", ANEW)], holds_data: true, ..Shape::UNKNOWN };
    let earlier = |resource: &Resource| {
        let owner = Owner { environment: name("development"), ..resource.marks.owner.clone() };
        ObservedResource { ownership: Ownership::Ours(Marks { owner, ..resource.marks.clone() }), ..live(resource) }
    };
    let disk = resource(&FIXED_DISK, "db", &[]);
    let mut db = resource(&FIXED, "db", &[]);
    db.depends_on = vec![disk.id.clone()];
    let observed = vec![earlier(&disk), earlier(&db)];
    assert_eq!(
        noted(vec![db.clone(), disk.clone()], observed.clone(), Policy::default()),
        ["replace service/db (Moved)", "! replace disk/db: NotTakenOver { owner: \"shop/development\" }"]
    );
    let anew = Policy { delete_data: true, ..Policy::default() };
    assert_eq!(noted(vec![db, disk], observed, anew), ["replace disk/db (Moved)", "replace service/db (Moved) after disk/db"]);
}

/// Whose label is on what another app declares, and what the kind allows: what is planned.
#[test]
fn an_object_that_moves_between_apps_is_relabelled_where_that_is_possible() {
    static FIXED: Shape = Shape { kind: "volume", replaces: &[("owner", ANEW)], holds_data: true, ..Shape::UNKNOWN };
    static WHOLE: Shape = Shape { kind: "network", replaces: &[("*", ANEW)], ..Shape::UNKNOWN };
    let of_a = |resource: &Resource| {
        let marks = Marks { app: name("a"), ..resource.marks.clone() };
        ObservedResource { ownership: Ownership::Ours(marks), ..live(resource) }
    };
    for (shape, changed, expected) in [
        (&SERVICE, false, "update service/x (Moved)"),
        (&SERVICE, true, "update service/x (Moved)"),
        (&CONFIG, false, "update config/x (Moved)"),
        (&DISK, false, "update disk/x (Moved)"),
        (&VOLUME, false, "update volume/x (Moved)"),
        (&FIXED, false, ""),
        (&WHOLE, false, ""),
        (&WHOLE, true, "replace network/x (Differs)"),
    ] {
        let fields = |value| [("value", value)];
        let desired = resource(shape, "x", &fields(if changed { "2" } else { "1" }));
        let planned = noted(vec![desired], vec![of_a(&resource(shape, "x", &fields("1")))], Policy::default());
        assert_eq!(planned.join(", "), expected, "{} {changed}", shape.kind);
    }
}

/// A live resource of an app may be declared by one that `--app` leaves out: whether the rest of the first app is deleted.
#[test]
fn what_another_app_declares_is_not_deleted() {
    let config = resource(&CONFIG, "x", &[]);
    let moved = Others { declared: [(config.id.clone(), name("b"))].into(), unknown: None };
    let unknown = Others { declared: BTreeMap::new(), unknown: Some("the app b: it is wrong".into()) };
    let destroy = Policy { destroy: true, ..Policy::default() };
    for (others, expected) in [
        (Others::default(), "delete"),
        (moved, "! delete config/x: DeclaredBy { app: \"b\" }"),
        (unknown, "! delete config/x: OthersUnknown { why: \"the app b: it is wrong\" }"),
    ] {
        let observed = Observed { resources: by_id(vec![live(&config)]), gaps: vec![], ..Observed::default() };
        let differences = compare(vec![], &observed.resources);
        let (chosen, _) = choose(Compared { differences, observed, has_apps: false, conflicts: BTreeSet::new(), others }, &destroy);
        let held = chosen.held.iter().map(|held| format!("! {} config/x: {:?}", held.instead_of, held.why));
        let planned: Vec<String> = chosen.changes.iter().map(|_| "delete".to_owned()).chain(held).collect();
        assert_eq!(planned.join(", "), expected);
    }
}

/// A plan that was made before the move, judged after it; and the move itself, judged when it has happened.
#[test]
fn a_saved_deletion_is_stale_when_another_app_has_the_object() {
    let config = resource(&CONFIG, "x", &[]);
    let of = |app: &str| {
        let marks = Marks { app: name(app), ..config.marks.clone() };
        ObservedResource { ownership: Ownership::Ours(marks), ..live(&config) }
    };
    let before = of("a");
    let deletion = super::request(&before, Action::Delete).unwrap();
    assert_eq!(deletion.judge(Some(&before), Some(&before)), Verdict::Proceed);
    let after = of("b");
    let said = Verdict::Stale("it belonged to the app a and belongs to the app b now".into());
    assert_eq!(deletion.judge(Some(&after), Some(&after)), said);
    let mut desired = config.clone();
    desired.marks.app = name("b");
    let observed = Observed { resources: by_id(vec![before.clone()]), gaps: vec![], ..Observed::default() };
    let differences = compare(vec![desired], &observed.resources);
    let compared = Compared { differences, observed, has_apps: true, conflicts: BTreeSet::new(), others: Others::default() };
    let changes = finish(choose(compared, &Policy::default()).0.changes, &[name("dev")]);
    assert_eq!(changes[0].judge(Some(&before), Some(&before)), Verdict::Proceed);
    assert_eq!(changes[0].judge(Some(&after), Some(&after)), Verdict::AlreadyDone);
}

/// A change that a dry run refuses is a mistake; one of fields that others have set is not, and is told apart.
#[test]
fn a_conflict_with_others_is_held_and_not_refused() {
    let before = resource(&CONFIG, "x", &[("value", "1")]);
    let desired = resource(&CONFIG, "x", &[("value", "2")]);
    for (conflicts, refused) in [(BTreeSet::new(), true), (BTreeSet::from([desired.id.clone()]), false)] {
        let observed = Observed { resources: by_id(vec![live(&before)]), gaps: vec![], ..Observed::default() };
        let mut differences = compare(vec![desired.clone()], &observed.resources);
        differences.take_refused([(desired.id.clone(), "no".to_owned())].into());
        let (chosen, _) =
            choose(Compared { differences, observed, has_apps: true, conflicts, others: Others::default() }, &Policy::default());
        assert_eq!(chosen.held.iter().map(|held| held.is_refused()).collect::<Vec<_>>(), [refused]);
    }
}

fn refer(resource: &mut Resource, path: &str, of: &ResourceId) {
    let text = Text::from_iter([Segment::Attribute { of: Box::new(of.clone()), name: "id".into() }]);
    resource.document = resource.document.with([(Path::new(path.split('.')), Some(Leaf::from_text(&text)))]);
    resource.depends_on.push(of.clone());
}

/// What refers to it is written anew, since a platform may have noted the name. No field of it differs, and it is not restarted.
#[test]
fn a_rename_in_place_is_no_difference_of_what_refers_to_it() {
    let before = resource(&DISK, "old", &[]);
    let mut disk = resource(&DISK, "new", &[]);
    disk.moved_from = Some(Box::new(before.id.clone()));
    let (mut web, mut was) = (resource(&SERVICE, "web", &[("image", "web:1")]), resource(&SERVICE, "web", &[("image", "web:1")]));
    refer(&mut web, "mount", &disk.id);
    refer(&mut was, "mount", &before.id);
    let observed = Observed { resources: by_id(vec![live(&before), live(&was)]), gaps: vec![], ..Observed::default() };
    let differences = compare(vec![web, disk], &observed.resources);
    let (chosen, _) = choose(
        Compared { differences, observed, has_apps: true, conflicts: BTreeSet::new(), others: Others::default() },
        &Policy::default(),
    );
    let changes = finish(chosen.changes, &[name("dev")]);
    let noted: Vec<_> = changes.iter().map(note).collect();
    assert_eq!(noted, ["update disk/new (Moved)", "update service/web (Follows(dev/disk/new)) after disk/new"]);
    assert!(changes[1].differences.is_empty() && !changes[1].restarts, "{:?}", changes[1]);
}

/// Ten files of a small app are exchanged: that deletes ten objects, and nothing that anybody has to agree to.
#[test]
fn what_is_succeeded_is_no_deletion_that_the_user_is_asked_about() {
    let (mut web, mut was) = (resource(&SERVICE, "web", &[]), resource(&SERVICE, "web", &[]));
    let (mut desired, mut observed) = (vec![], vec![]);
    for i in 0..10 {
        let file = |version: &str| resource(&CONFIG, &format!("web-{i}-{version}"), &[("content", version)]);
        refer(&mut web, &format!("files.{i}"), &file("new").id);
        refer(&mut was, &format!("files.{i}"), &file("old").id);
        desired.push(file("new"));
        observed.push(live(&file("old")));
    }
    desired.push(web);
    observed.push(live(&was));
    let observed = Observed { resources: by_id(observed), gaps: vec![], ..Observed::default() };
    let differences = compare(desired, &observed.resources);
    let (chosen, _) = choose(
        Compared { differences, observed, has_apps: true, conflicts: BTreeSet::new(), others: Others::default() },
        &Policy::default(),
    );
    assert!(chosen.held.is_empty(), "{:?}", chosen.held);
    let of = |action| chosen.changes.iter().filter(move |change| change.action == action);
    let (created, deleted): (Vec<_>, Vec<_>) = (of(Action::Create).collect(), of(Action::Delete).collect());
    assert_eq!((created.len(), deleted.len()), (10, 10));
    for change in created {
        let Reason::Succeeds { before, path, .. } = &change.reason else { panic!("{:?}", change.reason) };
        assert_eq!(before.name.replace("old", "new"), &*change.id.name);
        assert_eq!(path.to_string(), format!("files.{}", &change.id.name[4..5]));
        let [field] = change.differences.as_slice() else { panic!("{:?}", change.differences) };
        assert_eq!((&field.old, &field.new), (&Some(Leaf::Text("old".into())), &Some(Leaf::Text("new".into()))));
    }
    assert!(deleted.iter().all(|change| matches!(change.reason, Reason::SucceededBy(_))));
}

#[test]
fn what_something_held_still_needs_stays_too() {
    let config = resource(&CONFIG, "web", &[]);
    let mut web = resource(&SERVICE, "web", &[]);
    web.marks.protect = true;
    web.depends_on = vec![config.id.clone()];
    let other = resource(&SERVICE, "other", &[]);
    assert_eq!(
        noted(vec![other.clone()], vec![live(&config), live(&web), live(&other)], Policy::default()),
        ["! delete service/web: Protected", "! delete config/web: Follows(dev/service/web)"]
    );
}

#[test]
fn deletions_over_the_budget_are_held_all_together() {
    let all: Vec<Resource> = ["a", "b", "c", "d", "e"].iter().map(|app| resource(&SERVICE, app, &[])).collect();
    let observed: Vec<ObservedResource> = all.iter().map(live).collect();
    let within = noted(all[3..].to_vec(), observed.clone(), Policy::default());
    assert_eq!(within.len(), 3, "{within:?}");
    assert!(within.iter().all(|line| line.starts_with("delete ")), "{within:?}");
    let over = noted(all[4..].to_vec(), observed.clone(), Policy::default());
    assert!(over.iter().all(|line| line.contains("OverDeletionBudget { deletions: 4, allowed: 3 }")), "{over:?}");
    let allowed = noted(all[4..].to_vec(), observed, Policy { allow_delete: true, ..Policy::default() });
    assert_eq!(allowed.iter().filter(|line| line.starts_with("delete ")).count(), 4);
}

/// Of twenty, 30 % is six.
#[test]
fn the_budget_grows_with_what_is_there() {
    let all: Vec<Resource> = (0..20).map(|i| resource(&SERVICE, &format!("app-{i}"), &[])).collect();
    let observed: Vec<ObservedResource> = all.iter().map(live).collect();
    let within = noted(all[6..].to_vec(), observed.clone(), Policy::default());
    assert!(within.len() == 6 && within.iter().all(|line| line.starts_with("delete ")), "{within:?}");
    let over = noted(all[7..].to_vec(), observed, Policy::default());
    assert!(over.len() == 7 && over.iter().all(|line| line.contains("OverDeletionBudget { deletions: 7, allowed: 6 }")), "{over:?}");
}

#[test]
fn the_last_app_of_an_environment_is_held() {
    let web = live(&resource(&SERVICE, "web", &[]));
    assert_eq!(noted(vec![], vec![web], Policy::default()), ["! delete service/web: LastApp"]);
}

#[test]
fn a_name_that_is_taken_is_a_conflict_until_the_user_adopts_it() {
    let web = resource(&SERVICE, "web", &[("image", "web:1")]);
    let foreign = ObservedResource::new(web.id.clone(), Ownership::Unmarked, Document::default());
    let mut needs = resource(&SERVICE, "needs", &[]);
    needs.depends_on = vec![web.id.clone()];
    assert_eq!(
        noted(vec![web.clone(), needs], vec![foreign.clone()], Policy::default()),
        ["! create service/web: NotOurs { owner: None }", "! create service/needs: Follows(dev/service/web)"]
    );
    let adopt = Policy { adopt: true, ..Policy::default() };
    assert_eq!(noted(vec![web], vec![foreign], adopt), ["update service/web (Adopted)"]);
}

#[test]
fn what_a_gap_could_contain_is_held() {
    let gap = Gap { environment: name("dev"), kind: Some("service".into()), name: None, why: "denied".into() };
    let observed = Observed { resources: BTreeMap::new(), gaps: vec![gap], ..Observed::default() };
    let desired = vec![resource(&SERVICE, "web", &[]), resource(&VOLUME, "web", &[])];
    assert_eq!(
        noted_with(desired, observed, Policy::default()),
        ["create volume/web (NotFound)", r#"! create service/web: Unreadable { why: "denied" }"#]
    );
}

#[test]
fn nothing_is_deleted_where_anything_could_not_be_read() {
    // The service may be there, unread, and need the config; or it is what the gap hides that declares it.
    let gap = Gap { environment: name("dev"), kind: Some("service".into()), name: Some("web".into()), why: "denied".into() };
    let (config, volume, other) = (resource(&CONFIG, "web", &[]), resource(&VOLUME, "web", &[]), resource(&SERVICE, "other", &[]));
    let mut shielded = resource(&CONFIG, "safe", &[]);
    shielded.marks.protect = true;
    let observed = || Observed {
        resources: by_id([&config, &volume, &other, &shielded].map(live).to_vec()),
        gaps: vec![gap.clone()],
        ..Observed::default()
    };
    let everything = Policy { destroy: true, delete_data: true, allow_delete: true, ..Policy::default() };
    for policy in [Policy { allow_delete: true, delete_data: true, ..Policy::default() }, everything] {
        let noted = noted_with(vec![], observed(), policy);
        assert_eq!(
            noted,
            [
                "! delete config/safe: Protected",
                r#"! delete config/web: Unreadable { why: "denied" }"#,
                r#"! delete service/other: Unreadable { why: "denied" }"#,
                r#"! delete volume/web: Unreadable { why: "denied" }"#,
            ]
        );
    }
    // The old half of a rename is a deletion, too; the new half goes on.
    let mut renamed = resource(&SERVICE, "new", &[]);
    renamed.moved_from = Some(Box::new(other.id.clone()));
    let noted = noted_with(vec![renamed, config.clone(), volume.clone()], observed(), Policy::default());
    assert_eq!(
        noted,
        ["create service/new (Moved)", "! delete config/safe: Protected", r#"! delete service/other: Unreadable { why: "denied" }"#,]
    );
}

#[test]
fn what_refers_to_something_made_anew_follows_it() {
    let cache = resource(&SERVICE, "cache", &[("mode", "b")]);
    let mut web = resource(&SERVICE, "web", &[]);
    let address = Segment::Attribute { of: Box::new(cache.id.clone()), name: "port".into() };
    web.document =
        [(crate::desired::path::Path::new(["env", "CACHE_PORT"]), Leaf::from_text(&Text::from_iter([address])))].into_iter().collect();
    web.depends_on = vec![cache.id.clone()];
    let observed = vec![live(&resource(&SERVICE, "cache", &[("mode", "a")])), live(&web)];
    assert_eq!(
        noted(vec![cache, web], observed, Policy::default()),
        ["replace service/cache (Differs)", "update service/web (Follows(dev/service/cache)) after service/cache"]
    );
}

#[test]
fn what_is_needed_is_deleted_after_what_needs_it() {
    let volume = resource(&VOLUME, "a", &[]);
    let mut web = resource(&SERVICE, "b", &[]);
    web.depends_on = vec![volume.id.clone()];
    let destroy = Policy { destroy: true, delete_data: true, ..Policy::default() };
    assert_eq!(
        noted(vec![], vec![live(&volume), live(&web)], destroy),
        ["delete service/b (Requested)", "delete volume/a (Requested) after service/b"]
    );
}

#[test]
fn a_rename_keeps_what_the_platform_can_rename_and_names_what_is_lost() {
    let moved = |shape: &'static Shape, from: &str, to: &str| {
        let before = live(&resource(shape, from, &[("x", "1")]));
        let mut after = resource(shape, to, &[("x", "1")]);
        after.moved_from = Some(Box::new(before.id.clone()));
        noted(vec![after], vec![before], Policy::default())
    };
    assert_eq!(moved(&DISK, "old", "new"), ["update disk/new (Moved)"]);
    assert_eq!(moved(&SERVICE, "old", "new"), ["create service/new (Moved)", "delete service/old (Moved) after service/new"]);
    assert_eq!(moved(&VOLUME, "old", "new"), ["create volume/new (Moved)", "! rename volume/old: NotRenamed { to: dev/volume/new }"]);
    // What is protected is not deleted under its old name either.
    let mut shielded = resource(&SERVICE, "old", &[]);
    shielded.marks.protect = true;
    let mut after = resource(&SERVICE, "new", &[]);
    after.moved_from = Some(Box::new(shielded.id.clone()));
    assert_eq!(
        noted(vec![after], vec![live(&shielded)], Policy::default()),
        ["create service/new (Moved)", "! rename service/old: Protected"]
    );
}

#[test]
fn the_fence_knows_before_after_and_everything_else() {
    let before = live(&resource(&SERVICE, "web", &[("image", "web:1")]));
    let after = resource(&SERVICE, "web", &[("image", "web:2")]);
    let other = live(&resource(&SERVICE, "web", &[("image", "web:3")]));
    let observed = Observed { resources: by_id(vec![before.clone()]), gaps: vec![], ..Observed::default() };
    let differences = compare(vec![after.clone()], &observed.resources);
    let (chosen, _) = choose(
        Compared { differences, observed, has_apps: true, conflicts: BTreeSet::new(), others: Others::default() },
        &Policy::default(),
    );
    let change = &finish(chosen.changes, &[name("dev")])[0];
    assert_eq!(change.reason, Reason::Differs);
    let judge = |live: Option<&ObservedResource>| change.judge(live, live);
    assert_eq!(judge(Some(&before)), Verdict::Proceed);
    assert_eq!(judge(Some(&live(&after))), Verdict::AlreadyDone);
    let told = r#"it was changed since the plan was made: image was "web:1" and is "web:3""#;
    assert_eq!(judge(Some(&other)), Verdict::Stale(told.to_owned()));
    assert!(matches!(judge(None), Verdict::Stale(_)));
    let anew = ObservedResource { uid: Some("2".into()), ..before };
    assert!(matches!(judge(Some(&anew)), Verdict::Stale(_)));
}

/// Another project may have an environment of the same name.
#[test]
fn a_renamed_environment_takes_over_only_what_its_own_project_held() {
    let web = resource(&SERVICE, "web", &[]);
    let may = |project: &str| {
        let owner = Owner { project: project.into(), environment: name("development") };
        let earlier = Ownership::Ours(Marks { owner: owner.clone(), ..web.marks.clone() });
        let earlier = ObservedResource { ownership: earlier, ..live(&web) };
        let change = super::choose::write(web.clone(), Some(&earlier), Action::Update, Reason::Moved, vec![]);
        change.may_write_over(&Ownership::Another(owner))
    };
    assert!(may(&web.marks.owner.project));
    assert!(!may("another"));
}

/// An object that carries no mark was forgotten only if it is the one that the plan saw.
#[test]
fn what_was_made_anew_since_was_not_forgotten() {
    let web = ObservedResource { uid: Some("1".into()), ..live(&resource(&SERVICE, "web", &[])) };
    let change = super::request(&web, Action::Forget).unwrap();
    let unmarked = ObservedResource { ownership: Ownership::Unmarked, ..web };
    assert_eq!(change.judge(Some(&unmarked), Some(&unmarked)), Verdict::AlreadyDone);
    let anew = ObservedResource { uid: Some("2".into()), ..unmarked };
    assert!(matches!(change.judge(Some(&anew), Some(&anew)), Verdict::Stale(_)));
}

#[test]
fn held_reasons_are_written_as_one_word_or_a_table() {
    assert_eq!(serde_json::to_string(&HeldReason::LastApp).unwrap(), r#""last_app""#);
}

fn world() -> impl Strategy<Value = (Vec<Resource>, Vec<ObservedResource>)> {
    let one = (0usize..6, 0usize..3, prop::option::of(0usize..6));
    let build = |declared: bool| {
        move |picked: Vec<(usize, usize, Option<usize>)>| {
            let mut resources: BTreeMap<ResourceId, Resource> = BTreeMap::new();
            for (app, value, needs) in picked {
                let shape = if app % 2 == 0 { &SERVICE } else { &DISK };
                let mut made = resource(shape, &format!("app{app}"), &[("image", ["1", "2", "3"][value])]);
                // Needs point to smaller numbers alone, as a checked manifest's do.
                made.depends_on = needs
                    .filter(|n| *n < app)
                    .map(|n| resource(if n % 2 == 0 { &SERVICE } else { &DISK }, &format!("app{n}"), &[]).id)
                    .into_iter()
                    .collect();
                made.marks.protect = !declared && value == 2;
                resources.insert(made.id.clone(), made);
            }
            resources.into_values().collect::<Vec<_>>()
        }
    };
    let desired = prop::collection::vec(one.clone(), 0..8).prop_map(build(true));
    let observed = prop::collection::vec(one, 0..8).prop_map(build(false));
    (desired, observed).prop_map(|(desired, observed)| (desired, observed.iter().map(live).collect()))
}

proptest! {
    #[test]
    fn the_plan_is_the_same_under_shuffling((desired, observed) in world(), seed in any::<u64>()) {
        let mut shuffled = desired.clone();
        let mut state = seed;
        for i in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            shuffled.swap(i, (state >> 33) as usize % (i + 1));
        }
        prop_assert_eq!(
            noted(desired, observed.clone(), Policy::default()),
            noted(shuffled, observed, Policy::default())
        );
    }

    #[test]
    fn each_change_comes_after_what_it_waits_for((desired, observed) in world()) {
        let observed = Observed { resources: by_id(observed), gaps: vec![], ..Observed::default() };
        let has_apps = !desired.is_empty();
        let differences = compare(desired, &observed.resources);
        let (chosen, _) = choose(Compared { differences, observed, has_apps, conflicts: BTreeSet::new(), others: Others::default() }, &Policy { allow_delete: true, ..Policy::default() });
        let changes = finish(chosen.changes, &[name("dev")]);
        for (i, change) in changes.iter().enumerate() {
            let later: Vec<&ResourceId> = changes[i..].iter().map(|c| &c.id).filter(|id| change.waits_for.contains(id)).collect();
            prop_assert!(later.is_empty(), "{} waits for {:?}", change.id, later);
        }
    }
}
