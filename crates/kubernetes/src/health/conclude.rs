//! What a workload's controller counts, and what its pods say, become one sentence.

use stratos_engine::health::{RolloutState, Status};

use super::pod::Seen;
use super::verdict::Verdict;

/// What was found out beside the workload itself.
pub(super) struct Evidence<'a> {
    /// Its pods of the newest version, with their names.
    pub(super) current: Vec<(&'a str, &'a Seen)>,
    /// How many of the versions before serve.
    pub(super) old_that_serve: usize,
    /// What keeps its controller from making pods.
    pub(super) refused: Option<String>,
    /// Whether a pod that does not work ends the wait: not where the workload itself tries again.
    pub(super) pods_decide: bool,
}

pub(super) fn conclude(verdict: Verdict, evidence: &Evidence<'_>) -> Verdict {
    let Evidence { current, old_that_serve, refused, pods_decide } = evidence;
    let of = |status: Status| current.iter().find(|(_, seen)| seen.status == status && !seen.message.is_empty());
    let failed = of(Status::Failed);
    let worst = failed.or_else(|| of(Status::Progressing));
    let said = |(name, seen): &(&str, &Seen)| format!("{name}: {}", seen.message);
    // Where pods cannot even be made, those that are there say less.
    let cause = failed.map(said).or_else(|| refused.clone()).or_else(|| worst.map(said));
    if verdict.status == Status::Healthy {
        return match cause {
            Some(cause) if *pods_decide && worst.is_some() => Verdict::progressing(cause),
            _ => verdict,
        };
    }
    let old = match (*old_that_serve, &verdict.rollout) {
        (0, _) | (_, RolloutState::Done) => String::new(),
        (1, _) => "; one of the version before still serves".to_owned(),
        (several, _) => format!("; {several} of the version before still serve"),
    };
    let message = match cause {
        Some(cause) => format!("{cause}; {}{old}", verdict.message),
        None => format!("{}{old}", verdict.message),
    };
    let is_over = *pods_decide && failed.is_some() && verdict.status != Status::Degraded;
    let rollout = match verdict.rollout {
        RolloutState::Paused { .. } => RolloutState::Paused { why: message.clone() },
        other => other,
    };
    Verdict { status: if is_over { Status::Failed } else { verdict.status }, message, rollout }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: Status, message: &str) -> Seen {
        Seen { status, message: message.into(), log: None, is_vague: false }
    }

    fn with<'a>(current: &'a [Seen], old_that_serve: usize) -> Evidence<'a> {
        Evidence { current: current.iter().map(|seen| ("web-1", seen)).collect(), old_that_serve, refused: None, pods_decide: true }
    }

    #[test]
    fn a_healthy_workload_with_healthy_pods_has_nothing_to_say() {
        assert_eq!(conclude(Verdict::healthy(), &with(&[seen(Status::Healthy, "")], 0)), Verdict::healthy());
        assert_eq!(conclude(Verdict::healthy(), &with(&[], 0)), Verdict::healthy());
    }

    #[test]
    fn a_pod_that_crashes_ends_a_roll_out_and_not_what_serves_all_the_same() {
        let crashed = [seen(Status::Progressing, "it is starting"), seen(Status::Failed, "it crashed")];
        let found = conclude(Verdict::running("0 of 2 are available"), &with(&crashed, 2));
        assert_eq!((found.status, found.rollout), (Status::Failed, RolloutState::Running));
        assert_eq!(found.message, "web-1: it crashed; 0 of 2 are available; 2 of the version before still serve");
        assert_eq!(conclude(Verdict::degraded("1 of 2 are available"), &with(&crashed, 0)).status, Status::Degraded);
        let watched = [seen(Status::Progressing, "it runs again")];
        assert_eq!(conclude(Verdict::healthy(), &with(&watched, 0)), Verdict::progressing("web-1: it runs again"));
    }

    #[test]
    fn a_roll_out_that_was_given_up_says_why() {
        let pulling = [seen(Status::Progressing, "the image cannot be pulled")];
        let found = conclude(Verdict::given_up("it has timed out"), &with(&pulling, 1));
        let why = "web-1: the image cannot be pulled; it has timed out; one of the version before still serves".to_owned();
        assert_eq!(found, Verdict { status: Status::Failed, message: why.clone(), rollout: RolloutState::Paused { why } });
    }

    #[test]
    fn what_cannot_be_made_says_why() {
        let evidence = Evidence { refused: Some("exceeded quota".into()), ..with(&[], 0) };
        assert_eq!(conclude(Verdict::running("0 of 1 are new"), &evidence), Verdict::running("exceeded quota; 0 of 1 are new"));
    }

    #[test]
    fn a_job_decides_itself_whether_it_is_tried_again() {
        let crashed = [seen(Status::Failed, "it ended with exit code 1")];
        let evidence = Evidence { pods_decide: false, ..with(&crashed, 0) };
        assert_eq!(conclude(Verdict::progressing("0 of 1 are done"), &evidence).status, Status::Progressing);
    }
}
