//! The terminal: data on stdout, talk on stderr, nothing from outside unescaped.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use modelctl::error::Error;
use modelctl::progress::Progress;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::{Map, Value, json};

use super::OutputArgs;
use super::exit;
use super::progress::{Bars, Lines, Quiet};
use super::report::{Failure, Report};

/// The version of every JSON document that commands print.
const SCHEMA_VERSION: &str = "v1";

/// Where results and talk go.
pub(super) struct Terminal {
    output: OutputArgs,
    progress: Arc<dyn Progress>,
}

impl Terminal {
    /// Returns the terminal that `output` describes.
    pub(super) fn new(output: OutputArgs) -> Self {
        start_log(output.verbose);
        let progress: Arc<dyn Progress> = match () {
            () if output.quiet => Arc::new(Quiet),
            () if io::stderr().is_terminal() && output.verbose == 0 => Arc::new(Bars::new()),
            () => Arc::new(Lines),
        };
        Self { output, progress }
    }

    /// Returns where long work tells how far it is.
    pub(super) fn progress(&self) -> Arc<dyn Progress> {
        Arc::clone(&self.progress)
    }

    /// Says a line on stderr, unless `--quiet`.
    pub(super) fn say(&self, line: &str) {
        if !self.output.quiet {
            self.progress.note(line);
        }
    }

    /// Prints what a command did.
    pub(super) fn report(&self, command: &str, report: &Report) -> io::Result<()> {
        for line in &report.summary {
            self.say(line);
        }
        if self.output.json {
            return print_json(command, report.json.clone());
        }
        io::stdout().lock().write_all(report.stdout.as_bytes())
    }

    /// Prints why a command failed: the reason's code, the sentence, and the way out.
    pub(super) fn failure(&self, command: &str, failure: &Failure) -> io::Result<()> {
        let error = &failure.error;
        for line in &failure.details {
            self.say(line);
        }
        let mut stderr = io::stderr().lock();
        writeln!(
            stderr,
            "error[{}]: {}",
            error.reason().code(),
            printable(&error.to_string())
        )?;
        if let Some(hint) = error.advice() {
            writeln!(stderr, "hint: {}", printable(hint))?;
        }
        if !self.output.json {
            return Ok(());
        }
        print_json(command, with_error(Map::clone(&failure.json), error))
    }
}

/// Prints a failure that came before anything was known, as JSON.
pub(super) fn print_failure(command: &str, error: &Error) -> io::Result<()> {
    print_json(command, with_error(Map::new(), error))
}

fn with_error(mut document: Map<String, Value>, error: &Error) -> Map<String, Value> {
    let value = json!({
        "reason": error.reason().code(),
        "exitCode": exit::code(error.reason().class()),
        "message": error.to_string(),
        "hint": error.advice(),
    });
    document.insert("error".to_owned(), value);
    document
}

fn print_json(command: &str, data: Map<String, Value>) -> io::Result<()> {
    let mut document = Map::new();
    document.insert(
        "schema".to_owned(),
        format!("modelctl.{command}/{SCHEMA_VERSION}").into(),
    );
    document.extend(data);
    let mut stdout = io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, &document)?;
    stdout.write_all(b"\n")
}

/// Returns `text` with everything escaped that could drive a terminal or reorder what is read on
/// it: names, annotations and errors come from strangers.
pub(super) fn printable(text: &str) -> String {
    let dangerous = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if dangerous(c) {
            shown.extend(c.escape_default())
        } else {
            shown.push(c)
        }
    }
    shown
}

/// Sends the library's events to stderr when `-v` asks for it; only ours, since other crates'
/// events may show headers.
fn start_log(verbose: u8) {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::prelude::*;
    let level = match verbose {
        0 => return,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .without_time();
    tracing_subscriber::registry()
        .with(layer)
        .with(Targets::new().with_target("modelctl", level))
        .init();
}

/// How the terminal behaved when the command began: a question for a secret turns the echo off, and
/// a signal can end the command before it is on again.
pub(super) struct Modes(Option<Termios>);

impl Modes {
    /// Returns the modes of now, if there is a terminal.
    pub(super) fn now() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }

    /// Sets them again.
    pub(super) fn restore(&self) {
        if let Some(modes) = &self.0 {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_from_outside_drives_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[31mb\u{7}\r\u{202e}c"),
            "a\\u{1b}[31mb\\u{7}\\r\\u{202e}c"
        );
        assert_eq!(printable("modèle 日本\nx"), "modèle 日本\nx");
    }
}
