//! `modelctl audit`, and the flag of commands that decide.

mod checkpoint;
mod recorder;
mod verify;

use clap::{Args, Subcommand};

pub(super) use recorder::{AuditArgs, Grounds, Recorder};

use super::report::{Failure, Report};
use super::terminal::Terminal;

/// Check and sign audit logs.
///
/// With `--audit-log FILE` or MODELCTL_AUDIT_LOG, every command that decides whether an artifact may
/// be used, or that signs one, appends what it decided and on what grounds to FILE, before anything
/// follows from it; if that is not possible, nothing does.
#[derive(Args)]
pub(super) struct AuditCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Verify(verify::VerifyArgs),
    Checkpoint(checkpoint::CheckpointArgs),
}

impl AuditCommand {
    /// Returns the command's name, as its JSON schema has it.
    pub(super) fn name(&self) -> &'static str {
        match self.action {
            Action::Verify(_) => "audit-verify",
            Action::Checkpoint(_) => "audit-checkpoint",
        }
    }
}

pub(super) async fn run(args: AuditCommand, terminal: &Terminal) -> Result<Report, Failure> {
    match args.action {
        Action::Verify(args) => verify::run(args, terminal).await,
        Action::Checkpoint(args) => checkpoint::run(args, terminal).await,
    }
}
