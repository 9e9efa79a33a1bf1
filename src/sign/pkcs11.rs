//! Keys that cannot be copied: in an HSM, a smart card or another token that speaks
//! [PKCS #11](https://docs.oasis-open.org/pkcs11/pkcs11-spec/v3.1/pkcs11-spec-v3.1.html).
//!
//! The token signs; everything else happens here. A PIN is tried once: tokens count wrong ones and
//! lock, and nobody can say how many tries are left.

mod key;
mod token;
mod uri;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use crate::blob::blocking;
use crate::bundle::{Material, PublicKeyHint};
use crate::certificate::Certificate;
use crate::error::{Error, Reason, Result};
use crate::key::PublicKey;
use crate::secret::Secret;
use crate::sign::Signer;
use crate::trust::Authority;

use key::TokenKey;
use token::Token;

pub use uri::Uri;

/// A signer with a private key in a token.
pub struct Pkcs11Signer {
    name: String,
    public: PublicKey,
    /// One session signs one thing at a time.
    key: Arc<Mutex<TokenKey>>,
}

impl Pkcs11Signer {
    /// Opens the token that `uri` names by the library `module`, asks for the PIN if it wants one,
    /// and finds the key. This waits for a device: not on a thread that others wait for.
    pub fn open(uri: &Uri, module: &Path, pin: impl FnOnce() -> Result<Secret>) -> Result<Self> {
        let token = Token::open(uri, module)?;
        let pin = token.sign_in(pin)?;
        let key = TokenKey::find(token, uri, pin)?;
        Ok(Self {
            name: uri.to_string(),
            public: key.public_key().clone(),
            key: Arc::new(Mutex::new(key)),
        })
    }

    /// Returns the key that verifies what this signs.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for Pkcs11Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.name, self.public)
    }
}

#[async_trait]
impl Signer for Pkcs11Signer {
    fn authority(&self) -> Authority {
        Authority::key(self.name.clone(), self.public.clone())
    }

    async fn sign(&self, message: &[u8]) -> Result<(Vec<u8>, Material)> {
        let (key, message) = (Arc::clone(&self.key), message.to_vec());
        let signature = blocking(move || {
            let key = key.lock().map_err(|_| {
                Error::new(Reason::Internal, "signing with the token failed before")
            })?;
            key.sign(&message)
        });
        let hint = PublicKeyHint {
            hint: self.public.hint(),
        };
        let material = Material {
            public_key: Some(hint),
            ..Material::default()
        };
        Ok((signature.await?, material))
    }
}

/// Reads the public key that `uri` names, for which a token wants no PIN.
pub fn public_key(uri: &Uri, module: &Path) -> Result<PublicKey> {
    key::public_key(&Token::open(uri, module)?, &uri.object)
        .map_err(|error| error.at(format_args!("`{uri}`")))
}

/// Reads the certificate that `uri` names, for which a token wants no PIN.
pub fn certificate(uri: &Uri, module: &Path) -> Result<Certificate> {
    key::certificate(&Token::open(uri, module)?, &uri.object)
        .map_err(|error| error.at(format_args!("`{uri}`")))
}
