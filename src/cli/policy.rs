//! What the user agrees to beside the manifest.

use stratos_engine::deploy::{Policy, Request};

/// What the user agrees to.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
#[command(next_help_heading = "What you agree to")]
pub struct PolicyArgs {
    /// Delete more than max(3, 30 %) of what is ours, or the last app of an environment.
    #[arg(long)]
    allow_delete: bool,

    /// Delete volumes that are no longer declared, with the data in them.
    #[arg(long)]
    delete_data: bool,

    /// Take over what has the right name and is not ours.
    #[arg(long)]
    adopt: bool,

    /// Take fields over that another manager of the cluster has set to other values.
    #[arg(long)]
    force_conflicts: bool,

    /// Apply a manifest that is older than what is live.
    #[arg(long)]
    allow_older: bool,

    /// Leave behind what an environment holds at a place (platform, url, namespace) that the manifest no longer names.
    #[arg(long)]
    abandon: bool,

    /// Ask the registry also about images whose tag has not changed.
    #[arg(long)]
    refresh_images: bool,
}

impl PolicyArgs {
    /// For the engine.
    pub fn policy(self, destroy: bool) -> Policy {
        let Self { allow_delete, delete_data, adopt, force_conflicts, allow_older, abandon, refresh_images: _ } = self;
        Policy { destroy, allow_delete, delete_data, adopt, force_conflicts, allow_older, abandon }
    }

    /// Sets what is no part of the policy.
    pub fn complete<'a>(self, request: Request<'a>) -> Request<'a> {
        Request { refresh_images: self.refresh_images, ..request }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};

    use super::*;

    fn policy(arguments: &[&str]) -> Policy {
        let command = PolicyArgs::augment_args(Command::new("plan").no_binary_name(true));
        PolicyArgs::from_arg_matches(&command.get_matches_from(arguments)).unwrap().policy(false)
    }

    #[test]
    fn nothing_is_agreed_to_but_what_is_said() {
        assert_eq!(policy(&[]), Policy::default());
        assert_eq!(policy(&["--force-conflicts"]), Policy { force_conflicts: true, ..Policy::default() });
        assert_eq!(policy(&["--adopt"]), Policy { adopt: true, ..Policy::default() });
    }
}
