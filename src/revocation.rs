//! Revocations: a signed list of artifacts, signatures and signers that no longer count.
//!
//! The list is the predicate of a statement of the type [`PREDICATE_TYPE`], signed by someone whom
//! the policy names for it. Who holds back the list must not gain by it: it says until when it is
//! good, and [`Revocations::not_before`] refuses one older than one that was seen before.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::trust::{Authenticated, Recognised, SignerIdentity};

/// The predicate type of a list of revocations.
pub const PREDICATE_TYPE: &str = "https://modelctl.dev/revocations/v1";

/// What no longer counts, and until when that is all.
#[derive(Debug, Clone)]
pub struct Revocations {
    list: List,
    max_age: Option<SignedDuration>,
}

/// The predicate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// Grows with each list.
    version: u64,
    issued: Timestamp,
    expires: Timestamp,
    entries: Vec<Entry>,
}

/// One thing that no longer counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
enum Entry {
    /// An artifact, by its manifest's digest.
    Artifact { digest: Digest, why: String },
    /// A signature or attestation, by its bundle's digest.
    Bundle { digest: Digest, why: String },
    /// A key, by its fingerprint; with `after`, only what was not proven to be signed before.
    Key {
        fingerprint: Digest,
        #[serde(default)]
        after: Option<Timestamp>,
        why: String,
    },
    /// Who an identity provider knows; with `after`, as for a key.
    Identity {
        identity: String,
        issuer: String,
        #[serde(default)]
        after: Option<Timestamp>,
        why: String,
    },
}

impl Revocations {
    /// Reads the predicate of a statement whose signature was verified.
    pub fn read(predicate: &Value) -> Result<Self> {
        let invalid = |why: &str| {
            let message = format!("the list of revocations {why}");
            Error::new(Reason::RevocationsUnavailable, message)
        };
        let list = List::deserialize(predicate)
            .map_err(|error| invalid("is not as it should be").because(error))?;
        if list.expires <= list.issued {
            return Err(invalid("expires before it is issued"));
        }
        if list.entries.len() > limits::REVOCATIONS {
            return Err(invalid("has too many entries"));
        }
        Ok(Self {
            list,
            max_age: None,
        })
    }

    /// Returns the newest list among what someone stated who is trusted for it; none is an error.
    pub fn newest(found: &[Authenticated]) -> Result<Self> {
        let mut newest: Option<Self> = None;
        for authenticated in found {
            let statement = authenticated.statement();
            if statement.predicate_type != PREDICATE_TYPE {
                continue;
            }
            let list = Self::read(&statement.predicate)?;
            if newest
                .as_ref()
                .is_none_or(|known| known.version() < list.version())
            {
                newest = Some(list);
            }
        }
        newest.ok_or_else(|| {
            let message = "there is no list of revocations by someone who is trusted for it";
            Error::new(Reason::RevocationsUnavailable, message).hint(format!(
                "publish one: `modelctl attest REF --type {PREDICATE_TYPE} …`"
            ))
        })
    }

    /// Refuses the list when it is older than this, even if it says that it is good for longer.
    #[must_use]
    pub fn for_at_most(mut self, max_age: SignedDuration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Returns the list's version, which grows with each list.
    pub fn version(&self) -> u64 {
        self.list.version
    }

    /// Returns how many entries there are.
    pub fn count(&self) -> usize {
        self.list.entries.len()
    }

    /// Refuses a list that is older than one that was seen before: whoever shows it hides something.
    pub fn not_before(&self, seen: u64) -> Result<()> {
        if self.list.version >= seen {
            return Ok(());
        }
        let message = format!(
            "the list of revocations has version {}, and version {seen} was seen before",
            self.list.version
        );
        Err(Error::new(Reason::RevocationsUnavailable, message)
            .hint("ask whoever publishes it; somebody may be hiding what was revoked"))
    }

    /// Says why the list is not to be relied on at the time `now`, if so.
    pub(crate) fn check_fresh(&self, now: Option<Timestamp>) -> Result<(), (Reason, String)> {
        let stale = |message: String| Err((Reason::RevocationsUnavailable, message));
        let Some(now) = now else {
            return stale("nothing says whether the list of revocations is current".to_owned());
        };
        let (issued, expires) = (self.list.issued, self.list.expires);
        if now < issued {
            return stale(format!(
                "the list of revocations is of the future: {issued}"
            ));
        }
        if now >= expires {
            return stale(format!("the list of revocations was good until {expires}"));
        }
        let too_old = |limit| now.duration_since(issued) > limit;
        if self.max_age.is_some_and(too_old) {
            return stale(format!(
                "the list of revocations is of {issued}, older than the policy allows"
            ));
        }
        Ok(())
    }

    /// Says why the artifact with this digest was revoked, if so.
    pub(crate) fn check_artifact(&self, artifact: &Digest) -> Result<(), (Reason, String)> {
        for entry in &self.list.entries {
            match entry {
                Entry::Artifact { digest, why } if digest == artifact => {
                    return Err(revoked("the artifact", why));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Says why the signature in the bundle with this digest no longer counts, if so.
    pub(crate) fn check_signature(
        &self,
        bundle: &Digest,
        recognised: &Recognised,
    ) -> Result<(), (Reason, String)> {
        let time = recognised.time();
        self.list
            .entries
            .iter()
            .find_map(|entry| entry.revokes(bundle, recognised.signer(), time))
            .map_or(Ok(()), Err)
    }
}

impl Entry {
    /// Says why this revokes a signature by `signer`, proven to have been made by `time`, if so.
    fn revokes(
        &self,
        bundle: &Digest,
        signer: &SignerIdentity,
        time: Option<Timestamp>,
    ) -> Option<(Reason, String)> {
        let is_late = |after: &Option<Timestamp>| match (after, time) {
            (Some(after), Some(time)) => time >= *after,
            _ => true,
        };
        match (self, signer) {
            (Self::Bundle { digest, why }, _) if digest == bundle => {
                Some(revoked("the signature", why))
            }
            (
                Self::Key {
                    fingerprint,
                    after,
                    why,
                },
                SignerIdentity::Key {
                    fingerprint: found, ..
                },
            ) if fingerprint == found && is_late(after) => Some(revoked("the key", why)),
            (
                Self::Identity {
                    identity,
                    issuer,
                    after,
                    why,
                },
                SignerIdentity::Keyless {
                    identity: found,
                    issuer: by,
                    ..
                },
            ) if identity == found && issuer == by && is_late(after) => {
                Some(revoked("the identity", why))
            }
            _ => None,
        }
    }
}

fn revoked(what: &str, why: &str) -> (Reason, String) {
    let why: String = why.chars().take(200).collect();
    (Reason::Revoked, format!("{what} was revoked: {why:?}"))
}
