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

use super::attest::attachment;
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
      --attest slsaprovenance1=provenance.json")]
pub(super) struct PushArgs {
    /// Where to.
    #[arg(value_name = "REF", value_parser = parse::<Reference>)]
    reference: Reference,
    /// The model directory.
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Sign the artifact, with `--key` or as whoever an identity token names.
    #[arg(long)]
    sign: bool,
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
    /// The image at cosign's older tag, if that form was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) legacy: Option<Descriptor>,
}

pub(super) async fn run(args: PushArgs, terminal: &Terminal) -> Result<Report, Failure> {
    if args.reference.digest().is_some() {
        return Err(
            Error::new(Reason::Usage, "`push` takes a tag, not a digest")
                .hint("the digest follows from the content; it is printed afterwards")
                .into(),
        );
    }
    let signs = args.sign || !args.attest.is_empty();
    if args.signing.is_given() && !signs {
        return Err(Error::new(
            Reason::Usage,
            "it is said who signs, but nothing is to be signed",
        )
        .hint("add `--sign`, or `--attest TYPE=FILE`")
        .into());
    }
    // Everything that can be wrong with keys and predicates shows before a byte is sent.
    let attestations = attestations(&args.attest)?;
    let is_legacy = args.signing.is_legacy();
    let signing = match signs {
        true => Some(args.signing.prepare(&args.registry, terminal)?),
        false => None,
    };
    let memory = memory(&args, terminal);
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
        let wanted = Wanted {
            signature: args.sign,
            attestations,
            legacy: is_legacy,
        };
        referrers = sign_and_attest(&*store, &artifact, wanted, &*by.signer).await?;
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

/// What is to be said of a pushed artifact.
struct Wanted {
    signature: bool,
    attestations: Vec<(String, Value)>,
    /// Whether in cosign's older form, too.
    legacy: bool,
}

async fn sign_and_attest(
    store: &dyn Store,
    artifact: &Artifact,
    wanted: Wanted,
    signer: &dyn Signer,
) -> Result<Vec<Attachment>> {
    use modelctl::attest;
    let now = Timestamp::now();
    let plain = serde_json::Map::new;
    let mut attached = Vec::new();
    if wanted.signature {
        let done = attest::sign(store, artifact, plain(), signer, now).await?;
        let legacy = match wanted.legacy {
            true => Some(attest::sign_legacy(store, artifact, plain(), signer).await?),
            false => None,
        };
        attached.push(attachment(modelctl::statement::SIGNATURE, done, legacy));
    }
    for (predicate_type, predicate) in wanted.attestations {
        let done = attest::attest(store, artifact, &predicate_type, predicate, signer, now).await?;
        let legacy = match wanted.legacy {
            true => Some(attest::attest_legacy(store, artifact, &done).await?),
            false => None,
        };
        attached.push(attachment(&predicate_type, done, legacy));
    }
    Ok(attached)
}
