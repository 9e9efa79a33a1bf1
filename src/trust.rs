//! Authentication: who signed what. Whether that is enough is [`crate::policy`]'s to say.
//!
//! A [`TrustRoot`] is the only thing that can make an [`Authenticated`] statement, and it makes
//! one in one way for every kind of authority: find who could have signed, check the signature
//! over the exact bytes, and only then read the statement.

use serde::Serialize;

use crate::bundle::Bundle;
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

    fn signer(&self) -> SignerIdentity {
        match &self.kind {
            Kind::Key(key) => SignerIdentity::Key {
                name: self.name.clone(),
                algorithm: key.algorithm().to_string(),
                fingerprint: key.fingerprint(),
            },
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
        let material = bundle.material();
        if material.certificate.is_some() || material.x509_certificate_chain.is_some() {
            return Err(Error::new(
                Reason::BundleUnsupported,
                "the bundle was signed with a certificate, which this version cannot verify",
            ));
        }
        let message = envelope.signed_bytes();
        let found = self
            .authorities
            .iter()
            .find(|authority| match &authority.kind {
                Kind::Key(key) => key.verifies(&message, envelope.signature()),
            });
        let Some(authority) = found else {
            return Err(self.refusal(material.public_key.as_ref().map(|key| key.hint.as_str())));
        };
        Ok(Authenticated {
            statement: Statement::parse(envelope.unverified_payload())?,
            signer: authority.signer(),
        })
    }

    /// Says why no authority verified a signature.
    fn refusal(&self, hint: Option<&str>) -> Error {
        let hint = hint.unwrap_or_default();
        let named = self
            .authorities
            .iter()
            .find(|authority| match &authority.kind {
                Kind::Key(key) => key.has_hint(hint),
            });
        match named {
            Some(authority) => Error::new(
                Reason::SignatureInvalid,
                format!(
                    "the signature names key `{}` but does not verify with it",
                    authority.name
                ),
            ),
            None => Error::new(
                Reason::UntrustedSigner,
                format!("no trusted key made the signature ({})", Hint(hint)),
            ),
        }
    }
}

/// Shows a hint without letting it write to the terminal.
struct Hint<'a>(&'a str);

impl std::fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            "" => f.write_str("it does not say whose it is"),
            hint => {
                let shown: String = hint.chars().take(64).collect();
                write!(f, "it names {shown:?}")
            }
        }
    }
}
