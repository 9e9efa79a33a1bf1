//! Flags that say which formats of files are wanted.

use clap::{Args, ValueEnum};
use modelctl::content::{ContentRules, Format, Gate, Objection};

use super::parse;
use super::terminal::{Terminal, printable};

/// What a pull does with files that can harm.
#[derive(Args)]
pub(super) struct ContentArgs {
    /// Which files are refused, judged by their bytes and never by their name: all that are not
    /// plain data (strict); code, and what can carry or hide it, such as pickles (no-code); none,
    /// but those are told (warn); none (off).
    #[arg(long, value_name = "RULES", default_value = "no-code")]
    content: ContentArg,
    #[command(flatten)]
    formats: FormatArgs,
}

/// Which formats are wanted although they can harm.
#[derive(Args)]
pub(super) struct FormatArgs {
    /// Do not object to FORMAT, for example `torch-zip`, `pickle` or `python` (repeatable).
    #[arg(long, value_name = "FORMAT", value_parser = parse::<Format>)]
    allow_format: Vec<Format>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ContentArg {
    Strict,
    NoCode,
    Warn,
    Off,
}

impl ContentArgs {
    /// Returns the gate that every file must pass.
    pub(super) fn gate(&self) -> Gate {
        let rules = |rules| self.formats.allow(rules);
        match self.content {
            ContentArg::Strict => Gate::Refuse(rules(ContentRules::strict())),
            ContentArg::NoCode => Gate::Refuse(rules(ContentRules::without_code())),
            ContentArg::Warn => Gate::Warn(rules(ContentRules::without_code())),
            ContentArg::Off => Gate::Open,
        }
    }
}

impl FormatArgs {
    /// Returns `rules` that allow these formats as well.
    pub(super) fn allow(&self, rules: ContentRules) -> ContentRules {
        let formats = self.allow_format.iter();
        formats.fold(rules, |rules, format| rules.allow(*format))
    }
}

/// Tells the user of each objection, and what can be done about it.
pub(super) fn tell(objections: &[Objection], terminal: &Terminal) {
    for Objection { message, hint, .. } in objections {
        terminal.say(&printable(&format!("warning: {message}; {hint}")));
    }
}
