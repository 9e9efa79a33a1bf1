//! `modelctl verify`.

use std::path::Path;

use clap::Args;
use modelctl::error::{Error, Reason};
use modelctl::installed::{self, Depth, Installed};
use modelctl::policy::Verdict;
use modelctl::reference::Reference;
use modelctl::verify::{Artifact, verify};
use serde::Serialize;

use super::report::{Failure, Report, size};
use super::stores::RegistryArgs;
use super::terminal::Terminal;
use super::trust::{TrustArgs, explain};

/// Verify an artifact, or a directory that was pulled, without fetching weights.
///
/// For a REF: everything that `pull --verify` checks before it fetches. For a directory (a path
/// that starts with `./`, `../` or `/`): offline, its receipt and bundles against the keys given
/// now, and its files against the manifest. Files whose size and times are unchanged since the pull
/// are not read again; `--deep` reads every byte.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl verify oci:./store:v1 --key cosign.pub
  modelctl verify registry.example.com/acme/bert:v1 --key a.pub --key b.pub --require slsaprovenance1
  modelctl verify ./bert --key cosign.pub --deep")]
pub(super) struct VerifyArgs {
    /// What to verify.
    #[arg(value_name = "REF|DIR")]
    target: String,
    /// Read every byte of a directory.
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Serialize)]
struct Verified<'a> {
    verified: bool,
    reference: String,
    digest: String,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

pub(super) async fn run(args: VerifyArgs, terminal: &Terminal) -> Result<Report, Failure> {
    if is_directory(&args.target) {
        return verify_directory(Path::new(&args.target), &args, terminal).await;
    }
    if args.deep {
        return Err(
            Error::new(Reason::Usage, "`--deep` reads a directory's files")
                .hint("name a pulled directory: `modelctl verify ./bert --deep`")
                .into(),
        );
    }
    let reference: Reference = args.target.parse()?;
    let (trust, policy) = (args.trust.root()?, args.trust.policy()?);
    let store = args.registry.stores(terminal)?.read(reference.location())?;
    let artifact = Artifact::resolve(&*store, &reference).await?;
    let verification = verify(&*store, artifact, &trust, &policy).await?;
    let pinned = verification.artifact().pinned();
    let lines = explain(verification.verdict());
    let data = Verified {
        verified: verification.verdict().admits(),
        reference: pinned.to_string(),
        digest: verification.artifact().digest().to_string(),
        verdict: verification.verdict(),
    };
    let json = serde_json::to_value(&data).unwrap_or_default();
    match verification.admit() {
        Err(error) => Err(Failure::from(error).with(&json).details(lines)),
        Ok(_) => {
            let report = Report::of(&json)?.say(format!("verified {pinned}"));
            Ok(lines.into_iter().fold(report, Report::say).line(pinned))
        }
    }
}

/// Whether `target` is a directory's path by the contract: `./`, `../` or `/` in front.
fn is_directory(target: &str) -> bool {
    target == "."
        || target == ".."
        || ["./", "../", "/"]
            .iter()
            .any(|prefix| target.starts_with(prefix))
}

#[derive(Serialize)]
struct VerifiedDirectory<'a> {
    verified: bool,
    directory: &'a Path,
    reference: String,
    digest: String,
    #[serde(flatten)]
    report: &'a installed::Report,
}

async fn verify_directory(
    directory: &Path,
    args: &VerifyArgs,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let (trust, policy) = (args.trust.root()?, args.trust.policy()?);
    let depth = if args.deep { Depth::Deep } else { Depth::Quick };
    let installed = Installed::open(directory)?;
    let reference = installed.reference().clone();
    let digest = installed.document().digest().to_string();
    let progress = terminal.progress();
    let found = installed.verify(&trust, &policy, depth, &*progress).await?;
    let mut lines = explain(&found.verdict);
    lines.extend(found.differences.iter().map(|difference| format!("no  {difference}")));
    let summary = format!(
        "verified {}: {} files of {reference} ({} read again)",
        directory.display(),
        found.files,
        size(found.hashed_bytes),
    );
    let data = VerifiedDirectory {
        verified: found.verdict.admits() && found.differences.is_empty(),
        directory,
        reference: reference.to_string(),
        digest,
        report: &found,
    };
    let json = serde_json::to_value(&data).unwrap_or_default();
    if let Err(error) = found.admit() {
        return Err(Failure::from(error).with(&json).details(lines));
    }
    let report = Report::of(&json)?.say(summary);
    Ok(lines.into_iter().fold(report, Report::say).line(reference))
}
