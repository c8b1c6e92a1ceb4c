//! A plan beside `docker stack deploy`: 1,000 services that have not changed, on one real swarm, in one run.
//!
//! `cargo bench --bench swarm` prints a table. The services have no replicas, so that no image is pulled and nothing but the two
//! programs and the engine works. Requests are counted on the engine's socket, by the same means for both.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_macros,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use stratos_test_platforms::{Engines, build};

const SERVICES: usize = 1_000;
/// The best of so many rounds counts, in which all take turns.
const ROUNDS: usize = 3;
/// Runs the rest of the arguments and prints their peak memory in KiB.
const MEASURE: &str = "--measure";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((MEASURE, command)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return measure(command);
    }
    let engines = Engines::start(1);
    engines.form_swarm(1);
    // In a registry that answers at once: the client asks it for each service.
    build(&engines, 0);
    let image = format!("{}/web:1", engines.registry());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let counter = Counter::start(&engines.socket(0), &folder.path().join("counted.sock"));
    std::fs::write(folder.path().join("stratos.toml"), manifest(&counter.path, &image)).expect("the manifest is written");
    std::fs::write(folder.path().join("compose.yml"), compose(&image)).expect("the compose file is written");
    let place = folder.path().display().to_string();
    let stratos = |arguments: &[&str]| run(&[&[env!("CARGO_BIN_EXE_stratos"), "-C", &place], arguments].concat(), &counter);
    let socket = format!("unix://{}", counter.path.display());
    let file = folder.path().join("compose.yml").display().to_string();
    let docker = |resolve: &str| {
        let deploy = ["docker", "--host", &socket, "stack", "deploy", "--detach=true", "--resolve-image", resolve, "--compose-file", &file];
        run(&[deploy.as_slice(), &["peer"]].concat(), &counter)
    };

    println!("{SERVICES} services are made twice; this takes minutes");
    let first = [
        ("`stratos apply`, first", stratos(&["apply", "--yes", "--no-wait", "--quiet"])),
        ("`docker stack deploy`, first", docker("always")),
    ];
    let rounds: Vec<[Figures; 3]> =
        (0..ROUNDS).map(|_| [stratos(&["plan", "--quiet", "--detailed-exitcode"]), docker("never"), docker("always")]).collect();
    let best = |which: usize| {
        let figures = rounds.iter().map(|round| &round[which]);
        figures.min_by(|a, b| a.milliseconds.total_cmp(&b.milliseconds)).expect("a round")
    };
    println!("| {SERVICES} services | time | requests | peak memory |\n|---|---:|---:|---:|");
    let show = |name: &str, figures: &Figures| {
        println!("| {name} | {:.0} ms | {} | {} MiB |", figures.milliseconds, figures.requests, figures.peak / 1024);
    };
    first.iter().for_each(|(name, figures)| show(name, figures));
    let names = [
        "`stratos plan`, nothing to do",
        "`docker stack deploy --resolve-image never`, nothing to do",
        "`docker stack deploy`, nothing to do",
    ];
    names.iter().enumerate().for_each(|(i, name)| show(name, best(i)));
    println!("\n{:.0} and {:.0} times as fast", best(1).milliseconds / best(0).milliseconds, best(2).milliseconds / best(0).milliseconds);
}

fn manifest(socket: &Path, image: &str) -> String {
    let mut text = format!(
        "[project]\nname = \"bench\"\nid = \"bench\"\n[environments.prod]\nplatform = \"swarm\"\nurl = \"unix://{}\"\n\
         options = {{ publish = \"host\", endpoint_mode = \"dnsrr\" }}\n",
        socket.display()
    );
    for i in 0..SERVICES {
        text += &format!("[apps.app-{i}]\nimage = \"{image}\"\nreplicas = 0\nenv = {{ LOG_LEVEL = \"info\", NAME = \"app-{i}\" }}\n");
    }
    text
}

fn compose(image: &str) -> String {
    let mut text = String::from("version: '3.8'\nservices:\n");
    for i in 0..SERVICES {
        text += &format!(
            "  app-{i}:\n    image: {image}\n    environment: {{ LOG_LEVEL: info, NAME: app-{i} }}\n    deploy: {{ replicas: 0, endpoint_mode: dnsrr }}\n"
        );
    }
    text
}

struct Figures {
    milliseconds: f64,
    requests: usize,
    /// KiB.
    peak: u64,
}

/// Runs a command below another process of this program, which can tell its peak memory.
fn run(command: &[&str], counter: &Counter) -> Figures {
    let requests = counter.count.load(Ordering::Relaxed);
    let begun = Instant::now();
    let output = Command::new(std::env::current_exe().expect("a path"))
        .arg(MEASURE)
        .args(command)
        .stdin(Stdio::null())
        .output()
        .expect("the benchmark can run itself");
    let milliseconds = begun.elapsed().as_secs_f64() * 1e3;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {}", command.join(" "), String::from_utf8_lossy(&output.stderr));
    let peak = said.trim().parse().expect("the peak memory");
    Figures { milliseconds, requests: counter.count.load(Ordering::Relaxed) - requests, peak }
}

fn measure(command: &[String]) {
    let status = Command::new(&command[0]).args(&command[1..]).stdout(Stdio::null()).status().expect("the command starts");
    assert!(status.success(), "{status}");
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).expect("its usage");
    println!("{}", usage.max_rss());
}

/// Passes connections on to an engine, and counts the requests in them.
struct Counter {
    path: PathBuf,
    count: Arc<AtomicUsize>,
}

impl Counter {
    fn start(engine: &Path, path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let count = Arc::new(AtomicUsize::new(0));
        let (engine, counted) = (engine.to_owned(), Arc::clone(&count));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = UnixStream::connect(&engine).expect("the engine answers");
                let back = (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || {
                    pass(client, server, |bytes| {
                        counted.fetch_add(requests(bytes), Ordering::Relaxed);
                    });
                });
                std::thread::spawn(move || pass(back.0, back.1, |_| ()));
            }
        });
        Self { path: path.to_owned(), count }
    }
}

fn pass(mut from: UnixStream, mut to: UnixStream, seen: impl Fn(&[u8])) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        seen(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// How many requests begin in these bytes: both clients send a request's first line in one piece.
fn requests(bytes: &[u8]) -> usize {
    String::from_utf8_lossy(bytes).matches(" HTTP/1.1\r\n").count()
}
