//! `stratos show`

use std::fmt::Write as _;
use std::path::PathBuf;

use owo_colors::OwoColorize as _;
use stratos_engine::manifest::schema::Scalar;
use stratos_engine::render::cartridge::catalogue::Catalogue;
use stratos_engine::render::cartridge::{Cartridge, CartridgeFile};

use super::error::{Exit, Failure};
use super::output::Format;
use super::session::base_folder;
use super::{Context, plan_file, plan_markdown, plan_text};

const EXAMPLES: &str = "\
Examples:
  stratos show plan.json            a plan that `stratos plan --out plan.json` saved
  stratos show cartridge redis      its parameters, what it exports, and its files";

/// Show a saved plan, or a cartridge.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Args {
    /// A saved plan.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Cartridge(CartridgeArgs),
}

/// Show a cartridge: its parameters, what it exports, and its files.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct CartridgeArgs {
    /// Its name, as `stratos list cartridges` has it, or a folder.
    #[arg(value_name = "NAME")]
    name: String,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    match (args.what, args.file) {
        (Some(What::Cartridge(CartridgeArgs { name })), _) => {
            let cartridge = Catalogue::embedded().find(&name, &base_folder())?;
            match context.output.format() {
                Format::Json => {
                    let Cartridge { name, version, description, parameters, exports, .. } = cartridge;
                    let file = CartridgeFile { name, version, description, parameters, exports };
                    context.output.json(&serde_json::json!({ "format": 1, "cartridge": file }))?;
                }
                Format::Text | Format::Markdown => context.output.result(&cartridge_text(&cartridge)),
            }
        }
        (None, Some(path)) => {
            let plan = plan_file::read(&path)?;
            match context.output.format() {
                Format::Text => context.output.result(&plan_text::render(&plan, None)),
                Format::Json => context.output.json(&plan)?,
                Format::Markdown => context.output.result(&plan_markdown::render(&plan, None)),
            }
        }
        (None, None) => return Err(Failure::usage("what should be shown?").with_hint("see `stratos show --help`")),
    }
    Ok(Exit::Success)
}

fn cartridge_text(cartridge: &Cartridge) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} {}\n{}\n", cartridge.name.bold(), cartridge.version, cartridge.description);
    let _ = writeln!(out, "{}", "Parameters:".bold());
    if cartridge.parameters.is_empty() {
        let _ = writeln!(out, "  none");
    }
    for (name, parameter) in &cartridge.parameters {
        let kind = serde_json::to_value(parameter.r#type).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        let default = parameter.default.as_ref().map_or_else(|| "needed".to_owned(), |value| format!("default {}", scalar(value)));
        let choices: Vec<String> = parameter.choices.iter().map(scalar).collect();
        let choices = if choices.is_empty() { String::new() } else { format!(", one of {}", choices.join(", ")) };
        let _ = writeln!(out, "  {name} ({kind}, {default}{choices})\n      {}", parameter.description);
    }
    if !cartridge.exports.is_empty() {
        let _ = writeln!(out, "\n{}", "For apps that bind it, behind their prefix:".bold());
        for (name, template) in &cartridge.exports {
            let _ = writeln!(out, "  {name} = {template:?}");
        }
    }
    let _ = writeln!(out, "\n{}", "Files:".bold());
    for path in cartridge.files.keys() {
        let _ = writeln!(out, "  {path}");
    }
    let _ = writeln!(out, "\n{}", "In stratos.toml:".bold());
    let _ = writeln!(out, "  [apps.{0}]\n  cartridge = \"{0}\"", cartridge.name);
    out
}

fn scalar(value: &Scalar) -> String {
    match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Float(value) => value.to_string(),
        Scalar::String(value) => format!("{value:?}"),
    }
}
