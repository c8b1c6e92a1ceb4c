//! The balancer without the stratos program around it: `stratos-balancer CONFIGURATION`.

#![expect(clippy::disallowed_macros, reason = "a program of its own, with nothing between it and its standard error")]

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [configuration] = arguments.as_slice() else {
        eprintln!("usage: stratos-balancer CONFIGURATION (a JSON file; SIGHUP: read it again; SIGTERM: end)");
        return ExitCode::from(64);
    };
    match stratos_balancer::run(Path::new(configuration)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
