//! `modelctl inspect`.

use clap::Args;
use modelctl::limits;
use modelctl::manifest::{Annotations, Document};
use modelctl::model::{self, ModelConfig};
use modelctl::reference::Reference;
use modelctl::store::Store;
use modelctl::verify::Artifact;
use serde::Serialize;
use serde_json::Value;

use super::parse;
use super::provenance::ProvenanceArgs;
use super::report::{Failure, Report, count, size};
use super::stores::{MirrorArgs, RegistryArgs};
use super::terminal::{Terminal, printable};

/// Show an artifact's files, sizes, kinds, model summary and annotations; no weights are fetched.
///
/// Nothing shown is verified: `modelctl verify` and `modelctl tree` say who vouches for it, and
/// `--provenance` what is proven of where it comes from.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl inspect oci:./store:v1
  modelctl inspect oci:./store:v1 --provenance --key cosign.pub
  modelctl inspect registry.example.com/acme/bert:v1 --provenance --policy policy.toml
  modelctl inspect registry.example.com/acme/bert:v1 --json | jq '.files[].path'")]
pub(super) struct InspectArgs {
    /// What to show.
    #[arg(value_name = "REF", value_parser = parse::<Reference>)]
    reference: Reference,
    #[command(flatten)]
    provenance: ProvenanceArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
}

/// The media types of configs that say what the model is.
pub(super) const CONFIGS: [&str; 2] = [model::media_type::CONFIG, model::media_type::LEGACY_CONFIG];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inspected {
    reference: String,
    digest: String,
    media_type: String,
    artifact_type: Option<String>,
    total_bytes: u64,
    /// The ModelPack config as it is, if the artifact has one.
    model: Option<Value>,
    files: Vec<File>,
    annotations: Annotations,
}

#[derive(Serialize)]
struct File {
    path: String,
    kind: String,
    size: u64,
    digest: String,
}

pub(super) async fn run(args: InspectArgs, terminal: &Terminal) -> Result<Report, Failure> {
    let stores = args.registry.stores(terminal)?.through(&args.mirrors)?;
    let store = stores.read(args.reference.location())?;
    let artifact = Artifact::resolve(&*store, &args.reference).await?;
    let document = artifact.document().document().clone();
    let manifest = document.into_manifest(&format!("`{}`", args.reference))?;
    let files = model::files(&manifest)?;
    let model = model_config(&*store, artifact.document().document()).await?;
    let data = Inspected {
        reference: artifact.pinned().to_string(),
        digest: artifact.digest().to_string(),
        media_type: manifest.media_type.clone(),
        artifact_type: manifest.artifact_type.clone(),
        total_bytes: files.iter().map(|file| file.descriptor.size).sum(),
        model,
        files: files
            .iter()
            .map(|file| File {
                path: file.path.to_string(),
                kind: file.kind.to_string(),
                size: file.descriptor.size,
                digest: file.descriptor.digest.to_string(),
            })
            .collect(),
        annotations: manifest.annotations.clone(),
    };
    let provenance = args
        .provenance
        .read(&*store, &artifact, &stores, terminal)
        .await?;
    let mut lines = lines(&data);
    let mut report = Report::of(&data)?;
    if let Some(provenance) = &provenance {
        lines.extend(provenance.lines());
        report = report.with(provenance)?;
    }
    report.stdout = lines.iter().map(|line| printable(line) + "\n").collect();
    Ok(report)
}

/// Fetches the config of a ModelPack artifact, checked to be one.
async fn model_config(store: &dyn Store, document: &Document) -> Result<Option<Value>, Failure> {
    let Document::Manifest(manifest) = document else {
        return Ok(None);
    };
    if !CONFIGS.contains(&manifest.config.media_type.as_str()) {
        return Ok(None);
    }
    let bytes = store
        .blob(&manifest.config)
        .await?
        .into_bytes(limits::CONFIG)
        .await?;
    ModelConfig::parse(&bytes)?;
    Ok(Some(modelctl::json::parse(&bytes, "the model's config")?))
}

fn lines(data: &Inspected) -> Vec<String> {
    let mut lines = vec![
        format!("{:<14}{}", "reference", data.reference),
        format!(
            "{:<14}{}",
            "type",
            data.artifact_type.as_deref().unwrap_or(&data.media_type)
        ),
        format!(
            "{:<14}{} in {}",
            "size",
            size(data.total_bytes),
            count(data.files.len(), "file")
        ),
    ];
    for field in [
        "format",
        "architecture",
        "paramSize",
        "precision",
        "quantization",
    ] {
        let value = data
            .model
            .as_ref()
            .and_then(|model| model["config"][field].as_str());
        lines.extend(value.map(|value| format!("{field:<14}{value}")));
    }
    lines.extend(
        data.annotations
            .iter()
            .map(|(key, value)| format!("{:<14}{key}={value}", "annotation")),
    );
    lines.push(String::new());
    for file in &data.files {
        lines.push(format!(
            "{:>12}  {:<14} {:.19}…  {}",
            size(file.size),
            file.kind,
            file.digest,
            file.path
        ));
    }
    lines
}
