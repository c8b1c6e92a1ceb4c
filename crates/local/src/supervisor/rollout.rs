//! What a roll-out does next: pure, from what is there to the next steps.

/// One instance, as far as a roll-out cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub serial: u64,
    /// Which of the replicas it is.
    pub slot: u32,
    /// Whether it is of the generation that should be.
    pub current: bool,
    pub state: ViewState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ViewState {
    /// It serves.
    Ready,
    /// It does not serve, or not yet.
    NotReady,
    /// It was told to end and has not yet.
    Stopping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub replicas: u32,
    pub max_surge: u32,
    pub max_unavailable: u32,
    /// All old instances end before the first new one starts.
    pub recreate: bool,
    /// A slot has something that two instances must not use at once: a volume of its own. Then the old instance of a
    /// slot ends before the new one starts, and one may always be away.
    pub exclusive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Start { slot: u32 },
    Stop { serial: u64 },
}

/// What can be done now. It is asked again whenever something has changed.
pub(crate) fn steps(views: &[View], rules: &Rules) -> Vec<Step> {
    let mut steps = vec![];
    let live = || views.iter().filter(|v| v.state != ViewState::Stopping);
    let is_new = |v: &&View| v.current && v.slot < rules.replicas;
    let stop = |v: &View| Step::Stop { serial: v.serial };
    steps.extend(live().filter(|v| v.current && v.slot >= rules.replicas).map(stop));

    // What is old and does not serve goes first, whatever the rules: nobody loses by it.
    let (serving, idle): (Vec<&View>, Vec<&View>) = live().filter(|v| !v.current).partition(|v| v.state == ViewState::Ready);
    steps.extend(idle.into_iter().map(stop));
    let kept = if rules.recreate {
        steps.extend(serving.iter().copied().map(stop));
        vec![]
    } else {
        let new_ready: Vec<u32> = live().filter(is_new).filter(|v| v.state == ViewState::Ready).map(|v| v.slot).collect();
        let (kept, stopped) = keep(serving, &new_ready, rules);
        steps.extend(stopped.iter().map(stop));
        kept
    };
    if rules.recreate && views.iter().any(|v| !v.current) {
        return steps;
    }
    let mut running = kept.len() + live().filter(is_new).count();
    let surge = if rules.max_surge == 0 && rules.max_unavailable == 0 { 1 } else { rules.max_surge };
    for slot in 0..rules.replicas {
        let there = live().any(|v| v.current && v.slot == slot);
        let blocked = rules.exclusive && views.iter().any(|v| v.slot == slot);
        if !there && !blocked && running < (rules.replicas + surge) as usize {
            steps.push(Step::Start { slot });
            running += 1;
        }
    }
    steps
}

/// Which of the old instances that serve stay, so that enough serve, and which go.
fn keep(mut serving: Vec<&View>, new_ready: &[u32], rules: &Rules) -> (Vec<View>, Vec<View>) {
    let away = rules.max_unavailable.max(u32::from(rules.exclusive));
    let needed = (rules.replicas.saturating_sub(away) as usize).saturating_sub(new_ready.len());
    // Those whose place is taken go first, then the highest slots.
    serving.sort_by_key(|v| (new_ready.contains(&v.slot) || v.slot >= rules.replicas, v.slot));
    let stopped = serving.split_off(needed.min(serving.len()));
    (serving.into_iter().copied().collect(), stopped.into_iter().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::ViewState::{NotReady, Ready, Stopping};
    use super::*;

    const RULES: Rules = Rules { replicas: 3, max_surge: 1, max_unavailable: 0, recreate: false, exclusive: false };

    fn view(serial: u64, slot: u32, current: bool, state: ViewState) -> View {
        View { serial, slot, current, state }
    }
    fn three(current: bool) -> Vec<View> {
        (0..3).map(|slot| view(u64::from(slot), slot, current, Ready)).collect()
    }

    #[test]
    fn nothing_to_do() {
        assert_eq!(steps(&three(true), &RULES), []);
    }

    #[test]
    fn all_start_at_once_where_nothing_runs() {
        assert_eq!(steps(&[], &RULES), [0, 1, 2].map(|slot| Step::Start { slot }));
    }

    #[test]
    fn a_surplus_is_stopped() {
        assert_eq!(steps(&three(true), &Rules { replicas: 1, ..RULES }), [1, 2].map(|serial| Step::Stop { serial }));
        assert_eq!(steps(&three(true), &Rules { replicas: 0, ..RULES }).len(), 3);
    }

    /// Plays a roll-out in which every started instance becomes ready, and watches the bounds.
    fn play(rules: Rules) -> (usize, usize) {
        let mut views = three(false);
        let (mut most, mut fewest, mut serial) = (0, usize::MAX, 100);
        for _ in 0..100 {
            let next = steps(&views, &rules);
            for step in &next {
                match *step {
                    Step::Start { slot } => {
                        serial += 1;
                        views.push(view(serial, slot, true, NotReady));
                    }
                    Step::Stop { serial } => views.iter_mut().filter(|v| v.serial == serial).for_each(|v| v.state = Stopping),
                }
            }
            most = most.max(views.iter().filter(|v| v.state != Stopping).count());
            fewest = fewest.min(views.iter().filter(|v| v.state == Ready).count());
            if next.is_empty() {
                if let Some(view) = views.iter_mut().find(|v| v.state == NotReady) {
                    view.state = Ready;
                } else if views.iter().any(|v| v.state == Stopping) {
                    views.retain(|v| v.state != Stopping);
                } else {
                    assert!(views.len() == 3 && views.iter().all(|v| v.current), "{views:?}");
                    return (most, fewest);
                }
            }
        }
        panic!("it does not end: {views:?}");
    }

    #[test]
    fn a_roll_out_stays_within_its_bounds_and_ends() {
        assert_eq!(play(RULES), (4, 3));
        assert_eq!(play(Rules { max_surge: 3, ..RULES }), (6, 3));
        assert_eq!(play(Rules { max_surge: 0, max_unavailable: 1, ..RULES }), (3, 2));
        assert_eq!(play(Rules { max_surge: 0, ..RULES }), (4, 3), "nothing at all would move nothing");
        assert_eq!(play(Rules { recreate: true, ..RULES }), (3, 0));
    }

    #[test]
    fn what_has_a_volume_of_its_own_is_never_there_twice() {
        let rules = Rules { exclusive: true, ..RULES };
        assert_eq!(play(rules), (3, 2));
        let one = Rules { replicas: 1, ..rules };
        assert_eq!(steps(&[view(1, 0, false, Ready)], &one), [Step::Stop { serial: 1 }]);
        assert_eq!(steps(&[view(1, 0, false, Stopping)], &one), []);
    }

    #[test]
    fn what_is_old_and_does_not_serve_goes_at_once() {
        let views = [view(1, 0, false, NotReady)];
        let one = Rules { replicas: 1, ..RULES };
        assert_eq!(steps(&views, &one), [Step::Stop { serial: 1 }, Step::Start { slot: 0 }]);
    }
}
