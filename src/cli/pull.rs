//! `modelctl pull`.

mod gate;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use modelctl::content::Objection;
use modelctl::download::Retry;
use modelctl::error::{Error, Reason, Result};
use modelctl::installed::Installed;
use modelctl::policy::Pins;
use modelctl::reference::Reference;
use modelctl::referrer::RawBundle;
use modelctl::selection::Selection;
use modelctl::sink::Io;
use modelctl::store::Store;
use modelctl::unpack::{self, Existing, PullOptions, pull};
use modelctl::verify::{Artifact, Proof, Verified, unverified_model_signatures};
use serde::Serialize;
use serde_json::{Map, Value};

use self::gate::{Admitted, Gate};
use super::audit::{AuditArgs, Recorder};
use super::cache::UseCacheArgs;
use super::chain::ChainArgs;
use super::content::{self, ContentArgs};
use super::lock::{Lock, LockArgs, Locked};
use super::parse;
use super::policy::{Applied, Asked, PolicyArgs};
use super::report::{Failure, Report, count, size};
use super::stores::{ConcurrencyArgs, MirrorArgs, RegistryArgs};
use super::terminal::{Terminal, printable};
use super::trust::TrustArgs;

/// Pull a model into a directory, verified before the first weight byte is fetched.
///
/// Who must have signed is said by flags and by policy files, which apply to what they cover even
/// without `--verify`.
///
/// DIR defaults to the repository's last component. Its path is printed on stdout, for
/// `model=$(modelctl pull REF --verify --key release.pub) && vllm serve "$model"`; an assignment,
/// because a shell runs `serve "$(…)"` also when the pull is refused. The directory appears only
/// when all of it is right; a refused pull leaves nothing behind.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl pull oci:./store:v1 ./bert --verify --key cosign.pub
  modelctl pull registry.example.com/acme/bert:v1 --verify \\
      --key release.pub --require slsaprovenance1
  modelctl pull oci:./store:v1 ./bert --verify --key cosign.pub --signature-out bert.sig
  modelctl pull registry.example.com/acme/bert:v1 --verify \\
      --certificate-identity-regexp 'https://github\\.com/acme/bert/.*' \\
      --certificate-oidc-issuer https://token.actions.githubusercontent.com
  modelctl pull localhost:5000/bert:v1 ./configs --include '*.json'
  modelctl pull localhost:5000/old:v1 --allow-format torch-zip
  modelctl pull registry.example.com/acme/bert:v1 --verify --policy policy.toml
  modelctl pull localhost:5000/bert:v1 /mnt/scratch/bert --io direct
  modelctl pull registry.example.com/acme/bert:v1 --verify --key release.pub \\
      --hosts-dir /etc/containerd/certs.d
  modelctl pull localhost:5000/bert:v2 /data/bert --force --cache-dir /data/cache
  modelctl pull registry.example.com/acme/bert:v1 --verify --key release.pub --lock
  modelctl pull registry.example.com/acme/bert:v1 --verify --key release.pub --locked")]
pub(super) struct PullArgs {
    /// Where from.
    #[arg(value_name = "REF", value_parser = parse::<Reference>)]
    reference: Reference,
    /// The new directory.
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Fetch nothing unless the artifact is signed by someone who is trusted.
    #[arg(long)]
    verify: bool,
    /// Write the attached model signature (OMS) to FILE, for `model_signing verify`.
    #[arg(long, value_name = "FILE")]
    signature_out: Option<PathBuf>,
    /// Replace DIR if it is a pulled model: the old one stays until the new one is complete.
    #[arg(long)]
    force: bool,
    /// Fetch only files that match GLOB; the subset is still verified (repeatable).
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Do not fetch files that match GLOB (repeatable).
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// How large files are written: through the page cache (buffered), which leaves the model
    /// there for whoever loads it next, or past it (direct), which takes less of the processor and
    /// of a container's memory. `auto` is buffered unless the model is larger than half of the
    /// memory that is available.
    #[arg(long, value_name = "HOW", default_value = "auto")]
    io: IoArg,
    #[command(flatten)]
    content: ContentArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
    #[command(flatten)]
    concurrency: ConcurrencyArgs,
    #[command(flatten)]
    cache: UseCacheArgs,
    #[command(flatten)]
    lock: LockArgs,
    #[command(flatten)]
    chain: ChainArgs,
    #[command(flatten)]
    audit: AuditArgs,
}

/// How large files are written.
#[derive(Clone, Copy, ValueEnum)]
enum IoArg {
    Auto,
    Buffered,
    Direct,
}

impl IoArg {
    fn choice(self) -> Option<Io> {
        match self {
            Self::Auto => None,
            Self::Buffered => Some(Io::Buffered),
            Self::Direct => Some(Io::Direct),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pulled {
    directory: PathBuf,
    reference: String,
    digest: String,
    files: usize,
    bytes: u64,
    fetched_bytes: u64,
    reused_bytes: u64,
    reused_files: usize,
    content: Vec<Objection>,
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unverified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Applied>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<Locked>,
    #[serde(flatten)]
    verdict: Value,
    #[serde(flatten)]
    chain: Value,
}

pub(super) async fn run(args: PullArgs, terminal: &Terminal) -> Result<Report, Failure> {
    if !args.verify && args.trust.is_given() {
        return Err(Error::new(
            Reason::Usage,
            "it is said who is trusted, but not `--verify`",
        )
        .hint("add `--verify`; without it nothing would be verified")
        .into());
    }
    if !args.verify && args.chain.is_given() {
        return Err(
            Error::new(Reason::Usage, "`--chain` is a part of verification")
                .hint("add `--verify`; without it nothing would be verified")
                .into(),
        );
    }
    let recorder = args.audit.recorder("pull", &args.reference).await?;
    let pulled = pull_model(&args, &recorder, terminal).await;
    recorder.finish(pulled).await
}

async fn pull_model(
    args: &PullArgs,
    recorder: &Recorder,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let directory = directory(args)?;
    let lock = args.lock.open()?;
    let reference = lock.reference(&args.reference)?;
    let stores = args.registry.stores(terminal)?.through(&args.mirrors)?;
    let store = stores.read(reference.location())?;
    let asked = Asked {
        location: reference.location(),
        verify: args.verify,
        pins: pins(args, &directory, &lock),
    };
    let ruling = args.policy.ruling(&args.trust, asked, &stores, terminal);
    let ruling = ruling.await?;
    let content = args.content.gate(&ruling)?;
    let gate = Gate {
        store: &*store,
        args,
        recorder,
        reference: &reference,
        stores: &stores,
        terminal,
    };
    let Admitted {
        artifact,
        applied,
        chain,
    } = gate.admit(ruling).await?;
    lock.admit(&artifact)?;
    let signature = model_signature(&*store, &artifact, args).await?;
    let options = options(args, content, terminal);
    let progress = terminal.progress();
    let pulled = pull(&*store, &artifact, &directory, &options, progress).await?;

    if let (Some(path), Some(raw)) = (&args.signature_out, &signature) {
        modelctl::model_signature::write_bytes(path, raw.bytes(), options.existing)?;
    }
    content::tell(&pulled.content, terminal);
    let locked = lock.record(&artifact)?;
    let lines: Vec<_> = locked
        .iter()
        .filter_map(Locked::line)
        .map(printable)
        .collect();
    let sources = stores.sources();
    let (path, summary) = (pulled.path.clone(), summary(&pulled, &artifact));
    let data = Pulled::of(pulled, &artifact, applied, locked, chain);
    let report = Report::of(&data)?.with(&sources)?.say(summary);
    let report = lines
        .into_iter()
        .chain(sources.line())
        .fold(report, Report::say);
    Ok(report.line(path.display()))
}

/// Returns how to pull.
fn options(args: &PullArgs, content: modelctl::content::Gate, terminal: &Terminal) -> PullOptions {
    PullOptions {
        selection: Selection {
            include: args.include.clone(),
            exclude: args.exclude.clone(),
        },
        existing: match args.force {
            true => Existing::Replace,
            false => Existing::Refuse,
        },
        concurrency: args.concurrency.count(),
        cache: args.cache.open(terminal),
        io: args.io.choice(),
        retry: Retry::default(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        now: Timestamp::now(),
        content,
    }
}

fn summary(pulled: &unpack::Pulled, artifact: &Verified<Artifact>) -> String {
    format!(
        "pulled {}, {} ({} fetched, {} from the cache), {}",
        count(pulled.files, "file"),
        size(pulled.bytes),
        size(pulled.bytes - pulled.reused_bytes),
        size(pulled.reused_bytes),
        match artifact.proof() {
            Proof::Verdict { .. } => "verified",
            Proof::Unchecked { .. } => "UNVERIFIED",
        }
    )
}

impl Pulled {
    fn of(
        pulled: unpack::Pulled,
        artifact: &Verified<Artifact>,
        policy: Option<Applied>,
        lock: Option<Locked>,
        chain: Value,
    ) -> Self {
        let (unverified, verdict) = match artifact.proof() {
            Proof::Verdict { verdict, .. } => {
                (None, serde_json::to_value(verdict).unwrap_or_default())
            }
            Proof::Unchecked { why, .. } => (Some(why.clone()), Value::Object(Map::new())),
        };
        Self {
            directory: pulled.path,
            reference: artifact.value().pinned().to_string(),
            digest: artifact.value().digest().to_string(),
            files: pulled.files,
            bytes: pulled.bytes,
            fetched_bytes: pulled.bytes - pulled.reused_bytes,
            reused_bytes: pulled.reused_bytes,
            reused_files: pulled.reused_files,
            content: pulled.content,
            verified: unverified.is_none(),
            unverified,
            policy,
            lock,
            verdict,
            chain,
        }
    }
}

/// Returns the model signature that is asked for, before anything is fetched: one by someone
/// trusted, or without `--verify` the one that is attached.
async fn model_signature(
    store: &dyn Store,
    artifact: &Verified<Artifact>,
    args: &PullArgs,
) -> Result<Option<RawBundle>, Error> {
    let Some(path) = &args.signature_out else {
        return Ok(None);
    };
    if !args.force && path.exists() {
        return Err(modelctl::model_signature::exists(path));
    }
    let found = match artifact.proof() {
        Proof::Verdict {
            model_signature, ..
        } => model_signature.iter().cloned().collect(),
        Proof::Unchecked { .. } => unverified_model_signatures(store, artifact.value()).await?,
    };
    let reference = artifact.value().reference();
    match <[RawBundle; 1]>::try_from(found) {
        Ok([raw]) => Ok(Some(raw)),
        Err(none) if none.is_empty() => {
            let message = format!("no model signature on the files of `{reference}` is attached");
            Err(Error::new(Reason::SignatureMissing, message)
                .hint("`modelctl tree` shows what is; `modelctl push --sign` attaches one"))
        }
        Err(_) => {
            let message = format!("`{reference}` has several model signatures");
            Err(Error::new(Reason::Usage, message)
                .hint("say whose is meant: `--verify --key release.pub`"))
        }
    }
}

fn directory(args: &PullArgs) -> Result<PathBuf, Error> {
    if let Some(directory) = &args.directory {
        return Ok(directory.clone());
    }
    let name = args.reference.location().last_component();
    name.map(PathBuf::from).ok_or_else(|| {
        Error::new(
            Reason::Usage,
            format!("`{}` gives the directory no name", args.reference),
        )
        .hint("name it: `modelctl pull REF DIR`")
    })
}

/// Returns what was accepted before: what is installed already and would be replaced, and what is
/// locked.
fn pins(args: &PullArgs, directory: &Path, lock: &Lock) -> Pins {
    let installed = args
        .force
        .then(|| Installed::open(directory).ok())
        .flatten();
    let installed = installed.iter().map(Installed::pin);
    installed.chain(lock.pin(&args.reference)).collect()
}
