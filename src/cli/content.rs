//! Flags that say which formats of files are wanted.

use clap::{Args, ValueEnum};
use modelctl::content::{ContentRules, Format, Gate, Objection};
use modelctl::error::{Error, Reason, Result};

use super::parse;
use super::policy::{Applied, Ruling};
use super::terminal::{Terminal, printable};

/// What a pull does with files that can harm.
#[derive(Args)]
pub(super) struct ContentArgs {
    /// Which files are refused, judged by their bytes and never by their name: all that are not
    /// plain data (strict); code, and what can carry or hide it, such as pickles (no-code); none,
    /// but those are told (warn); none (off). Without it: what the policy's `content` says, or
    /// no-code where no policy is enforced. Under a policy that is enforced, it can only refuse more.
    #[arg(long, value_name = "RULES")]
    content: Option<ContentArg>,
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
    /// Returns the gate that every file must pass: under a policy that is enforced, the policy's
    /// rules, which flags can only tighten.
    pub(super) fn gate(&self, ruling: &Ruling) -> Result<Gate> {
        let Ruling::Enforce(basis) = ruling else {
            return Ok(self.own());
        };
        match (basis.policy.content(), &basis.applied) {
            (Some(rules), Some(applied)) => self.tightened(rules, applied),
            _ => Ok(self.own()),
        }
    }

    /// Returns the gate that these flags alone mean.
    fn own(&self) -> Gate {
        let rules = |rules| self.formats.allow(rules);
        match self.content.unwrap_or(ContentArg::NoCode) {
            ContentArg::Strict => Gate::Refuse(rules(ContentRules::strict())),
            ContentArg::NoCode => Gate::Refuse(rules(ContentRules::without_code())),
            ContentArg::Warn => Gate::Warn(rules(ContentRules::without_code())),
            ContentArg::Off => Gate::Open,
        }
    }

    fn tightened(&self, policy: &ContentRules, applied: &Applied) -> Result<Gate> {
        let formats = &self.formats.allow_format;
        if let Some(format) = formats.iter().find(|format| !policy.allows(**format)) {
            return Err(loosens(&format!("--allow-format {format}"), applied));
        }
        let rules = match (self.content, self.own()) {
            (None, _) => policy.clone(),
            (Some(_), Gate::Refuse(own)) => policy.and(&own),
            (Some(_), Gate::Warn(_)) => return Err(loosens("--content warn", applied)),
            (Some(_), Gate::Open) => return Err(loosens("--content off", applied)),
        };
        Ok(Gate::Refuse(rules))
    }
}

fn loosens(flag: &str, applied: &Applied) -> Error {
    let message = format!("`{flag}` would loosen {}", applied.place());
    Error::new(Reason::Usage, message).hint(
        "leave it out: flags can only refuse more, as `--content strict` does; what may be in a \
         model is for the policy's `[policies.content]` to say",
    )
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
