//! `modelctl sign`.

use clap::Args;
use jiff::Timestamp;
use modelctl::attest::{sign, sign_legacy};
use modelctl::error::{Error, Reason};
use modelctl::reference::Reference;
use modelctl::statement;
use modelctl::verify::Artifact;
use serde::Serialize;

use super::attest::attachment;
use super::parse;
use super::push::Attachment;
use super::report::{Failure, Report};
use super::signing::SigningArgs;
use super::stores::RegistryArgs;
use super::terminal::Terminal;

/// Sign an artifact: attach a Sigstore bundle that `cosign verify` accepts too.
///
/// Prints the pinned reference that was signed. Signing twice as the same signer does nothing the
/// second time. Without `--key`, an identity token says who signs.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl sign oci:./store:v1 --key cosign.key
  modelctl sign registry.example.com/acme/bert@sha256:… --key env://SIGNING_KEY
  modelctl sign registry.example.com/acme/bert:v1 --key cosign.key --compat legacy
  modelctl sign oci:./store:v1 --key release.key --certificate release.pem
  modelctl sign oci:./store:v1 \\
      --key 'pkcs11:token=release;object=signing?module-path=/usr/lib/libp11.so'
  modelctl sign registry.example.com/acme/bert:v1 --identity-token token.jwt --yes")]
pub(super) struct SignArgs {
    /// What to sign: name it by digest where a tag might move.
    #[arg(value_name = "REF", value_parser = parse::<Reference>)]
    reference: Reference,
    /// Sign this with it, as `cosign sign -a` does (repeatable).
    #[arg(long, short = 'a', value_name = "K=V")]
    annotation: Vec<String>,
    #[command(flatten)]
    signing: SigningArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// A signed or attested artifact, in JSON.
#[derive(Serialize)]
struct Signed {
    reference: String,
    digest: String,
    referrers: Vec<Attachment>,
}

pub(super) async fn run(args: SignArgs, terminal: &Terminal) -> Result<Report, Failure> {
    let mut annotations = serde_json::Map::new();
    for option in &args.annotation {
        let Some((key, value)) = option.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(Error::new(Reason::Usage, format!("`-a {option}` is not K=V")).into());
        };
        annotations.insert(key.to_owned(), value.into());
    }
    let is_legacy = args.signing.is_legacy();
    let signing = args.signing.prepare(&args.registry, terminal)?;
    let store = args
        .registry
        .stores(terminal)?
        .write(args.reference.location())?;
    let artifact = Artifact::resolve(&*store, &args.reference).await?;
    let by = signing.signer(terminal).await?;
    let now = Timestamp::now();
    let signer = &*by.signer;
    let done = sign(&*store, &artifact, annotations.clone(), signer, now).await?;
    let legacy = match is_legacy {
        true => Some(sign_legacy(&*store, &artifact, annotations, signer).await?),
        false => None,
    };
    let by = by.name;
    let summary = match done.existed {
        true => format!("signed before by {by}"),
        false => format!("signed by {by}"),
    };
    let attached = attachment(statement::SIGNATURE, done, legacy);
    Ok(report(&artifact, attached)?.say(summary))
}

/// Returns what `sign` and `attest` report of one attached statement.
pub(super) fn report(artifact: &Artifact, attached: Attachment) -> Result<Report, Error> {
    let signed = Signed {
        reference: artifact.pinned().to_string(),
        digest: artifact.digest().to_string(),
        referrers: vec![attached],
    };
    Ok(Report::of(&signed)?.line(artifact.pinned()))
}
