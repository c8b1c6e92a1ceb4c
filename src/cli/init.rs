//! `stratos init`

use std::path::Path;

use stratos_engine::desired::name::Name;
use stratos_engine::manifest::Manifest;

use super::error::{Exit, Failure};
use super::session::MANIFEST;
use super::{Context, ask};

const EXAMPLES: &str = "\
Examples:
  stratos init                       asks a few questions
  stratos init --yes                 takes the defaults: a local environment, a demo server
  stratos init --yes --name shop     the same, for a project called shop
  stratos -C ../shop init            in another folder";

/// Write a small stratos.toml to start from.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Take the defaults instead of asking.
    #[arg(short, long)]
    yes: bool,

    /// The project's name; the default is made from the folder's.
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
}

/// What the questions are about.
struct Answers {
    project: Name,
    /// The demo web server, or nothing yet.
    demo: bool,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let here = std::env::current_dir().map_err(|error| Failure::new(format!("finding the current folder: {error}")))?;
    let path = here.join(MANIFEST);
    let folder_name = here.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let default = args.name.unwrap_or_else(|| project_name(&folder_name));
    if path.exists() {
        return Err(Failure::new(format!("{} is there already; nothing was written", path.display()))
            .with_hint("`stratos add env NAME` and `stratos add app NAME` add to it"));
    }
    let answers = if args.yes {
        Answers { project: default, demo: true }
    } else if context.output.can_ask() {
        questions(default)?
    } else {
        return Err(Failure::usage("nobody can be asked here").with_hint("`stratos init --yes` takes the defaults"));
    };
    let text = manifest(&answers, &project_id());
    // What is written here must be what the other commands read: a mistake shows now, not at the user's first plan.
    Manifest::parse(&text)?;
    write_new(&path, &text)?;
    context.output.note(&format!("Wrote {}.\nNext: `stratos plan` shows what would happen, `stratos apply` does it.", path.display()));
    Ok(Exit::Success)
}

fn questions(default: Name) -> Result<Answers, Failure> {
    let valid = |text: &str| match Name::new(text) {
        Ok(_) => Ok(inquire::validator::Validation::Valid),
        Err(error) => Ok(inquire::validator::Validation::Invalid(error.to_string().into())),
    };
    let name = inquire::Text::new("What is the project called?")
        .with_default(&default)
        .with_help_message("the first part of every live name")
        .with_validator(valid)
        .prompt();
    let project = Name::new(&ask::answer(name)?)?;
    let demo = inquire::Confirm::new("Start with a demo web server?").with_default(true).prompt();
    Ok(Answers { project, demo: ask::answer(demo)? })
}

/// Never writes over a manifest that appeared in between.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::new(format!("writing {}: {error}", path.display())))
}

/// A valid name that looks like the folder's.
fn project_name(folder: &str) -> Name {
    let mut name = String::new();
    for c in folder.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let name = &name[..name.len().min(Name::MAX)];
    Name::new(name.trim_end_matches('-')).unwrap_or_else(|_| stratos_engine::manifest::schema::Project::default().name)
}

/// Eight random lower-case letters and digits: two projects of the same name get different ones.
fn project_id() -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut random: u64 = rand::random();
    let mut id = String::with_capacity(8);
    for _ in 0..8 {
        id.push(char::from(DIGITS[(random % 36) as usize]));
        random /= 36;
    }
    id
}

fn manifest(answers: &Answers, id: &str) -> String {
    let Answers { project, demo } = answers;
    let apps = if *demo { DEMO } else { EMPTY };
    format!(
        "\
# What runs, and where. `stratos plan` shows what would change, `stratos apply` does it.

[project]
name = \"{project}\"
id = \"{id}\"  # written once by `stratos init`: tells two projects of the same name apart

# Where apps run. `local` runs them as processes on this machine.
[environments.dev]
platform = \"local\"

{apps}"
    )
}

const DEMO: &str = "\
# What runs. A cartridge is a ready-made app: `stratos list cartridges` names them, and
# whatever is written here is stronger than what the cartridge says.
[apps.hello]
cartridge = \"hello\"
environments = [\"dev\"]  # it runs this very program, so it has no image
replicas = 2
ports.http = { port = 8080, publish = 8080 }  # http://127.0.0.1:8080
";

const EMPTY: &str = "\
# What runs. An app needs a command (or an image, on container platforms):
#
# [apps.web]
# command = [\"./web\", \"--port\", \"$(PORT_HTTP)\"]
# ports.http = { port = 8080, publish = 8080 }
# health = { http = \"/healthz\" }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_become_project_names() {
        for (folder, name) in [
            ("shop", "shop"),
            ("My Shop_2", "my-shop-2"),
            ("2048-game", "game"),
            ("--", "project"),
            ("", "project"),
            ("Größe", "gr-e"),
            (&"x-".repeat(40), &"x-".repeat(20)[..39]),
        ] {
            assert_eq!(project_name(folder).as_str(), name, "{folder:?}");
        }
    }

    #[test]
    fn project_ids_are_eight_letters_and_digits_and_differ() {
        let (a, b) = (project_id(), project_id());
        assert!(a.len() == 8 && a.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{a}");
        assert_ne!(a, b);
    }
}
