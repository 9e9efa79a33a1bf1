//! `modelctl policy`, and the policy that other commands judge by.

mod check;
mod explain;
mod export;
mod init;
mod links;
mod place;
mod revocations;
mod roots;
mod ruling;
mod test;

use clap::{Args, Subcommand};

pub(super) use place::PolicyArgs;
pub(super) use ruling::{Applied, Asked, Basis, Ruling};

use super::report::{Failure, Report};
use super::terminal::Terminal;

/// Write, check, explain and export trust policies: who must have signed what, by repository.
///
/// A policy file applies to `pull` and `verify` whenever it covers what they are asked for, with or
/// without `--verify`. It is the one that `--policy` names, else
/// ~/.config/modelctl/policy.toml, else /etc/modelctl/policy.toml; a locked one there is always used.
#[derive(Args)]
pub(super) struct PolicyCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::InitArgs),
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
    Test(test::TestArgs),
    Export(export::ExportArgs),
}

pub(super) async fn run(args: PolicyCommand, terminal: &Terminal) -> Result<Report, Failure> {
    match args.command {
        Command::Init(args) => init::run(args, terminal).await,
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(args, terminal).await,
        Command::Test(args) => test::run(args, terminal).await,
        Command::Export(args) => export::run(&args),
    }
}
