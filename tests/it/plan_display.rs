//! Plans as text and as Markdown, from plans made by hand.

use std::sync::Arc;
use std::time::Duration;

use stratos::cli::{plan_markdown, plan_text};
use stratos_engine::compare::FieldChange;
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::{ReplaceOrder, Replacement, ResourceId};
use stratos_engine::desired::text::{Encoding, Segment, Text};
use stratos_engine::health::RolloutState;
use stratos_engine::plan::change::{Action, Change, Fence, Reason, Seen};
use stratos_engine::plan::{Coverage, Held, HeldReason, Plan, Rollout};
use stratos_engine::platform::Gap;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn id(text: &str) -> ResourceId {
    text.parse().unwrap()
}

fn field(path: &str, old: Option<Leaf>, new: Option<Leaf>) -> FieldChange {
    let separator = if path.contains('|') { '|' } else { '.' };
    FieldChange { path: Path::new(path.split(separator)), old, new }
}

fn text(text: &str) -> Option<Leaf> {
    Some(Leaf::Text(text.into()))
}

fn secret() -> Option<Leaf> {
    let text = Text::from_iter([Segment::Secret { name: "db".into(), encoding: Encoding::Plain }]);
    Some(Leaf::Secret { text: Some(Arc::new(text)), fingerprint: None })
}

fn change(of: &str, app: &str, action: Action, reason: Reason, differences: Vec<FieldChange>) -> Change {
    let fence = Fence { before: None, after: None };
    Change {
        id: id(of),
        app: name(app),
        action,
        reason,
        differences,
        restarts: false,
        loses_data: false,
        waits_for: vec![],
        fence,
        desired: None,
    }
}

fn seen(of: &str) -> Seen {
    Seen { id: id(of), owner: None, app: None, uid: None, digest: Document::default().digest() }
}

fn plan(changes: Vec<Change>) -> Plan {
    let based_on = serde_json::json!({
        "project": { "name": "shop" },
        "environments": { "dev": { "platform": "local" }, "prod": { "platform": "swarm" } },
    });
    let coverage = Coverage { unchanged: 12, observed: 14, requests: 3, ..Coverage::default() };
    Plan {
        format: 1,
        based_on: serde_json::from_value(based_on).unwrap(),
        changes,
        held: vec![],
        coverage,
        rollouts: vec![],
        judged: vec![],
    }
}

/// One of everything.
fn everything() -> Plan {
    let cache = change(
        "dev/workload/shop-cache",
        "cache",
        Action::Create,
        Reason::NotFound,
        vec![
            field("command.[0000]", None, text("redis-server")),
            field("command.[0001]", None, text("/etc/redis.conf")),
            field("env.PASSWORD", None, secret()),
            field("files|/etc/redis.conf|content", None, text("maxmemory 64mb\nappendonly no\n")),
            field("ports.tcp.port", None, Some(Leaf::Unknown)),
        ],
    );
    let mut web = change(
        "dev/workload/shop-web",
        "web",
        Action::Update,
        Reason::Differs,
        vec![
            field("command.[0011]", text("-v"), None),
            field("env.DB", secret(), secret()),
            field("env.GREETING", text("hello\x1b[31m"), text("good morning")),
            field("env.OLD", text("x"), None),
            field("files|/etc/web.conf|content", text("a\nb\nc\nd\n"), text("a\nb\nC\nd\n")),
            field("image", Some(Leaf::image("web:1")), Some(Leaf::image("web:2"))),
            field("replicas", Some(Leaf::Integer(1)), Some(Leaf::Integer(3))),
        ],
    );
    web.restarts = true;
    web.waits_for = vec![id("dev/workload/shop-cache"), id("prod/workload/shop-db")];
    let replacement = Replacement { order: ReplaceOrder::DeleteFirst, downtime: true, loses_data: true };
    let sizes = vec![field("size", text("1"), text("2"))];
    let volume = change("prod/volume/shop-data", "db", Action::Replace(replacement), Reason::Differs, sizes);
    let mut renamed = change("prod/workload/shop-api", "api", Action::Update, Reason::Moved, vec![]);
    renamed.fence.before = Some(seen("prod/workload/shop-backend"));
    let mut adopted = change("prod/workload/shop-mail", "mail", Action::Update, Reason::Adopted, vec![]);
    let owner = Owner { project: "other".into(), environment: name("prod") };
    adopted.fence.before = Some(Seen { owner: Some(owner), ..seen("prod/workload/shop-mail") });
    let gone = change("prod/workload/shop-old", "old", Action::Delete, Reason::NoLongerDeclared, vec![]);
    let mut plan = plan(vec![cache, volume, web, renamed, adopted, gone]);
    let held = |of: &str, instead_of: &str, why| Held { id: id(of), app: None, instead_of: instead_of.into(), why };
    plan.held = vec![
        held("dev/volume/shop-old", "delete", HeldReason::HoldsData),
        held("dev/workload/shop-x", "create", HeldReason::NotOurs { owner: Some("other/dev".into()) }),
        held("dev/workload/shop-y", "update", HeldReason::Follows(id("dev/workload/shop-x"))),
        held("prod/volume/old", "delete", HeldReason::NotRenamed { to: id("prod/volume/new") }),
        held("prod/workload/a", "delete", HeldReason::OverDeletionBudget { deletions: 9, allowed: 3 }),
        held("prod/workload/b", "delete", HeldReason::LastApp),
        held("prod/workload/c", "delete", HeldReason::Protected),
        held("prod/workload/d", "update", HeldReason::Unreadable { why: "permission denied".into() }),
    ];
    plan.rollouts = vec![
        Rollout { id: id("prod/workload/shop-db"), state: RolloutState::Running },
        Rollout { id: id("dev/workload/shop-web"), state: RolloutState::RolledBack { why: "the probe failed 3 times".into() } },
    ];
    plan.coverage.gaps = vec![Gap { environment: name("prod"), kind: Some("secret".into()), name: None, why: "permission denied".into() }];
    plan.coverage.unverified_secrets = vec!["db".into()];
    plan.coverage.left_out = vec![name("search")];
    plan.coverage.degraded = vec!["web in dev: `image` is left out: the platform local runs the command".into()];
    plan
}

fn plain(plan: &Plan) -> String {
    anstream::adapter::strip_str(&plan_text::render(plan, Some(Duration::from_millis(12)))).to_string()
}

#[test]
fn nothing_to_do_is_one_line() {
    assert_eq!(plain(&plan(vec![])), "No changes. 12 resources are as they should be. 3 requests in 12 ms.\n");
}

#[test]
fn everything_as_text() {
    insta::assert_snapshot!(plain(&everything()));
}

#[test]
fn everything_as_markdown() {
    insta::assert_snapshot!(plan_markdown::render(&everything(), None));
}

/// Asked for actions have their own words in the sum.
#[test]
fn restarts_and_forgetting_are_counted_by_name() {
    let restart = change("dev/workload/shop-web", "web", Action::Restart, Reason::Requested, vec![]);
    let forget = change("dev/workload/shop-api", "api", Action::Forget, Reason::Requested, vec![]);
    insta::assert_snapshot!(plain(&plan(vec![restart, forget])));
}

#[test]
fn the_text_holds_no_escape_sequence_of_a_value() {
    let styled = plan_text::render(&everything(), None);
    assert!(!plain(&everything()).contains('\x1b'));
    assert!(styled.contains('\x1b'), "styles are there for the output to keep or take out");
}

/// GitHub refuses comments of more than 65,536 characters.
#[test]
fn markdown_fits_a_comment_whatever_the_plan() {
    let change_of = |i: usize, width: usize| {
        let fields = vec![field("image", text("web:1"), text("web:2")), field("env.TEXT", text("a"), text(&"x".repeat(200)))];
        let of = format!("dev/workload/shop-{}-{i:05}", "a".repeat(width));
        change(&of, "web", Action::Update, Reason::Differs, fields)
    };
    for (count, width) in [(1, 1), (500, 30), (500, 200), (4_000, 30)] {
        let mut plan = plan((0..count).map(|i| change_of(i, width)).collect());
        let held = |i| Held { id: id(&format!("dev/workload/h-{i}")), app: None, instead_of: "delete".into(), why: HeldReason::HoldsData };
        plan.held = (0..count).map(held).collect();
        let markdown = plan_markdown::render(&plan, None);
        assert!(markdown.len() < 65_536, "{count} changes: {} bytes", markdown.len());
        assert!(markdown.contains(&format!("{count} to update")), "the sum is always there");
        assert_eq!(markdown.matches("<details>").count(), markdown.matches("</details>").count());
    }
    let all = plan_markdown::render(&plan((0..500).map(|i| change_of(i, 30)).collect()), None);
    assert_eq!(all.matches("workload/shop-").count(), 500, "500 changes are all named");
}

/// A value with backticks cannot end the block that it is in.
#[test]
fn markdown_fences_are_longer_than_any_in_the_plan() {
    let fields = vec![field("env.TEXT", text("a"), text("````\n# title"))];
    let markdown = plan_markdown::render(&plan(vec![change("dev/workload/w", "w", Action::Update, Reason::Differs, fields)]), None);
    assert!(markdown.contains("`````diff"), "{markdown}");
}
