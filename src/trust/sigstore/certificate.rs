//! Certificates of keyless signers, whom they name.

use std::collections::BTreeMap;

use sigstore_verify::VerificationResult;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{ObjectIdentifier, Utf8StringRef};
use x509_cert::ext::pkix::SubjectAltName;

use super::claim::Claim;
use crate::error::{Error, Reason, Result};

/// Under which Fulcio's extensions stand.
const FULCIO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1");

/// The numbers of the extensions that name the issuer: bare, and in DER.
const ISSUER: u32 = 1;
const ISSUER_V2: u32 = 8;

/// Whom a verified certificate names.
pub(super) struct Holder {
    /// Who.
    pub(super) identity: String,
    /// Who says so.
    pub(super) issuer: String,
    /// What else they say.
    pub(super) claims: BTreeMap<Claim, String>,
}

impl Holder {
    /// Reads whom the certificate in `der`, of which `verified` came, names: one identity and one
    /// issuer, so that no other verifier can see another in it.
    pub(super) fn read(der: &[u8], verified: &VerificationResult) -> Result<Self> {
        let certificate =
            Certificate::from_der(der).map_err(|error| invalid("is malformed").because(error))?;
        let names: Option<(bool, SubjectAltName)> = certificate
            .tbs_certificate
            .get()
            .map_err(|error| invalid("has malformed names").because(error))?;
        if names.is_some_and(|(_, names)| names.0.len() != 1) {
            return Err(invalid("names more than one identity"));
        }
        let (Some(identity), Some(issuer)) = (verified.identity(), verified.issuer()) else {
            return Err(invalid("names no identity, or no issuer"));
        };
        let extensions = extensions(&certificate)?;
        check_issuers(&extensions, issuer)?;
        Ok(Self {
            identity: identity.as_str().to_owned(),
            issuer: issuer.to_owned(),
            claims: claims(&extensions)?,
        })
    }
}

/// Returns Fulcio's extensions by number; two with one number could be read either way.
fn extensions(certificate: &Certificate) -> Result<BTreeMap<u32, &[u8]>> {
    let mut found = BTreeMap::new();
    for extension in certificate.tbs_certificate.extensions.iter().flatten() {
        if extension.extn_id.parent() != Some(FULCIO) {
            continue;
        }
        let Some(number) = extension.extn_id.arc(FULCIO.len()) else {
            continue;
        };
        if found
            .insert(number, extension.extn_value.as_bytes())
            .is_some()
        {
            return Err(invalid("has an extension twice"));
        }
    }
    Ok(found)
}

/// Refuses a certificate whose two extensions for the issuer differ: verifiers read one or the
/// other.
fn check_issuers(extensions: &BTreeMap<u32, &[u8]>, issuer: &str) -> Result<()> {
    let bare = extensions.get(&ISSUER).map(|value| text(value, true));
    let der = extensions.get(&ISSUER_V2).map(|value| text(value, false));
    let agrees = |named: Option<Option<&str>>| named.is_none_or(|named| named == Some(issuer));
    match agrees(bare) && agrees(der) {
        true => Ok(()),
        false => Err(invalid("names two issuers")),
    }
}

fn claims(extensions: &BTreeMap<u32, &[u8]>) -> Result<BTreeMap<Claim, String>> {
    let mut claims = BTreeMap::new();
    for claim in Claim::ALL {
        if let Some(value) = extensions.get(&claim.number()) {
            let value = text(value, claim.is_bare())
                .ok_or_else(|| invalid(&format!("has a malformed {claim}")))?;
            claims.insert(*claim, value.to_owned());
        }
    }
    Ok(claims)
}

/// Reads an extension's text, which stands there as it is or in DER. Some issuers write DER where
/// bare text is usual; no honest text begins with its tag, a form feed.
fn text(value: &[u8], bare: bool) -> Option<&str> {
    let der = Utf8StringRef::from_der(value)
        .ok()
        .map(|text| text.as_str());
    match bare {
        true => der.or_else(|| std::str::from_utf8(value).ok()),
        false => der,
    }
}

fn invalid(why: &str) -> Error {
    Error::new(
        Reason::CertificateInvalid,
        format!("the signer's certificate {why}"),
    )
}
