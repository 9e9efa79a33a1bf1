//! `modelctl verify`.

use std::path::Path;

use clap::Args;
use jiff::Timestamp;
use modelctl::chain::Chain;
use modelctl::error::{Error, Reason};
use modelctl::installed::{Depth, Installed};
use modelctl::model_signature::{self, Unsigned, VerifyOptions};
use modelctl::policy::{Pins, Policy, Requirement, Verdict};
use modelctl::reference::{Location, Reference};
use modelctl::verify::Artifact;
use serde::Serialize;
use serde_json::json;

use super::audit::{AuditArgs, Grounds, Recorder};
use super::cache::UseCacheArgs;
use super::chain::{ChainArgs, Setting, Walked, drawn};
use super::files::FilesArgs;
use super::levels::{self, SummaryArgs};
use super::lock::LockedArgs;
use super::policy::{Applied, Asked, Basis, PolicyArgs};
use super::report::{Failure, Report, count, size};
use super::stores::{MirrorArgs, RegistryArgs, Stores};
use super::terminal::Terminal;
use super::trust::{TrustArgs, explain};

/// Verify an artifact, or a directory that was pulled, without fetching weights.
///
/// For a REF: everything that `pull --verify` checks before it fetches. For a directory (a path
/// that starts with `./`, `../` or `/`): offline, its receipt and bundles against the keys given
/// now, and its files against the manifest. Files whose size and times are unchanged since the pull
/// are not read again; `--deep` reads every byte. With `--signature`, the directory's files against
/// a model signature (OMS), whoever made it; every byte is read.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl verify oci:./store:v1 --key cosign.pub
  modelctl verify registry.example.com/acme/bert:v1 --key a.pub --key b.pub \\
      --require slsaprovenance1
  modelctl verify ./bert --key cosign.pub --deep
  modelctl verify registry.example.com/acme/bert:v1 --policy policy.toml
  modelctl verify ./bert --key cosign.pub --locked
  modelctl verify registry.example.com/acme/bert:v1 --policy policy.toml --slsa-level 2 \\
      --emit-vsa --vsa-key verifier.key --verifier-id https://acme.example/verifier
  modelctl verify registry.example.com/acme/bert:v1 --ca-roots root.pem \\
      --ca-intermediates intermediate.pem --certificate-identity release@acme.example
  modelctl verify registry.example.com/acme/bert:v1 --key bert.pub --chain \\
      --chain-key base_model=upstream.pub
  modelctl verify ./bert --signature ./bert/model.sig --key release.pub
  modelctl verify ./bert --trusted-root trusted_root.json \\
      --certificate-identity ci@example.com --certificate-oidc-issuer https://accounts.example.com")]
pub(super) struct VerifyArgs {
    /// What to verify.
    #[arg(value_name = "REF|DIR")]
    target: String,
    /// Read every byte of a directory.
    #[arg(long)]
    deep: bool,
    /// With `--signature`, look at the listed files only, and at no other.
    #[arg(long, alias = "ignore_unsigned_files", requires = "signature")]
    ignore_unsigned_files: bool,
    #[command(flatten)]
    files: FilesArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    summary: SummaryArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
    #[command(flatten)]
    locked: LockedArgs,
    #[command(flatten)]
    cache: UseCacheArgs,
    #[command(flatten)]
    chain: ChainArgs,
    #[command(flatten)]
    audit: AuditArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified<'a> {
    verified: bool,
    reference: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence_collected: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a Applied>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slsa: Option<levels::Found>,
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
        let ruling = self.policy.ruling(&self.trust, asked, stores, terminal);
        ruling.await?.basis()
    }

    /// Returns what a walk of the chain depends on besides the flags about it.
    fn setting<'a>(&'a self, stores: &'a Stores, terminal: &'a Terminal) -> Setting<'a> {
        Setting {
            trust: &self.trust,
            registry: &self.registry,
            mirrors: &self.mirrors,
            stores,
            terminal,
        }
    }

    /// Returns `report` with the artifact's reference on stdout, and its chain there too if a flag
    /// asked for it.
    fn shown(
        &self,
        report: Report,
        chain: Option<&Chain>,
        pinned: &Reference,
    ) -> Result<Report, Failure> {
        let Some(chain) = chain else {
            return Ok(report.line(pinned));
        };
        let report = report.with(&Walked::new(chain))?;
        let lines = drawn(chain).into_iter();
        Ok(match self.chain.is_given() {
            true => lines.fold(report, Report::line),
            false => lines.fold(report, Report::say).line(pinned),
        })
    }
}

pub(super) async fn run(args: VerifyArgs, terminal: &Terminal) -> Result<Report, Failure> {
    let recorder = args.audit.recorder("verify", &args.target).await?;
    let verified = verify_target(&args, &recorder, terminal).await;
    recorder.finish(verified).await
}

async fn verify_target(
    args: &VerifyArgs,
    recorder: &Recorder,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    if args.files.signature.is_some() || is_directory(&args.target) {
        args.summary.refuse_for_directories()?;
    }
    let is_directory = is_directory(&args.target);
    if args.chain.is_given() && (is_directory || args.files.signature.is_some()) {
        let message =
            "a directory's chain is not walked: the models that it was made from are not in it";
        return Err(Error::new(Reason::Usage, message)
            .hint("name the artifact: `modelctl verify REF --chain`")
            .into());
    }
    if args.files.signature.is_some() {
        return verify_model(Path::new(&args.target), args, recorder, terminal).await;
    }
    if let Some(flag) = args.files.given() {
        let message = format!("`{flag}` is about model signatures");
        return Err(Error::new(Reason::Usage, message)
            .hint("name one: `--signature model.sig`")
            .into());
    }
    if is_directory {
        return verify_directory(Path::new(&args.target), args, recorder, terminal).await;
    }
    if args.deep {
        return Err(
            Error::new(Reason::Usage, "`--deep` reads a directory's files")
                .hint("name a pulled directory: `modelctl verify ./bert --deep`")
                .into(),
        );
    }
    verify_artifact(args, recorder, terminal).await
}

/// Verifies what is attached to `reference`, and says so to others if that is wanted.
async fn verify_artifact(
    args: &VerifyArgs,
    recorder: &Recorder,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let lock = args.locked.open()?;
    let reference: Reference = lock.reference(&args.target.parse()?)?;
    let stores = args.registry.stores(terminal)?.through(&args.mirrors)?;
    let basis = args.basis(reference.location(), &stores, terminal).await?;
    let summary = args.summary.prepare(basis.applied.as_ref(), terminal)?;
    let store = stores.read(reference.location())?;
    let artifact = Artifact::resolve(&*store, &reference).await?;
    lock.check(artifact.reference(), artifact.document())?;
    let recalled = args
        .cache
        .verify(&*store, artifact, &basis, &args.chain, terminal);
    let recalled = recalled.await?;
    let verification = recalled.verification;
    let pinned = verification.artifact().pinned();
    let slsa = levels::reached(&basis, verification.verdict());
    let mut lines = explain(verification.verdict());
    lines.extend(slsa.iter().flat_map(levels::Found::lines));
    let data = Verified {
        verified: verification.verdict().admits(),
        slsa,
        reference: pinned.to_string(),
        digest: verification.artifact().digest().to_string(),
        evidence_collected: recalled.collected,
        policy: basis.applied.as_ref(),
        verdict: verification.verdict(),
    };
    let json = serde_json::to_value(&data).unwrap_or_default();
    let digest = verification.artifact().digest();
    recorder.about(digest);
    let setting = args.setting(&stores, terminal);
    let walked = args.chain.walk(&*store, &verification, &basis, setting);
    let broken = |failure: Failure| failure.with(&json).with(&json!({ "verified": false }));
    let walked = walked.await.map_err(broken)?;
    recorder
        .judged(Grounds::from(&basis), Some(digest), verification.verdict())
        .await?;
    match verification.admit() {
        Err(error) => Err(Failure::from(error).with(&json).details(lines)),
        Ok(admitted) => {
            let report = Report::of(&json)?.with(&stores.sources())?;
            let report = report.say(format!("verified {pinned}"));
            let report = lines.into_iter().fold(report, Report::say);
            let report = args.shown(report, walked.as_ref(), &pinned)?;
            match summary {
                Some(summary) => summary.emit(&admitted, &stores, report).await,
                None => Ok(report),
            }
        }
    }
}

/// Whether `target` is a directory's path by the contract: `./`, `../` or `/` in front.
pub(super) fn is_directory(target: &str) -> bool {
    target == "."
        || target == ".."
        || ["./", "../", "/"]
            .iter()
            .any(|prefix| target.starts_with(prefix))
}

#[derive(Serialize)]
struct VerifiedModel<'a> {
    verified: bool,
    directory: &'a Path,
    signature: &'a Path,
    files: usize,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

/// Compares a directory, or a single file, with a model signature.
async fn verify_model(
    path: &Path,
    args: &VerifyArgs,
    recorder: &Recorder,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    if let Some(flag) = args.trust.requires() {
        let message = format!("`{flag}` is about what is attached to an artifact");
        return Err(Error::new(Reason::Usage, message)
            .hint("with `--signature`, that model signature is required and enough")
            .into());
    }
    args.locked.is_for_artifacts()?;
    let trust = args.trust.root(terminal).await?;
    let signature = args.files.signature_of(path);
    let options = VerifyOptions {
        tree: args.files.tree(path)?,
        unsigned: match args.ignore_unsigned_files {
            true => Unsigned::Ignore,
            false => Unsigned::Refuse,
        },
    };
    let bundles = model_signature::read(&signature)?;
    let policy = Policy::new([Requirement::ModelSignature])?;
    let progress = terminal.progress();
    let found = model_signature::verify(path, bundles, &trust, &policy, &options, progress).await?;
    let data = VerifiedModel {
        verified: found.verdict().admits(),
        directory: path,
        signature: &signature,
        files: found.files(),
        verdict: found.verdict(),
    };
    let json = serde_json::to_value(&data).unwrap_or_default();
    let grounds = Grounds {
        trust: &trust,
        applied: None,
    };
    recorder.judged(grounds, None, found.verdict()).await?;
    let lines = explain(found.verdict());
    let files = count(found.files(), "file");
    match found.admit() {
        Err(error) => Err(Failure::from(error).with(&json).details(lines)),
        Ok(_) => {
            let summary = format!("verified {}: {files}", path.display());
            let report = Report::of(&json)?.say(summary).line(path.display());
            Ok(lines.into_iter().fold(report, Report::say))
        }
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    slsa: Option<levels::Found>,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

/// Judges a pulled directory's bundles again, and then compares its files: nobody waits for the
/// hashing of what is not vouched for.
async fn verify_directory(
    directory: &Path,
    args: &VerifyArgs,
    recorder: &Recorder,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let depth = if args.deep { Depth::Deep } else { Depth::Quick };
    let installed = Installed::open(directory)?;
    let lock = args.locked.open()?;
    lock.check(installed.reference(), installed.document())?;
    let reference = installed.reference().to_string();
    let stores = args.registry.stores(terminal)?.through(&args.mirrors)?;
    let location = installed.reference().location();
    let basis = args.basis(location, &stores, terminal).await?;
    let verdict = installed.judge(&basis.trust, &basis.policy);
    let slsa = levels::reached(&basis, &verdict);
    let mut lines = explain(&verdict);
    lines.extend(slsa.iter().flat_map(levels::Found::lines));
    let mut data = VerifiedDirectory {
        verified: false,
        directory,
        reference: reference.clone(),
        digest: installed.digest().to_string(),
        files: 0,
        left_behind: 0,
        hashed_bytes: 0,
        policy: basis.applied.as_ref(),
        slsa,
        verdict: &verdict,
    };
    let digest = Some(installed.digest());
    recorder
        .judged(Grounds::from(&basis), digest, &verdict)
        .await?;
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
    let walked = "note: the policy asks for the whole chain, which was walked when it was pulled; \
                  `modelctl verify REF --chain` walks it again";
    let asks = basis.chain.as_ref().is_some_and(|c| c.rule().required);
    let report = asks.then_some(walked).into_iter().fold(report, Report::say);
    Ok(lines.into_iter().fold(report, Report::say).line(reference))
}
