//! `modelctl push`.

use std::path::{Path, PathBuf};

use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use modelctl::blob::blocking;
use modelctl::digest_cache::DigestCache;
use modelctl::error::{Error, Reason, Result};
use modelctl::manifest::{Annotations, Descriptor};
use modelctl::pack::{Memory, PackOptions, Plan};
use modelctl::predicate::PredicateType;
use modelctl::provenance::claim::Claim;
use modelctl::push::{PushOptions, push};
use modelctl::reference::Reference;
use modelctl::selection::Selection;
use modelctl::sign::Signer;
use modelctl::store::Store;
use modelctl::verify::Artifact;
use serde::Serialize;

use super::keys::SignerArgs;
use super::report::{Failure, Report, count, size};
use super::stores::{ConcurrencyArgs, RegistryArgs};
use super::terminal::Terminal;
use super::training::{Place, TrainingArgs};
use super::{attest, environment, parse, training};

/// Pack a model directory and push it, signed and attested if asked.
///
/// Prints `REF@sha256:…`, the pinned reference, on stdout. The tag is set last: whoever finds it
/// finds the signature too.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl push oci:./store:v1 ./bert
  modelctl push registry.example.com/acme/bert:v1 ./bert --sign --key cosign.key
  modelctl push localhost:5000/bert:v1 ./bert --sign --key cosign.key \\
      --training-run run.toml --attest cyclonedx=bom.json")]
pub(super) struct PushArgs {
    /// Where to.
    #[arg(value_name = "REF", value_parser = parse::<Reference>)]
    reference: Reference,
    /// The model directory.
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Sign the artifact, with `--key`.
    #[arg(long, requires = "key")]
    sign: bool,
    /// Attach the predicate in FILE as an attestation of TYPE, signed with `--key` (repeatable).
    #[arg(long, value_name = "TYPE=FILE", requires = "key")]
    attest: Vec<String>,
    #[command(flatten)]
    training: TrainingArgs,
    /// Annotate the manifest (repeatable).
    #[arg(long, value_name = "K=V", value_parser = annotation)]
    annotation: Vec<(String, String)>,
    /// Pack only files that match GLOB (repeatable).
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Do not pack files that match GLOB (repeatable); a `.modelignore` file says the same.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Read and hash every file, also those that have not changed since they were pushed.
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    concurrency: ConcurrencyArgs,
}

fn annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("an annotation is `K=V`".to_owned()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pushed {
    reference: String,
    digest: String,
    files: usize,
    total_bytes: u64,
    uploaded_bytes: u64,
    reused_bytes: u64,
    referrers: Vec<Attachment>,
}

/// A referrer that a command attached, in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attachment {
    pub(super) predicate_type: String,
    pub(super) referrer: Descriptor,
    pub(super) existed: bool,
}

pub(super) async fn run(args: PushArgs, terminal: &Terminal) -> Result<Report, Failure> {
    if args.reference.digest().is_some() {
        return Err(
            Error::new(Reason::Usage, "`push` takes a tag, not a digest")
                .hint("the digest follows from the content; it is printed afterwards")
                .into(),
        );
    }
    let attests = args.training.is_given() || !args.attest.is_empty();
    if args.training.is_given() && args.signer.key.is_none() {
        return Err(Error::new(Reason::Usage, "`--training-run` needs a signer")
            .hint("name a key: `--key cosign.key`")
            .into());
    }
    if args.signer.key.is_some() && !args.sign && !attests {
        return Err(Error::new(
            Reason::Usage,
            "`--key` is given but nothing is to be signed",
        )
        .hint("add `--sign`, `--training-run FILE` or `--attest TYPE=FILE`")
        .into());
    }
    // Everything that can be wrong with keys and predicates shows before a byte is sent.
    let attestations = attestations(&args.attest)?;
    let signer = match args.signer.key {
        Some(_) => Some(args.signer.signer(terminal)?),
        None => None,
    };
    let memory = memory(&args, terminal);
    let stores = args.registry.stores(terminal)?;
    let place = Place {
        location: args.reference.location(),
        registry: &args.registry,
        stores: &stores,
    };
    let training = args
        .training
        .prepare(&place, memory.as_ref(), terminal)
        .await?;
    let options = PushOptions {
        pack: PackOptions {
            selection: Selection {
                include: args.include,
                exclude: args.exclude,
            },
            annotations: args.annotation.into_iter().collect::<Annotations>(),
            created: environment::source_date()?,
        },
        concurrency: args.concurrency.count(),
        memory,
    };
    let plan = Plan::read(&args.directory, &options.pack).await?;
    if let Some(training) = &training {
        training.check(&plan)?;
    }
    let store = stores.write(args.reference.location())?;
    let pushed = push(&*store, &plan, &options, terminal.progress()).await?;
    remember(options.memory, terminal).await;

    let artifact = Artifact::stored(args.reference.clone(), pushed.document.clone());
    let mut referrers = Vec::new();
    if let Some(signer) = &signer {
        let mut claims = attestations;
        if let Some(training) = &training {
            claims.extend(training.claims(&*store, &artifact).await?);
        }
        referrers = sign_and_attest(&*store, &artifact, args.sign, claims, signer).await?;
    }
    if let Some(tag) = args.reference.tag() {
        store.put_manifest(&pushed.document, Some(tag)).await?;
    }
    let reference = artifact.pinned();
    let summary = format!(
        "pushed {}, {} ({} sent, {} there already){}",
        count(pushed.files.len(), "file"),
        size(pushed.total_bytes),
        size(pushed.uploaded_bytes),
        size(pushed.reused_bytes),
        if args.sign {
            ", signed"
        } else {
            ", not signed"
        },
    );
    let report = Pushed {
        reference: reference.to_string(),
        digest: artifact.digest().to_string(),
        files: pushed.files.len(),
        total_bytes: pushed.total_bytes,
        uploaded_bytes: pushed.uploaded_bytes,
        reused_bytes: pushed.reused_bytes,
        referrers,
    };
    Ok(Report::of(&report)?.say(summary).line(reference))
}

/// Returns what earlier pushes hashed, unless that is not wanted or not to be had.
fn memory(args: &PushArgs, terminal: &Terminal) -> Option<Memory> {
    let directory = environment::cache_directory().filter(|_| !args.no_cache)?;
    let cache = DigestCache::open(&directory.join("digests"));
    if let Some(note) = cache.note() {
        terminal.say(note);
    }
    Some(Memory {
        cache: Arc::new(cache),
        clock: Timestamp::now,
    })
}

/// Writes down what this push hashed. It was a favour: without it, the next push reads again.
async fn remember(memory: Option<Memory>, terminal: &Terminal) {
    let Some(Memory { cache, .. }) = memory else {
        return;
    };
    if let Err(error) = blocking(move || cache.save()).await {
        terminal.say(&format!("digests are not remembered: {error}"));
    }
}

/// Reads what `--attest` names and checks its shape.
fn attestations(options: &[String]) -> Result<Vec<Claim>> {
    let parse = |option: &String| {
        let (name, file) = option.split_once('=').ok_or_else(|| {
            Error::new(
                Reason::Usage,
                format!("`--attest {option}` is not TYPE=FILE"),
            )
            .hint("for example `--attest slsaprovenance1=provenance.json`")
        })?;
        let predicate_type: PredicateType = name.parse()?;
        Ok(Claim {
            predicate: attest::read_predicate(Path::new(file), &predicate_type)?,
            predicate_type: predicate_type.into(),
            files: Vec::new(),
        })
    };
    options.iter().map(parse).collect()
}

async fn sign_and_attest(
    store: &dyn Store,
    artifact: &Artifact,
    sign: bool,
    claims: Vec<Claim>,
    signer: &dyn Signer,
) -> Result<Vec<Attachment>> {
    let now = Timestamp::now();
    let mut attached = Vec::new();
    if sign {
        let done =
            modelctl::attest::sign(store, artifact, serde_json::Map::new(), signer, now).await?;
        attached.push(attest::attachment(modelctl::statement::SIGNATURE, done));
    }
    attached.extend(training::attach(store, artifact, claims, signer).await?);
    Ok(attached)
}
