//! The `modelctl` command: flags, terminal and exit codes around the `modelctl` library.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
