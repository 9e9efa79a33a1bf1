//! X.509 certificates ([RFC 5280](https://www.rfc-editor.org/rfc/rfc5280)): read strictly, with
//! what they say and what they allow. Nothing here is proven; [`crate::trust`] proves it.

mod identities;
mod name;
mod revocation;
mod rfc4514;

use std::collections::HashSet;
use std::fmt;

use jiff::Timestamp;
use spki::der::asn1::ObjectIdentifier;
use spki::der::{Decode, Encode};
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName,
};
use x509_cert::{TbsCertificate, Version};

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::{PublicKey, pem_sections};
use crate::limits;

pub use name::DistinguishedName;
pub use revocation::RevocationList;

/// The label of a certificate in a PEM file.
const PEM_LABEL: &str = "CERTIFICATE";

/// The purpose `id-kp-codeSigning` of an extended key usage.
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");

/// A certificate: who someone is, what their key is, and what it may be used for, as an issuer says.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    subject: DistinguishedName,
    issuer: DistinguishedName,
    identities: Vec<String>,
    validity: Validity,
    spki: Vec<u8>,
    /// There when it is an authority's.
    authority: Option<AuthorityConstraints>,
    key_usage: Option<KeyUsage>,
    purposes: Option<Vec<ObjectIdentifier>>,
    /// Whether it says which names may stand below it.
    constrains_names: bool,
}

/// The time in which a certificate is valid, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: Timestamp,
    /// The last moment.
    pub not_after: Timestamp,
}

impl Validity {
    /// Whether `time` is in it.
    pub fn contains(&self, time: Timestamp) -> bool {
        // X.509 counts whole seconds: the last one counts to its end.
        self.not_before <= time && time.as_second() <= self.not_after.as_second()
    }
}

/// What the basic constraints allow an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct AuthorityConstraints {
    path_length: Option<u8>,
}

impl Certificate {
    /// Reads a certificate in DER: version 3, no extension twice, nothing behind it.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        if der.len() > limits::CERTIFICATE {
            return Err(invalid("the certificate is larger than 64 KiB"));
        }
        let certificate = x509_cert::Certificate::from_der(der).map_err(malformed)?;
        let fields = certificate.tbs_certificate;
        if fields.version != Version::V3 {
            return Err(invalid("the certificate is not of version 3"));
        }
        let mut seen = HashSet::new();
        let extensions = fields.extensions.as_deref().unwrap_or_default();
        if !extensions
            .iter()
            .all(|extension| seen.insert(extension.extn_id))
        {
            return Err(invalid("the certificate has an extension twice"));
        }
        Self::from_fields(der, &fields)
    }

    fn from_fields(der: &[u8], fields: &TbsCertificate) -> Result<Self> {
        let names = fields.get::<SubjectAltName>().map_err(malformed)?;
        let constraints = fields.get::<BasicConstraints>().map_err(malformed)?;
        let key_usage = fields.get::<KeyUsage>().map_err(malformed)?;
        let purposes = fields.get::<ExtendedKeyUsage>().map_err(malformed)?;
        let authority = constraints.filter(|(_, constraints)| constraints.ca);
        let names_below = fields.get::<NameConstraints>().map_err(malformed)?;
        let spki = &fields.subject_public_key_info;
        Ok(Self {
            der: der.to_vec(),
            subject: DistinguishedName::from_x509(&fields.subject)?,
            issuer: DistinguishedName::from_x509(&fields.issuer)?,
            identities: names.map_or(Ok(Vec::new()), |(_, names)| identities::read(&names.0))?,
            validity: Validity {
                not_before: timestamp(fields.validity.not_before)?,
                not_after: timestamp(fields.validity.not_after)?,
            },
            spki: spki.to_der().map_err(malformed)?,
            authority: authority.map(|(_, constraints)| AuthorityConstraints {
                path_length: constraints.path_len_constraint,
            }),
            key_usage: key_usage.map(|(_, usage)| usage),
            purposes: purposes.map(|(_, purposes)| purposes.0),
            constrains_names: names_below.is_some(),
        })
    }

    /// Reads a PEM file with one certificate; `what` names it in errors.
    pub fn from_pem(text: &[u8], what: &str) -> Result<Self> {
        let mut certificates = Self::all_from_pem(text, what)?;
        match (certificates.pop(), certificates.is_empty()) {
            (Some(certificate), true) => Ok(certificate),
            _ => {
                let message = format!("`{what}` must hold exactly one certificate");
                Err(Error::new(Reason::CertificateFileInvalid, message)
                    .hint("the certificates of its issuers go by `--certificate-chain`"))
            }
        }
    }

    /// Reads a PEM file with certificates and nothing else; `what` names it in errors.
    pub fn all_from_pem(text: &[u8], what: &str) -> Result<Vec<Self>> {
        let unusable =
            |error: Error| Error::new(Reason::CertificateFileInvalid, format!("`{what}`: {error}"));
        let sections = pem_sections(text).map_err(unusable)?;
        if sections.len() > limits::TRUSTED_CERTIFICATES {
            return Err(unusable(invalid("it holds too many certificates")));
        }
        let read = |section: &pem::Pem| match section.tag() {
            PEM_LABEL => Self::from_der(section.contents()).map_err(unusable),
            other => {
                let message = format!("`{what}` holds a {other:?}, not a certificate");
                Err(Error::new(Reason::CertificateFileInvalid, message))
            }
        };
        sections.iter().map(read).collect()
    }

    /// Returns the certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the certificate as a PEM file.
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new(PEM_LABEL, self.der.as_slice()), config)
    }

    /// Returns the SHA-256 of the certificate: its name everywhere.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// Returns who it is about.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// Returns who issued it, as it claims.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// Returns the subject's alternative names that are texts: addresses, URIs, host names.
    pub fn identities(&self) -> &[String] {
        &self.identities
    }

    /// Returns when it is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Returns the key, which must be of a kind that can verify signatures here.
    pub fn public_key(&self) -> Result<PublicKey> {
        PublicKey::from_spki(&self.spki)
    }

    /// Whether it is an authority's: it may issue others.
    pub fn is_authority(&self) -> bool {
        self.is_marked_authority() && self.may(KeyUsage::key_cert_sign)
    }

    /// Whether its basic constraints call it an authority's, whatever its key may be used for.
    pub(crate) fn is_marked_authority(&self) -> bool {
        self.authority.is_some()
    }

    /// Whether it limits the names of those below it.
    pub(crate) fn constrains_names(&self) -> bool {
        self.constrains_names
    }

    /// Whether an authority may stand above `count` others in one chain.
    pub(crate) fn may_stand_above(&self, count: usize) -> bool {
        let limit = self.authority.and_then(|authority| authority.path_length);
        limit.is_none_or(|limit| count <= usize::from(limit))
    }

    /// Whether its purposes, if it names any, include code signing.
    pub(crate) fn allows_code_signing(&self) -> bool {
        self.purposes
            .as_ref()
            .is_none_or(|purposes| purposes.contains(&CODE_SIGNING))
    }

    /// Checks that the holder may sign code: not an authority, with the purpose of code signing,
    /// and a key that is for signatures.
    pub fn check_may_sign_code(&self) -> Result<()> {
        self.check_signers(self.is_marked_authority())
    }

    /// Checks that the holder may sign models: as [`Certificate::check_may_sign_code`], except that
    /// the certificate may be marked as an authority's by mistake.
    ///
    /// Some issuers mark every certificate (`CA:TRUE`), among them the ones that the first users of
    /// model signatures had. It is a mistake if the key usage does not allow to sign certificates:
    /// then nobody accepts one below it (RFC 5280, section 6.1.4, step n).
    pub fn check_may_sign_models(&self) -> Result<()> {
        self.check_signers(self.is_authority())
    }

    fn check_signers(&self, is_authority: bool) -> Result<()> {
        let refuse = |why: &str| invalid(&format!("the certificate of {} {why}", self.subject));
        if is_authority {
            return Err(refuse("is an authority's, which signs certificates only"));
        }
        if self.purposes.is_none() || !self.allows_code_signing() {
            return Err(refuse("is not for code signing (its extended key usage)")
                .hint("have it issued with `extendedKeyUsage = codeSigning`"));
        }
        if !self.may(KeyUsage::digital_signature) {
            return Err(
                refuse("has a key that is not for signatures (its key usage)")
                    .hint("have it issued with `keyUsage = digitalSignature`"),
            );
        }
        Ok(())
    }

    fn may(&self, usage: impl Fn(&KeyUsage) -> bool) -> bool {
        self.key_usage.as_ref().is_none_or(usage)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate of {} {}", self.subject, self.fingerprint())
    }
}

/// "No well-defined expiration date" (section 4.1.2.5) is a day after the last one that a
/// [`Timestamp`] can say.
fn timestamp(time: x509_cert::time::Time) -> Result<Timestamp> {
    let seconds = i64::try_from(time.to_unix_duration().as_secs())
        .map_err(|_| invalid("a time in a certificate is malformed"))?;
    Ok(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
}

fn invalid(message: &str) -> Error {
    Error::new(Reason::CertificateInvalid, message)
}

fn malformed(error: spki::der::Error) -> Error {
    invalid("the certificate is malformed").because(error)
}
