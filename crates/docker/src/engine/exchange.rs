//! Carries a roll-out out: new containers take the place of old ones, which serve until then.
//!
//! What was stopped is taken away at the end, so that it can be started again when the roll-out fails.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use stratos_engine::platform::PlatformError;
use tokio::time::{Instant, sleep};

use super::goal::Goal;
use super::live::{self, Member};
use super::make::Maker;
use super::proxy::{Proxy, Routes};
use super::rollout::{View, steps};
use super::state::State;
use super::{DockerPlatform, containers, names, probe};

/// Between two looks at containers that are not ready: at first, and at most.
const FASTEST: Duration = Duration::from_millis(100);
const SLOWEST: Duration = Duration::from_secs(1);

/// So many containers are made or stopped at once.
const AT_ONCE: usize = 4;

/// How long what was stopped may take to serve again, when a roll-out is taken back.
const BACK: Duration = Duration::from_secs(60);

/// How a roll-out ended that did not go through.
pub(crate) enum Trouble {
    /// The engine refused something, or could not be reached.
    Platform(PlatformError),
    /// What ran before serves again.
    RolledBack(String),
    /// It failed and was left as it is, as it was asked for.
    Paused(String),
    /// It failed, and nothing that served was there before: what is there now is what was wanted.
    Left,
}

impl From<PlatformError> for Trouble {
    fn from(error: PlatformError) -> Self {
        Self::Platform(error)
    }
}

/// One container on the way.
struct Part {
    id: String,
    name: String,
    number: u32,
    current: bool,
    made: bool,
    /// Made or started in this run: it must get ready.
    awaited: bool,
    state: State,
}

impl Part {
    fn of(member: &Member, current: bool) -> Self {
        let Member { id, name, number, state, .. } = member;
        Self { id: id.clone(), name: name.clone(), number: *number, current, made: false, awaited: false, state: state.clone() }
    }

    fn host(&self) -> String {
        self.id[..self.id.len().min(12)].to_owned()
    }
}

/// A roll-out that is going on.
pub(crate) struct Exchange<'a> {
    platform: &'a DockerPlatform,
    goal: Goal,
    maker: Option<Maker>,
    proxy: Option<Proxy>,
    /// What runs.
    parts: Vec<Part>,
    /// What was stopped, and goes at the end.
    stopped: Vec<Part>,
    /// Whether anything served before.
    served: bool,
}

impl<'a> Exchange<'a> {
    /// A roll-out that has not begun. Of each member it says whether it is as it should be. `maker` may be missing where
    /// nothing is to be made.
    pub fn new(platform: &'a DockerPlatform, goal: Goal, maker: Option<Maker>, members: &[(Member, bool)], proxy: Option<Proxy>) -> Self {
        let parts: Vec<Part> = members.iter().map(|(member, current)| Part::of(member, *current)).collect();
        let served = parts.iter().any(|part| part.state == State::Ready);
        Self { platform, goal, maker, proxy, parts, stopped: vec![], served }
    }

    /// Carries it out.
    pub async fn run(mut self) -> Result<(), Trouble> {
        self.begin().await?;
        match self.roll().await {
            Ok(None) => Ok(self.end().await?),
            Ok(Some(why)) => self.give_up(why).await,
            Err(error) if error.kind.is_transient() || self.stopped.is_empty() && !self.parts.iter().any(|part| part.made) => {
                Err(error.into())
            }
            Err(error) if self.goal.pause => Err(error.into()),
            Err(error) => {
                // Without anything that served there is nothing to go back to; what could be made stays for another run.
                if self.served {
                    self.take_back().await?;
                }
                Err(error.into())
            }
        }
    }

    /// A proxy that can be used meanwhile, and no instance that should run and does not.
    async fn begin(&mut self) -> Result<(), PlatformError> {
        if let Some(proxy) = &self.proxy {
            proxy.end_leftovers(self.platform).await?;
        }
        let usable = self.proxy.as_ref().is_some_and(Proxy::works);
        if let Some(broken) = self.proxy.take_if(|proxy| self.goal.ports.is_empty() && !proxy.works()) {
            broken.end(self.platform).await?;
        }
        if !self.goal.ports.is_empty() && !usable {
            let routes = self.goal_routes(|part| part.state == State::Ready);
            let made = Proxy::make(self.platform, &self.goal, routes, self.proxy.as_ref()).await?;
            self.proxy = Some(made);
        } else if let Some(proxy) = &mut self.proxy {
            proxy.join(self.platform, &self.goal).await?;
        }
        // What was never started may lack its files: nobody came to the end of making it.
        for part in self.parts.extract_if(.., |part| part.state == State::NeverStarted) {
            containers::remove(self.platform, &part.id, &part.name).await?;
        }
        for part in self.parts.iter_mut().filter(|part| part.current && matches!(part.state, State::Stopped(_))) {
            containers::start(self.platform, &part.id, &part.name).await?;
            part.state = State::Waiting("it has just started".to_owned());
            part.awaited = true;
        }
        Ok(())
    }

    /// Goes on until everything is as it should be, or the reason why it will not be.
    async fn roll(&mut self) -> Result<Option<String>, PlatformError> {
        let deadline = Instant::now() + self.goal.timeout;
        let mut pause = FASTEST;
        loop {
            let views: Vec<View> = self.parts.iter().enumerate().map(|(at, part)| part.view(at)).collect();
            let next = steps(&views, &self.goal.rules);
            self.lead(&next.stop).await?;
            if next.is_empty() {
                let is_done = |part: &Part| part.current && (part.state == State::Ready || !part.awaited);
                if !self.goal.waits || self.parts.iter().all(is_done) {
                    return Ok(None);
                }
                let is_broken = |part: &&Part| part.awaited && matches!(part.state, State::Failed(_) | State::Stopped(_));
                if let Some(broken) = self.parts.iter().find(is_broken) {
                    return Ok(Some(self.explain(broken).await));
                }
                if Instant::now() >= deadline {
                    let slow = self.parts.iter().find(|part| part.current && part.state != State::Ready);
                    let slow = match slow {
                        Some(part) => self.explain(part).await,
                        None => "old containers are still there".to_owned(),
                    };
                    return Ok(Some(format!("it was not done within {} s; {slow}", self.goal.timeout.as_secs_f64())));
                }
                sleep(pause).await;
                pause = (pause * 2).min(SLOWEST);
                self.look().await?;
                continue;
            }
            pause = FASTEST;
            self.stop(next.stop).await?;
            self.start(next.start).await?;
        }
    }

    /// Sends published ports to all that serve, but for those that are about to stop.
    async fn lead(&mut self, leaving: &[usize]) -> Result<(), PlatformError> {
        let Some(proxy) = &self.proxy else { return Ok(()) };
        let hosts = |published: u16| {
            let target = |part: &Part| {
                let wanted = self.goal.ports.get(&published).copied();
                let before = proxy.target_of(published);
                if part.current { wanted.or(before) } else { before.or(wanted) }
            };
            let serving = self.parts.iter().enumerate().filter(|(at, part)| part.state == State::Ready && !leaving.contains(at));
            serving.filter_map(|(_, part)| Some((part.host(), target(part)?))).collect::<BTreeSet<_>>()
        };
        let routes: Routes = proxy.ports().iter().map(|published| (*published, hosts(*published))).collect();
        // Nobody that serves is better than nobody at all: what comes meanwhile would only wait for an end.
        if routes.values().all(BTreeSet::is_empty) && leaving.is_empty() {
            return Ok(());
        }
        match &mut self.proxy {
            Some(proxy) => proxy.lead(self.platform, routes).await,
            None => Ok(()),
        }
    }

    async fn look(&mut self) -> Result<(), PlatformError> {
        let platform = self.platform;
        let mut looks = Vec::with_capacity(self.parts.len());
        for part in &mut self.parts {
            if part.current {
                looks.push(look(platform, part));
            }
        }
        futures::stream::iter(looks).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn stop(&mut self, leaving: Vec<usize>) -> Result<(), PlatformError> {
        let mut kept = Vec::new();
        let mut going = Vec::new();
        for (at, part) in std::mem::take(&mut self.parts).into_iter().enumerate() {
            if leaving.contains(&at) { going.push(part) } else { kept.push(part) }
        }
        self.parts = kept;
        let platform = self.platform;
        let mut stops = Vec::with_capacity(going.len());
        for part in &going {
            stops.push(containers::stop(platform, &part.id, &part.name));
        }
        let result = futures::stream::iter(stops).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await;
        self.stopped.extend(going);
        result.map(drop)
    }

    async fn start(&mut self, numbers: Vec<u32>) -> Result<(), PlatformError> {
        let Some(maker) = self.maker.as_ref().filter(|_| !numbers.is_empty()) else { return Ok(()) };
        let taken: BTreeSet<&str> = self.parts.iter().chain(&self.stopped).map(|part| part.name.as_str()).collect();
        let named = numbers.into_iter().map(|number| {
            let name = names::instance(&self.goal.live, number);
            (number, if taken.contains(name.as_str()) { names::successor(&self.goal.live, number) } else { name })
        });
        let platform = self.platform;
        let made = named.map(|(number, name)| async move {
            let id = maker.make(platform, &name, number).await?;
            let state = State::Waiting("it has just started".to_owned());
            Ok::<_, PlatformError>(Part { id, name, number, current: true, made: true, awaited: true, state })
        });
        let made: Vec<Result<Part, PlatformError>> = futures::stream::iter(made).buffer_unordered(AT_ONCE).collect().await;
        let mut first_error = Ok(());
        for part in made {
            match part {
                Ok(part) => self.parts.push(part),
                Err(error) => first_error = first_error.and(Err(error)),
            }
        }
        first_error
    }

    /// Takes away what was stopped, gives everything its name and its ports.
    async fn end(&mut self) -> Result<(), PlatformError> {
        for part in std::mem::take(&mut self.stopped) {
            containers::remove(self.platform, &part.id, &part.name).await?;
        }
        for part in &mut self.parts {
            let name = names::instance(&self.goal.live, part.number);
            if part.name != name {
                containers::rename(self.platform, &part.id, &part.name, &name).await?;
                part.name = name;
            }
        }
        let routes = self.goal_routes(|_| true);
        match self.proxy.take() {
            Some(proxy) if routes.is_empty() => proxy.end(self.platform).await,
            Some(mut proxy) if proxy.fits(&self.goal) => {
                proxy.lead(self.platform, routes).await?;
                proxy.leave(self.platform, &self.goal).await
            }
            Some(other) => Proxy::make(self.platform, &self.goal, routes, Some(&other)).await.map(drop),
            None => Ok(()),
        }
    }

    fn goal_routes(&self, which: impl Fn(&Part) -> bool) -> Routes {
        let hosts = |target: u16| self.parts.iter().filter(|part| which(part)).map(|part| (part.host(), target)).collect();
        self.goal.ports.iter().map(|(published, target)| (*published, hosts(*target))).collect()
    }

    async fn give_up(&mut self, why: String) -> Result<(), Trouble> {
        if self.goal.pause && self.served {
            return Err(Trouble::Paused(why));
        }
        if !self.served {
            self.end().await?;
            return Err(Trouble::Left);
        }
        self.take_back().await?;
        Err(Trouble::RolledBack(why))
    }

    /// What ran before serves again, and what was made goes.
    async fn take_back(&mut self) -> Result<(), PlatformError> {
        for mut part in std::mem::take(&mut self.stopped) {
            containers::start(self.platform, &part.id, &part.name).await?;
            part.state = State::Waiting("it was started again".to_owned());
            self.parts.push(part);
        }
        let deadline = Instant::now() + BACK;
        loop {
            for part in self.parts.iter_mut().filter(|part| !part.made) {
                look(self.platform, part).await?;
            }
            let open = self.parts.iter().any(|part| !part.made && matches!(part.state, State::Waiting(_)));
            if !open || Instant::now() >= deadline {
                break;
            }
            sleep(FASTEST).await;
        }
        let made: Vec<usize> = self.parts.iter().enumerate().filter(|(_, part)| part.made).map(|(at, _)| at).collect();
        self.lead(&made).await?;
        self.stop(made).await?;
        for part in std::mem::take(&mut self.stopped) {
            containers::remove(self.platform, &part.id, &part.name).await?;
        }
        Ok(())
    }

    /// Why a container does not serve, with what it said last.
    async fn explain(&self, part: &Part) -> String {
        let lines = containers::last_lines(self.platform, &part.id).await;
        let said = if lines.is_empty() { String::new() } else { format!("; its last lines: {}", lines.join(" | ")) };
        format!("{}: {}{said}", names::instance(&self.goal.live, part.number), part.state.why())
    }
}

async fn look(platform: &DockerPlatform, part: &mut Part) -> Result<(), PlatformError> {
    part.state = match live::inspect(platform, &part.id).await? {
        Some(inspected) => probe::judge(platform, &inspected).await,
        None => State::Failed("it was removed meanwhile".to_owned()),
    };
    Ok(())
}

impl Part {
    fn view(&self, at: usize) -> View {
        View { at, number: self.number, current: self.current, ready: self.state == State::Ready }
    }
}
