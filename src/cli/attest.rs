//! `modelctl attest`.

use std::path::{Path, PathBuf};

use clap::Args;
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::predicate::{self, PredicateType};
use modelctl::provenance::claim::Claim;
use modelctl::reference::Reference;
use modelctl::verify::Artifact;
use serde_json::{Value, json};

use super::attachment::{Attachment, Target};
use super::audit::{AuditArgs, Recorder};
use super::report::{Failure, Report};
use super::signing::SigningArgs;
use super::stores::{RegistryArgs, Stores, read};
use super::terminal::Terminal;
use super::training::{Place, Training, TrainingArgs};
use super::{parse, sign, training};

/// Attach a signed statement about an artifact: provenance, evaluation results, an SBOM.
///
/// TYPE is one of cosign's short names (slsaprovenance1, cyclonedx, spdxjson, vuln, openvex,
/// custom, …) or any predicate type URI. The shape of known types is checked. `--training-run` makes
/// provenance and evaluation results from a run file; `--init` writes one that explains itself.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl attest oci:./store:v1 --type slsaprovenance1 \\
      --predicate provenance.json --key cosign.key
  modelctl attest oci:./store:v1 --type https://example.com/review/v1 \\
      --predicate review.json --key cosign.key
  modelctl attest --init
  modelctl attest oci:./store:v1 --training-run run.toml --key cosign.key")]
pub(super) struct AttestArgs {
    /// What the statement is about.
    #[arg(value_name = "REF", value_parser = parse::<Reference>)]
    #[arg(required_unless_present = "init")]
    reference: Option<Reference>,
    /// The predicate's type.
    #[arg(long = "type", value_name = "TYPE", value_parser = parse::<PredicateType>)]
    #[arg(requires = "predicate", required_unless_present_any = ["training_run", "evaluation", "init"])]
    predicate_type: Option<PredicateType>,
    /// The predicate, a JSON file.
    #[arg(long, value_name = "FILE", requires = "predicate_type")]
    #[arg(conflicts_with_all = ["training_run", "evaluation"])]
    predicate: Option<PathBuf>,
    /// Attach the results of the evaluations in this run file, and nothing else of it.
    #[arg(long, value_name = "FILE", conflicts_with = "training_run")]
    evaluation: Option<PathBuf>,
    /// Write a run file that explains every field, and do nothing else.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "run.toml")]
    #[arg(exclusive = true)]
    init: Option<PathBuf>,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    signing: SigningArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    audit: AuditArgs,
}

/// What is to be stated, known before the artifact is looked at.
enum Stated {
    Predicate(Claim),
    Training(Box<Training>),
}

pub(super) async fn run(args: AttestArgs, terminal: &Terminal) -> Result<Report, Failure> {
    if let Some(path) = &args.init {
        training::init(path)?;
        let report = Report::of(&json!({ "runFile": path }))?;
        return Ok(report.line(path.display()));
    }
    let Some(reference) = &args.reference else {
        return Err(Error::new(Reason::Usage, "nothing is named to be attested").into());
    };
    let recorder = args.audit.recorder("attest", reference).await?;
    let attested = attest(&args, reference, &recorder, terminal).await;
    recorder.finish(attested).await
}

async fn attest(
    args: &AttestArgs,
    reference: &Reference,
    recorder: &Recorder,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let stores = args.registry.stores(terminal)?;
    let stated = stated(args, reference, &stores, terminal).await?;
    let is_legacy = args.signing.is_legacy();
    let signing = args.signing.prepare(&args.registry, terminal)?;
    let store = stores.write(reference.location())?;
    let artifact = Artifact::resolve(&*store, reference).await?;
    let claims = match stated {
        Stated::Predicate(claim) => vec![claim],
        Stated::Training(training) => training.claims(&*store, &artifact).await?,
    };
    let by = signing.signer(terminal).await?;
    let to = Target {
        store: &*store,
        artifact: &artifact,
        signer: &*by.signer,
        is_legacy,
        recorder,
    };
    let done = to.open().await?.attest(claims).await?;
    let lines: Vec<_> = done.iter().map(|one| summary(one, &by.name)).collect();
    let report = sign::report(&artifact, done)?;
    Ok(lines.into_iter().fold(report, Report::say))
}

fn summary(done: &Attachment, by: &str) -> String {
    let before = if done.existed { " before" } else { "" };
    format!("attested {}{before} by {by}", done.predicate_type)
}

/// Reads and checks what the flags name.
async fn stated(
    args: &AttestArgs,
    reference: &Reference,
    stores: &Stores,
    terminal: &Terminal,
) -> Result<Stated> {
    if let (Some(predicate_type), Some(path)) = (&args.predicate_type, &args.predicate) {
        return Ok(Stated::Predicate(Claim {
            predicate: read_predicate(path, predicate_type)?,
            predicate_type: predicate_type.to_string(),
            files: Vec::new(),
        }));
    }
    let place = Place {
        location: reference.location(),
        registry: &args.registry,
        stores,
    };
    let training = match &args.evaluation {
        Some(path) => Some(training::evaluations(path, &place, terminal).await?),
        None => args.training.prepare(&place, None, terminal).await?,
    };
    training
        .map(|training| Stated::Training(Box::new(training)))
        .ok_or_else(|| Error::new(Reason::Usage, "nothing is named to be stated"))
}

/// Reads the predicate in the file at `path` and checks that it is what its type says.
pub(super) fn read_predicate(path: &Path, predicate_type: &PredicateType) -> Result<Value> {
    let bytes = read(path, limits::PREDICATE_FILE)?;
    predicate::read(&bytes, predicate_type).map_err(|error| error.at(path.display()))
}
