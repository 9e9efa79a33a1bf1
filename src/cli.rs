//! The command line: the only place that prints, prompts, or reads the environment.
//!
//! A command is a file with its `Args`, whose doc comments are the help, and a `run` that calls the
//! library and returns a [`Report`]. Nothing below this module sees a flag.

mod attachment;
mod attest;
mod audit;
mod cache;
mod certificates;
mod chain;
mod completions;
mod content;
mod copy;
mod environment;
mod exit;
mod files;
mod gate;
mod generate_key_pair;
mod identity;
mod inspect;
mod keyless;
mod keys;
mod levels;
mod list;
mod lock;
mod login;
mod logout;
mod man;
mod policy;
mod progress;
mod provenance;
mod pull;
mod push;
mod report;
mod sign;
mod signing;
mod stores;
mod tag;
mod terminal;
mod token;
mod training;
mod tree;
mod trust;
mod verify;

use std::convert::Infallible;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use modelctl::error::Error;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use report::{Failure, Report};
use terminal::Terminal;

/// Carries ML models through OCI registries with proof of who made them and how.
///
/// A REF is `HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]` in a registry, or
/// `oci:PATH[:TAG][@DIGEST]` in an OCI image layout on disk, which needs no server.
#[derive(Parser)]
#[command(
    name = "modelctl",
    version,
    arg_required_else_help = true,
    subcommand_required = true
)]
#[command(after_long_help = EXAMPLES, infer_subcommands = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  modelctl generate-key-pair
  modelctl push oci:./store:v1 ./bert --sign --key cosign.key
  modelctl pull oci:./store:v1 ./out --verify --key cosign.pub
  modelctl tree oci:./store:v1 --key cosign.pub

Exit codes:
  0 done   1 failed   2 usage, or an unreadable key   3 not verified
  4 wrong or unsafe content   5 not found   6 not authorised
  7 network or registry (a retry may help)   8 local disk   130/143 signals";

/// How results are told.
#[derive(Args, Clone, Copy)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Print one JSON document on stdout (schemas: docs/json.md).
    #[arg(long, global = true)]
    json: bool,
    /// Say nothing on stderr but errors.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more on stderr: -v requests, -vv everything. Secrets are never shown.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    Push(push::PushArgs),
    Pull(pull::PullArgs),
    Sign(sign::SignArgs),
    Attest(attest::AttestArgs),
    Verify(verify::VerifyArgs),
    Inspect(inspect::InspectArgs),
    Tree(tree::TreeArgs),
    Copy(copy::CopyArgs),
    List(list::ListArgs),
    Tag(tag::TagArgs),
    Cache(cache::CacheArgs),
    Policy(policy::PolicyCommand),
    Audit(audit::AuditCommand),
    Login(login::LoginArgs),
    Logout(logout::LogoutArgs),
    GenerateKeyPair(generate_key_pair::GenerateKeyPairArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

impl Command {
    /// Returns the command's name, as its JSON schema has it.
    fn name(&self) -> &'static str {
        match self {
            Self::Push(_) => "push",
            Self::Pull(_) => "pull",
            Self::Sign(_) => "sign",
            Self::Attest(_) => "attest",
            Self::Verify(_) => "verify",
            Self::Inspect(_) => "inspect",
            Self::Tree(_) => "tree",
            Self::Copy(_) => "copy",
            Self::List(_) => "list",
            Self::Tag(_) => "tag",
            Self::Cache(args) => args.name(),
            Self::Policy(_) => "policy",
            Self::Audit(args) => args.name(),
            Self::Login(_) => "login",
            Self::Logout(_) => "logout",
            Self::GenerateKeyPair(_) => "generate-key-pair",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }

    async fn run(self, terminal: &Terminal) -> Result<Report, Failure> {
        match self {
            Self::Push(args) => push::run(args, terminal).await,
            Self::Pull(args) => pull::run(args, terminal).await,
            Self::Sign(args) => sign::run(args, terminal).await,
            Self::Attest(args) => attest::run(args, terminal).await,
            Self::Verify(args) => verify::run(args, terminal).await,
            Self::Inspect(args) => inspect::run(args, terminal).await,
            Self::Tree(args) => tree::run(args, terminal).await,
            Self::Copy(args) => copy::run(args, terminal).await,
            Self::List(args) => list::run(args, terminal).await,
            Self::Tag(args) => tag::run(args, terminal).await,
            Self::Cache(args) => cache::run(args).await,
            Self::Policy(args) => policy::run(args, terminal).await,
            Self::Audit(args) => audit::run(args, terminal).await,
            Self::Login(args) => login::run(args, terminal).await,
            Self::Logout(args) => logout::run(args, terminal).await,
            Self::GenerateKeyPair(args) => generate_key_pair::run(args, terminal),
            Self::Completions(args) => completions::run(args),
            Self::Man(args) => man::run(args),
        }
    }
}

/// Reads an argument; the way out of a mistake stands with it.
pub(crate) fn parse<T: FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Error| match error.advice() {
        Some(hint) => format!("{error}\n\nhint: {hint}"),
        None => error.to_string(),
    })
}

/// Runs a command on a thread of its own, where a question to the user holds no signal up, until
/// what is returned first is dropped. What is dropped with the command then removes what was half
/// done.
fn start(
    command: Command,
    terminal: &Arc<Terminal>,
) -> (
    oneshot::Sender<Infallible>,
    oneshot::Receiver<Result<Report, Failure>>,
) {
    let (stop, stopped) = oneshot::channel();
    let (done, outcome) = oneshot::channel();
    let (runtime, terminal) = (Handle::current(), Arc::clone(terminal));
    let run = move || {
        runtime.block_on(async {
            tokio::select! {
                // Nobody waits for the outcome of a command that was stopped.
                outcome = command.run(&terminal) => drop(done.send(outcome)),
                _ = stopped => {}
            }
        });
    };
    // If no thread can be had, the outcome's other end is dropped, which tells it.
    let _ = std::thread::Builder::new().stack_size(STACK).spawn(run);
    (stop, outcome)
}

/// The stack that a program's first thread has, too.
const STACK: usize = 8 << 20;

/// What a command that is told to stop gets to clean up.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// Runs the command line and returns its exit code.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    let terminal = Arc::new(Terminal::new(cli.output));
    let name = cli.command.name();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return exit::no_runtime(&terminal, error),
    };
    let modes = terminal::Modes::now();
    let code = runtime.block_on(async {
        // Before anything is begun that a signal could leave half done.
        let signals = exit::Signals::listen();
        let (stop, mut outcome) = start(cli.command, &terminal);
        tokio::select! {
            outcome = &mut outcome => exit::finish(&terminal, name, exit::received(outcome)),
            signal = signals.received() => {
                drop(stop);
                let _ = tokio::time::timeout(LAST_MOMENT, outcome).await;
                modes.restore();
                signal
            }
        }
    });
    // Work on blocking threads sees its channel closed and ends; it gets a moment for it.
    runtime.shutdown_timeout(LAST_MOMENT);
    code
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
