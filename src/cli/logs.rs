//! `stratos logs`

use std::collections::BTreeSet;

use futures::StreamExt as _;
use futures::stream::SelectAll;
use stratos_engine::deploy::{self, Connector as _, Policy};
use stratos_engine::desired::name::Name;
use stratos_engine::platform::LogOptions;

use super::Context;
use super::error::{Exit, Failure};
use super::output::Format;
use super::session::Session;

const EXAMPLES: &str = "\
Examples:
  stratos logs web                            of all its instances, in every environment
  stratos logs web --env=dev --follow         goes on until Ctrl-C
  stratos logs web --tail 20                  the newest 20 lines of each instance
  stratos logs web --previous                 what was written before the last start";

/// Print what an app's instances write.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The app.
    #[arg(value_name = "APP")]
    app: Name,

    /// Go on with new lines.
    #[arg(short, long)]
    follow: bool,

    /// At most this many of the newest lines of each instance.
    #[arg(long, value_name = "N")]
    tail: Option<usize>,

    /// The lines of each instance from before its last restart, where the platform keeps them apart.
    #[arg(long, conflicts_with = "follow")]
    previous: bool,
}

#[derive(serde::Serialize)]
struct Line<'a> {
    environment: &'a Name,
    instance: &'a str,
    line: &'a str,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let session = Session::load(&context.global)?;
    let request = session.request_for(session.selected(), BTreeSet::from([args.app.clone()]), Policy::default());
    let tree = deploy::status(&request, &session.connector).await?;
    let options = LogOptions { follow: args.follow, tail: args.tail, previous: args.previous };
    let mut lines = SelectAll::new();
    let mut without: Option<String> = None;
    for environment in &tree.environments {
        let apps = environment.apps.iter().filter(|app| app.name == args.app);
        let ids: Vec<_> = apps.flat_map(|app| &app.health).map(|(id, _)| id).collect();
        let Some(settings) = session.manifest.environments.get(&environment.name).filter(|_| !ids.is_empty()) else {
            let name = &environment.name;
            without = without.or_else(|| Some(format!("{name} could not be read: {}", environment.unreachable.as_ref()?)));
            continue;
        };
        let platform = session.connector.connect(&session.manifest.project, &environment.name, settings).await?;
        let Some(logs) = platform.logs() else {
            without = Some(format!("the platform of {} keeps no logs that Stratos can read", environment.name));
            continue;
        };
        for id in ids {
            let name = environment.name.clone();
            lines.push(logs.logs(id, &options).await?.map(move |line| (name.clone(), line)).boxed());
        }
    }
    if lines.is_empty() {
        return Err(nothing_to_read(&args.app, without, &session));
    }
    let several = tree.environments.len() > 1;
    loop {
        let next = tokio::select! {
            next = lines.next() => next,
            () = context.output.reader_gone() => None,
        };
        let Some((environment, line)) = next else { break };
        let line = line?;
        match context.output.format() {
            // One document a line: it goes on for ever.
            Format::Json => {
                let line = Line { environment: &environment, instance: &line.instance, line: &line.line };
                let text = serde_json::to_string(&line).map_err(|error| Failure::new(format!("writing JSON: {error}")))?;
                context.output.result(&text);
            }
            Format::Text | Format::Markdown if several => {
                context.output.result(&format!("{environment}/{} | {}", line.instance, line.line));
            }
            Format::Text | Format::Markdown => context.output.result(&format!("{} | {}", line.instance, line.line)),
        }
        if !context.output.is_open() {
            break;
        }
    }
    Ok(Exit::Success)
}

/// An app that is misspelt, that runs nowhere, or that runs where nobody could look.
pub(super) fn nothing_to_read(app: &Name, without: Option<String>, session: &Session) -> Failure {
    let because = without.map_or_else(String::new, |why| format!("; {why}"));
    if session.manifest.apps.contains_key(app) {
        return Failure::new(format!("nothing of the app {:?} runs here{because}", app.as_str()))
            .with_hint("`stratos status` shows what runs");
    }
    let names: Vec<&str> = session.manifest.apps.keys().map(Name::as_str).collect();
    let hint = match names.as_slice() {
        [] => "it has none at all: `stratos add app NAME` adds one".to_owned(),
        names => format!("it has: {}", names.join(", ")),
    };
    Failure::new(format!("the manifest has no app {:?}, and nothing of that name runs{because}", app.as_str())).with_hint(hint)
}
