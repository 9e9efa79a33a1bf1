//! `modelctl sign`.

use clap::Args;
use jiff::Timestamp;
use modelctl::error::{Error, Reason};
use modelctl::reference::Reference;
use modelctl::statement;
use modelctl::verify::Artifact;
use serde::Serialize;

use super::attest::attachment;
use super::keys::SignerArgs;
use super::parse;
use super::push::Attachment;
use super::report::{Failure, Report};
use super::stores::RegistryArgs;
use super::terminal::Terminal;

/// Sign an artifact: attach a Sigstore bundle that `cosign verify` accepts too.
///
/// Prints the pinned reference that was signed. Signing twice with one key does nothing the second
/// time.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl sign oci:./store:v1 --key cosign.key
  modelctl sign registry.example.com/acme/bert@sha256:… --key env://SIGNING_KEY")]
pub(super) struct SignArgs {
    /// What to sign: name it by digest where a tag might move.
    #[arg(value_name = "REF", value_parser = parse::<Reference>)]
    reference: Reference,
    /// Sign this with it, as `cosign sign -a` does (repeatable).
    #[arg(long, short = 'a', value_name = "K=V")]
    annotation: Vec<String>,
    #[command(flatten)]
    signer: SignerArgs,
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
    let signer = args.signer.signer(terminal)?;
    let store = args
        .registry
        .stores(terminal)?
        .write(args.reference.location())?;
    let artifact = Artifact::resolve(&*store, &args.reference).await?;
    let done =
        modelctl::attest::sign(&*store, &artifact, annotations, &signer, Timestamp::now()).await?;
    let by = signer.public_key().fingerprint();
    let summary = match done.existed {
        true => format!("signed before by {by}"),
        false => format!("signed by {by}"),
    };
    let signed = vec![attachment(statement::SIGNATURE, done)];
    Ok(report(&artifact, signed)?.say(summary))
}

/// Returns what `sign` and `attest` report of what they attached.
pub(super) fn report(artifact: &Artifact, referrers: Vec<Attachment>) -> Result<Report, Error> {
    let signed = Signed {
        reference: artifact.pinned().to_string(),
        digest: artifact.digest().to_string(),
        referrers,
    };
    Ok(Report::of(&signed)?.line(artifact.pinned()))
}
