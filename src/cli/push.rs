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
use modelctl::push::{PushOptions, push};
use modelctl::reference::Reference;
use modelctl::selection::Selection;
use modelctl::sign::Signer;
use modelctl::store::Store;
use modelctl::verify::Artifact;
use serde::Serialize;
use serde_json::Value;

use super::gate::{GateArgs, fresh};
use super::report::{Failure, Report, count, size};
use super::signing::SigningArgs;
use super::stores::{ConcurrencyArgs, RegistryArgs};
use super::terminal::Terminal;
use super::{attest, environment, parse};

/// Pack a model directory and push it, signed and attested if asked.
///
/// Prints `REF@sha256:…`, the pinned reference, on stdout. The tag is set last: whoever finds it
/// finds the signature too.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl push oci:./store:v1 ./bert
  modelctl push registry.example.com/acme/bert:v1 ./bert --sign --key cosign.key
  modelctl push registry.example.com/acme/bert:v1 ./bert --sign --identity-token token.jwt --yes
  modelctl push localhost:5000/bert:v1 ./bert --sign --key cosign.key \\
      --attest slsaprovenance1=provenance.json
  modelctl push registry.example.com/mirror/bert:v1 ./bert --require-signature --key publisher.pub")]
pub(super) struct PushArgs {
    /// Where to.
    #[arg(value_name = "REF", value_parser = parse::<Reference>)]
    reference: Reference,
    /// The model directory.
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Sign the artifact, with `--key` or as whoever an identity token names: a signature that
    /// `cosign verify` accepts, and a model signature on its files that `model_signing verify`
    /// accepts.
    #[arg(long)]
    sign: bool,
    /// With `--sign`, attach no model signature.
    #[arg(long, requires = "sign")]
    no_oms: bool,
    /// Attach the predicate in FILE as a signed attestation of TYPE (repeatable).
    #[arg(long, value_name = "TYPE=FILE")]
    attest: Vec<String>,
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
    gate: GateArgs,
    #[command(flatten)]
    signing: SigningArgs,
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
    check_flags(&args)?;
    // Everything that can be wrong with keys and predicates shows before a byte is sent.
    let attestations = attestations(&args.attest)?;
    let signs = args.sign || !args.attest.is_empty();
    let signing = match signs {
        true => Some(args.signing.prepare(&args.registry, terminal)?),
        false => None,
    };
    let own = args.signing.key().filter(|_| !signs);
    let required = args.gate.required(&args.directory, own)?;
    let mut options = options(&args, terminal)?;
    let plan = Plan::read(&args.directory, &options.pack).await?;
    options.gate = match required {
        Some(gate) => Some(gate),
        None => fresh(&args.directory, &plan)?,
    };
    let store = args
        .registry
        .stores(terminal)?
        .write(args.reference.location())?;
    let pushed = push(&*store, &plan, &options, terminal.progress()).await?;
    remember(options.memory, terminal).await;

    let artifact = Artifact::stored(args.reference.clone(), pushed.document.clone());
    let mut referrers = Vec::new();
    if let Some(signing) = signing {
        // A certificate lives for minutes, an upload may take hours: it is asked for only now.
        let by = signing.signer(terminal).await?;
        let signer = &*by.signer;
        if args.sign {
            let oms = !args.no_oms && can_list(signer, terminal);
            let name = model_name(&args.directory);
            referrers = sign(&*store, &artifact, signer, oms.then_some(name.as_str())).await?;
        }
        referrers.extend(attest(&*store, &artifact, attestations, signer).await?);
    }
    if let Some(tag) = args.reference.tag().filter(|_| !pushed.is_tagged) {
        store.put_manifest(&pushed.document, Some(tag)).await?;
    }
    report(&args, &artifact, &pushed, referrers)
}

/// Refuses flags that would not do what they seem to.
fn check_flags(args: &PushArgs) -> Result<()> {
    if args.reference.digest().is_some() {
        return Err(
            Error::new(Reason::Usage, "`push` takes a tag, not a digest")
                .hint("the digest follows from the content; it is printed afterwards"),
        );
    }
    let signs = args.sign || !args.attest.is_empty();
    // A required signature may be by `--key` too, but not by whoever signs now.
    let asks_key = args.gate.require_signature && args.signing.key().is_some();
    if args.signing.is_given() && !signs && !asks_key {
        let message = "it is said who signs, but nothing is to be signed";
        return Err(
            Error::new(Reason::Usage, message).hint("add `--sign`, or `--attest TYPE=FILE`")
        );
    }
    Ok(())
}

/// Returns how to push, without a gate yet.
fn options(args: &PushArgs, terminal: &Terminal) -> Result<PushOptions> {
    let annotations = args.annotation.iter().cloned();
    Ok(PushOptions {
        pack: PackOptions {
            selection: Selection {
                include: args.include.clone(),
                exclude: args.exclude.clone(),
            },
            annotations: annotations.collect::<Annotations>(),
            created: environment::source_date()?,
        },
        concurrency: args.concurrency.count(),
        memory: memory(args, terminal),
        tag: args.reference.tag().cloned(),
        gate: None,
    })
}

fn report(
    args: &PushArgs,
    artifact: &Artifact,
    pushed: &modelctl::push::Pushed,
    referrers: Vec<Attachment>,
) -> Result<Report, Failure> {
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
fn attestations(options: &[String]) -> Result<Vec<(String, Value)>> {
    let parse = |option: &String| {
        let (name, file) = option.split_once('=').ok_or_else(|| {
            Error::new(
                Reason::Usage,
                format!("`--attest {option}` is not TYPE=FILE"),
            )
            .hint("for example `--attest slsaprovenance1=provenance.json`")
        })?;
        let predicate_type: PredicateType = name.parse()?;
        let predicate = attest::read_predicate(Path::new(file), &predicate_type)?;
        Ok((predicate_type.into(), predicate))
    };
    options.iter().map(parse).collect()
}

/// Whether `signer` can make model signatures; it is told if not.
fn can_list(signer: &dyn Signer, terminal: &Terminal) -> bool {
    let can = modelctl::sign::can_sign_models(signer);
    if !can {
        terminal.say("note: model signatures need an ECDSA key; none is attached");
    }
    can
}

/// Returns what the directory is called, wherever it is named from.
fn model_name(directory: &Path) -> String {
    let real = std::fs::canonicalize(directory);
    let name = real.as_ref().ok().and_then(|path| path.file_name());
    name.and_then(|name| name.to_str())
        .unwrap_or("model")
        .to_owned()
}

/// Signs the artifact and, if the model has a `name`, its files. The artifact comes first: a model
/// signature alone would make cosign overlook older kinds of signatures.
async fn sign(
    store: &dyn Store,
    artifact: &Artifact,
    signer: &dyn Signer,
    name: Option<&str>,
) -> Result<Vec<Attachment>> {
    let now = Timestamp::now();
    let done = modelctl::attest::sign(store, artifact, serde_json::Map::new(), signer, now).await?;
    let mut attached = vec![attest::attachment(modelctl::statement::SIGNATURE, done)];
    if let Some(name) = name {
        let done = modelctl::attest::sign_model(store, artifact, name, signer, now).await?;
        attached.push(attest::attachment(modelctl::oms::PREDICATE, done));
    }
    Ok(attached)
}

async fn attest(
    store: &dyn Store,
    artifact: &Artifact,
    attestations: Vec<(String, Value)>,
    signer: &dyn Signer,
) -> Result<Vec<Attachment>> {
    let now = Timestamp::now();
    let mut attached = Vec::new();
    for (predicate_type, predicate) in attestations {
        let done =
            modelctl::attest::attest(store, artifact, &predicate_type, predicate, signer, now);
        let done = done.await?;
        attached.push(attest::attachment(&predicate_type, done));
    }
    Ok(attached)
}
