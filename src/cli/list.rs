//! `modelctl list`.

use clap::Args;
use modelctl::reference::{Reference, Tag};
use serde_json::json;

use super::parse;
use super::report::{Failure, Report};
use super::stores::{MirrorArgs, RegistryArgs};
use super::terminal::Terminal;

/// List the tags of a repository or layout.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl list registry.example.com/acme/bert
  modelctl list oci:./store")]
pub(super) struct ListArgs {
    /// The repository or layout.
    #[arg(value_name = "REPO", value_parser = parse::<Reference>)]
    repository: Reference,
    /// Show also the tags by which tools list and keep what is attached (`sha256-…`).
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
}

pub(super) async fn run(args: ListArgs, terminal: &Terminal) -> Result<Report, Failure> {
    let stores = args.registry.stores(terminal)?.through(&args.mirrors)?;
    let store = stores.read(args.repository.location())?;
    let tags = store.tags().await?;
    let shown: Vec<_> = tags
        .iter()
        .filter(|tag| args.all || !keeps_referrers(tag))
        .map(Tag::as_str)
        .collect();
    let report = Report::of(&json!({
        "repository": args.repository.location().to_string(),
        "tags": shown,
    }))?;
    Ok(shown.iter().fold(report, |report, tag| report.line(tag)))
}

/// Whether a tag is `sha256-<hex>`, with or without cosign's `.sig` and its like.
fn keeps_referrers(tag: &Tag) -> bool {
    let Some(rest) = tag.as_str().strip_prefix("sha256-") else {
        return false;
    };
    let hex = rest.split('.').next().unwrap_or_default();
    hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())
}
