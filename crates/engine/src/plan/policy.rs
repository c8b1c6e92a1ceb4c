//! What the user agreed to beyond the manifest.

/// What the user agreed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Plan the removal of everything of ours instead of the manifest (`destroy`).
    pub destroy: bool,
    /// Delete more than the budget, and the last app of an environment.
    pub allow_delete: bool,
    /// Delete what holds data.
    pub delete_data: bool,
    /// Take over what is not ours.
    pub adopt: bool,
    /// Take fields over that somebody else has set to other values, where a platform knows who set them.
    pub force_conflicts: bool,
    /// Apply a manifest that is older than what is live.
    pub allow_older: bool,
    /// Leave behind what an environment holds at a place that the manifest does not name any more.
    pub abandon: bool,
}
