//! What can be wrong with a bundle, one place at a time.

/// One thing that is wrong, while everything around it is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The certificate's issuer has the right name and another key.
    CertificateByAnotherAuthority,
    /// The certificate is for timestamps.
    CertificateForAnotherPurpose,
    /// The certificate is for another key than signed.
    CertificateOfAnotherKey,
    /// The certificate had expired when its key signed.
    CertificateExpired,
    /// The certificate was not yet valid when its key signed.
    CertificateNotYetValid,
    /// The certificate does not say who vouched for the identity.
    IssuerMissing,
    /// No certificate transparency log signed the certificate.
    SctMissing,
    /// Another log signed the certificate, in the trusted log's stead.
    SctByAnotherLog,
    /// The log signed another certificate.
    SctOfAnotherCertificate,
    /// The log's signature is there two times.
    SctTwice,
    /// What was signed was changed afterwards.
    ContentChanged,
    /// There is neither an entry in a log nor a timestamp.
    EvidenceMissing,
    /// The log's entry is about another signature.
    EntryOfAnotherSignature,
    /// The log's entry is about other content.
    EntryOfAnotherContent,
    /// The log's entry names another certificate or key.
    EntryOfAnotherSigner,
    /// The entry's number is not what the log said.
    EntryIndexChanged,
    /// The entry was changed after it was entered.
    EntryBodyChanged,
    /// The entry is not proven to be in the log.
    ProofMissing,
    /// A hash of the proof is another one.
    ProofHashChanged,
    /// The proof lacks a hash.
    ProofHashMissing,
    /// The head's signature is wrong.
    CheckpointSignatureChanged,
    /// The head was signed by another log that says it is this one.
    CheckpointByAnotherLog,
    /// The head is of another tree.
    CheckpointOfAnotherTree,
    /// There is no head.
    CheckpointMissing,
    /// The promise that comes with an entry, and proves its time, is wrong.
    PromiseChanged,
    /// The time is not the one that was promised.
    PromiseTimeChanged,
    /// The log is unknown.
    LogUnknown,
    /// The timestamp is on another signature.
    StampOfAnotherSignature,
    /// The timestamp is by another authority that says it is this one.
    StampByAnotherAuthority,
    /// A byte of the timestamp is another one.
    StampChanged,
    /// One of two timestamps is from before the certificate.
    StampTooEarly,
}

/// What must be in a bundle for a flaw to be possible in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The signer's certificate.
    Certificate,
    /// Anything that was signed.
    Anywhere,
    /// An entry in a log.
    Entry,
    /// An entry in a log of version 1.
    Promise,
    /// A timestamp.
    Stamp,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 31] = [
        Self::CertificateByAnotherAuthority,
        Self::CertificateForAnotherPurpose,
        Self::CertificateOfAnotherKey,
        Self::CertificateExpired,
        Self::CertificateNotYetValid,
        Self::IssuerMissing,
        Self::SctMissing,
        Self::SctByAnotherLog,
        Self::SctOfAnotherCertificate,
        Self::SctTwice,
        Self::ContentChanged,
        Self::EvidenceMissing,
        Self::EntryOfAnotherSignature,
        Self::EntryOfAnotherContent,
        Self::EntryOfAnotherSigner,
        Self::EntryIndexChanged,
        Self::EntryBodyChanged,
        Self::ProofMissing,
        Self::ProofHashChanged,
        Self::ProofHashMissing,
        Self::CheckpointSignatureChanged,
        Self::CheckpointByAnotherLog,
        Self::CheckpointOfAnotherTree,
        Self::CheckpointMissing,
        Self::PromiseChanged,
        Self::PromiseTimeChanged,
        Self::LogUnknown,
        Self::StampOfAnotherSignature,
        Self::StampByAnotherAuthority,
        Self::StampChanged,
        Self::StampTooEarly,
    ];

    /// Returns what must be in a bundle for this to be possible.
    pub fn place(self) -> Place {
        use Flaw::*;
        match self {
            CertificateByAnotherAuthority
            | CertificateForAnotherPurpose
            | CertificateOfAnotherKey
            | CertificateExpired
            | CertificateNotYetValid
            | IssuerMissing
            | SctMissing
            | SctByAnotherLog
            | SctOfAnotherCertificate
            | SctTwice => Place::Certificate,
            ContentChanged | EvidenceMissing => Place::Anywhere,
            EntryOfAnotherSignature
            | EntryOfAnotherContent
            | EntryOfAnotherSigner
            | EntryIndexChanged
            | EntryBodyChanged
            | ProofMissing
            | ProofHashChanged
            | ProofHashMissing
            | CheckpointSignatureChanged
            | CheckpointByAnotherLog
            | CheckpointOfAnotherTree
            | CheckpointMissing
            | LogUnknown => Place::Entry,
            PromiseChanged | PromiseTimeChanged => Place::Promise,
            StampOfAnotherSignature | StampByAnotherAuthority | StampChanged | StampTooEarly => {
                Place::Stamp
            }
        }
    }
}
