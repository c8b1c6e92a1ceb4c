//! `stratos plan`

use std::path::PathBuf;
use std::time::Instant;

use stratos_engine::deploy;

use super::error::{Exit, Failure};
use super::output::Format;
use super::policy::PolicyArgs;
use super::session::Session;
use super::{Context, plan_file, plan_markdown, plan_text};

const EXAMPLES: &str = "\
Examples:
  stratos plan                               what would change everywhere
  stratos plan --env=dev --app=web           what would change of one app in one place
  stratos plan --out plan.json               saves it; `stratos apply plan.json` does exactly that
  stratos plan --output markdown             for a comment on a pull request
  stratos plan --detailed-exitcode           2 when there are changes: for scripts
  stratos plan --force-conflicts             with fields that others have set
  stratos plan --destroy                     what `stratos destroy` would remove";

/// Show what would change, and why; change nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Plan the removal of everything.
    #[arg(long)]
    destroy: bool,

    /// Save the plan in this file, for `stratos apply FILE`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// End with exit code 2 when there are changes. What is held is no change; what the platform would refuse is code 6.
    #[arg(long)]
    detailed_exitcode: bool,

    #[command(flatten)]
    policy: PolicyArgs,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let session = Session::load(&context.global)?;
    let request = args.policy.complete(session.request(args.policy.policy(args.destroy)));
    let plan = deploy::plan(&request, &session.connector).await?;
    let took = Some(begun.elapsed());
    match context.output.format() {
        Format::Text => context.output.result(&plan_text::render(&plan, took)),
        Format::Json => context.output.json(&plan)?,
        Format::Markdown => context.output.result(&plan_markdown::render(&plan, took)),
    }
    if let Some(path) = &args.out {
        plan_file::write(&plan, path)?;
        context.output.note(&format!("Saved. `stratos apply {}` does exactly this, or refuses.", path.display()));
    }
    Ok(match plan.refused() {
        0 if args.detailed_exitcode && !plan.changes.is_empty() => Exit::Changes,
        0 => Exit::Success,
        _ => Exit::Refused,
    })
}
