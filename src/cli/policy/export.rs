//! `modelctl policy export`.

use std::path::Path;

use clap::{Args, ValueEnum};
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::policy::export::{Export, Files, Loss, Target, export};
use modelctl::policy::file::{Instance, PolicyFile, Trusted};
use serde::Serialize;

use super::super::report::{Failure, Report};
use super::super::stores::read;
use super::super::terminal::printable;
use super::{PolicyArgs, roots};

/// Write a policy file for another tool: an admission controller or a container engine.
///
/// What the other tool cannot be asked is told on stderr, and where the format has comments, there.
/// If that would let through what the policy file refuses, nothing is written and the exit code is 1,
/// unless `--allow-weaker` is given.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl policy export --format cluster-image-policy --policy policy.toml > policy.yaml
  modelctl policy export --format kyverno --policy policy.toml --name models --allow-weaker
  modelctl policy export --format containers --policy policy.toml --json")]
pub(super) struct ExportArgs {
    /// For which tool.
    #[arg(long, value_name = "FORMAT")]
    format: FormatArg,
    /// Export only the policy that is called NAME.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Write the export although it lets through what the policy file refuses.
    #[arg(long)]
    allow_weaker: bool,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// The formats of other tools.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum FormatArg {
    /// Sigstore's policy-controller, 0.13 or newer.
    ClusterImagePolicy,
    /// Kyverno, 1.18 or newer.
    Kyverno,
    /// Podman, Buildah, Skopeo and CRI-O: `policy.json`.
    Containers,
    /// Notation: `trustpolicy.json`.
    Notation,
}

impl FormatArg {
    fn target(self) -> Target {
        match self {
            Self::ClusterImagePolicy => Target::ClusterImagePolicy,
            Self::Kyverno => Target::Kyverno,
            Self::Containers => Target::Containers,
            Self::Notation => Target::Notation,
        }
    }
}

#[derive(Serialize)]
struct Exported<'a> {
    format: FormatArg,
    weaker: bool,
    losses: &'a [Loss],
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

pub(super) fn run(args: &ExportArgs) -> Result<Report, Failure> {
    let file = args.policy.file()?.ok_or_else(|| {
        Error::new(Reason::Usage, "there is no policy file")
            .hint("name one: `--policy policy.toml`; `modelctl policy init` writes one")
    })?;
    let files = named(&file)?;
    let export = export(&file, args.name.as_deref(), &files, args.format.target())?;
    let lines = export
        .losses
        .iter()
        .map(|loss| printable(&loss.to_string()));
    if export.is_weaker() && !args.allow_weaker {
        let data = data(args, &export, None);
        return Err(weaker(&file).with(&data).details(lines.collect()));
    }
    let mut report = Report::of(&data(args, &export, Some(&export.text)))?;
    report.stdout.clone_from(&export.text);
    Ok(lines.fold(report, Report::say))
}

fn data<'a>(args: &ExportArgs, export: &'a Export, text: Option<&'a str>) -> Exported<'a> {
    Exported {
        format: args.format,
        weaker: export.is_weaker(),
        losses: &export.losses,
        text,
    }
}

fn weaker(file: &PolicyFile) -> Failure {
    let message = format!(
        "the export would let through what `{}` refuses",
        file.path.display()
    );
    let error = Error::new(Reason::PolicyExportWeaker, message)
        .hint("`--allow-weaker` writes it all the same; `--name` exports one policy alone");
    Failure::from(error)
}

/// Reads the files that an export has in it: public keys, and where trust in TUF begins.
fn named(file: &PolicyFile) -> Result<Files> {
    let mut files = Files::new();
    let mut take = |path: &Path| {
        files.insert(path.to_owned(), read(path, limits::TRUSTED_ROOT)?);
        Ok(())
    };
    for (name, trusted) in &file.authorities {
        if let Trusted::Keys { keys, .. } = trusted {
            for key in keys {
                // What is no public key is to be told here, and not by the other tool.
                roots::key(name, key)?;
                take(&key.file)?;
            }
        }
    }
    for instance in file.instances.values() {
        if let Instance::Repository { root, .. } = instance {
            take(root)?;
        }
    }
    Ok(files)
}
