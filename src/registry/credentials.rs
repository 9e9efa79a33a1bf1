//! The credentials that Docker, podman, oras and others share: configuration files and helpers.
//!
//! Whoever ran `docker login` is logged in here too, and the other way round. Credentials are read
//! from Docker's `config.json` and, where that has none, from podman's `auth.json`; they are
//! written to Docker's alone, or handed to the helper that it names
//! ([docker login, "Configure the credential store"][docker]; [containers-auth.json(5)][podman]).
//!
//! Where several entries fit, the most specific wins: an entry of the repository or a namespace
//! above it (`HOST/NAMESPACE`, as podman writes it), then the host's helper (`credHelpers`, else
//! `credsStore`), then the host's own entry. An entry of a namespace is never used beyond it.
//!
//! [docker]: https://docs.docker.com/reference/cli/docker/login/#configure-the-credential-store
//! [podman]: https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md

mod document;
mod helper;
mod key;

use std::ffi::OsString;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::error::{Error, Reason, Result};
use crate::registry::auth::{Credential, CredentialSource};
use crate::secret::Secret;

use document::Document;
use helper::{Helper, HelperName};

/// The user's credentials for every registry, as the configuration files and helpers have them.
#[derive(Debug, Clone, Default)]
pub struct DockerConfig {
    /// Docker's own file: what `store` and `erase` change.
    own: Option<Document>,
    fallbacks: Vec<Document>,
    search_path: Option<OsString>,
}

/// Where a credential was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// In the store behind the program of this name.
    Helper(String),
    /// In this file, in clear.
    Unencrypted(PathBuf),
}

impl Stored {
    /// Returns what the user should know about it, if anything.
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Helper(_) => None,
            Self::Unencrypted(path) => Some(format!(
                "the password is stored unencrypted in `{}`; a credential helper (`credsStore`) \
                 would keep it safe",
                path.display()
            )),
        }
    }
}

/// What became of the credentials that were to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// Whether there were any.
    pub removed: bool,
    /// A file of another tool that still has some: `logout` changes only Docker's.
    pub remains_in: Option<PathBuf>,
}

impl DockerConfig {
    /// Reads `config`, Docker's file, and `fallbacks`, which are asked in this order where it has
    /// nothing; a file that does not exist is an empty one.
    pub fn load(config: Option<PathBuf>, fallbacks: Vec<PathBuf>) -> Result<Self> {
        let fallbacks = fallbacks.into_iter().map(Document::load);
        Ok(Self {
            own: config.map(Document::load).transpose()?,
            fallbacks: fallbacks.collect::<Result<_>>()?,
            search_path: None,
        })
    }

    /// Looks for helpers in the absolute directories of `search_path`, written as `PATH` is,
    /// instead of where the operating system would look.
    #[must_use]
    pub fn with_search_path(mut self, search_path: OsString) -> Self {
        self.search_path = Some(search_path);
        self
    }

    /// Returns the credential for a repository of `host`, or, without a repository, for all of the
    /// host.
    pub async fn lookup(&self, host: &str, repository: Option<&str>) -> Result<Option<Credential>> {
        for document in self.own.iter().chain(&self.fallbacks) {
            if let Some(credential) = self.look_in(document, host, repository).await? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    async fn look_in(
        &self,
        document: &Document,
        host: &str,
        repository: Option<&str>,
    ) -> Result<Option<Credential>> {
        let scoped = repository.and_then(|name| document.namespace_entry(host, name));
        if let Some(scoped) = scoped {
            return scoped.map(Some);
        }
        if let Some(name) = document.helper(host)
            && let Some(credential) = self.run(name).get(&key::server(host)).await?
        {
            return Ok(Some(credential));
        }
        document.host_entry(host).transpose()
    }

    fn run<'a>(&'a self, name: &'a HelperName) -> Helper<'a> {
        Helper::new(name, self.search_path.as_deref())
    }

    /// Stores a user name and password for `host`: with its helper, if Docker's file names one,
    /// else in that file.
    pub async fn store(&mut self, host: &str, username: &str, password: &Secret) -> Result<Stored> {
        check_username(username)?;
        let own = self.own()?;
        let stored = match own.helper(host) {
            Some(name) => {
                let server = key::server(host);
                self.run(name).store(&server, username, password).await?;
                // What an earlier login left in the file would be found if the helper lost it.
                own.strip(host)?;
                Stored::Helper(name.program())
            }
            None => {
                own.store(host, username, password)?;
                Stored::Unencrypted(own.path().to_owned())
            }
        };
        self.reload()?;
        Ok(stored)
    }

    /// Erases what Docker's file and its helper have for all of `host`.
    pub async fn erase(&mut self, host: &str) -> Result<Erased> {
        let own = self.own()?;
        let in_file = own.erase(host)?;
        let in_helper = match own.helper(host) {
            Some(name) => self.run(name).erase(&key::server(host)).await?,
            None => false,
        };
        self.reload()?;
        let mut others = self.fallbacks.iter();
        let other = others.find(|other| other.host_entry(host).is_some());
        Ok(Erased {
            removed: in_file || in_helper,
            remains_in: other.map(|other| other.path().to_owned()),
        })
    }

    fn own(&self) -> Result<&Document> {
        self.own.as_ref().ok_or_else(|| {
            let message = "there is no place for the Docker configuration file";
            Error::new(Reason::CredentialsInvalid, message)
                .hint("set `DOCKER_CONFIG` to a directory")
        })
    }

    fn reload(&mut self) -> Result<()> {
        let path = self.own.as_ref().map(|own| own.path().to_owned());
        self.own = path.map(Document::load).transpose()?;
        Ok(())
    }
}

#[async_trait]
impl CredentialSource for DockerConfig {
    async fn credential(&self, host: &str, repository: Option<&str>) -> Result<Option<Credential>> {
        self.lookup(host, repository).await
    }
}

/// Refuses what Basic authentication cannot carry: the name ends at the first colon
/// ([RFC 7617 §2](https://www.rfc-editor.org/rfc/rfc7617#section-2)).
fn check_username(username: &str) -> Result<()> {
    let fine = !username.is_empty() && !username.contains(|c: char| c == ':' || c.is_control());
    if fine {
        return Ok(());
    }
    let message = "the user name is empty, or has a colon or a control character";
    Err(Error::new(Reason::Usage, message))
}

#[cfg(test)]
mod tests;
