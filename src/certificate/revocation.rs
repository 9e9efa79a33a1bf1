//! Certificate revocation lists ([RFC 5280, section 5](https://www.rfc-editor.org/rfc/rfc5280#section-5)).

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use spki::der::Decode;
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_cert::crl::CertificateList;

use crate::certificate::{DistinguishedName, timestamp};
use crate::error::{Error, Reason, Result};
use crate::key::pem_sections;

/// The label of a list in a PEM file.
const PEM_LABEL: &str = "X509 CRL";

/// What an issuer took back, and until when that is the last word.
#[derive(Clone)]
pub struct RevocationList {
    issuer: DistinguishedName,
    this_update: Timestamp,
    next_update: Timestamp,
    list: Arc<CertRevocationList<'static>>,
}

impl RevocationList {
    /// Reads the lists in a file: one in DER, or several in PEM; `what` names it in errors.
    pub fn all_from_file(bytes: &[u8], what: &str) -> Result<Vec<Self>> {
        if !bytes.starts_with(b"-----BEGIN ") {
            return Ok(vec![Self::from_der(bytes, what)?]);
        }
        let sections = pem_sections(bytes).map_err(|error| unusable(what, &error.to_string()))?;
        let read = |section: &pem::Pem| match section.tag() {
            PEM_LABEL => Self::from_der(section.contents(), what),
            other => Err(unusable(what, &format!("it holds a {other:?}"))),
        };
        sections.iter().map(read).collect()
    }

    fn from_der(der: &[u8], what: &str) -> Result<Self> {
        let malformed = |error: spki::der::Error| unusable(what, &error.to_string());
        let fields = CertificateList::from_der(der)
            .map_err(malformed)?
            .tbs_cert_list;
        let list = OwnedCertRevocationList::from_der(der)
            .map_err(|error| unusable(what, &error.to_string()))?;
        let next = fields
            .next_update
            .ok_or_else(|| unusable(what, "it does not say until when it counts"))?;
        Ok(Self {
            issuer: DistinguishedName::from_x509(&fields.issuer)?,
            this_update: timestamp(fields.this_update)?,
            next_update: timestamp(next)?,
            list: Arc::new(list.into()),
        })
    }

    /// Returns who took certificates back.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// Checks that it is the issuer's last word at `now`: an old list says nothing about what was
    /// revoked since.
    pub(crate) fn check_current(&self, now: Timestamp) -> Result<()> {
        if self.this_update <= now && now < self.next_update {
            return Ok(());
        }
        let message = format!(
            "the revocation list of {} counts from {} to {} only",
            self.issuer, self.this_update, self.next_update
        );
        Err(Error::new(Reason::RevocationUnknown, message)
            .hint("fetch the issuer's newest list and name it: `--crl FILE`"))
    }

    pub(crate) fn list(&self) -> &CertRevocationList<'static> {
        &self.list
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revocation list of {}", self.issuer)
    }
}

fn unusable(what: &str, why: &str) -> Error {
    let message = format!("`{what}` is no revocation list that can be used: {why}");
    Error::new(Reason::CertificateFileInvalid, message)
}
