//! `modelctl tag`.

use clap::Args;
use modelctl::reference::{Reference, Tag};
use modelctl::verify::Artifact;
use serde_json::json;

use super::parse;
use super::report::{Failure, Report};
use super::stores::RegistryArgs;
use super::terminal::Terminal;

/// Give an artifact another tag; nothing is moved but the name.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl tag registry.example.com/acme/bert@sha256:… production
  modelctl tag oci:./store:v1 production")]
pub(super) struct TagArgs {
    /// The artifact.
    #[arg(value_name = "REF", value_parser = parse::<Reference>)]
    reference: Reference,
    /// Its new tag.
    #[arg(value_name = "TAG", value_parser = parse::<Tag>)]
    tag: Tag,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(super) async fn run(args: TagArgs, terminal: &Terminal) -> Result<Report, Failure> {
    let store = args
        .registry
        .stores(terminal)?
        .write(args.reference.location())?;
    let artifact = Artifact::resolve(&*store, &args.reference).await?;
    store
        .put_manifest(artifact.document(), Some(&args.tag))
        .await?;
    let location = args.reference.location().clone();
    let tagged = Reference::new(location, Some(args.tag), Some(*artifact.digest()));
    let data = json!({ "reference": tagged.to_string(), "digest": artifact.digest().to_string() });
    Ok(Report::of(&data)?.line(tagged))
}
