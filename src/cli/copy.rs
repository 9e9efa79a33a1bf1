//! `modelctl copy`.

use clap::Args;
use modelctl::chain::{Carried, carry};
use modelctl::copy::{self, Options};
use modelctl::error::{Error, Reason};
use modelctl::policy::Pins;
use modelctl::reference::{Reference, Tag};
use modelctl::store::Store;
use modelctl::verify::{Artifact, refusal, verify};
use serde::Serialize;

use super::chain::{ChainArgs, Setting};
use super::lock::LockedArgs;
use super::parse;
use super::policy::{Asked, PolicyArgs};
use super::report::{Failure, Report, count, size};
use super::stores::{ConcurrencyArgs, MirrorArgs, RegistryArgs, Stores};
use super::terminal::Terminal;
use super::trust::{TrustArgs, explain};

/// Copy an artifact with everything attached to it, between registries and layouts.
///
/// Digests stay the same, so signatures stay valid. What is there already is not sent again. The
/// flags about registries hold for both sides; credentials are looked up for each host.
///
/// With `--chain` the models come along that it was made from, into the same place, so that the
/// whole chain can be verified where nothing else is to be had. It is verified before anything is
/// copied: what is carried is what was found to be right, and nothing that a stranger names.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl copy registry.example.com/acme/bert:v1 oci:./offline:v1
  modelctl copy registry.example.com/acme/bert:v1 oci:./offline:v1 --locked
  modelctl copy oci:./offline:v1 registry.internal.example/acme/bert:v1
  modelctl copy --chain registry.example.com/acme/bert:v1 oci:./offline:v1 --key bert.pub \\
      --chain-key base_model=upstream.pub")]
pub(super) struct CopyArgs {
    /// Where from.
    #[arg(value_name = "SRC", value_parser = parse::<Reference>)]
    source: Reference,
    /// Where to; without a tag, SRC's tag is taken.
    #[arg(value_name = "DST", value_parser = parse::<Reference>)]
    target: Reference,
    /// Leave signatures, attestations and everything else that is attached behind.
    #[arg(long, conflicts_with = "chain")]
    no_referrers: bool,
    #[command(flatten)]
    locked: LockedArgs,
    #[command(flatten)]
    chain: ChainArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    policy: PolicyArgs,
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
    /// The models that came along, if the chain was to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<usize>,
}

pub(super) async fn run(mut args: CopyArgs, terminal: &Terminal) -> Result<Report, Failure> {
    if args.target.digest().is_some() {
        return Err(Error::new(
            Reason::Usage,
            "the target of a copy takes a tag, not a digest",
        )
        .hint("the digest stays what it is")
        .into());
    }
    if !args.chain.is_given() && (args.trust.is_given() || args.policy.is_given()) {
        return Err(Error::new(Reason::Usage, "`copy` verifies chains only")
            .hint("add `--chain`, or verify first: `modelctl verify SRC`")
            .into());
    }
    args.source = args.locked.open()?.reference(&args.source)?;
    let stores = args.registry.stores(terminal)?.through(&args.mirrors)?;
    let source = stores.read(args.source.location())?;
    let (done, links) = match args.chain.is_given() {
        true => {
            let carried = args.carry(&*source, &stores, terminal).await?;
            (carried.copied, Some(carried.links))
        }
        false => (args.copy(&*source, &stores, terminal).await?, None),
    };
    let digest = *done.document.digest();
    let tag = args.tag().cloned();
    let reference = Reference::new(args.target.location().clone(), tag, Some(digest));
    let data = Copied {
        reference: reference.to_string(),
        digest: digest.to_string(),
        blobs_copied: done.blobs_copied,
        blobs_skipped: done.blobs_skipped,
        bytes: done.bytes,
        referrers: done.referrers,
        links,
    };
    let report = Report::of(&data)?.with(&stores.sources())?;
    Ok(report.say(summary(&done, links)).line(reference))
}

fn summary(done: &copy::Copied, links: Option<usize>) -> String {
    let with = links.map_or(String::new(), |links| {
        format!(", with {} of its chain", count(links, "model"))
    });
    format!(
        "copied {}, {} ({} there already), and {}{with}",
        count(done.blobs_copied, "blob"),
        size(done.bytes),
        done.blobs_skipped,
        count(done.referrers, "referrer"),
    )
}

impl CopyArgs {
    fn tag(&self) -> Option<&Tag> {
        self.target.tag().or(self.source.tag())
    }

    fn options(&self) -> Options {
        Options {
            referrers: !self.no_referrers,
            concurrency: self.concurrency.count(),
        }
    }

    async fn copy(
        &self,
        source: &dyn Store,
        stores: &Stores,
        terminal: &Terminal,
    ) -> Result<copy::Copied, Error> {
        let target = stores.write(self.target.location())?;
        let (selector, progress) = (self.source.selector()?, terminal.progress());
        let (tag, options) = (self.tag(), self.options());
        copy::copy(source, &selector, &*target, tag, options, &*progress).await
    }

    /// Verifies the chain, and copies all of it.
    async fn carry(
        &self,
        source: &dyn Store,
        stores: &Stores,
        terminal: &Terminal,
    ) -> Result<Carried, Failure> {
        let asked = Asked {
            location: self.source.location(),
            verify: true,
            pins: Pins::default(),
        };
        let ruling = self.policy.ruling(&self.trust, asked, stores, terminal);
        let basis = ruling.await?.basis()?;
        let setting = Setting {
            trust: &self.trust,
            registry: &self.registry,
            mirrors: &self.mirrors,
            stores,
            terminal,
        };
        let artifact = Artifact::resolve(source, &self.source).await?;
        let verification = verify(source, artifact, &basis.trust, &basis.policy).await?;
        let what = verification.artifact().pinned();
        if let Some(refusal) = refusal(verification.verdict(), what) {
            return Err(Failure::from(refusal).details(explain(verification.verdict())));
        }
        let walker = self
            .chain
            .walker(self.source.location(), &basis, setting)
            .await?;
        let walker = walker.ok_or_else(TrustArgs::nobody)?;
        let chain = walker.unbroken(source, &verification).await?;
        let target = stores.write(self.target.location())?;
        let (options, progress) = (self.options(), terminal.progress());
        let (tag, target) = (self.tag(), &*target);
        let carried = carry(&walker, &chain, source, target, tag, options, &*progress).await?;
        Ok(carried)
    }
}
