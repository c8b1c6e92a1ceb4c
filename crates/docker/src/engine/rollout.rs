//! What a roll-out does next: pure, from what is there to the next steps.

/// One container, as far as a roll-out cares. What has been stopped is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    /// Which one: an index of the caller's.
    pub at: usize,
    /// Which of the instances it is, from 1.
    pub number: u32,
    /// Whether it is as it should be.
    pub current: bool,
    /// Whether it serves.
    pub ready: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub replicas: u32,
    pub max_surge: u32,
    pub max_unavailable: u32,
    /// All old containers stop before the first new one starts.
    pub recreate: bool,
    /// An instance has something that two containers must not use at once: a volume of its own, a port of the machine. Then the old one stops
    /// before the new one starts, and one may always be away.
    pub exclusive: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Steps {
    /// The containers that stop.
    pub stop: Vec<usize>,
    /// The instances that get a new container. They start when everything has stopped that is to stop.
    pub start: Vec<u32>,
}

impl Steps {
    pub fn is_empty(&self) -> bool {
        let Self { stop, start } = self;
        stop.is_empty() && start.is_empty()
    }
}

/// What can be done now. It is asked again whenever something has changed.
pub(crate) fn steps(views: &[View], rules: &Rules) -> Steps {
    let wanted = |view: &&View| view.current && view.number <= rules.replicas;
    // Twice the same instance is left of a roll-out that was interrupted: the one that serves stays.
    let mut kept: Vec<View> = Vec::new();
    let mut stop: Vec<usize> = views.iter().filter(|view| view.current && view.number > rules.replicas).map(|view| view.at).collect();
    let mut new: Vec<&View> = views.iter().filter(wanted).collect();
    new.sort_by_key(|view| (view.number, !view.ready, view.at));
    for view in new {
        match kept.iter().any(|other| other.number == view.number) {
            true => stop.push(view.at),
            false => kept.push(*view),
        }
    }

    // What is old and does not serve goes first, whatever the rules: nobody loses by it.
    let (mut serving, idle): (Vec<&View>, Vec<&View>) = views.iter().filter(|view| !view.current).partition(|view| view.ready);
    stop.extend(idle.iter().map(|view| view.at));
    let ready = |number: u32| kept.iter().any(|view| view.number == number && view.ready);
    let away = rules.max_unavailable.max(u32::from(rules.exclusive));
    let needed = match rules.recreate {
        true => 0,
        false => (rules.replicas.saturating_sub(away) as usize).saturating_sub(kept.iter().filter(|view| view.ready).count()),
    };
    // Those whose place is taken go first, then the highest numbers.
    serving.sort_by_key(|view| (ready(view.number) || view.number > rules.replicas, view.number));
    let leaving = serving.split_off(needed.min(serving.len()));
    stop.extend(leaving.iter().map(|view| view.at));

    let surge = if rules.max_surge == 0 && away == 0 { 1 } else { rules.max_surge };
    let mut room = ((rules.replicas + surge) as usize).saturating_sub(serving.len() + kept.len());
    let mut start = Vec::new();
    for number in 1..=rules.replicas {
        let there = kept.iter().any(|view| view.number == number);
        let blocked = rules.exclusive && serving.iter().any(|view| view.number == number);
        if !there && !blocked && room > 0 {
            start.push(number);
            room -= 1;
        }
    }
    Steps { stop, start }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { replicas: 3, max_surge: 1, max_unavailable: 0, recreate: false, exclusive: false };

    fn view(at: usize, number: u32, current: bool, ready: bool) -> View {
        View { at, number, current, ready }
    }
    fn three(current: bool) -> Vec<View> {
        (1..=3).map(|number| view(number as usize, number, current, true)).collect()
    }

    #[test]
    fn nothing_to_do() {
        assert!(steps(&three(true), &RULES).is_empty());
    }

    #[test]
    fn all_start_at_once_where_nothing_runs() {
        assert_eq!(steps(&[], &RULES), Steps { stop: vec![], start: vec![1, 2, 3] });
    }

    #[test]
    fn scaling_touches_only_the_difference() {
        assert_eq!(steps(&three(true), &Rules { replicas: 4, ..RULES }), Steps { stop: vec![], start: vec![4] });
        assert_eq!(steps(&three(true), &Rules { replicas: 1, ..RULES }), Steps { stop: vec![2, 3], start: vec![] });
    }

    /// Plays a roll-out to its end: new containers get ready when nothing else can be done. Returns the most that were there,
    /// and the fewest that served.
    fn play(rules: Rules) -> (usize, usize) {
        let mut views = three(false);
        let (mut most, mut fewest, mut next) = (0, usize::MAX, 10);
        for _ in 0..100 {
            let Steps { stop, start } = steps(&views, &rules);
            let idle = stop.is_empty() && start.is_empty();
            views.retain(|view| !stop.contains(&view.at));
            fewest = fewest.min(views.iter().filter(|view| view.ready).count());
            for number in start {
                if rules.exclusive {
                    assert!(!views.iter().any(|view| view.number == number), "two containers use one volume");
                }
                views.push(view(next, number, true, false));
                next += 1;
            }
            most = most.max(views.len());
            if idle {
                match views.iter_mut().find(|view| !view.ready) {
                    Some(view) => view.ready = true,
                    None => {
                        assert!(views.len() == 3 && views.iter().all(|view| view.current), "{views:?}");
                        return (most, fewest);
                    }
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
        assert_eq!(play(Rules { max_surge: 0, ..rules }), (3, 2));
        let one = Rules { replicas: 1, ..rules };
        assert_eq!(steps(&[view(1, 1, false, true)], &one), Steps { stop: vec![1], start: vec![1] });
    }

    #[test]
    fn what_is_old_and_does_not_serve_goes_at_once() {
        let one = Rules { replicas: 1, ..RULES };
        assert_eq!(steps(&[view(7, 1, false, false)], &one), Steps { stop: vec![7], start: vec![1] });
    }

    #[test]
    fn of_two_that_are_the_same_instance_the_one_that_serves_stays() {
        let one = Rules { replicas: 1, ..RULES };
        assert_eq!(steps(&[view(1, 1, true, false), view(2, 1, true, true)], &one), Steps { stop: vec![1], start: vec![] });
    }
}
