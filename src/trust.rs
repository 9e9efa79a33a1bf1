//! Authentication: who signed what. Whether that is enough is [`crate::policy`]'s to say.
//!
//! A [`TrustRoot`] is the only thing that can make an [`Authenticated`] statement, and it makes
//! one in one way for every kind of authority: find who could have signed, check the signature
//! over the exact bytes, and only then read the statement.

mod key;

use serde::Serialize;

use crate::bundle::{Bundle, Material};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::PublicKey;
use crate::statement::Statement;

/// Someone whose signatures can be recognised, under a name that policies use.
#[derive(Debug, Clone)]
pub struct Authority {
    name: String,
    kind: Kind,
}

/// How an authority is recognised. Keyless identities and certificates join here.
#[derive(Debug, Clone)]
enum Kind {
    Key(PublicKey),
}

impl Authority {
    /// Returns the holder of the private half of `key`, called `name`.
    pub fn key(name: impl Into<String>, key: PublicKey) -> Self {
        Self {
            name: name.into(),
            kind: Kind::Key(key),
        }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the key, if the authority is the holder of one.
    pub fn public_key(&self) -> Option<&PublicKey> {
        match &self.kind {
            Kind::Key(key) => Some(key),
        }
    }
}

/// Who signed, as it was proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[non_exhaustive]
pub enum SignerIdentity {
    /// The holder of a key.
    Key {
        /// What the user calls the key: usually its file.
        name: String,
        /// What kind of key it is.
        algorithm: String,
        /// The SHA-256 of the key's SubjectPublicKeyInfo.
        fingerprint: Digest,
    },
}

impl SignerIdentity {
    /// Returns the name of the authority that this signer is.
    pub fn authority(&self) -> &str {
        match self {
            Self::Key { name, .. } => name,
        }
    }
}

impl std::fmt::Display for SignerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key {
                name,
                algorithm,
                fingerprint,
            } => {
                write!(
                    f,
                    "{algorithm} key {name} ({:.19}…)",
                    fingerprint.to_string()
                )
            }
        }
    }
}

/// A statement whose signature was verified, and who made it. Only
/// [`TrustRoot::authenticate`] makes one.
///
/// ```compile_fail
/// let forged = modelctl::trust::Authenticated { statement: todo!(), signer: todo!() };
/// ```
#[derive(Debug, Clone)]
pub struct Authenticated {
    statement: Statement,
    signer: SignerIdentity,
}

impl Authenticated {
    /// Returns what was signed.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Returns who signed it.
    pub fn signer(&self) -> &SignerIdentity {
        &self.signer
    }
}

/// Everyone whose signatures are recognised. There is no default: nobody is trusted unless named.
#[derive(Debug, Clone)]
pub struct TrustRoot {
    authorities: Vec<Authority>,
}

impl TrustRoot {
    /// Returns a root that recognises `authorities`; none at all is an error, because it could
    /// only mean that someone forgot to name one.
    pub fn new(authorities: impl IntoIterator<Item = Authority>) -> Result<Self> {
        let authorities: Vec<_> = authorities.into_iter().collect();
        if authorities.is_empty() {
            return Err(Error::new(
                Reason::NothingToVerifyAgainst,
                "there is nothing to verify against",
            )
            .hint("name who is trusted: `--key release.pub`"));
        }
        Ok(Self { authorities })
    }

    /// Returns the names of everyone recognised.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.authorities.iter().map(Authority::name)
    }

    /// Verifies `bundle`'s signature and then reads its statement.
    ///
    /// The hint in a bundle proves nothing; it only chooses the words of a refusal.
    pub fn authenticate(&self, bundle: &Bundle) -> Result<Authenticated> {
        let envelope = bundle.envelope()?;
        let mut signed = Signed {
            material: bundle.material(),
            message: envelope.signed_bytes(),
            signature: envelope.signature(),
        };
        let signer = self.recognise(&signed).or_else(|refusal| {
            // The first model signatures are on other bytes, which nothing else can be.
            signed.message = bundle.signed_bytes_v02(&envelope).ok_or(refusal)?;
            self.recognise(&signed)
        })?;
        Ok(Authenticated {
            statement: Statement::parse(envelope.unverified_payload())?,
            signer,
        })
    }

    /// Returns who signed: the first authority that recognises the signature as its own. If none
    /// does, the refusal is that of whoever came nearest, whatever their order.
    fn recognise(&self, signed: &Signed<'_>) -> Result<SignerIdentity> {
        let mut nearest: Option<Error> = None;
        for authority in &self.authorities {
            match authority.recognise(signed) {
                Ok(signer) => return Ok(signer),
                Err(error) if nearest.as_ref().is_none_or(|kept| nearer(&error, kept)) => {
                    nearest = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(nearest.unwrap_or_else(|| {
            Error::new(Reason::UntrustedSigner, "nobody is trusted to have signed")
        }))
    }
}

/// A signature with what it is on, still to be verified.
struct Signed<'a> {
    material: &'a Material,
    message: Vec<u8>,
    signature: &'a [u8],
}

impl Authority {
    fn recognise(&self, signed: &Signed<'_>) -> Result<SignerIdentity> {
        match &self.kind {
            Kind::Key(key) => key::recognise(&self.name, key, signed),
        }
    }
}

/// Whether `error` tells more about a signature than `other`: that it is somebody else's says
/// least.
fn nearer(error: &Error, other: &Error) -> bool {
    let says_little = |error: &Error| error.reason() == Reason::UntrustedSigner;
    says_little(other) && !says_little(error)
}
