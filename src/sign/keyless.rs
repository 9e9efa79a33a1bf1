//! Keyless signing: a key that lives as long as this value, and a certificate that says for some
//! minutes whose it is.
//!
//! An identity provider says who somebody is ([`IdentityToken`]); a certificate authority, for a
//! proof that they have the key, certifies it. The key is never stored. Since the certificate ends
//! soon, somebody must prove that it signed in time: the signer needs
//! [witnesses](crate::sign::Witnessed).

mod ambient;
mod certificate;
mod fulcio;
mod login;
mod token;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

pub use self::ambient::GithubActions;
pub use self::certificate::Certified;
pub use self::login::Login;
pub use self::token::IdentityToken;

use crate::bundle::{Material, RawCertificate};
use crate::error::{Error, Reason, Result};
use crate::key::Algorithm;
use crate::sign::Signer;
use crate::sign::key::PrivateKey;
use crate::sign::services::Services;
use crate::trust::sigstore::{Identity, Keyless, Match, SigstoreRoot};
use crate::trust::{Authority, OwnCertificate};

/// A signer with a key of its own and a certificate that names somebody.
pub struct KeylessSigner {
    key: PrivateKey,
    certified: Certified,
    authority: Authority,
}

impl KeylessSigner {
    /// Has a new key certified as that of whoever `token` names.
    ///
    /// What is signed is verified under `root`, if it is given; without it, only that the
    /// certificate is for this key and this identity.
    pub async fn request(
        services: &Services,
        token: &IdentityToken,
        root: Option<Arc<SigstoreRoot>>,
        now: Timestamp,
    ) -> Result<Self> {
        token.check_valid_at(now)?;
        services.check_proves_time()?;
        let key = PrivateKey::generate(Algorithm::EcdsaP256)?;
        let der = fulcio::request(services, token, &key).await?;
        let certified = Certified::read(der)?;
        certified.check(&key, token)?;
        let name = certified.identity().to_owned();
        let authority = match root {
            Some(root) => Authority::keyless(name, keyless(&certified, root)?),
            None => Authority::certificate(OwnCertificate {
                der: certified.der().to_vec(),
                key: key.public_key().clone(),
                identity: name,
                issuer: certified.issuer().to_owned(),
            }),
        };
        Ok(Self {
            key,
            certified,
            authority,
        })
    }

    /// Returns what the certificate says.
    pub fn certified(&self) -> &Certified {
        &self.certified
    }
}

/// Returns exactly the certified identity, as a verifier asks for it.
fn keyless(certified: &Certified, root: Arc<SigstoreRoot>) -> Result<Keyless> {
    let identity = Match::exact(certified.identity())?;
    let issuer = Match::exact(certified.issuer())?;
    Ok(Keyless {
        root,
        identity: Identity::new(identity, issuer),
    })
}

#[async_trait]
impl Signer for KeylessSigner {
    fn authority(&self) -> Authority {
        self.authority.clone()
    }

    async fn sign(&self, message: &[u8]) -> Result<(Vec<u8>, Material)> {
        if Timestamp::now() >= self.certified.expires() {
            let message = "the certificate expired before everything was signed";
            return Err(Error::new(Reason::IdentityTokenInvalid, message)
                .hint("run the command again: what is signed already stays"));
        }
        let material = Material {
            certificate: Some(RawCertificate {
                raw_bytes: self.certified.der().to_vec(),
            }),
            ..Material::default()
        };
        Ok((self.key.sign(message)?, material))
    }
}
