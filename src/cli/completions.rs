//! `modelctl completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use super::Cli;
use super::report::{Failure, Report};

/// Print a shell's completion script.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl completions bash > ~/.local/share/bash-completion/completions/modelctl")]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(args: CompletionsArgs) -> Result<Report, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "modelctl", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let mut report = Report::of(&json!({ "shell": args.shell.to_string(), "script": script }))?;
    report.stdout = script;
    Ok(report)
}
