//! `stratos schema`

use schemars::{Schema, schema_for};
use stratos_engine::manifest::schema::ManifestFile;
use stratos_engine::plan::Plan;
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
    let schema: Schema = match args.what {
        What::Manifest => schema_for!(ManifestFile),
        What::Cartridge => schema_for!(CartridgeFile),
        What::Plan => schema_for!(Plan),
    };
    context.output.json(&schema)?;
    Ok(Exit::Success)
}
