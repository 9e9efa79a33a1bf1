//! `modelctl cache`, and the flags of commands that use the cache.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use modelctl::content_store::{ContentStore, Link};
use modelctl::error::{Error, Reason, Result};
use modelctl::evidence_cache::{EvidenceCache, Recalled};
use modelctl::store::Store;
use modelctl::unpack::Cache;
use modelctl::verify::{Artifact, verify};
use serde_json::json;

use super::chain::ChainArgs;
use super::environment;
use super::policy::Basis;
use super::report::{Failure, Report, count, size};
use super::terminal::Terminal;

/// Where in the cache's directory the content store is.
const CONTENT: &str = "content";

/// Where in the cache's directory evidence is.
const EVIDENCE: &str = "evidence";

/// Show or empty the cache of what was pulled.
///
/// A pull keeps every file it fetches, and what is attached to what it admits, in
/// `$MODELCTL_CACHE`, or `$XDG_CACHE_HOME/modelctl`, or `~/.cache/modelctl`; the next one takes from
/// there what it needs. Everything in it can be fetched again.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl cache info
  modelctl cache prune --max-size 50GiB")]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Info(InfoArgs),
    Prune(PruneArgs),
}

/// Show where the cache is and how much is in it.
#[derive(Args)]
#[command(after_help = "Example:
  modelctl cache info --json")]
struct InfoArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// Remove from the cache what was not used for longest.
///
/// What running commands use stays, and so do installed models. Space that a model shares with the
/// cache is free only when both are gone.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl cache prune
  modelctl cache prune --max-size 50GiB")]
struct PruneArgs {
    /// Leave this much; without it, nothing is left.
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = bytes, hide_default_value = true)]
    max_size: u64,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Where the cache is.
#[derive(Args, Clone)]
struct PlaceArgs {
    /// Keep the cache here instead of in `$MODELCTL_CACHE`, or `$XDG_CACHE_HOME/modelctl`.
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
}

/// Whether and where what is fetched is kept.
#[derive(Args, Clone)]
#[command(next_help_heading = "Cache")]
pub(super) struct UseCacheArgs {
    /// Fetch everything, and keep nothing for the next time.
    #[arg(long)]
    no_cache: bool,
    /// Judge an artifact by what was attached to it at most this long ago, if that is enough,
    /// without asking for it again: `30m`, `24h`; `0s` asks each time.
    #[arg(long, value_name = "AGE", default_value = "24h", value_parser = age)]
    evidence_max_age: SignedDuration,
    #[command(flatten)]
    place: PlaceArgs,
}

impl UseCacheArgs {
    /// Opens the cache of files, unless that is not wanted or not possible, which is no reason to
    /// fail.
    pub(super) fn open(&self, terminal: &Terminal) -> Option<Cache> {
        let content = self.opened(terminal, PlaceArgs::content)?;
        Some(Cache {
            content,
            link: Link::HardLink,
        })
    }

    /// Verifies `artifact` by `basis`, and by evidence that is in the cache if that is enough.
    pub(super) async fn verify(
        &self,
        store: &dyn Store,
        artifact: Artifact,
        basis: &Basis,
        chain: &ChainArgs,
        terminal: &Terminal,
    ) -> Result<Recalled> {
        let (trust, policy) = (&basis.trust, &basis.policy);
        // A chain may go on in what was attached since, which an admitting verdict does not tell.
        let cache = match self.evidence_max_age.is_positive() && !chain.is_walked(basis) {
            true => self.opened(terminal, PlaceArgs::evidence),
            false => None,
        };
        let Some(cache) = cache else {
            let verification = verify(store, artifact, trust, policy).await?;
            return Ok(Recalled {
                verification,
                collected: None,
            });
        };
        let cache = cache.for_at_most(self.evidence_max_age);
        let now = Timestamp::now();
        let recalled = cache.verify(store, artifact, trust, policy, now).await?;
        if let Some(collected) = recalled.collected {
            terminal.say(&format!(
                "judged by what was attached at {collected:.0}; `--no-cache` asks again"
            ));
        }
        Ok(recalled)
    }

    fn opened<T>(
        &self,
        terminal: &Terminal,
        open: impl FnOnce(&PlaceArgs) -> Result<T>,
    ) -> Option<T> {
        if self.no_cache {
            return None;
        }
        open(&self.place)
            .map_err(|error| terminal.say(&format!("the cache is not used: {error}")))
            .ok()
    }
}

impl PlaceArgs {
    fn directory(&self) -> Result<PathBuf> {
        let named = self.cache_dir.clone();
        let directory = named.or_else(environment::cache_directory);
        directory.ok_or_else(|| {
            Error::new(
                Reason::Disk,
                "there is no home directory to keep a cache in",
            )
            .hint("name a directory with `--cache-dir`")
        })
    }

    fn content(&self) -> Result<ContentStore> {
        ContentStore::open(&self.directory()?.join(CONTENT))
    }

    fn evidence(&self) -> Result<EvidenceCache> {
        EvidenceCache::open(&self.directory()?.join(EVIDENCE))
    }
}

impl CacheArgs {
    /// Returns the command's name, as its JSON schema has it.
    pub(super) fn name(&self) -> &'static str {
        match self.action {
            Action::Info(_) => "cache-info",
            Action::Prune(_) => "cache-prune",
        }
    }
}

pub(super) async fn run(args: CacheArgs) -> Result<Report, Failure> {
    match args.action {
        Action::Info(args) => info(&args).await,
        Action::Prune(args) => prune(&args).await,
    }
}

async fn info(args: &InfoArgs) -> Result<Report, Failure> {
    let (store, evidence) = (args.place.content()?, args.place.evidence()?);
    let (usage, kept) = (store.usage().await?, evidence.usage().await?);
    let place = store.path().display();
    let report = Report::of(&json!({
        "directory": store.path(),
        "blobs": usage.blobs,
        "blobBytes": usage.blob_bytes,
        "linkedBytes": usage.linked_bytes,
        "partials": usage.partials,
        "partialBytes": usage.partial_bytes,
        "evidence": kept.records,
        "evidenceBytes": kept.bytes,
    }))?;
    let beginnings = number(usage.partials, "unfinished download");
    Ok(report
        .line(format!("{place}"))
        .line(format!(
            "{} ({}), of which installed models share {}",
            size(usage.blob_bytes),
            files(usage.blobs),
            size(usage.linked_bytes)
        ))
        .line(format!("{} ({beginnings})", size(usage.partial_bytes)))
        .line(format!(
            "{} (evidence of {})",
            size(kept.bytes),
            number(kept.records, "artifact")
        )))
}

async fn prune(args: &PruneArgs) -> Result<Report, Failure> {
    let (store, evidence) = (args.place.content()?, args.place.evidence()?);
    let collected = store.collect(args.max_size, Timestamp::now()).await?;
    let forgotten = evidence.collect(args.max_size).await?;
    let report = Report::of(&json!({
        "directory": store.path(),
        "removed": collected.removed,
        "removedBytes": collected.removed_bytes,
        "leftBytes": collected.left_bytes,
        "removedEvidence": forgotten.records,
    }))?;
    Ok(report.say(format!(
        "removed {}, {}; {} left",
        files(collected.removed),
        size(collected.removed_bytes),
        size(collected.left_bytes)
    )))
}

fn files(count: u64) -> String {
    number(count, "file")
}

fn number(number: u64, thing: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), thing)
}

/// Reads an age: hours, minutes and seconds.
fn age(text: &str) -> Result<SignedDuration, String> {
    let age = text.parse::<SignedDuration>().ok();
    let age = age.filter(|age| !age.is_negative());
    age.ok_or_else(|| "an age is like `30m`, `24h` or `0s`".to_owned())
}

/// Reads a size: a number of bytes, or of a decimal or binary multiple.
fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 10] = [
        ("", 1),
        ("B", 1),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = UNITS.iter().find(|(name, _)| *name == unit.trim_start());
    let size = number.parse::<u64>().ok();
    let size = unit.and_then(|(_, unit)| size?.checked_mul(*unit));
    size.ok_or_else(|| "a size is a number of bytes, or like `500MB` or `50GiB`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{SignedDuration, age, bytes};

    #[test]
    fn ages_are_hours_minutes_and_seconds() {
        for (text, seconds) in [("0s", 0), ("30m", 1800), ("24h", 86_400), ("1h30m", 5400)] {
            assert_eq!(age(text), Ok(SignedDuration::from_secs(seconds)), "{text}");
        }
        for text in ["", "-1h", "1 fortnight", "24"] {
            assert!(age(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, expected) in [
            ("0", 0),
            ("123", 123),
            ("5B", 5),
            ("500MB", 500_000_000),
            ("50GiB", 50 << 30),
            ("50 GiB", 50 << 30),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "GiB", "-1", "1.5GiB", "5gib", "5X", "99999999999999TiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
