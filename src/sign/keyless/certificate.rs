//! The certificate that a signer got: whose key it certifies. Whether an authority that anybody
//! trusts issued it, a verifier says.

use jiff::Timestamp;
use spki::der::asn1::{ObjectIdentifier, Utf8StringRef};
use spki::der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::token::IdentityToken;
use crate::error::{Error, Reason, Result};
use crate::sign::key::PrivateKey;

/// Who vouched for the identity
/// ([Fulcio's OIDs](https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md)).
const ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");

/// The same, as it was written before: without an ASN.1 type.
const ISSUER_BEFORE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");

/// The subject's name, where it is neither an e-mail address nor a URI.
const USER_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");

/// A certificate, and what it says about its key's owner.
#[derive(Debug, Clone)]
pub struct Certified {
    der: Vec<u8>,
    spki: Vec<u8>,
    identity: String,
    issuer: String,
    expires: Timestamp,
}

impl Certified {
    /// Reads the certificate that an authority answered with.
    pub(super) fn read(der: Vec<u8>) -> Result<Self> {
        let wrong = |what: &str| {
            let message = format!("the certificate authority's certificate {what}");
            Error::new(Reason::RegistryProtocol, message)
        };
        let malformed = |error: spki::der::Error| wrong("is malformed").because(error);
        let certificate = x509_cert::Certificate::from_der(&der).map_err(malformed)?;
        let inner = certificate.tbs_certificate;
        let extensions = inner.extensions.unwrap_or_default();
        let end = inner.validity.not_after.to_system_time();
        Ok(Self {
            spki: inner.subject_public_key_info.to_der().map_err(malformed)?,
            identity: identity(&extensions).ok_or_else(|| wrong("names nobody"))?,
            issuer: issuer(&extensions).ok_or_else(|| wrong("does not say who vouches"))?,
            expires: Timestamp::try_from(end)
                .map_err(|error| wrong("ends never").because(error))?,
            der,
        })
    }

    /// Checks that the certificate is for `key`, and for whom `token` names: an e-mail address is
    /// taken over as it is; what a workload is called, the authority makes up of its claims.
    pub(super) fn check(&self, key: &PrivateKey, token: &IdentityToken) -> Result<()> {
        let wrong = |what: String| {
            let message = format!("the certificate authority certified {what}");
            Err(Error::new(Reason::RegistryProtocol, message))
        };
        if self.spki != key.public_key().spki() {
            return wrong("another key than it was shown".to_owned());
        }
        if token.email().is_some_and(|email| email != self.identity) {
            return wrong(format!("{:?} and not {:?}", self.identity, token.name()));
        }
        if self.issuer != token.issuer() {
            return wrong(format!(
                "that {:?} vouches, not {:?}",
                self.issuer,
                token.issuer()
            ));
        }
        Ok(())
    }

    /// Returns the certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns who is certified: an e-mail address, a URI or a user name.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Returns who vouched for the identity.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns when the certificate ends.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
}

/// Returns the one name in the certificate's subject alternative names.
fn identity(extensions: &[Extension]) -> Option<String> {
    const ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
    let names = SubjectAltName::from_der(value(extensions, ID)?).ok()?;
    let [name] = names.0.as_slice() else {
        return None;
    };
    match name {
        GeneralName::Rfc822Name(email) => Some(email.to_string()),
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
        GeneralName::OtherName(other) if other.type_id == USER_NAME => {
            other.value.decode_as::<String>().ok()
        }
        _ => None,
    }
}

fn issuer(extensions: &[Extension]) -> Option<String> {
    if let Some(text) = value(extensions, ISSUER) {
        return Some(Utf8StringRef::from_der(text).ok()?.as_str().to_owned());
    }
    let text = value(extensions, ISSUER_BEFORE)?;
    Some(std::str::from_utf8(text).ok()?.to_owned())
}

fn value(extensions: &[Extension], id: ObjectIdentifier) -> Option<&[u8]> {
    let extension = extensions
        .iter()
        .find(|extension| extension.extn_id == id)?;
    Some(extension.extn_value.as_bytes())
}
