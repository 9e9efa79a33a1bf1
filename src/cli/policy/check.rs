//! `modelctl policy check`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use modelctl::content::{ContentRules, Danger, ExecutableBit, Format};
use modelctl::error::Result;
use modelctl::limits;
use modelctl::policy::file::{
    Instance, Mode, PolicyFile, RevocationPlace, ScopedPolicy, Trusted, Uncovered,
};
use modelctl::slsa::{self, Level};
use modelctl::trust::Authority;
use serde::Serialize;

use super::super::keyless::trusted_root;
use super::super::report::{Failure, Report, count, size};
use super::super::stores::read;
use super::place::load;
use super::roots;

/// Read a policy file and everything that it names on this machine, without using it.
///
/// What is wrong is told with line and column, and the exit code is 2. What is right but might
/// surprise is told as a note.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl policy check policy.toml
  modelctl policy check /etc/modelctl/policy.toml --json")]
pub(super) struct CheckArgs {
    /// The policy file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Serialize)]
struct Checked<'a> {
    file: String,
    digest: String,
    default: Uncovered,
    locked: bool,
    authorities: Vec<&'a str>,
    builders: Vec<Builder<'a>>,
    policies: Vec<Policy<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Builder<'a> {
    authority: &'a str,
    id: &'a str,
    level: Level,
}

#[derive(Serialize)]
struct Policy<'a> {
    name: &'a str,
    scopes: Vec<String>,
    mode: Mode,
    requirements: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a ContentRules>,
}

pub(super) fn run(args: &CheckArgs) -> Result<Report, Failure> {
    let file = load(&args.file)?;
    read_named(&file)?;
    let notes = notes(&file);
    let data = Checked {
        file: file.path.display().to_string(),
        digest: file.digest.to_string(),
        default: file.default,
        locked: file.locked,
        authorities: file.authorities.keys().map(String::as_str).collect(),
        builders: file.builders.iter().map(builder).collect(),
        policies: file.policies.iter().map(policy).collect(),
        notes: &notes,
    };
    let policies = match file.policies.len() {
        1 => "1 policy".to_owned(),
        several => format!("{several} policies"),
    };
    let scopes = file.policies.iter().map(|policy| policy.scopes.len()).sum();
    let summary = format!(
        "{} is a policy file: {policies} for {}",
        args.file.display(),
        count(scopes, "scope")
    );
    let mut report = Report::of(&data)?.say(summary).line(file.digest);
    for scoped in &file.policies {
        for line in scoped.policy.content().map(contents).unwrap_or_default() {
            report = report.say(format!("`{}` allows {line}", scoped.name));
        }
    }
    Ok(notes
        .iter()
        .fold(report, |report, note| report.say(format!("note: {note}"))))
}

fn builder(listed: &slsa::Builder) -> Builder<'_> {
    Builder {
        authority: listed.authority(),
        id: listed.id().as_str(),
        level: listed.level(),
    }
}

fn policy(scoped: &ScopedPolicy) -> Policy<'_> {
    Policy {
        name: &scoped.name,
        scopes: scoped.scopes.iter().map(ToString::to_string).collect(),
        mode: scoped.mode,
        requirements: scoped.policy.rules().len(),
        content: scoped.policy.content(),
    }
}

/// Reads the files that a policy names, so that a missing key shows now and not at a pull.
fn read_named(file: &PolicyFile) -> Result<()> {
    for instance in file.instances.values() {
        match instance {
            Instance::PublicGood => {}
            Instance::File(path) => drop(trusted_root(path)?),
            Instance::Repository { root, .. } => drop(read(root, limits::TRUSTED_ROOT)?),
        }
    }
    for (name, trusted) in &file.authorities {
        match trusted {
            Trusted::Keys { keys, .. } => {
                let read: Result<Vec<Authority>> =
                    keys.iter().map(|k| roots::key(name, k)).collect();
                read?;
            }
            Trusted::Certificates(trusted) => drop(roots::by_certificate(name, trusted)?),
            Trusted::Identity { .. } => {}
        }
    }
    if let Some(RevocationPlace::File(path)) = file.revocations.as_ref().map(|source| &source.place)
    {
        read(path, limits::BUNDLE)?;
    }
    Ok(())
}

/// Returns what `rules` allow, as lines that continue "it allows".
pub(super) fn contents(rules: &ContentRules) -> Vec<String> {
    let formats: Vec<_> = rules.allowed().map(Format::code).collect();
    let mut lines = vec![format!("files of the formats {}", formats.join(", "))];
    let limits = &rules.limits;
    lines.extend(limits.files.map(|most| format!("at most {most} files")));
    let sizes = [
        ("a file", limits.file_bytes),
        ("all files", limits.total_bytes),
    ];
    for (what, most) in sizes {
        lines.extend(most.map(|most| format!("at most {} for {what}", size(most))));
    }
    if rules.executable_bit == ExecutableBit::Deny {
        lines.push("no file that is declared to be executable".to_owned());
    }
    lines
}

/// Returns what a policy allows although it is code, or can carry or hide it.
fn code(scoped: &ScopedPolicy) -> impl Iterator<Item = Format> {
    let rules = scoped.policy.content().into_iter();
    let allowed = rules.flat_map(ContentRules::allowed);
    allowed.filter(|format| format.danger() == Danger::Code)
}

/// Returns what is right, but might surprise.
fn notes(file: &PolicyFile) -> Vec<String> {
    let mut notes = Vec::new();
    match file.default {
        Uncovered::Deny => {}
        Uncovered::Warn => notes.push("what no policy covers is used unverified".to_owned()),
        Uncovered::Allow => {
            notes.push("what no policy covers is used as if there were no policy".to_owned());
        }
    }
    let mut asked: BTreeSet<&str> = BTreeSet::new();
    for scoped in &file.policies {
        asked.extend(scoped.authorities());
        asked.extend(scoped.vouching());
        if scoped.mode == Mode::Warn {
            notes.push(format!("the policy `{}` only warns", scoped.name));
        }
        for format in code(scoped) {
            let (name, what) = (&scoped.name, format.description());
            notes.push(format!("the policy `{name}` allows `{format}`: {what}"));
        }
    }
    let revocations = file
        .revocations
        .iter()
        .flat_map(|source| &source.authorities);
    asked.extend(revocations.map(String::as_str));
    asked.extend(file.builders.iter().map(slsa::Builder::authority));
    for name in file.authorities.keys() {
        if !asked.contains(name.as_str()) {
            notes.push(format!("nobody asks for the authority `{name}`"));
        }
    }
    notes
}
