//! The path from a signer's certificate to a root that is trusted, at one time.
//!
//! rustls-webpki builds it: signatures, validity, authorities' constraints on names, purposes and
//! path length, revocation. It trusts a root for its name and key alone, and leaves key usages to
//! the caller; what RFC 5280, section 6.1, asks beyond that is checked here on each path it finds.

mod marked;

use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::aws_lc_rs as algorithms;
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, RevocationOptionsBuilder, VerifiedPath,
    anchor_from_trusted_cert,
};

use crate::certificate::{Certificate, DistinguishedName, RevocationList};
use crate::error::{Error, Reason, Result};
use crate::limits;

/// The content of the object identifier of code signing, 1.3.6.1.5.5.7.3.3.
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];

/// How authorities may sign: neither SHA-1 nor short keys.
static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P256_SHA512,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P384_SHA512,
    algorithms::ECDSA_P521_SHA256,
    algorithms::ECDSA_P521_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// A search for paths: roots, what may stand between, and what was revoked.
pub(super) struct Search<'r, 'a> {
    roots: &'r [Certificate],
    pool: &'a [&'a Certificate],
    revocations: Vec<&'a CertRevocationList<'a>>,
    anchors: Vec<TrustAnchor<'static>>,
    between: Vec<CertificateDer<'a>>,
}

impl<'r, 'a> Search<'r, 'a> {
    pub(super) fn new(
        roots: &'r [Certificate],
        pool: &'a [&'a Certificate],
        revocations: &'a [RevocationList],
    ) -> Result<Self> {
        let anchor = |root: &Certificate| {
            let der = CertificateDer::from(root.der());
            anchor_from_trusted_cert(&der)
                .map(|anchor| anchor.to_owned())
                .map_err(|error| unreadable(root, &error))
        };
        Ok(Self {
            roots,
            pool,
            revocations: revocations.iter().map(RevocationList::list).collect(),
            anchors: roots.iter().map(anchor).collect::<Result<_>>()?,
            between: pool.iter().map(|c| CertificateDer::from(c.der())).collect(),
        })
    }

    /// Returns the root to which a path leads from `leaf` that is valid at `time`.
    pub(super) fn find(&self, leaf: &Certificate, time: Timestamp) -> Result<&'r Certificate> {
        if leaf.is_marked_authority() {
            return self.find_from_marked(leaf, time);
        }
        let der = CertificateDer::from(leaf.der());
        let end = EndEntityCert::try_from(&der).map_err(|error| unreadable(leaf, &error))?;
        // No list at all means that nobody asked for revocation to be looked at.
        let revocation = RevocationOptionsBuilder::new(&self.revocations).ok();
        let at = unix_time(time)?;
        let path = end
            .verify_for_usage(
                ALGORITHMS,
                &self.anchors,
                &self.between,
                at,
                // Authorities need not name purposes, but may not name others only.
                KeyUsage::required_if_present(CODE_SIGNING),
                revocation.map(RevocationOptionsBuilder::build),
                Some(&|path| self.check(path, time)),
            )
            .map_err(|error| self.refusal(leaf, time, error))?;
        self.root_of(&path)
            .ok_or_else(|| Error::new(Reason::Internal, "a path leads to no root"))
    }

    fn root_of(&self, path: &VerifiedPath<'_>) -> Option<&'r Certificate> {
        // By place: a root may stand there twice, renewed with the same name and key.
        let mut anchors = self.anchors.iter();
        let index = anchors.position(|anchor| std::ptr::eq(anchor, path.anchor()))?;
        self.roots.get(index)
    }

    /// Checks what the path builder does not: that each authority's key is for certificates, and
    /// that the root itself is valid, for this purpose, and for a path this long.
    fn check(&self, path: &VerifiedPath<'_>, time: Timestamp) -> Result<(), webpki::Error> {
        let root = self.root_of(path).ok_or(webpki::Error::UnknownIssuer)?;
        let mut count = 0;
        for authority in path.intermediate_certificates() {
            count += 1;
            let authority =
                Certificate::from_der(&authority.der()).map_err(|_| webpki::Error::BadDer)?;
            if !authority.is_authority() {
                return Err(webpki::Error::EndEntityUsedAsCa);
            }
        }
        let validity = root.validity();
        let at = |time| unix_time(time).map_err(|_| webpki::Error::BadDerTime);
        match () {
            () if time < validity.not_before => Err(webpki::Error::CertNotValidYet {
                time: at(time)?,
                not_before: at(validity.not_before)?,
            }),
            () if !validity.contains(time) => Err(webpki::Error::CertExpired {
                time: at(time)?,
                not_after: at(validity.not_after)?,
            }),
            () if !root.allows_code_signing() => Err(webpki::Error::EmptyEkuExtension),
            () if !root.may_stand_above(count) => Err(webpki::Error::PathLenConstraintViolated),
            () => Ok(()),
        }
    }

    /// Says why there is no path.
    fn refusal(&self, leaf: &Certificate, time: Timestamp, error: webpki::Error) -> Error {
        use webpki::Error as E;
        let subject = leaf.subject();
        let about =
            |reason, what: &str| Error::new(reason, format!("the certificate of {subject} {what}"));
        match error {
            E::CertExpired { .. } | E::CertNotValidYet { .. } => {
                let mut chain = std::iter::once(leaf).chain(self.pool.iter().copied());
                let outdated = chain.find(|c| !c.validity().contains(time));
                let outdated =
                    outdated.or_else(|| self.roots.iter().find(|c| !c.validity().contains(time)));
                not_valid(outdated.unwrap_or(leaf), time)
            }
            E::CertRevoked => about(
                Reason::CertificateRevoked,
                "or one above it was revoked, which no timestamp outweighs",
            ),
            E::UnknownRevocationStatus => about(
                Reason::RevocationUnknown,
                "or one above it is in no revocation list's care",
            )
            .hint("name one of each authority below the root: `--crl FILE`"),
            E::IssuerNotCrlSigner | E::InvalidCrlSignatureForPublicKey => about(
                Reason::RevocationUnknown,
                "has a revocation list that its issuer did not sign",
            ),
            E::UnknownIssuer => self.unknown_issuer(leaf),
            error => about(Reason::CertificateInvalid, wording(&error)).because(error),
        }
    }

    /// Names the first issuer that is not known; from there on anybody may have made it up.
    fn unknown_issuer(&self, leaf: &Certificate) -> Error {
        let issuer = self.missing_issuer(leaf);
        let message = format!(
            "the certificate of {} leads to {issuer}, who is not trusted",
            leaf.subject()
        );
        Error::new(Reason::UntrustedSigner, message)
            .hint("check `--ca-roots`; an authority in between goes by `--ca-intermediates`")
    }

    fn missing_issuer<'b>(&'b self, leaf: &'b Certificate) -> &'b DistinguishedName {
        let mut current = leaf;
        for _ in 0..limits::CERTIFICATES {
            let issuer = current.issuer();
            let mut above = self.pool.iter().filter(|c| c.subject() == issuer);
            match above.find(|above| **above != current) {
                Some(above) if !self.roots.iter().any(|root| root.subject() == issuer) => {
                    current = above;
                }
                _ => break,
            }
        }
        current.issuer()
    }
}

/// Says that `certificate` was not valid at `time`.
pub(super) fn not_valid(certificate: &Certificate, time: Timestamp) -> Error {
    let validity = certificate.validity();
    let message = format!(
        "the certificate of {} is valid from {} to {}, not at {time}",
        certificate.subject(),
        validity.not_before,
        validity.not_after
    );
    Error::new(Reason::CertificateExpired, message).hint(
        "a timestamp in the bundle proves an earlier time, under `--timestamp-certificate-chain`",
    )
}

/// Refuses a certificate with critical extensions that nobody here understands.
pub(super) fn check_readable(certificate: &Certificate) -> Result<()> {
    EndEntityCert::try_from(&CertificateDer::from(certificate.der()))
        .map(|_| ())
        .map_err(|error| unreadable(certificate, &error))
}

fn unreadable(certificate: &Certificate, error: &webpki::Error) -> Error {
    let message = format!(
        "the certificate of {} cannot be used",
        certificate.subject()
    );
    Error::new(Reason::CertificateInvalid, message).because(error.clone())
}

/// Returns the verb that goes with what the path builder found.
fn wording(error: &webpki::Error) -> &'static str {
    use webpki::Error as E;
    match error {
        E::NameConstraintViolation => "has a name that an authority above it may not give",
        E::PathLenConstraintViolated => "is further from an authority than that one allows",
        E::EndEntityUsedAsCa => "was issued by someone who is not an authority",
        E::CaUsedAsEndEntity => "is an authority's",
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => {
            "is under an authority that is not for code signing"
        }
        E::InvalidSignatureForPublicKey => "or one above it was not signed by its issuer",
        _ => "is not good",
    }
}

fn unix_time(time: Timestamp) -> Result<UnixTime> {
    let seconds = u64::try_from(time.as_second()).map_err(|_| {
        Error::new(
            Reason::CertificateExpired,
            "the time is before 1970; check the clock",
        )
    })?;
    Ok(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}
