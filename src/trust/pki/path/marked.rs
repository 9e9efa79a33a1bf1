//! The path from a signer's certificate that is marked as an authority's by mistake.
//!
//! rustls-webpki takes no such certificate for a signer's, and is right; but model signatures by
//! them are about, and their reference implementation accepts them
//! ([`Certificate::check_may_sign_models`]). So their paths are followed here, link by link, with the
//! same algorithms and bounds (RFC 5280, section 6.1). Less is understood than there: what this
//! cannot judge, limits on names and revocation, is refused and not passed over.

use std::cell::Cell;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use spki::der::{Any, Decode, Encode};
use webpki::EndEntityCert;

use super::{ALGORITHMS, Search, check_readable, not_valid, unreadable};
use crate::certificate::Certificate;
use crate::error::{Error, Reason, Result};

/// Authorities that may stand between a signer and a root: as many as rustls-webpki looks at.
const DEPTH: usize = 6;

/// Signatures that one search checks, as rustls-webpki does: made-up chains can be made to branch.
const CHECKS: usize = 100;

/// A search for a path at one time.
struct Climb<'s, 'r, 'a> {
    search: &'s Search<'r, 'a>,
    time: Timestamp,
    checks: Cell<usize>,
    /// Why the first path that was tried is none.
    refusal: Cell<Option<Error>>,
}

impl<'r> Search<'r, '_> {
    /// Returns the root to which a path leads at `time` from `leaf`, which is marked as an
    /// authority's.
    pub(super) fn find_from_marked(
        &self,
        leaf: &Certificate,
        time: Timestamp,
    ) -> Result<&'r Certificate> {
        if !self.revocations.is_empty() {
            let message = format!(
                "the certificate of {} is marked as an authority's: whether it was revoked cannot \
                 be found out",
                leaf.subject()
            );
            return Err(Error::new(Reason::RevocationUnknown, message)
                .hint("have one issued with `basicConstraints = CA:FALSE`"));
        }
        check_readable(leaf)?;
        if !leaf.validity().contains(time) {
            return Err(not_valid(leaf, time));
        }
        let climb = Climb {
            search: self,
            time,
            checks: Cell::new(CHECKS),
            refusal: Cell::new(None),
        };
        match (climb.above(leaf, 0), climb.refusal.take()) {
            (Some(root), _) => Ok(root),
            (None, _) if climb.checks.get() == 0 => Err(about(
                leaf,
                "comes with too many certificates that look as if they had issued it",
            )),
            (None, Some(refusal)) => Err(refusal),
            (None, None) => Err(self.unknown_issuer(leaf)),
        }
    }
}

impl<'r> Climb<'_, 'r, '_> {
    /// Returns the root of a path from `below`, which stands above `count` authorities.
    fn above(&self, below: &Certificate, count: usize) -> Option<&'r Certificate> {
        let mut roots = self.search.roots.iter();
        if let Some(root) = roots.find(|root| self.is_link(root, below, count)) {
            return Some(root);
        }
        if count == DEPTH {
            return None;
        }
        let mut pool = self.search.pool.iter();
        pool.find_map(|between| match self.is_link(between, below, count) {
            true => self.above(between, count + 1),
            false => None,
        })
    }

    /// Whether `issuer` issued `below`, above `count` authorities; if it only looks like it, that is
    /// remembered.
    fn is_link(&self, issuer: &Certificate, below: &Certificate, count: usize) -> bool {
        if issuer.subject() != below.issuer() || self.checks.get() == 0 {
            return false;
        }
        self.checks.set(self.checks.get() - 1);
        match check_link(issuer, below, count, self.time) {
            Ok(()) => true,
            Err(error) => {
                let first = self.refusal.take().unwrap_or(error);
                self.refusal.set(Some(first));
                false
            }
        }
    }
}

/// Checks that `issuer` is an authority that may stand above `count` others at `time`, and that it
/// signed `below`.
fn check_link(
    issuer: &Certificate,
    below: &Certificate,
    count: usize,
    time: Timestamp,
) -> Result<()> {
    check_readable(issuer)?;
    let refuse = |what| Err(about(below, what));
    match () {
        () if !issuer.is_authority() => refuse("was issued by someone who is not an authority"),
        () if !issuer.validity().contains(time) => Err(not_valid(issuer, time)),
        () if !issuer.may_stand_above(count) => {
            refuse("is further from an authority than that one allows")
        }
        () if !issuer.allows_code_signing() => {
            refuse("is under an authority that is not for code signing")
        }
        () if issuer.constrains_names() => refuse(
            "is under an authority that limits names, and is or stands above one that is marked as \
             an authority's by mistake",
        ),
        () => check_signature(issuer, below),
    }
}

/// Checks that `below` was signed with the key in `issuer`, by an algorithm that authorities may
/// sign with.
fn check_signature(issuer: &Certificate, below: &Certificate) -> Result<()> {
    let unsigned = || about(below, "was not signed by its issuer");
    let malformed = |error: spki::der::Error| unsigned().because(error);
    let parsed = x509_cert::Certificate::from_der(below.der()).map_err(malformed)?;
    let (fields, algorithm) = (&parsed.tbs_certificate, &parsed.signature_algorithm);
    // Which algorithm it is stands twice, and is signed once (section 4.1.1.2).
    if fields.signature != *algorithm {
        return Err(unsigned());
    }
    let algorithm = algorithm.to_der().map_err(malformed)?;
    let algorithm = Any::from_der(&algorithm).map_err(malformed)?;
    let message = fields.to_der().map_err(malformed)?;
    let der = CertificateDer::from(issuer.der());
    let key = EndEntityCert::try_from(&der).map_err(|error| unreadable(issuer, &error))?;
    let is_signed = ALGORITHMS
        .iter()
        .filter(|known| known.signature_alg_id().as_ref() == algorithm.value())
        .any(|known| {
            let signature = parsed.signature.raw_bytes();
            key.verify_signature(*known, &message, signature).is_ok()
        });
    match is_signed {
        true => Ok(()),
        false => Err(unsigned()),
    }
}

fn about(certificate: &Certificate, what: &str) -> Error {
    let message = format!("the certificate of {} {what}", certificate.subject());
    Error::new(Reason::CertificateInvalid, message)
}
