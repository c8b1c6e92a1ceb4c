//! Options that every command takes.

use std::path::PathBuf;

use stratos_engine::desired::name::Name;

use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

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
            (None, 1) => "stratos=debug,stratos_engine=debug,stratos_docker=debug,stratos_kubernetes=debug,stratos_local=debug,\
                 stratos_registry=debug,info"
                .to_owned(),
            (None, _) => "trace".to_owned(),
        };
        let filter = tracing_subscriber::EnvFilter::try_new(&wish)
            .map_err(|error| Failure::usage(format!("STRATOS_LOG={wish:?} is not understood: {error}")))?;
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_filter(filter);
        // A filter of its own: no wish can overrule it.
        let harmless = tracing_subscriber::filter::filter_fn(|event| !tells_secrets(event.target()));
        tracing_subscriber::registry().with(lines.with_filter(harmless)).init();
        Ok(())
    }
}

/// Whether a library's log may hold what it sends or receives: bodies and headers, with the values of secrets and credentials.
/// It is not written, whatever is asked for.
fn tells_secrets(target: &str) -> bool {
    const TALKATIVE: [&str; 11] = [
        "bollard",
        "h2",
        "hyper",
        "hyper_util",
        "kube_client",
        "reqwest",
        "rustls",
        "tokio_tungstenite",
        "tokio_util",
        "tower_http",
        "tungstenite",
    ];
    let library = target.split("::").next().unwrap_or_default();
    TALKATIVE.contains(&library)
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
    use super::{assignment, tells_secrets};

    #[test]
    fn libraries_that_see_bodies_and_headers_are_not_heard() {
        assert!(tells_secrets("bollard::docker") && tells_secrets("hyper") && tells_secrets("hyper_util::client::legacy"));
        assert!(tells_secrets("kube_client::client::builder") && tells_secrets("tungstenite::protocol"));
        assert!(!tells_secrets("stratos_docker::exec") && !tells_secrets("stratos") && !tells_secrets("hyperlocal"));
    }

    #[test]
    fn an_assignment_keeps_everything_after_the_first_sign() {
        assert_eq!(assignment("url=a=b "), Ok(("url".into(), "a=b ".into())));
        assert_eq!(assignment("empty="), Ok(("empty".into(), String::new())));
        assert!(assignment("=x").is_err());
        assert!(assignment("x").is_err());
    }
}
