//! `modelctl push`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use modelctl::blob::blocking;
use modelctl::content::{ContentRules, Objection};
use modelctl::digest_cache::DigestCache;
use modelctl::error::{Error, Reason, Result};
use modelctl::manifest::Annotations;
use modelctl::model_signature;
use modelctl::pack::{Memory, PackOptions, Plan};
use modelctl::predicate::PredicateType;
use modelctl::provenance::claim::Claim;
use modelctl::push::{PushOptions, push};
use modelctl::reference::Reference;
use modelctl::selection::Selection;
use modelctl::sign::Signer;
use modelctl::verify::Artifact;
use serde::Serialize;
use serde_json::Map;

use super::attachment::{Attachment, Target, annotation};
use super::audit::{AuditArgs, Recorder};
use super::content::FormatArgs;
use super::gate::{GateArgs, fresh};
use super::report::{Failure, Report, count, size};
use super::signing::SigningArgs;
use super::stores::{ConcurrencyArgs, RegistryArgs, Stores};
use super::terminal::Terminal;
use super::training::{Place, Training, TrainingArgs};
use super::{attest, content, environment, parse};

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
      --training-run run.toml --attest cyclonedx=bom.json
  modelctl push registry.example.com/mirror/bert:v1 ./bert --require-signature --key publisher.pub
  modelctl push localhost:5000/bert:v1 ./bert --strict-content --allow-format python")]
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
    /// Refuse, instead of only telling, what a pull will refuse: files that are code or can carry
    /// it, such as pickles.
    #[arg(long)]
    strict_content: bool,
    #[command(flatten)]
    formats: FormatArgs,
    #[command(flatten)]
    gate: GateArgs,
    #[command(flatten)]
    signing: SigningArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    concurrency: ConcurrencyArgs,
    #[command(flatten)]
    audit: AuditArgs,
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

pub(super) async fn run(args: PushArgs, terminal: &Terminal) -> Result<Report, Failure> {
    check_flags(&args)?;
    let recorder = Arc::new(args.audit.recorder("push", &args.reference).await?);
    let pushed = push_model(&args, &recorder, terminal).await;
    recorder.finish(pushed).await
}

async fn push_model(
    args: &PushArgs,
    recorder: &Arc<Recorder>,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    // Everything that can be wrong with keys and predicates shows before a byte is sent.
    let attestations = attestations(&args.attest)?;
    let is_legacy = args.signing.is_legacy();
    let signs = args.signs();
    let signing = match signs {
        true => Some(args.signing.prepare(&args.registry, terminal)?),
        false => None,
    };
    let own = args.signing.key().filter(|_| !signs);
    let required = args.gate.required(&args.directory, own)?;
    let mut options = options(args, terminal)?;
    let stores = args.registry.stores(terminal)?;
    let training = args.training(&stores, &options, terminal).await?;
    let name = model_signature::name(&args.directory)?;
    let plan = Plan::read(&args.directory, &options.pack).await?;
    options.gate = match required {
        Some(gate) => Some(recorder.watch(gate)),
        None => fresh(&args.directory, &plan)?,
    };
    let content = examine(&plan, &args.formats, args.strict_content, terminal).await?;
    if let Some(training) = &training {
        training.check(&plan)?;
    }
    let store = stores.write(args.reference.location())?;
    let pushed = push(&*store, &plan, &options, terminal.progress()).await?;
    remember(options.memory, terminal).await;

    let artifact = Artifact::stored(args.reference.clone(), pushed.document.clone());
    let mut referrers = Vec::new();
    if let Some(signing) = signing {
        let mut claims = attestations;
        if let Some(training) = &training {
            claims.extend(training.claims(&*store, &artifact).await?);
        }
        // A certificate lives for minutes, an upload may take hours: it is asked for only now.
        let by = signing.signer(terminal).await?;
        let to = Target {
            store: &*store,
            artifact: &artifact,
            signer: &*by.signer,
            is_legacy,
            recorder,
        };
        let mut to = to.open().await?;
        if args.sign {
            referrers.push(to.sign(Map::new()).await?);
            if !args.no_oms && can_list(&*by.signer, terminal) {
                referrers.push(to.sign_model(&name).await?);
            }
        }
        referrers.extend(to.attest(claims).await?);
    }
    if let Some(tag) = args.reference.tag().filter(|_| !pushed.is_tagged) {
        store.put_manifest(&pushed.document, Some(tag)).await?;
    }
    let report = report(args, &artifact, &pushed, referrers)?;
    Ok(report.with(&serde_json::json!({ "content": content }))?)
}

impl PushArgs {
    /// Whether anything is to be signed.
    fn signs(&self) -> bool {
        self.sign || self.training.is_given() || !self.attest.is_empty()
    }

    /// Reads the run file, and everything that it names.
    async fn training(
        &self,
        stores: &Stores,
        options: &PushOptions,
        terminal: &Terminal,
    ) -> Result<Option<Training>> {
        let place = Place {
            location: self.reference.location(),
            registry: &self.registry,
            stores,
        };
        let memory = options.memory.as_ref();
        self.training.prepare(&place, memory, terminal).await
    }
}

/// Refuses flags that would not do what they seem to.
fn check_flags(args: &PushArgs) -> Result<()> {
    if args.reference.digest().is_some() {
        return Err(
            Error::new(Reason::Usage, "`push` takes a tag, not a digest")
                .hint("the digest follows from the content; it is printed afterwards"),
        );
    }
    let signs = args.signs();
    // A required signature may be by `--key` too, but not by whoever signs now.
    let asks_key = args.gate.require_signature && args.signing.key().is_some();
    if args.signing.is_given() && !signs && !asks_key {
        let message = "it is said who signs, but nothing is to be signed";
        return Err(Error::new(Reason::Usage, message)
            .hint("add `--sign`, `--training-run FILE` or `--attest TYPE=FILE`"));
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

/// Tells the publisher what a pull will object to, before anything is sent.
async fn examine(
    plan: &Plan,
    formats: &FormatArgs,
    is_strict: bool,
    terminal: &Terminal,
) -> Result<Vec<Objection>, Failure> {
    let rules = formats.allow(ContentRules::without_code());
    let objections = rules.judge(&plan.examine().await?);
    content::tell(&objections, terminal);
    if is_strict {
        let json = serde_json::json!({ "content": &objections });
        let refused = Objection::refuse(objections.clone());
        refused.map_err(|error| Failure::from(error).with(&json))?;
    }
    Ok(objections)
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

/// Whether `signer` can make model signatures; it is told if not.
fn can_list(signer: &dyn Signer, terminal: &Terminal) -> bool {
    let can = modelctl::sign::can_sign_models(signer);
    if !can {
        terminal.say("note: model signatures need an ECDSA key; none is attached");
    }
    can
}
