//! Refusals: what the verifying library says, in this project's words.

use jiff::Timestamp;
use sigstore_verify::bundle::Error as ShapeError;
use sigstore_verify::{CertificateError, Error as Failure, TimestampError, TransparencyLogError};

use super::evidence::{needs_timestamp, time_to_come};
use crate::bundle::Content;
use crate::error::{Error, Reason};
use crate::trust::signed::Signed;

/// Says why `signed` is refused.
pub(super) fn of(failure: Failure, signed: &Signed<'_>) -> Error {
    if let Failure::TransparencyLog(TransparencyLogError::IntegratedTime(_)) = &failure {
        let now = Timestamp::now();
        if let Some(time) = time_to_come(signed, now) {
            let message = format!(
                "the log took the signature in at {time}, but here it is only {now:.0}: this \
                 machine's clock is behind, or the log's is ahead"
            );
            return Error::new(Reason::LogEntryInvalid, message)
                .hint("set this machine's clock, and try again");
        }
    }
    let (reason, message) = described(&failure, signed);
    // The library's messages repeat their causes.
    let error = Error::new(reason, message).because(failure.to_string());
    match reason {
        Reason::CertificateInvalid | Reason::LogEntryInvalid | Reason::TimestampInvalid => error
            .hint(
                "if another Sigstore instance than the public one is used, name its file with \
                 `--trusted-root`",
            ),
        _ => error,
    }
}

fn described(failure: &Failure, signed: &Signed<'_>) -> (Reason, &'static str) {
    match failure {
        Failure::SignatureInvalid(_) => (
            Reason::SignatureInvalid,
            "the signature does not verify with the signer's certificate",
        ),
        // What the bundle itself says it is about was compared before: all but a digest by another
        // algorithm than SHA-256.
        Failure::ArtifactMismatch(_) if names_other_digest(signed) => (
            Reason::SubjectMismatch,
            "it is signed, but about other content",
        ),
        Failure::ArtifactMismatch(_) => (
            Reason::LogEntryInvalid,
            "a log entry is about other content",
        ),
        // The root itself was found to be well-formed: now it is only one without such logs.
        Failure::Certificate(CertificateError::Sct(_)) | Failure::InvalidTrustRoot(_) => (
            Reason::CertificateTimestampInvalid,
            "no trusted log has seen the signer's certificate",
        ),
        Failure::Certificate(_) => (
            Reason::CertificateInvalid,
            "the signer's certificate is not accepted",
        ),
        Failure::TransparencyLog(_) => (Reason::LogEntryInvalid, "a log entry does not verify"),
        Failure::Timestamp(TimestampError::NoVerifiedTimestamp(_)) if needs_timestamp(signed) => (
            Reason::TimestampMissing,
            "the log does not say when it took the signature in, and no timestamp does",
        ),
        Failure::Timestamp(TimestampError::NoVerifiedTimestamp(_)) => (
            Reason::TimeUnproven,
            "nothing proves when the signature was made",
        ),
        Failure::Timestamp(_) => (Reason::TimestampInvalid, "a timestamp does not verify"),
        Failure::Bundle(error) => shape(error),
        Failure::UnsupportedArtifact(_) => (
            Reason::BundleUnsupported,
            "the signature can only be verified with the bytes themselves",
        ),
        Failure::UnsupportedBundle(_) | Failure::Crypto(_) => (
            Reason::BundleUnsupported,
            "the bundle is of a kind that cannot be verified",
        ),
        Failure::TrustRoot(_) | Failure::TrustedCertificate(_) => {
            (Reason::TrustRootInvalid, "the trusted root cannot be used")
        }
        _ => (Reason::BundleInvalid, "the bundle is malformed"),
    }
}

fn names_other_digest(signed: &Signed<'_>) -> bool {
    match signed.bundle.content() {
        Content::Message(message) => message.names_other_digest(),
        Content::Statement(_) => false,
    }
}

fn shape(error: &ShapeError) -> (Reason, &'static str) {
    match error {
        ShapeError::UnsupportedMediaType(_) | ShapeError::UnsupportedVerificationMaterial => (
            Reason::BundleUnsupported,
            "the bundle is of a kind that cannot be verified",
        ),
        ShapeError::MissingInclusionPromise(_)
        | ShapeError::MissingInclusionProof(_)
        | ShapeError::MissingSigningTimeEvidence => (
            Reason::LogEntryMissing,
            "the signature stands in no transparency log",
        ),
        ShapeError::MissingCheckpoint
        | ShapeError::LogIndexOutOfRange { .. }
        | ShapeError::CheckpointRootMismatch => {
            (Reason::LogEntryInvalid, "a log entry does not verify")
        }
        ShapeError::MissingTimestamp => (Reason::TimestampMissing, "there is no timestamp"),
        _ => (Reason::BundleInvalid, "the bundle is malformed"),
    }
}
