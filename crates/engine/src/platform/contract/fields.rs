//! Every portable field, changed one at a time in the manifest and then by hand: a table of field × platform.

use std::collections::BTreeSet;

use super::stage::{HTTP, Stage, brief, note};
use super::{Body, Edited, Subject};
use crate::deploy::{PlanError, Policy};
use crate::desired::document::Leaf;
use crate::desired::path::Path;
use crate::desired::quantity::{Bytes, Cpu, Duration};
use crate::desired::resource::ResourceId;
use crate::plan::{HeldReason, Plan};
use crate::platform::{Field, Support};

/// A field, or a part of one, and the states that it goes through: lines of the app `web`, beside its body.
struct Row {
    part: &'static str,
    states: Vec<(Body, Vec<String>)>,
    /// Whether a change is a change of what is live; the order of apps alone is none.
    live: bool,
}

fn row(part: &'static str, states: &[&[&str]]) -> Row {
    let state = |lines: &&[&str]| (Body::Web(1), [HTTP].iter().chain(*lines).map(|line| (*line).to_owned()).collect());
    Row { part, states: states.iter().map(state).collect(), live: true }
}

/// The same without the port that every other app of this table has.
fn bare(part: &'static str, states: Vec<Vec<String>>) -> Row {
    Row { part, states: states.into_iter().map(|lines| (Body::Web(1), lines)).collect(), live: true }
}

fn bodies(states: &[Body]) -> Row {
    Row { part: "", states: states.iter().map(|body| (*body, vec![HTTP.to_owned()])).collect(), live: true }
}

/// The states that a field goes through. Whoever adds a field to the model adds it here.
fn rows<S: Subject>(subject: &S, field: Field) -> Vec<Row> {
    const TCP: &str = "ports.dns = 5353";
    const UDP: &str = "ports.dns = { port = 5353, protocol = \"udp\" }";
    match field {
        Field::Image if matches!(subject.support(field), Support::Ignored(_)) => {
            vec![row("", &[&["image = \"example/web:1\""], &["image = \"example/web:2\""]])]
        }
        Field::Image => vec![bodies(&[Body::Web(1), Body::Web(2)])],
        Field::Command => vec![bodies(&[Body::WebByCommand(1), Body::WebByCommand(2), Body::Web(1)])],
        Field::Replicas => vec![row("", &[&[], &["replicas = 2"], &["replicas = 3"], &["replicas = 1"]])],
        Field::Ports => vec![row("", &[&[], &["ports.admin = 9090"], &["ports.admin = 9091"], &["ports.other = 9091"], &[]])],
        Field::PortsPublish => {
            let published = |port: u16| vec![format!("ports.http = {{ port = 8080, publish = {port} }}")];
            vec![bare("", vec![vec![HTTP.into()], published(subject.free_port()), published(subject.free_port()), vec![HTTP.into()]])]
        }
        Field::PortsUdp => vec![row("", &[&[TCP], &[UDP], &[TCP]])],
        Field::Env => vec![
            row("", &[&[], &["env.MODE = \"one\""], &["env.MODE = \"two\""], &["env.OTHER = \"two\""], &[]]),
            row("order", &[&["env.A = \"1\"", "env.B = \"2\"", "env.C = \"\""], &["env.C = \"\"", "env.B = \"2\"", "env.A = \"3\""]]),
        ],
        Field::Files => {
            const ONE: &str = "files.\"/etc/web/app.conf\" = { content = \"one\" }";
            const TWO: &str = "files.\"/etc/web/app.conf\" = { content = \"two\\n\" }";
            const ELSEWHERE: &str = "files.\"/etc/web/other.conf\" = { content = \"two\\n\" }";
            vec![row("", &[&[], &[ONE], &[TWO], &[TWO, ELSEWHERE], &[ELSEWHERE], &[]])]
        }
        Field::FilesMode => {
            const PLAIN: &str = "files.\"/etc/web/app.conf\" = { content = \"one\" }";
            const PRIVATE: &str = "files.\"/etc/web/app.conf\" = { content = \"one\", mode = \"0400\" }";
            const OPEN: &str = "files.\"/etc/web/app.conf\" = { content = \"one\", mode = \"0644\" }";
            vec![row("", &[&[PLAIN], &[PRIVATE], &[OPEN], &[PLAIN]])]
        }
        Field::HealthHttp | Field::HealthTcp | Field::HealthCommand | Field::HealthLive => probes(field),
        Field::ResourcesCpu => vec![row("", &[&[], &["resources.cpu = \"250m\""], &["resources.cpu = \"1000m\""], &[]])],
        Field::ResourcesCpuLimit => vec![row("", &[&[], &["resources.cpu_limit = \"1.5\""], &["resources.cpu_limit = 2"], &[]])],
        Field::ResourcesMemory => vec![row("", &[&[], &["resources.memory = \"512MiB\""], &["resources.memory = \"1024MiB\""], &[]])],
        Field::Volumes => vec![row(
            "",
            &[&[], &["volumes.data = { path = \"/var/lib/web\" }"], &["volumes.data = { path = \"/srv/web\" }"], &["env.NO = \"volume\""]],
        )],
        Field::VolumesSize => {
            let size = |size: &str| vec![HTTP.to_owned(), format!("volumes.data = {{ path = \"/var/lib/web\", size = \"{size}\" }}")];
            vec![bare("", vec![size("512MiB"), size("1024MiB"), size("2GiB")])]
        }
        Field::VolumesShared => {
            const OWN: &str = "volumes.data = { path = \"/var/lib/web\", access = \"replica\" }";
            const SHARED: &str = "volumes.data = { path = \"/var/lib/web\", access = \"shared\" }";
            vec![row("", &[&[OWN], &[SHARED], &[OWN]])]
        }
        Field::Bind => vec![row("", &[&[], &["bind.cache = {}"], &["bind.cache = { prefix = \"STORE\" }"], &[]])],
        Field::DependsOn => vec![Row { live: false, ..row("", &[&[], &["depends_on = [\"cache\"]"], &[]]) }],
        Field::RolloutStrategy => {
            vec![row("", &[&["rollout.strategy = \"rolling\""], &["rollout.strategy = \"recreate\""], &[]])]
        }
        Field::RolloutMaxSurge => vec![row("", &[&[], &["rollout.max_surge = 2"], &["rollout.max_surge = 3"], &[]])],
        Field::RolloutMaxUnavailable => vec![row("", &[&["replicas = 2"], &["replicas = 2", "rollout.max_unavailable = 1"]])],
        Field::RolloutTimeout => vec![row("", &[&[], &["rollout.timeout = \"60000ms\""], &["rollout.timeout = \"2m\""], &[]])],
        Field::RolloutOnFailure => {
            vec![row("", &[&["rollout.on_failure = \"rollback\""], &["rollout.on_failure = \"pause\""], &[]])]
        }
        Field::Protect => vec![row("", &[&[], &["protect = true"], &[]])],
    }
}

/// A probe of the kind, and each of its other parts.
fn probes(field: Field) -> Vec<Row> {
    let (first, second) = match field {
        Field::HealthTcp => ("tcp = \"http\"", "tcp = \"http\""),
        Field::HealthCommand => ("command = [\"true\"]", "command = [\"true\", \"again\"]"),
        _ => ("http = \"/healthz\", port = \"http\"", "http = \"/healthz?again\", port = \"http\""),
    };
    let probe = |inner: String| match field {
        Field::HealthLive => vec![HTTP.to_owned(), format!("health = {{ ready = {{ {first} }}, live = {{ {inner} }} }}")],
        _ => vec![HTTP.to_owned(), format!("health = {{ {inner} }}")],
    };
    let none = match field {
        Field::HealthLive => vec![HTTP.to_owned(), format!("health = {{ ready = {{ {first} }} }}")],
        _ => vec![HTTP.to_owned()],
    };
    let mut states = vec![none.clone(), probe(first.into())];
    if first != second {
        states.push(probe(second.into()));
    }
    states.push(none);
    let part = |name: &'static str, one: &str, other: &str| {
        let with = |value: &str| probe(format!("{first}, {name} = {value}"));
        bare(name, vec![probe(first.into()), with(one), with(other)])
    };
    vec![
        bare("", states),
        part("interval", "\"1s\"", "\"1500ms\""),
        part("timeout", "\"1s\"", "\"1500ms\""),
        part("retries", "4", "5"),
        part("start_period", "\"1s\"", "\"1500ms\""),
    ]
}

/// One field of the table.
pub async fn one_field<S: Subject>(subject: &S, field: Field) {
    for row in rows(subject, field) {
        let name = if row.part.is_empty() { field.to_string() } else { format!("{field} ({})", row.part) };
        let told = match subject.support(field) {
            Support::Unsupported(why) => {
                refused(subject, field, &row, why).await;
                format!("refused: {why}")
            }
            Support::Ignored(why) => {
                ignored(subject, field, &row).await;
                format!("ignored: {why}")
            }
            Support::Full => honoured(subject, &row, true).await,
            Support::Adapted(_) => honoured(subject, &row, false).await,
        };
        note::<S>(format!("| {name:<32} | {told}"));
        everything_goes(subject).await;
    }
}

async fn everything_goes<S: Subject>(subject: &S) {
    let mut stage = Stage::new(subject);
    stage.policy = Policy { destroy: true, delete_data: true, ..Policy::default() };
    let plan = stage.plan().await;
    // What is protected is not destroyed; each row ends without protection.
    stage.apply_well(&plan).await;
    stage.expect_nothing().await;
}

fn stage_of<'a, S: Subject>(subject: &'a S, state: &(Body, Vec<String>)) -> Stage<'a, S> {
    let mut stage = Stage::new(subject);
    stage.web("cache", 1);
    stage.app("web", state.0, &state.1);
    stage
}

/// A field that cannot be had is an error that names it, unless the app allows it; then it is left out, and said.
async fn refused<S: Subject>(subject: &S, field: Field, row: &Row, why: &str) {
    let mut named = false;
    for state in &row.states {
        let mut stage = stage_of(subject, state);
        match stage.try_plan().await {
            // A state that does not use the field may use another one that is refused.
            Err(PlanError::Manifest(report)) => {
                let text = report.to_string();
                named |= text.contains(&format!("web: {field}")) && text.contains(why);
            }
            Err(error) => panic!("refused for another reason: {error}"),
            // A state that does not use the field.
            Ok(_) => {}
        }
        // A row may need another field that the platform lacks, too: the size of a volume needs the volume.
        let lacks = |field: &&Field| matches!(subject.support(**field), Support::Unsupported(_));
        let lacking: Vec<&str> = Field::ALL.iter().filter(lacks).map(|field| field.as_str()).collect();
        stage.add("web", &[format!("allow_degraded = {lacking:?}")]);
        stage.converge().await;
    }
    assert!(named, "no error names {field}, and why it is refused");
}

/// A field without a meaning is left out, and said.
async fn ignored<S: Subject>(subject: &S, field: Field, row: &Row) {
    let mut said = false;
    for (index, state) in row.states.iter().enumerate() {
        let stage = stage_of(subject, state);
        let plan = stage.plan().await;
        said |= plan.coverage.degraded.iter().any(|sentence| sentence.contains(field.as_str()));
        assert!(index == 0 || plan.is_empty(), "what is ignored causes a change: {:#?}", brief(&plan));
        stage.apply_well(&plan).await;
        stage.expect_nothing().await;
    }
    assert!(said, "the plan does not say that {field} is ignored");
}

/// Each state is seen, applied, and then there is nothing to do; and what changed is edited by hand and repaired.
async fn honoured<S: Subject>(subject: &S, row: &Row, fully: bool) -> String {
    let mut by_hand = ByHand::default();
    let mut seen = true;
    for (index, state) in row.states.iter().enumerate() {
        let mut stage = stage_of(subject, state);
        let mut plan = stage.plan().await;
        let nothing = plan.is_empty() && plan.held.is_empty();
        seen &= !nothing || index == 0 || !row.live;
        if fully && !seen {
            panic!("the change to {:?} is not seen: {}", state.1, stage.subject.dump().await);
        }
        if plan.held.iter().any(|held| held.why == HeldReason::HoldsData) {
            stage.apply(&plan).await;
            stage.expect_held(|why| matches!(why, HeldReason::HoldsData | HeldReason::Follows(_))).await;
            stage.policy = Policy { delete_data: true, ..Policy::default() };
            plan = stage.plan().await;
        }
        assert!(plan.held.is_empty(), "{:#?}", brief(&plan));
        stage.apply_well(&plan).await;
        stage.expect_nothing().await;
        if index > 0 {
            by_hand.try_all(&stage, &plan).await;
        }
    }
    let change = if seen { "seen" } else { "has no effect here" };
    format!("change: {change}; by hand: {by_hand}")
}

/// What came of edits by hand.
#[derive(Default)]
struct ByHand {
    repaired: usize,
    not_possible: BTreeSet<String>,
}

impl std::fmt::Display for ByHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { repaired, not_possible } = self;
        write!(f, "{repaired} repaired")?;
        not_possible.iter().try_for_each(|why| write!(f, ", not possible: {why}"))
    }
}

impl ByHand {
    /// Edits each leaf that a plan has set; each edit must be seen where it was made, and be repaired.
    async fn try_all<S: Subject>(&mut self, stage: &Stage<'_, S>, plan: &Plan) {
        for (id, path, leaf) in set_by(plan) {
            // False and nothing are one and the same.
            let removed = (!matches!(leaf, Leaf::Bool(_))).then_some(None);
            for other in [Some(another(&leaf))].into_iter().chain(removed) {
                match stage.subject.edit(&id, &path, other.as_ref()).await {
                    Edited::NotPossible(why) => drop(self.not_possible.insert(why)),
                    Edited::Done => {
                        self.repair(stage, &id, &path, other.as_ref()).await;
                    }
                }
            }
        }
    }

    async fn repair<S: Subject>(&mut self, stage: &Stage<'_, S>, id: &ResourceId, path: &Path, made: Option<&Leaf>) {
        let repair = stage.plan().await;
        // What was removed may be missed somewhere else: a port without a number is no port.
        let there = |field: &Path| made.is_none() || field == path;
        let seen = repair.changes.iter().any(|c| c.id == *id && c.differences.iter().any(|d| there(&d.path)));
        let made = made.map_or("removed".to_owned(), |leaf| format!("made {leaf}"));
        assert!(seen, "{id} {path} was {made} by hand, and that is not seen: {:#?}", brief(&repair));
        stage.apply_well(&repair).await;
        stage.expect_nothing().await;
        self.repaired += 1;
    }
}

/// The leaves that a plan sets.
fn set_by(plan: &Plan) -> Vec<(ResourceId, Path, Leaf)> {
    let of = |change: &crate::plan::change::Change| {
        let set = change.differences.iter().filter_map(|d| Some((change.id.clone(), d.path.clone(), d.new.clone()?)));
        set.filter(|(_, _, leaf)| !matches!(leaf, Leaf::Unknown | Leaf::ServerChosen)).collect::<Vec<_>>()
    };
    plan.changes.iter().flat_map(of).collect()
}

/// What somebody writes by hand.
pub(super) fn by_hand() -> Leaf {
    Leaf::Text("by hand".into())
}

/// Another value of the same type.
fn another(leaf: &Leaf) -> Leaf {
    match leaf {
        Leaf::Bool(value) => Leaf::Bool(!value),
        Leaf::Integer(value) => Leaf::Integer(value + 1),
        Leaf::Number(value) => Leaf::Number(format!("{value}1").into()),
        Leaf::Text(text) => match &**text {
            // Words that a platform may check have another one that is valid, too.
            "recreate" => Leaf::Text("rolling".into()),
            "pause" => Leaf::Text("rollback".into()),
            "udp" => Leaf::Text("tcp".into()),
            "shared" => Leaf::Text("replica".into()),
            path if path.starts_with('/') => Leaf::Text(format!("{path}-by-hand").into()),
            _ => by_hand(),
        },
        Leaf::Cpu(Cpu(cpu)) => Leaf::Cpu(Cpu(cpu + 500)),
        Leaf::Bytes(Bytes(bytes)) => Leaf::Bytes(Bytes(bytes + (64 << 20))),
        Leaf::Duration(Duration(time)) => Leaf::Duration(Duration(time + 1000)),
        Leaf::Image(image) => Leaf::image(&format!("{}-by-hand", image.reference)),
        Leaf::Secret { .. } => Leaf::Secret { text: None, fingerprint: None },
        Leaf::Ref(_) | Leaf::Unknown | Leaf::ServerChosen => by_hand(),
    }
}
