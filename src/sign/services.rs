//! Sigstore's services, as far as any signer can use them: logs and timestamp authorities as
//! witnesses, and who certifies ([`crate::sign::keyless`] asks them to).

mod config;
mod rekor;
mod timestamp;

use std::sync::Arc;

use jiff::Timestamp;
use reqwest::Url;

pub use self::config::SigningConfig;

use self::config::VERSION_1;
use self::rekor::Log;
use self::timestamp::Timestamper;
use crate::error::{Error, Reason, Result};
use crate::registry::web::Web;
use crate::sign::Witness;

/// The services that a signer uses, and how they are reached.
pub struct Services {
    pub(crate) web: Arc<Web>,
    config: SigningConfig,
    now: Timestamp,
}

impl Services {
    /// Returns the services that `config` offers at `now`, reached through `web`.
    pub fn new(web: Arc<Web>, config: SigningConfig, now: Timestamp) -> Self {
        Self { web, config, now }
    }

    /// Returns the witnesses that the configuration asks for: timestamp authorities and logs.
    pub fn witnesses(&self) -> Result<Vec<Box<dyn Witness>>> {
        let mut witnesses: Vec<Box<dyn Witness>> = Vec::new();
        for service in self.config.timestampers(self.now)? {
            let web = Arc::clone(&self.web);
            witnesses.push(Box::new(Timestamper::new(web, service)?));
        }
        for service in self.config.logs(self.now)? {
            let web = Arc::clone(&self.web);
            witnesses.push(Box::new(Log::new(web, service)?));
        }
        Ok(witnesses)
    }

    /// Whether what is signed will stand in a transparency log.
    pub fn has_log(&self) -> Result<bool> {
        Ok(!self.config.logs(self.now)?.is_empty())
    }

    /// Checks that a certificate that lives for minutes can be used: somebody must prove that it
    /// was used in that time. Rekor v2 does not.
    pub fn check_proves_time(&self) -> Result<()> {
        let mut logs = self.config.logs(self.now)?.into_iter();
        let has_time = logs.any(|log| log.version() == VERSION_1)
            || !self.config.timestampers(self.now)?.is_empty();
        match has_time {
            true => Ok(()),
            false => Err(Error::new(
                Reason::SigningConfigInvalid,
                "the signing configuration has nobody who proves the time of a keyless signature",
            )
            .hint("it needs a timestamp authority (`tsaUrls`), or Rekor of version 1")),
        }
    }

    /// Returns the certificate authority.
    pub(crate) fn authority(&self) -> Result<Url> {
        self.config.authority(self.now)?.url()
    }

    /// Returns the issuer where people log in.
    pub fn identity_provider(&self) -> Result<String> {
        Ok(self
            .config
            .identity_provider(self.now)?
            .address()
            .to_owned())
    }
}

/// Returns `base` with `path` below it.
pub(crate) fn below(base: &Url, path: &str) -> Result<Url> {
    let base = base.as_str().trim_end_matches('/');
    Url::parse(&format!("{base}/{path}")).map_err(|error| {
        let message = format!("{base:?} is not the address of a service");
        Error::new(Reason::SigningConfigInvalid, message).because(error)
    })
}
