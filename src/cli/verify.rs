//! `modelctl verify`.

use std::path::Path;

use clap::Args;
use modelctl::error::{Error, Reason};
use modelctl::installed::{Depth, Installed};
use modelctl::policy::{Pins, Verdict};
use modelctl::reference::{Location, Reference};
use modelctl::verify::{Artifact, verify};
use serde::Serialize;

use super::policy::{Applied, Asked, Basis, PolicyArgs, Ruling};
use super::report::{Failure, Report, count, size};
use super::stores::{MirrorArgs, RegistryArgs, Stores};
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
  modelctl verify registry.example.com/acme/bert:v1 --key a.pub --key b.pub \\
      --require slsaprovenance1
  modelctl verify ./bert --key cosign.pub --deep
  modelctl verify registry.example.com/acme/bert:v1 --policy policy.toml
  modelctl verify ./bert --trusted-root trusted_root.json \\
      --certificate-identity ci@example.com --certificate-oidc-issuer https://accounts.example.com")]
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
    policy: PolicyArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
}

#[derive(Serialize)]
struct Verified<'a> {
    verified: bool,
    reference: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a Applied>,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

impl VerifyArgs {
    /// Returns by what an artifact at `location` is judged.
    async fn basis(
        &self,
        location: &Location,
        stores: &Stores,
        terminal: &Terminal,
    ) -> Result<Basis, Error> {
        let asked = Asked {
            location,
            verify: true,
            pins: Pins::default(),
        };
        match self
            .policy
            .ruling(&self.trust, asked, stores, terminal)
            .await?
        {
            Ruling::Enforce(basis) | Ruling::Warn(basis) => Ok(basis),
            Ruling::Unchecked(_) => Err(TrustArgs::nobody()),
        }
    }
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
    let stores = args.registry.stores(terminal)?.through(&args.mirrors)?;
    let basis = args.basis(reference.location(), &stores, terminal).await?;
    let store = stores.read(reference.location())?;
    let artifact = Artifact::resolve(&*store, &reference).await?;
    let verification = verify(&*store, artifact, &basis.trust, &basis.policy).await?;
    let pinned = verification.artifact().pinned();
    let lines = explain(verification.verdict());
    let data = Verified {
        verified: verification.verdict().admits(),
        reference: pinned.to_string(),
        digest: verification.artifact().digest().to_string(),
        policy: basis.applied.as_ref(),
        verdict: verification.verdict(),
    };
    let json = serde_json::to_value(&data).unwrap_or_default();
    match verification.admit() {
        Err(error) => Err(Failure::from(error).with(&json).details(lines)),
        Ok(_) => {
            let report = Report::of(&json)?.with(&stores.sources())?;
            let report = report.say(format!("verified {pinned}"));
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
#[serde(rename_all = "camelCase")]
struct VerifiedDirectory<'a> {
    verified: bool,
    directory: &'a Path,
    reference: String,
    digest: String,
    files: usize,
    left_behind: usize,
    hashed_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a Applied>,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

/// Judges a pulled directory's bundles again, and then compares its files: nobody waits for the
/// hashing of what is not vouched for.
async fn verify_directory(
    directory: &Path,
    args: &VerifyArgs,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let depth = if args.deep { Depth::Deep } else { Depth::Quick };
    let installed = Installed::open(directory)?;
    let reference = installed.reference().to_string();
    let stores = args.registry.stores(terminal)?.through(&args.mirrors)?;
    let location = installed.reference().location();
    let basis = args.basis(location, &stores, terminal).await?;
    let verdict = installed.judge(&basis.trust, &basis.policy);
    let lines = explain(&verdict);
    let mut data = VerifiedDirectory {
        verified: false,
        directory,
        reference: reference.clone(),
        digest: installed.digest().to_string(),
        files: 0,
        left_behind: 0,
        hashed_bytes: 0,
        policy: basis.applied.as_ref(),
        verdict: &verdict,
    };
    if let Some(error) = modelctl::verify::refusal(&verdict, installed.reference()) {
        return Err(Failure::from(error).with(&data).details(lines));
    }
    let checked = installed.check(depth, terminal.progress()).await;
    let checked = checked.map_err(|error| Failure::from(error).with(&data))?;
    data.verified = true;
    data.files = checked.files;
    data.left_behind = checked.left_behind;
    data.hashed_bytes = checked.hashed_bytes;
    let summary = format!(
        "verified {}: {} of {reference} ({} read again)",
        directory.display(),
        count(checked.files, "file"),
        size(checked.hashed_bytes),
    );
    let report = Report::of(&data)?.say(summary);
    Ok(lines.into_iter().fold(report, Report::say).line(reference))
}
