//! A Sigstore instance's root of trust, kept fresh by [The Update
//! Framework](https://theupdateframework.github.io/specification/v1.0.34/).
//!
//! Metadata is believed because it chains, by its signatures, to a root that came with this program
//! or that the user named; what lies in the cache is verified again each time it is read. An older
//! version than one seen before is refused. Where no fresh metadata is to be had, what was fresh at
//! the last refresh serves on, and the caller learns how old it is: to verify nothing because a
//! content network is down would only teach people to verify nothing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::OFlags;
use sigstore_trust_root::{SigstoreInstance, TrustedRoot, TufBootstrap, TufConfig, reqwest};

use super::root::{Instance, SigstoreRoot};
use crate::digest::Digest;
use crate::directory::Directory;
use crate::error::{Error, Reason, Result};
use crate::{limits, private_directory};

/// How long a root that was fetched is not asked for again.
const FRESH_FOR: SignedDuration = SignedDuration::from_hours(24);

/// The day on which the embedded root was the newest.
const EMBEDDED_SINCE: &str = "2026-10-23T00:00:00Z";

/// How long a refresh may take altogether.
const REFRESH_TIME: Duration = Duration::from_secs(60);

/// The file that says when the cache was last refreshed. Its owner can only make the cache look
/// older or newer, not put another root there.
const REFRESHED: &str = "refreshed-at";

/// Where an instance publishes its root of trust, and where trust in that begins.
#[derive(Debug, Clone)]
pub struct Repository {
    url: String,
    bootstrap: Vec<u8>,
    embedded: Option<Instance>,
}

impl Repository {
    /// Returns the public-good instance's.
    pub fn public_good() -> Self {
        Self {
            url: SigstoreInstance::PublicGood.tuf_url().to_owned(),
            bootstrap: SigstoreInstance::PublicGood.tuf_root().to_vec(),
            embedded: Some(Instance::PublicGood),
        }
    }

    /// Returns the same repository, as it is mirrored at `url`.
    #[must_use]
    pub fn at(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// Returns the repository at `url`, whose `root.json` of any version is `bootstrap`.
    pub fn custom(url: impl Into<String>, bootstrap: Vec<u8>) -> Self {
        Self {
            url: url.into(),
            bootstrap,
            embedded: None,
        }
    }
}

/// How to come by a root of trust.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From where.
    pub repository: Repository,
    /// Where to keep what was fetched; without a place only the network and the embedded root are
    /// left.
    pub cache: Option<PathBuf>,
    /// How old a root may be that cannot be refreshed; without a limit, any age will do.
    pub stale_after: Option<SignedDuration>,
    /// What time it is.
    pub now: Timestamp,
}

/// A root of trust, and how it was come by.
#[derive(Debug)]
pub struct Fetched {
    /// The root.
    pub root: SigstoreRoot,
    /// Where it is from.
    pub source: Source,
    /// Since when it is known: it was the newest then.
    pub since: Timestamp,
    /// Why it could not be refreshed, if that was tried.
    pub failure: Option<Error>,
}

/// Where a root of trust is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It was fetched just now.
    Network,
    /// It was fetched before.
    Cache,
    /// It came with this program.
    Embedded,
}

/// Returns the root of trust of `settings`' repository: the cached one while it is fresh, else the
/// newest, else the cached or embedded one, whichever is newer.
pub async fn fetch(settings: &Settings) -> Result<Fetched> {
    // A home that cannot be written is no reason not to verify: it only costs a fetch each time.
    let cache = settings.cache.as_deref();
    let cache = cache.and_then(|cache| Cache::open(cache, &settings.repository).ok());
    let kept = match &cache {
        Some(cache) => cache.read(settings).await,
        None => None,
    };
    match kept {
        Some(kept) if settings.now.duration_since(kept.since) < FRESH_FOR => Ok(kept),
        kept => match refresh(settings, cache.as_ref()).await {
            Ok(fetched) => Ok(fetched),
            Err(failure) => last_known(settings, kept, failure),
        },
    }
}

/// Fetches the newest root, and remembers that.
async fn refresh(settings: &Settings, cache: Option<&Cache>) -> Result<Fetched> {
    let unavailable = || {
        let message = format!(
            "no root of trust could be fetched from `{}`",
            settings.repository.url
        );
        Error::new(Reason::TrustRootUnavailable, message)
            .hint("without a network, name a file with `--trusted-root`")
    };
    let client = reqwest::Client::builder()
        .connect_timeout(limits::CONNECT_TIME)
        .read_timeout(limits::STALL_TIME)
        .timeout(REFRESH_TIME)
        .user_agent(concat!("modelctl/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| unavailable().because(error.to_string()))?;
    let config = settings.repository.config(cache).with_http_client(client);
    let root = TrustedRoot::from_tuf_at(config, settings.now)
        .await
        .map_err(|error| unavailable().because(error.to_string()))?;
    let root = SigstoreRoot::new(root)?;
    if let Some(cache) = cache {
        cache.remember(settings.now)?;
    }
    Ok(Fetched {
        root,
        source: Source::Network,
        since: settings.now,
        failure: None,
    })
}

/// Returns what is left when nothing could be fetched, unless that is too old.
fn last_known(settings: &Settings, kept: Option<Fetched>, failure: Error) -> Result<Fetched> {
    let embedded = settings.repository.embedded.map(embedded).transpose()?;
    let newest = kept.into_iter().chain(embedded).max_by_key(|f| f.since);
    let Some(newest) = newest else {
        return Err(failure);
    };
    let age = settings.now.duration_since(newest.since);
    if settings.stale_after.is_some_and(|limit| age > limit) {
        let message = format!(
            "the newest root of trust at hand is {} days old, and could not be refreshed",
            age.as_hours() / 24
        );
        return Err(Error::new(Reason::TrustRootUnavailable, message)
            .because(failure)
            .hint("connect to the network, or name a newer file with `--trusted-root`"));
    }
    Ok(Fetched {
        failure: Some(failure),
        ..newest
    })
}

fn embedded(instance: Instance) -> Result<Fetched> {
    Ok(Fetched {
        root: SigstoreRoot::embedded(instance)?,
        source: Source::Embedded,
        since: EMBEDDED_SINCE.parse().unwrap_or(Timestamp::UNIX_EPOCH),
        failure: None,
    })
}

impl Repository {
    fn config(&self, cache: Option<&Cache>) -> TufConfig {
        let config = TufConfig::custom(&self.url, TufBootstrap::trusted(&self.bootstrap));
        match cache {
            Some(cache) => config.with_cache_dir(cache.directory.path().to_owned()),
            None => config.without_cache(),
        }
    }
}

/// What was fetched before from one repository.
struct Cache {
    directory: Directory,
}

impl Cache {
    /// Opens `repository`'s part of the cache at `path`.
    fn open(path: &Path, repository: &Repository) -> Result<Self> {
        let name = Digest::of(repository.url.trim_end_matches('/').as_bytes()).hex();
        let directory = private_directory::child(&private_directory::open(path)?, &name)?;
        Ok(Self { directory })
    }

    /// Verifies what is kept, as of the time when it was the newest: what has expired since then is
    /// old, not wrong, and how old is told.
    async fn read(&self, settings: &Settings) -> Option<Fetched> {
        let written = self.directory.read(REFRESHED, limits::SMALL_BODY).ok()?;
        let written: Timestamp = std::str::from_utf8(&written).ok()?.trim().parse().ok()?;
        let since = written.min(settings.now);
        let config = settings.repository.config(Some(self)).offline();
        let root = TrustedRoot::from_tuf_at(config, since).await.ok()?;
        Some(Fetched {
            root: SigstoreRoot::new(root).ok()?,
            source: Source::Cache,
            since,
            failure: None,
        })
    }

    /// Notes that what is kept was the newest at `now`.
    fn remember(&self, now: Timestamp) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::TRUNC;
        private_directory::file(&self.directory, REFRESHED, flags)?
            .write_all(format!("{now:.0}\n").as_bytes())
            .map_err(|error| Error::io("write", self.directory.path().join(REFRESHED), error))
    }
}
