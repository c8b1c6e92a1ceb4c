//! The program `stratos`: parses, runs, and returns the exit code. Everything else is in the library.

use std::process::ExitCode;

/// A plan is many small allocations: this makes a large one a third faster (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    stratos::cli::main(std::env::args_os()).into()
}
