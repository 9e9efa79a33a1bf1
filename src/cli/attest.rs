//! `modelctl attest`.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use modelctl::attest::Attached;
use modelctl::error::Result;
use modelctl::limits;
use modelctl::predicate::{self, PredicateType};
use modelctl::reference::Reference;
use modelctl::verify::Artifact;
use serde_json::Value;

use super::push::Attachment;
use super::report::{Failure, Report};
use super::signing::SigningArgs;
use super::stores::{RegistryArgs, read};
use super::terminal::Terminal;
use super::{parse, sign};

/// Attach a signed statement about an artifact: provenance, evaluation results, an SBOM.
///
/// TYPE is one of cosign's short names (slsaprovenance1, cyclonedx, spdxjson, vuln, openvex,
/// custom, …) or any predicate type URI. The shape of known types is checked.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl attest oci:./store:v1 --type slsaprovenance1 \\
      --predicate provenance.json --key cosign.key
  modelctl attest oci:./store:v1 --type https://example.com/review/v1 \\
      --predicate review.json --key cosign.key")]
pub(super) struct AttestArgs {
    /// What the statement is about.
    #[arg(value_name = "REF", value_parser = parse::<Reference>)]
    reference: Reference,
    /// The predicate's type.
    #[arg(long = "type", value_name = "TYPE", value_parser = parse::<PredicateType>)]
    predicate_type: PredicateType,
    /// The predicate, a JSON file.
    #[arg(long, value_name = "FILE")]
    predicate: PathBuf,
    #[command(flatten)]
    signing: SigningArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(super) async fn run(args: AttestArgs, terminal: &Terminal) -> Result<Report, Failure> {
    let predicate_type = args.predicate_type.as_str();
    let value = read_predicate(&args.predicate, &args.predicate_type)?;
    let signing = args.signing.prepare(&args.registry, terminal)?;
    let store = args
        .registry
        .stores(terminal)?
        .write(args.reference.location())?;
    let artifact = Artifact::resolve(&*store, &args.reference).await?;
    let by = signing.signer(terminal).await?;
    let (signer, now) = (&*by.signer, Timestamp::now());
    let attest = modelctl::attest::attest(&*store, &artifact, predicate_type, value, signer, now);
    let done = attest.await?;
    let by = by.name;
    let summary = match done.existed {
        true => format!("attested {predicate_type} before by {by}"),
        false => format!("attested {predicate_type} by {by}"),
    };
    Ok(sign::report(&artifact, vec![attachment(predicate_type, done)])?.say(summary))
}

/// Reads the predicate in the file at `path` and checks that it is what its type says.
pub(super) fn read_predicate(path: &Path, predicate_type: &PredicateType) -> Result<Value> {
    let bytes = read(path, limits::PREDICATE_FILE)?;
    predicate::read(&bytes, predicate_type).map_err(|error| error.at(path.display()))
}

/// Returns what was attached as JSON output has it.
pub(super) fn attachment(predicate_type: &str, attached: Attached) -> Attachment {
    Attachment {
        predicate_type: predicate_type.to_owned(),
        referrer: attached.referrer,
        existed: attached.existed,
    }
}
