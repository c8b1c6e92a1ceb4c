//! Carries one change out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::owner::Ownership;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::health::RolloutState;
use stratos_engine::plan::change::{Action, Change, Verdict};
use stratos_engine::platform::{ApplyContext, Outcome, PlatformError, PlatformErrorKind};
use tokio::time::{Instant, sleep};

use super::exchange::{Exchange, Trouble};
use super::goal::{self, Goal};
use super::live::{self, App, Member};
use super::make::{Maker, Template};
use super::translate::{CONTAINER, ROLLOUT_TIMEOUT, VOLUME};
use super::{DockerPlatform, containers, names, network, project_network, translate, volume};
use crate::app_network::NETWORK;

/// Somebody else who is making the very same containers is waited for this long.
const THE_SAME: Duration = Duration::from_secs(30);

/// Carries out one change.
pub(crate) async fn apply(platform: &DockerPlatform, change: &Change, context: &ApplyContext<'_>) -> Outcome {
    let attempted = format!("{} {}", change.action.doing(), change.id);
    let result = match &*change.id.kind {
        kind if kind == CONTAINER.kind => app(platform, change, context).await,
        kind if kind == VOLUME.kind => volumes(platform, change).await,
        kind if kind == NETWORK.kind => project_network::apply(platform, change).await,
        other => Err(PlatformError::new(PlatformErrorKind::Internal, attempted.as_str(), format!("there is no kind {other:?} here"))),
    };
    match result {
        Ok(outcome) => outcome,
        Err(error) => {
            let error = PlatformError { attempted: format!("{attempted}: {}", error.attempted), ..error };
            // Of several steps some may have been done, and the answer to the last may have been lost.
            if error.kind == PlatformErrorKind::Unreachable { Outcome::Unknown(error) } else { Outcome::Failed(error) }
        }
    }
}

fn done() -> Outcome {
    Outcome::Done { attributes: BTreeMap::new() }
}

fn already_done() -> Outcome {
    Outcome::AlreadyDone { attributes: BTreeMap::new() }
}

/// The names under which a change finds what is live: its own, and the one before a rename.
fn wanted(change: &Change) -> BTreeSet<String> {
    let before = change.fence.before.as_ref().map(|seen| seen.id.name.to_string());
    [change.id.name.to_string()].into_iter().chain(before).collect()
}

/// What is live under the change's own name, and under the name before.
struct Live {
    now: App,
    before: Option<App>,
}

impl Live {
    async fn read(platform: &DockerPlatform, change: &Change) -> Result<Self, PlatformError> {
        let mut apps = live::read_only(platform, wanted(change)).await?;
        let renamed = change.fence.before.as_ref().filter(|seen| seen.id != change.id);
        let before = renamed.map(|seen| apps.remove(&*seen.id.name).unwrap_or_default());
        Ok(Self { now: apps.remove(&*change.id.name).unwrap_or_default(), before })
    }

    fn judge(&self, change: &Change) -> Verdict {
        let now = self.now.observed(change.id.clone(), RolloutState::Done);
        match (&self.before, &change.fence.before) {
            (Some(app), Some(seen)) => change.judge(now.as_ref(), app.observed(seen.id.clone(), RolloutState::Done).as_ref()),
            _ => change.judge(now.as_ref(), now.as_ref()),
        }
    }
}

async fn app(platform: &DockerPlatform, change: &Change, context: &ApplyContext<'_>) -> Result<Outcome, PlatformError> {
    let _changing = platform.under_way.begin(wanted(change));
    let mut live = Live::read(platform, change).await?;
    let began = Instant::now();
    loop {
        match live.judge(change) {
            Verdict::Proceed => break,
            Verdict::AlreadyDone => return Ok(already_done()),
            Verdict::Stale(_) if is_half_done(&live, change, context) => break,
            // Nothing keeps two writers apart here; two who write the same do not harm each other.
            Verdict::Stale(_) if is_being_made(&live, change) && began.elapsed() < THE_SAME => {
                sleep(Duration::from_millis(200)).await;
                live = Live::read(platform, change).await?;
            }
            Verdict::Stale(why) => return Ok(Outcome::Stale { why }),
        }
    }
    match (change.action, &change.desired) {
        (Action::Delete, _) => delete(platform, live.now).await,
        (Action::Forget, _) => forget(platform, live.now).await,
        (Action::Restart, _) => restart(platform, &change.id, live.now).await,
        (Action::Create | Action::Update | Action::Replace(_), Some(desired)) => write(platform, change, desired, live, context).await,
        (_, None) => Err(PlatformError::new(PlatformErrorKind::Internal, "reading the change", "it does not say what should be")),
    }
}

/// Whether this very change was begun, and nothing else has happened: what is not of its making is what the plan saw.
fn is_half_done(live: &Live, change: &Change, context: &ApplyContext<'_>) -> bool {
    let (Some(desired), Action::Update, None) = (&change.desired, change.action, &live.before) else { return false };
    let others: Vec<Member> = live.now.members.iter().filter(|member| !is_current(member, desired, context)).cloned().collect();
    if others.len() == live.now.members.len() {
        return false;
    }
    let rest = App { members: others, proxy: live.now.proxy.clone() };
    let seen = rest.observed(change.id.clone(), RolloutState::Done);
    change.judge(seen.as_ref(), seen.as_ref()) == Verdict::Proceed
}

/// Whether all that is there carries the digest of what this change leaves, and is not done yet.
fn is_being_made(live: &Live, change: &Change) -> bool {
    let (Some(desired), Action::Create) = (&change.desired, change.action) else { return false };
    let same = |member: &Member| {
        member.ownership.marks().is_some_and(|marks| marks.specification.is_some() && marks.specification == desired.marks.specification)
    };
    !live.now.is_empty() && live.now.members.iter().all(same)
}

/// Whether a container is what this desire would make.
fn is_current(member: &Member, desired: &Resource, context: &ApplyContext<'_>) -> bool {
    let marks = match &member.ownership {
        Ownership::Ours(marks) => marks,
        // What was forgotten could be taken up again as it is.
        Ownership::Unmarked if names::is_forgotten(&member.name) => &desired.marks,
        Ownership::Another(_) | Ownership::Unmarked => return false,
    };
    let template = goal::of_one(&desired.document);
    let differs = stratos_engine::compare::fields(&template, &member.document);
    let is_secret = |leaf: &Option<Leaf>| matches!(leaf, Some(Leaf::Secret { .. }));
    let only_fingerprints = differs
        .iter()
        .all(|field| is_secret(&field.old) && is_secret(&field.new) && member.secret_values.iter().any(|(path, _)| *path == field.path));
    let same_values = member.secret_values.iter().all(|(path, value)| {
        let text = template.get(path).and_then(Leaf::text);
        text.is_none_or(|text| context.resolve(text).is_ok_and(|wanted| wanted == *value))
    });
    let same_marks = marks.protect == desired.marks.protect && marks.app == desired.marks.app;
    same_marks && only_fingerprints && same_values && desired.id.name.as_ref() == resource_of(member)
}

/// The resource that a container was made for: a renamed app makes new ones.
fn resource_of(member: &Member) -> &str {
    let labels = member.inspected.config.as_ref().and_then(|config| config.labels.as_ref());
    labels.and_then(|labels| labels.get(super::record::RESOURCE)).map(String::as_str).unwrap_or_default()
}

async fn write(
    platform: &DockerPlatform,
    change: &Change,
    desired: &Resource,
    mut live: Live,
    context: &ApplyContext<'_>,
) -> Result<Outcome, PlatformError> {
    platform.forget_rollout(&change.id);
    // What serves is not taken for idle because it is young.
    for app in [Some(&mut live.now), live.before.as_mut()].into_iter().flatten() {
        app.probe(platform).await;
    }
    let timeout = desired.rollout_timeout.unwrap_or(ROLLOUT_TIMEOUT).to_std();
    let mut goal = Goal::new(&change.id.name, &desired.marks, &desired.document, timeout);
    goal.waits = change.fence.before.is_some();
    let App { members, proxy } = live.now;
    let (old, old_proxy) = live.before.map(|before| (before.members, before.proxy)).unwrap_or_default();
    let mut members: Vec<(Member, bool)> = members
        .into_iter()
        .chain(old)
        .map(|member| (is_current(&member, desired, context), member))
        .map(|(is, member)| (member, is))
        .collect();
    let is_missing = |number: u32| !members.iter().any(|(member, current)| *current && member.number == number);
    let needs_new = (1..=goal.rules.replicas).any(is_missing) || members.iter().any(|(member, current)| !current || never_started(member));
    // All that can go wrong before anything is stopped goes wrong here.
    let maker = match needs_new {
        true => Some(Maker::Template(Box::new(Template::new(platform, desired, context).await?))),
        false => None,
    };
    // The proxy is always on the environment's network, the containers of compose files are not.
    if !goal.ports.is_empty() || needs_new && goal.networks.contains(&translate::network(&platform.config)) {
        network::present(platform).await?;
    }
    take_up_again(platform, &mut members).await?;
    let exchange = Exchange::new(platform, goal, maker, &members, proxy.or(old_proxy));
    told(platform, &change.id, exchange.run().await)
}

fn never_started(member: &Member) -> bool {
    member.state == super::state::State::NeverStarted
}

/// What was forgotten and is as it should be is ours again with its name.
async fn take_up_again(platform: &DockerPlatform, members: &mut [(Member, bool)]) -> Result<(), PlatformError> {
    for (member, current) in members {
        if *current && names::is_forgotten(&member.name) {
            let name = names::remembered(&member.name).to_owned();
            containers::rename(platform, &member.id, &member.name, &name).await?;
            member.name = name;
        }
    }
    Ok(())
}

/// What came of a roll-out, remembered for those who ask for its health.
fn told(platform: &DockerPlatform, id: &ResourceId, result: Result<(), Trouble>) -> Result<Outcome, PlatformError> {
    let failed = |what: &str, why: &str| PlatformError::new(PlatformErrorKind::Rejected, "its roll-out", format!("{what}: {why}"));
    match result {
        // Where nothing served before, there is nothing to go back to: its health says how it is.
        Ok(()) | Err(Trouble::Left) => Ok(done()),
        Err(Trouble::Platform(error)) => Err(error),
        Err(Trouble::RolledBack(why)) => {
            platform.remember_rollout(id, RolloutState::RolledBack { why: why.clone() });
            Err(failed("it failed, and what ran before serves again", &why))
        }
        Err(Trouble::Paused(why)) => {
            platform.remember_rollout(id, RolloutState::Paused { why: why.clone() });
            Err(failed("it failed and was left as it is", &why))
        }
    }
}

async fn restart(platform: &DockerPlatform, id: &ResourceId, mut app: App) -> Result<Outcome, PlatformError> {
    platform.forget_rollout(id);
    app.probe(platform).await;
    let Some(first) = app.members.first() else { return Ok(Outcome::Stale { why: "there is nothing to restart".to_owned() }) };
    let Some(marks) = first.ownership.marks().cloned() else {
        return Ok(Outcome::Stale { why: "it does not belong to us".to_owned() });
    };
    let mut goal = Goal::new(&id.name, &marks, &first.document, ROLLOUT_TIMEOUT.to_std());
    let numbers: BTreeSet<u32> = app.members.iter().map(|member| member.number).collect();
    goal.rules.replicas = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    goal.addresses = app.proxy.iter().flat_map(|proxy| proxy.addresses().clone()).collect();
    goal.ports =
        app.proxy.iter().flat_map(|proxy| proxy.ports().iter().filter_map(|port| Some((*port, proxy.target_of(*port)?)))).collect();
    let maker = Maker::Copies(app.members.clone());
    let members: Vec<(Member, bool)> = app.members.into_iter().map(|member| (member, false)).collect();
    told(platform, id, Exchange::new(platform, goal, Some(maker), &members, app.proxy).run().await)
}

async fn delete(platform: &DockerPlatform, app: App) -> Result<Outcome, PlatformError> {
    if let Some(proxy) = &app.proxy {
        proxy.end(platform).await?;
    }
    let stops = app.members.iter().map(|member| containers::stop(platform, &member.id, &member.name));
    futures::future::try_join_all(stops).await?;
    for member in &app.members {
        containers::remove(platform, &member.id, &member.name).await?;
    }
    Ok(done())
}

/// Labels cannot be taken off: from now on a name says that they do not count.
async fn forget(platform: &DockerPlatform, app: App) -> Result<Outcome, PlatformError> {
    let members = app.members.iter().map(|member| (&member.id, &member.name));
    for (id, name) in app.proxy.iter().map(|proxy| (&proxy.id, &proxy.name)).chain(members) {
        containers::rename(platform, id, name, &names::forgotten(name)).await?;
    }
    Ok(done())
}

async fn volumes(platform: &DockerPlatform, change: &Change) -> Result<Outcome, PlatformError> {
    let mut found = volume::read(platform, &wanted(change)).await?;
    let live = found.remove(&*change.id.name);
    let observed = live.as_ref().map(|volumes| volumes.observed(change.id.clone()));
    match change.judge(observed.as_ref(), observed.as_ref()) {
        Verdict::AlreadyDone => return Ok(already_done()),
        Verdict::Stale(why) => return Ok(Outcome::Stale { why }),
        Verdict::Proceed => {}
    }
    match (change.action, live, &change.desired) {
        (Action::Delete, Some(live), _) => volume::delete(platform, &live).await.map(|()| done()),
        (Action::Create | Action::Update, live, Some(desired)) if live.is_none() || desired.document.is_empty() => {
            make_volume(platform, desired).await.map(|()| done())
        }
        (Action::Replace(_), live, Some(desired)) => {
            if let Some(live) = live {
                volume::delete(platform, &live).await?;
            }
            make_volume(platform, desired).await.map(|()| done())
        }
        (action, _, _) => {
            let why = format!("a volume's labels and settings are fixed: it cannot be changed ({action:?})");
            Err(PlatformError::new(PlatformErrorKind::Rejected, format!("changing the volume {}", change.id.name), why))
        }
    }
}

/// A volume of a compose file is called like its resource, the first one of an app's has a number.
async fn make_volume(platform: &DockerPlatform, desired: &Resource) -> Result<(), PlatformError> {
    let resource = &*desired.id.name;
    let name = if desired.document.is_empty() { names::volume(resource, 1) } else { resource.to_owned() };
    volume::present(platform, &name, resource, &desired.marks, &desired.document).await
}

/// Removes the environment's network, when nothing of ours is left.
pub(crate) async fn retire(platform: &DockerPlatform) -> Result<(), PlatformError> {
    let owner = crate::labels::filter(&platform.config.owner);
    if live::list(platform, Some(owner)).await?.is_empty() {
        network::remove(platform).await?;
    }
    Ok(())
}
