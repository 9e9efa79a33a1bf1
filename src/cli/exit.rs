//! Outcomes to exit codes: the one place where they are decided.

use std::process::ExitCode;

use modelctl::error::{Class, Error, Reason};

use super::report::{Failure, Report};
use super::terminal::{self, Terminal};

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
    let told = match &outcome {
        Ok(report) => terminal.report(command, report),
        Err(failure) => terminal.failure(command, failure),
    };
    match (outcome, told) {
        (Err(failure), _) => code(failure.error.reason().class()).into(),
        (Ok(_), Ok(())) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough (`| head`).
        (Ok(_), Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        (Ok(_), Err(_)) => code(Class::Disk).into(),
    }
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
pub(super) fn no_runtime(terminal: &Terminal, error: std::io::Error) -> ExitCode {
    let error = Error::new(Reason::Internal, "cannot start").because(error);
    finish(terminal, "modelctl", Err(error.into()))
}

/// Waits for a signal that asks to stop, and returns its exit code. The command's future is then
/// dropped, which removes what was half done.
pub(super) async fn signal() -> ExitCode {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => ExitCode::from(130),
        _ = terminate.recv() => ExitCode::from(143),
    }
}
