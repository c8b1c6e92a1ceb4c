//! `stratos exec`

use std::collections::BTreeSet;
use std::io::Read as _;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use stratos_engine::deploy::{self, Connector as _, Policy};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::exec::{ExecEvent, ExecInput, ExecRequest, TerminalSize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::Context;
use super::error::{Exit, Failure};
use super::logs::nothing_to_read;
use super::session::Session;
use super::signals::Signals;

const EXAMPLES: &str = "\
Examples:
  stratos exec web --env=dev -- env                    in one of its instances
  stratos exec web -t -- sh                            a shell on this terminal
  stratos exec db --instance shop-db.1 -- pg_dump app  in the one that `stratos logs` calls so
  stratos exec db -i -- psql app < schema.sql          what it reads comes from here
The exit code is that of the command. On a terminal (-t), Ctrl-C goes to the command.";

/// Run a command in a running instance of an app.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The app.
    #[arg(value_name = "APP")]
    app: Name,

    /// The instance, as `stratos logs` names it; the default is one that runs.
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,

    /// Pass on standard input.
    #[arg(short = 'i', long)]
    stdin: bool,

    /// Give the command this terminal, with its input.
    #[arg(short, long)]
    tty: bool,

    /// The program and its arguments, behind `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    if args.tty && !context.output.is_terminal() {
        let failure = Failure::usage("-t needs a terminal: standard input and standard output are not both one");
        return Err(failure.with_hint("leave -t away; `-i` passes on what is piped in"));
    }
    let session = Session::load(&context.global)?;
    let (environment, id) = find(&session, &args.app).await?;
    let settings = session.manifest.environments.get(&environment);
    let settings = settings.ok_or_else(|| Failure::new(format!("the manifest has no environment {environment}")))?;
    let platform = session.connector.connect(&session.manifest.project, &environment, settings).await?;
    let Some(exec) = platform.exec() else {
        let why = format!("the platform {} cannot run commands in instances", settings.platform);
        return Err(Failure::new(why).with_hint("what runs there can be reached by the platform's own means"));
    };
    // From here on the terminal is as it was when this value ends.
    let raw = args.tty.then(Raw::new).transpose()?;
    let request = ExecRequest {
        command: args.command,
        instance: args.instance,
        terminal: raw.as_ref().map(|_| size()),
        input: (args.stdin || args.tty).then(|| input(args.tty)).transpose()?,
    };
    let mut signals = Signals::new()?;
    let mut events = exec.exec(&id, request).await?;
    let code = loop {
        let event = tokio::select! {
            event = events.next() => event,
            // On a terminal Ctrl-C is no signal: it is a byte for the command.
            () = signals.next() => {
                drop(raw);
                let failure = Failure { exit: Exit::Interrupted, ..Failure::new("interrupted") };
                return Err(failure.with_hint("the command was let go of: it may run on; with -t, Ctrl-C goes to the command"));
            }
        };
        match event {
            Some(event) => match event? {
                ExecEvent::Started { instance } => tracing::debug!(instance, "runs"),
                ExecEvent::Output(bytes) => context.output.pass_on(&bytes),
                ExecEvent::Error(bytes) => context.output.pass_on_error(&bytes),
                ExecEvent::Ended { code } => break code,
            },
            None => return Err(Failure::new("the connection ended before the command did")),
        }
    };
    drop(raw);
    context.output.finish()?;
    if code == 0 {
        return Ok(Exit::Success);
    }
    // The command's own code: those of `Exit` have meanings of ours. What reads standard input would not end by itself, either.
    std::process::exit(i32::try_from(code).unwrap_or(1));
}

/// The resource that runs the app, in the one environment that is meant.
async fn find(session: &Session, app: &Name) -> Result<(Name, ResourceId), Failure> {
    let request = session.request_for(session.selected(), BTreeSet::from([app.clone()]), Policy::default());
    let tree = deploy::status(&request, &session.connector).await?;
    let running = tree.environments.iter().filter_map(|environment| {
        let id = environment.apps.iter().filter(|there| there.name == *app).flat_map(|there| &there.health).map(|(id, _)| id).next()?;
        Some((environment.name.clone(), id.clone()))
    });
    let running: Vec<(Name, ResourceId)> = running.collect();
    match running.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            let unreachable = tree.environments.iter().find_map(|environment| Some((&environment.name, environment.unreachable.as_ref()?)));
            let without = unreachable.map(|(name, why)| format!("{name} could not be read: {why}"));
            Err(nothing_to_read(app, without, session))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
            let failure = Failure::usage(format!("{app} runs in {} environments: {}", names.len(), names.join(", ")));
            Err(failure.with_hint(format!("name one: `stratos exec {app} --env={} -- …`", names[0])))
        }
    }
}

/// What is read here, and on a terminal its size when it changes.
fn input(terminal: bool) -> Result<BoxStream<'static, ExecInput>, Failure> {
    let (sender, mut receiver) = mpsc::channel(16);
    // Reading standard input cannot be given up: a thread does it, which ends with the process.
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(read @ 1..) = std::io::stdin().read(&mut bytes) {
            if sender.blocking_send(ExecInput::Bytes(bytes[..read].to_vec())).is_err() {
                return;
            }
        }
    });
    let bytes = stream::poll_fn(move |cx| receiver.poll_recv(cx));
    if !terminal {
        return Ok(bytes.boxed());
    }
    let changes = signal(SignalKind::window_change()).map_err(|error| Failure::new(format!("watching the terminal's size: {error}")))?;
    let sizes = stream::unfold(changes, |mut changes| async move {
        changes.recv().await?;
        Some((ExecInput::Resize(size()), changes))
    });
    Ok(stream::select(bytes, sizes).boxed())
}

fn size() -> TerminalSize {
    let (columns, rows) = crossterm::terminal::size().unwrap_or((80, 24));
    TerminalSize { columns, rows }
}

/// The terminal passes on each key as it is, until this value ends.
struct Raw;

impl Raw {
    fn new() -> Result<Self, Failure> {
        let set = crossterm::terminal::enable_raw_mode();
        set.map(|()| Self).map_err(|error| Failure::new(format!("setting up the terminal: {error}")))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = crossterm::terminal::disable_raw_mode();
    }
}
