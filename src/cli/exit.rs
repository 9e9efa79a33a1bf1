//! Outcomes to exit codes: the one place where they are decided.

use std::io;
use std::process::ExitCode;

use modelctl::error::{Class, Error, Reason};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot::error::RecvError;

use super::report::{Failure, Report};
use super::terminal::{self, Terminal};

/// The exit code after SIGINT, by the shells' custom of 128 and the signal's number.
const INTERRUPTED: u8 = 130;

/// The exit code after SIGTERM.
const TERMINATED: u8 = 143;

/// Returns the exit code of a class of failures (`docs/exit-codes.md`).
pub(super) const fn code(class: Class) -> u8 {
    match class {
        Class::Failed => 1,
        Class::Usage => 2,
        Class::NotVerified => 3,
        Class::Content => 4,
        Class::NotFound => 5,
        Class::NotAuthorised => 6,
        Class::Network => 7,
        Class::Disk => 8,
    }
}

/// Tells what a command came to.
pub(super) fn finish(
    terminal: &Terminal,
    command: &'static str,
    outcome: Result<Report, Failure>,
) -> ExitCode {
    if outcome.as_ref().is_err_and(is_interrupt) {
        return INTERRUPTED.into();
    }
    let told = match &outcome {
        Ok(report) => terminal.report(command, report),
        Err(failure) => terminal.failure(command, failure),
    };
    match (outcome, told) {
        (Err(failure), _) => code(failure.error.reason().class()).into(),
        (Ok(_), Ok(())) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough (`| head`).
        (Ok(_), Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        (Ok(_), Err(_)) => code(Class::Disk).into(),
    }
}

/// Whether the user answered a question by Ctrl-C, which then comes as an error and as a signal.
fn is_interrupt(failure: &Failure) -> bool {
    let source = std::error::Error::source(&failure.error);
    let source = source.and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| error.kind() == io::ErrorKind::Interrupted)
}

/// Tells what is wrong with the command line, or shows the help or version that was asked for.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    // Nothing is left to be told if even this cannot be written.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = error.render().to_string();
        let message = text
            .trim_start_matches("error: ")
            .lines()
            .next()
            .unwrap_or_default();
        let _ = terminal::print_failure("modelctl", &Error::new(Reason::Usage, message));
    }
    code(Class::Usage).into()
}

/// Tells that the program could not even start its threads.
pub(super) fn no_runtime(terminal: &Terminal, error: io::Error) -> ExitCode {
    let error = Error::new(Reason::Internal, "cannot start").because(error);
    finish(terminal, "modelctl", Err(error.into()))
}

/// Returns what a command on another thread came to.
pub(super) fn received(
    outcome: Result<Result<Report, Failure>, RecvError>,
) -> Result<Report, Failure> {
    outcome.unwrap_or_else(|_| Err(Error::new(Reason::Internal, "the command stopped").into()))
}

/// The signals that ask to stop.
pub(super) struct Signals(Option<(Signal, Signal)>);

impl Signals {
    /// Begins to listen: from now on these signals do not end the process by themselves.
    pub(super) fn listen() -> Self {
        let interrupt = signal(SignalKind::interrupt());
        Self(interrupt.ok().zip(signal(SignalKind::terminate()).ok()))
    }

    /// Waits for one, and returns its exit code.
    pub(super) async fn received(self) -> ExitCode {
        let Some((mut interrupt, mut terminate)) = self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => ExitCode::from(INTERRUPTED),
            _ = terminate.recv() => ExitCode::from(TERMINATED),
        }
    }
}
