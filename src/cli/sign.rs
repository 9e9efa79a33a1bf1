//! `modelctl sign`.

use std::path::Path;

use clap::Args;
use modelctl::error::{Error, Reason};
use modelctl::reference::Reference;
use modelctl::unpack::Existing;
use modelctl::verify::Artifact;
use modelctl::{model_signature, oms};
use serde::Serialize;
use serde_json::Map;

use super::attachment::{Attachment, Target, annotation};
use super::audit::{AuditArgs, Recorder};
use super::files::FilesArgs;
use super::report::{Failure, Report};
use super::signing::SigningArgs;
use super::stores::RegistryArgs;
use super::terminal::Terminal;
use super::verify::is_directory;

/// Sign an artifact, with a bundle that `cosign verify` accepts; or a directory, with a model
/// signature that `model_signing verify` accepts.
///
/// For a REF, the bundle is attached, and the pinned reference that was signed is printed; signing
/// twice as the same signer does nothing the second time. For a directory (a path that starts with
/// `./`, `../` or `/`), every file is listed with its digest, and the signed list is written to
/// `model.sig` in it, or to `--signature`, whose path is printed. Without `--key`, an identity token
/// says who signs.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl sign oci:./store:v1 --key cosign.key
  modelctl sign registry.example.com/acme/bert@sha256:… --key env://SIGNING_KEY --oms
  modelctl sign registry.example.com/acme/bert:v1 --key cosign.key --compat legacy
  modelctl sign oci:./store:v1 --key release.key --certificate release.pem
  modelctl sign oci:./store:v1 \\
      --key 'pkcs11:token=release;object=signing?module-path=/usr/lib/libp11.so'
  modelctl sign registry.example.com/acme/bert:v1 --identity-token token.jwt --yes
  modelctl sign ./bert --key cosign.key
  modelctl sign ./bert --signature bert.sig --ignore-paths ./bert/logs --key cosign.key")]
pub(super) struct SignArgs {
    /// What to sign: name an artifact by digest where a tag might move.
    #[arg(value_name = "REF|DIR")]
    target: String,
    /// Sign this with it, as `cosign sign -a` does (repeatable).
    #[arg(long, short = 'a', value_name = "K=V", value_parser = annotation)]
    annotation: Vec<(String, String)>,
    /// Attach a model signature (OMS) on the files of a REF too, as `push --sign` does.
    #[arg(long)]
    oms: bool,
    /// Replace a signature file that is there already.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    files: FilesArgs,
    #[command(flatten)]
    signing: SigningArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    audit: AuditArgs,
}

/// A signed or attested artifact, in JSON.
#[derive(Serialize)]
struct Signed {
    reference: String,
    digest: String,
    referrers: Vec<Attachment>,
}

pub(super) async fn run(args: SignArgs, terminal: &Terminal) -> Result<Report, Failure> {
    let recorder = args.audit.recorder("sign", &args.target).await?;
    let signed = match is_directory(&args.target) {
        true => sign_directory(Path::new(&args.target), &args, &recorder, terminal).await,
        false => sign_artifact(&args, &recorder, terminal).await,
    };
    recorder.finish(signed).await
}

async fn sign_artifact(
    args: &SignArgs,
    recorder: &Recorder,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let directory_only = args.force.then_some("--force").or(args.files.given());
    if let Some(flag) = directory_only {
        let message = format!("`{flag}` is for directories");
        return Err(Error::new(Reason::Usage, message)
            .hint("name a directory so that it cannot be a reference: `./bert`")
            .into());
    }
    let reference: Reference = args.target.parse()?;
    let is_legacy = args.signing.is_legacy();
    let signing = args.signing.prepare(&args.registry, terminal)?;
    let store = args
        .registry
        .stores(terminal)?
        .write(reference.location())?;
    let artifact = Artifact::resolve(&*store, &reference).await?;
    let by = signing.signer(terminal).await?;
    let to = Target {
        store: &*store,
        artifact: &artifact,
        signer: &*by.signer,
        is_legacy,
        recorder,
    };
    let annotations = args.annotation.iter().cloned();
    let annotations = annotations.map(|(key, value)| (key, value.into()));
    let mut to = to.open().await?;
    let signed = to.sign(annotations.collect::<Map<_, _>>()).await?;
    let before = if signed.existed { " before" } else { "" };
    let summary = format!("signed{before} by {}", by.name);
    let mut referrers = vec![signed];
    if args.oms {
        let name = reference.location().last_component().unwrap_or("model");
        referrers.push(to.sign_model(name).await?);
    }
    Ok(report(&artifact, referrers)?.say(summary))
}

/// A signed directory, in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedDirectory<'a> {
    directory: &'a Path,
    signature: &'a Path,
    predicate_type: &'static str,
}

/// Lists and signs the files of a directory.
async fn sign_directory(
    directory: &Path,
    args: &SignArgs,
    recorder: &Recorder,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    if args.signing.is_legacy() {
        let message = "`--compat` is for artifacts";
        return Err(Error::new(Reason::Usage, message).into());
    }
    if args.oms || !args.annotation.is_empty() {
        let message = "a directory gets a model signature, which has no annotations";
        return Err(Error::new(Reason::Usage, message).into());
    }
    let signing = args.signing.prepare(&args.registry, terminal)?;
    let signature = args.files.signature_of(directory);
    // Nobody waits for the hashing of what cannot be written down.
    if !args.force && signature.exists() {
        return Err(model_signature::exists(&signature).into());
    }
    let tree = args.files.tree(directory)?;
    let by = signing.signer(terminal).await?;
    let signer = &*by.signer;
    recorder.signing_directory(signer, oms::PREDICATE).await?;
    let bundle = model_signature::sign(directory, &tree, signer, terminal.progress()).await?;
    let existing = match args.force {
        true => Existing::Replace,
        false => Existing::Refuse,
    };
    model_signature::write(&signature, &bundle, existing)?;
    let signed = SignedDirectory {
        directory,
        signature: &signature,
        predicate_type: oms::PREDICATE,
    };
    let summary = format!("signed {} by {}", directory.display(), by.name);
    Ok(Report::of(&signed)?.line(signature.display()).say(summary))
}

/// Returns what `sign` and `attest` report of attached statements.
pub(super) fn report(artifact: &Artifact, referrers: Vec<Attachment>) -> Result<Report, Error> {
    let signed = Signed {
        reference: artifact.pinned().to_string(),
        digest: artifact.digest().to_string(),
        referrers,
    };
    Ok(Report::of(&signed)?.line(artifact.pinned()))
}
