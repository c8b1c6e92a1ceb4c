//! The program `stratos`: parses, runs, and returns the exit code. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    stratos::cli::main(std::env::args_os()).into()
}
