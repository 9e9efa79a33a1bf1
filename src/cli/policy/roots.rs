//! Whom a policy file trusts, with their keys read and their instances at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::policy::file::{
    CertificateAnchor, Certificates, Instance, PolicyFile, Trusted, TrustedKey,
};
use modelctl::trust::pki::{Pki, Signers};
use modelctl::trust::sigstore::{Keyless, Repository, SigstoreRoot};
use modelctl::trust::{Authority, TrustRoot};

use super::super::certificates;
use super::super::keyless::{fetched, trusted_root};
use super::super::keys;
use super::super::stores::read;
use super::super::terminal::Terminal;
use super::super::trust::pki;

/// Returns those of `file`'s authorities that are called one of `names`. Instances that none of
/// them needs are not fetched.
pub(super) async fn root(
    file: &PolicyFile,
    names: &BTreeSet<&str>,
    terminal: &Terminal,
) -> Result<TrustRoot> {
    let mut instances = Instances {
        file,
        terminal,
        open: BTreeMap::new(),
    };
    let mut authorities = Vec::new();
    for (name, trusted) in &file.authorities {
        if names.contains(name.as_str()) {
            authorities.extend(instances.authorities(name, trusted).await?);
        }
    }
    TrustRoot::new(authorities)
}

/// Reads a key of a policy.
pub(super) fn key(name: &str, key: &TrustedKey) -> Result<Authority> {
    let file = key.file.display().to_string();
    let public = keys::public_key(&file).map_err(|error| {
        let hint = error.advice().unwrap_or_default().to_owned();
        Error::new(
            Reason::PolicyInvalid,
            format!("a key of `{name}` cannot be used"),
        )
        .because(error)
        .hint(hint)
    })?;
    Ok(Authority::key(name, public).valid(key.validity))
}

/// Reads the certificates of an authority.
pub(super) fn by_certificate(name: &str, trusted: &Certificates) -> Result<Authority> {
    let now = Timestamp::now();
    let pki = match &trusted.anchor {
        CertificateAnchor::Leaf(file) => Pki::pinned(certificates::one(file)?, now),
        CertificateAnchor::Roots {
            roots,
            intermediates,
            identity,
            subject,
            revocations,
        } => {
            let signers = Signers {
                identities: identity.iter().cloned().collect(),
                subjects: subject.iter().cloned().collect(),
                certificates: Vec::new(),
            };
            Pki::with_roots(pki::concat(roots, pki::trusted)?, signers, now)?
                .and_intermediates(pki::concat(intermediates, certificates::all)?)
                .and_revocations(pki::revocations(revocations)?)
        }
    };
    let pki = pki.and_timestamping(pki::timestamping(&trusted.timestamping)?);
    Ok(Authority::pki(name, pki).valid(trusted.validity))
}

struct Instances<'a> {
    file: &'a PolicyFile,
    terminal: &'a Terminal,
    open: BTreeMap<&'a str, Arc<SigstoreRoot>>,
}

impl<'a> Instances<'a> {
    /// Returns everyone who is meant by one name.
    async fn authorities(&mut self, name: &str, trusted: &'a Trusted) -> Result<Vec<Authority>> {
        match trusted {
            Trusted::Keys { keys, instance } => {
                let witnesses = match instance {
                    Some(instance) => Some(self.open(instance).await?),
                    None => None,
                };
                let witnessed = |authority: Authority| match &witnesses {
                    Some(root) => authority.with_witnesses(Arc::clone(root)),
                    None => authority,
                };
                keys.iter()
                    .map(|one| Ok(witnessed(key(name, one)?)))
                    .collect()
            }
            Trusted::Identity {
                identity,
                instance,
                validity,
            } => {
                let keyless = Keyless {
                    root: self.open(instance).await?,
                    identity: identity.clone(),
                };
                Ok(vec![Authority::keyless(name, keyless).valid(*validity)])
            }
            Trusted::Certificates(certificates) => Ok(vec![by_certificate(name, certificates)?]),
        }
    }

    /// Opens an instance, once.
    async fn open(&mut self, name: &'a str) -> Result<Arc<SigstoreRoot>> {
        if let Some(root) = self.open.get(name) {
            return Ok(Arc::clone(root));
        }
        let root = match self.file.instances.get(name) {
            Some(Instance::File(file)) => trusted_root(file)?,
            Some(Instance::Repository { mirror, root }) => {
                let bootstrap = read(root, limits::TRUSTED_ROOT)?;
                Arc::new(fetched(Repository::custom(mirror, bootstrap), self.terminal).await?)
            }
            Some(Instance::PublicGood) | None => {
                Arc::new(fetched(Repository::public_good(), self.terminal).await?)
            }
        };
        self.open.insert(name, Arc::clone(&root));
        Ok(root)
    }
}
