//! `stratos schema`

use stratos_engine::manifest::json_schema;

use super::Context;
use super::error::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  stratos schema manifest > stratos.schema.json
Editors that know JSON Schema complete and check with it. For those built on Taplo, the first
line of stratos.toml is:  #:schema ./stratos.schema.json";

/// Print a JSON Schema: of the manifest, of a cartridge, or of a plan.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Of what.
    #[arg(value_name = "manifest|cartridge|plan", value_enum)]
    what: What,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    /// stratos.toml.
    Manifest,
    /// cartridge.toml.
    Cartridge,
    /// A saved plan, which is also what `plan --output json` prints.
    Plan,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let schema = match args.what {
        What::Manifest => json_schema::manifest_schema(),
        What::Cartridge => json_schema::cartridge_schema(),
        What::Plan => json_schema::plan_schema(),
    };
    context.output.result(&schema);
    Ok(Exit::Success)
}
