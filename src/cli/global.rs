//! Options that every command takes.

use std::path::PathBuf;

use stratos_engine::desired::name::Name;

use super::error::Failure;
use super::output::{Color, Format};

/// Options that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Run as if started in this folder.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub folder: Option<PathBuf>,

    /// Only these environments (repeat it, or separate names with commas).
    #[arg(long = "env", value_name = "NAME", value_delimiter = ',', global = true)]
    pub environments: Vec<Name>,

    /// Only these apps (repeat it, or separate names with commas).
    #[arg(long = "app", value_name = "NAME", value_delimiter = ',', global = true)]
    pub apps: Vec<Name>,

    /// The value of a variable; the strongest source.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = assignment, global = true)]
    pub variables: Vec<(String, String)>,

    /// A TOML file with values of variables; later files are stronger.
    #[arg(long = "var-file", value_name = "FILE", global = true)]
    pub variable_files: Vec<PathBuf>,

    /// How results are written.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, hide_default_value = true, global = true)]
    pub output: Format,

    /// Whether colours are written.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, hide_default_value = true, global = true)]
    pub color: Color,

    /// Print results and errors only.
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Log what is done to standard error; twice for more.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

impl Global {
    /// Goes to the folder and turns logging on, as asked.
    pub fn prepare(&self) -> Result<(), Failure> {
        if let Some(folder) = &self.folder {
            std::env::set_current_dir(folder)
                .map_err(|error| Failure::new(format!("going to the folder {}: {error}", folder.display())))?;
        }
        self.start_logging()
    }

    /// Logs are for finding out what went wrong with Stratos itself; without a wish nothing is set up at all.
    fn start_logging(&self) -> Result<(), Failure> {
        let wish = std::env::var("STRATOS_LOG").ok().filter(|wish| !wish.is_empty());
        let wish = match (wish, self.verbose) {
            (Some(wish), _) => wish,
            (None, 0) => return Ok(()),
            (None, 1) => "stratos=debug,stratos_engine=debug,stratos_local=debug,stratos_registry=debug,info".to_owned(),
            (None, _) => "trace".to_owned(),
        };
        let filter = tracing_subscriber::EnvFilter::try_new(&wish)
            .map_err(|error| Failure::usage(format!("STRATOS_LOG={wish:?} is not understood: {error}")))?;
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
        Ok(())
    }
}

/// `name=value`.
pub fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::assignment;

    #[test]
    fn an_assignment_keeps_everything_after_the_first_sign() {
        assert_eq!(assignment("url=a=b "), Ok(("url".into(), "a=b ".into())));
        assert_eq!(assignment("empty="), Ok(("empty".into(), String::new())));
        assert!(assignment("=x").is_err());
        assert!(assignment("x").is_err());
    }
}
