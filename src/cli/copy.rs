//! `modelctl copy`.

use clap::Args;
use modelctl::copy::{Options, copy};
use modelctl::error::{Error, Reason};
use modelctl::reference::Reference;
use serde::Serialize;

use super::lock::LockedArgs;
use super::parse;
use super::report::{Failure, Report, count, size};
use super::stores::{ConcurrencyArgs, MirrorArgs, RegistryArgs};
use super::terminal::Terminal;

/// Copy an artifact with everything attached to it, between registries and layouts.
///
/// Digests stay the same, so signatures stay valid. What is there already is not sent again. The
/// flags about registries hold for both sides; credentials are looked up for each host.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl copy registry.example.com/acme/bert:v1 oci:./offline:v1
  modelctl copy registry.example.com/acme/bert:v1 oci:./offline:v1 --locked
  modelctl copy oci:./offline:v1 registry.internal.example/acme/bert:v1")]
pub(super) struct CopyArgs {
    /// Where from.
    #[arg(value_name = "SRC", value_parser = parse::<Reference>)]
    source: Reference,
    /// Where to; without a tag, SRC's tag is taken.
    #[arg(value_name = "DST", value_parser = parse::<Reference>)]
    target: Reference,
    /// Leave signatures, attestations and everything else that is attached behind.
    #[arg(long)]
    no_referrers: bool,
    #[command(flatten)]
    locked: LockedArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
    #[command(flatten)]
    concurrency: ConcurrencyArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Copied {
    reference: String,
    digest: String,
    blobs_copied: usize,
    blobs_skipped: usize,
    bytes: u64,
    referrers: usize,
}

pub(super) async fn run(args: CopyArgs, terminal: &Terminal) -> Result<Report, Failure> {
    if args.target.digest().is_some() {
        return Err(Error::new(
            Reason::Usage,
            "the target of a copy takes a tag, not a digest",
        )
        .hint("the digest stays what it is")
        .into());
    }
    let stores = args.registry.stores(terminal)?.through(&args.mirrors)?;
    let source = stores.read(args.source.location())?;
    let target = stores.write(args.target.location())?;
    let tag = args.target.tag().or(args.source.tag());
    let options = Options {
        referrers: !args.no_referrers,
        concurrency: args.concurrency.count(),
    };
    let selector = args.locked.open()?.reference(&args.source)?.selector()?;
    let progress = terminal.progress();
    let done = copy(&*source, &selector, &*target, tag, options, &*progress).await?;
    let digest = *done.document.digest();
    let reference = Reference::new(args.target.location().clone(), tag.cloned(), Some(digest));
    let summary = format!(
        "copied {}, {} ({} there already), and {}",
        count(done.blobs_copied, "blob"),
        size(done.bytes),
        done.blobs_skipped,
        count(done.referrers, "referrer"),
    );
    let data = Copied {
        reference: reference.to_string(),
        digest: digest.to_string(),
        blobs_copied: done.blobs_copied,
        blobs_skipped: done.blobs_skipped,
        bytes: done.bytes,
        referrers: done.referrers,
    };
    let report = Report::of(&data)?.with(&stores.sources())?;
    Ok(report.say(summary).line(reference))
}
