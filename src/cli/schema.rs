//! `stratos schema`

use schemars::schema_for;
use stratos_engine::manifest::json_schema;
use stratos_engine::render::cartridge::CartridgeFile;

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
    #[arg(value_name = "WHAT", value_enum)]
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
    match args.what {
        What::Manifest => context.output.result(&json_schema::manifest_schema()),
        What::Plan => context.output.result(&json_schema::plan_schema()),
        What::Cartridge => context.output.json(&schema_for!(CartridgeFile))?,
    }
    Ok(Exit::Success)
}
