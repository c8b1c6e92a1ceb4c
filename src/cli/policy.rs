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
        let Self { allow_delete, delete_data, adopt, allow_older, abandon, refresh_images: _ } = self;
        Policy { destroy, allow_delete, delete_data, adopt, allow_older, abandon }
    }

    /// Sets what is no part of the policy.
    pub fn complete<'a>(self, request: Request<'a>) -> Request<'a> {
        Request { refresh_images: self.refresh_images, ..request }
    }
}
