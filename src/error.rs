//! What can go wrong, as data: a stable reason, a sentence, and the way out.
//!
//! The library never prints. An [`Error`] carries a [`Reason`] that scripts may match on (its
//! [`code`](Reason::code) is part of the JSON schema), a message that names the thing and the
//! place, and a hint that says what to do next. [`Class`] groups reasons by what the user can do
//! about them; the command line maps a class to its exit code and nothing else does.

use std::fmt;

/// The result of everything fallible in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: its stable reason, a sentence for people, and usually a way out.
#[derive(Debug)]
pub struct Error {
    reason: Reason,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Returns an error with `reason`, and a `message` that names the thing and the place.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    /// Adds what the user can do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the underlying error, shown after the message.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts `place` in front of the message, so that a low-level failure names where it happened.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Returns an error about a file or directory, classed by what the operating system said.
    pub fn io(action: &str, path: impl AsRef<std::path::Path>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let reason = match source.kind() {
            Kind::NotFound => Reason::FileNotFound,
            Kind::StorageFull | Kind::QuotaExceeded => Reason::DiskFull,
            _ => Reason::Disk,
        };
        let message = format!("cannot {action} `{}`", path.as_ref().display());
        Self::new(reason, message).because(source)
    }

    /// Returns the stable reason.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns the sentence, without its cause.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what the user can do next, where there is something to do.
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}

/// What a user can do about a failure; one exit code each (`docs/exit-codes.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Something failed that no other class describes (exit 1).
    Failed,
    /// The command, a policy or a key file cannot be understood (exit 2).
    Usage,
    /// Evidence is missing, invalid or denied (exit 3).
    NotVerified,
    /// Content is wrong or unsafe: digest, size, path or format (exit 4).
    Content,
    /// What was asked for is not there (exit 5).
    NotFound,
    /// The registry wants other credentials (exit 6).
    NotAuthorised,
    /// The network or the registry failed; a retry may help (exit 7).
    Network,
    /// The local disk failed (exit 8).
    Disk,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal => $class:ident,)+) => {
        /// Why something failed: the stable vocabulary of refusals.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Reason { $($(#[$doc])* $name,)+ }

        impl Reason {
            /// Every reason, for documentation and tests.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)+];

            /// Returns the stable code that JSON output carries.
            pub const fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)+ }
            }

            /// Returns what the user can do about it.
            pub const fn class(self) -> Class {
                match self { $(Reason::$name => Class::$class,)+ }
            }
        }
    };
}

reasons! {
    /// A fault of this program or its surroundings that has no better name.
    Internal = "internal" => Failed,
    /// A token (PKCS #11) failed.
    TokenFailed = "token-failed" => Failed,
    /// A local file changed while it was being read.
    FileChanged = "file-changed" => Failed,
    /// A policy judges otherwise than its tests expect.
    PolicyTestFailed = "policy-test-failed" => Failed,
    /// A policy cannot be said to another tool without letting through more than it does here.
    PolicyExportWeaker = "policy-export-weaker" => Failed,

    /// The command line is wrong.
    Usage = "usage" => Usage,
    /// A reference does not follow the grammar.
    ReferenceInvalid = "reference-invalid" => Usage,
    /// A glob or `.modelignore` pattern cannot be read.
    PatternInvalid = "pattern-invalid" => Usage,
    /// A key file, or a key in a token, cannot be read or is of an unsupported kind.
    KeyInvalid = "key-invalid" => Usage,
    /// A key file's password is missing or wrong.
    KeyPassword = "key-password" => Usage,
    /// The Docker configuration file, or what a credential helper says, cannot be used.
    CredentialsInvalid = "credentials-invalid" => Usage,
    /// A CA, client certificate or client key file cannot be used.
    TlsSettingsInvalid = "tls-settings-invalid" => Usage,
    /// Nobody says who signs: there is neither a key nor an identity.
    IdentityMissing = "identity-missing" => Usage,
    /// An identity token is malformed, expired, or not for Sigstore.
    IdentityTokenInvalid = "identity-token-invalid" => Usage,
    /// A signing configuration cannot be read, or has not the services that are needed.
    SigningConfigInvalid = "signing-config-invalid" => Usage,
    /// A `hosts.toml`, which says where mirrors are, or what it names cannot be used.
    HostsFileInvalid = "hosts-file-invalid" => Usage,
    /// A file with certificates or a revocation list cannot be read or used.
    CertificateFileInvalid = "certificate-file-invalid" => Usage,
    /// A file with a Sigstore instance's keys and certificates cannot be used.
    TrustRootInvalid = "trust-root-invalid" => Usage,
    /// An identity that is to be trusted says nothing, everything, or is no regular expression.
    IdentityInvalid = "identity-invalid" => Usage,
    /// A policy file cannot be read, or says what cannot be meant.
    PolicyInvalid = "policy-invalid" => Usage,
    /// The system's policy is locked, and may not be replaced or left out.
    PolicyLocked = "policy-locked" => Usage,
    /// A lock file cannot be read.
    LockFileInvalid = "lock-file-invalid" => Usage,
    /// `--verify` was asked for with nothing to verify against.
    NothingToVerifyAgainst = "nothing-to-verify-against" => Usage,
    /// A predicate lacks what its type requires, or its type is that of signatures.
    PredicateInvalid = "predicate-invalid" => Usage,
    /// A run file, or what it names, cannot be understood, or holds what must not be published.
    RunFileInvalid = "run-file-invalid" => Usage,
    /// The target exists already.
    TargetExists = "target-exists" => Usage,
    /// The target of a pull cannot be a model directory (`/`, a symlink, a file).
    TargetUnsuitable = "target-unsuitable" => Usage,

    /// No signature is attached.
    SignatureMissing = "signature-missing" => NotVerified,
    /// A required attestation is not attached.
    AttestationMissing = "attestation-missing" => NotVerified,
    /// The policy covers no such repository, and denies what it does not cover.
    NoPolicy = "no-policy" => NotVerified,
    /// Fewer of those who are trusted signed than are required.
    TooFewSigners = "too-few-signers" => NotVerified,
    /// Nobody who is trusted made this signature.
    UntrustedSigner = "untrusted-signer" => NotVerified,
    /// The signer's certificate names another identity than the trusted one.
    IdentityMismatch = "identity-mismatch" => NotVerified,
    /// The signer's identity was vouched for by another issuer than the trusted one.
    IssuerMismatch = "issuer-mismatch" => NotVerified,
    /// The signer's certificate claims other things than are required, or lacks them.
    ClaimMismatch = "claim-mismatch" => NotVerified,
    /// The signer's certificate is malformed, was not valid then, is no trusted authority's, or breaks a rule
    /// of one.
    CertificateInvalid = "certificate-invalid" => NotVerified,
    /// The signer's certificate lacks a trusted log's timestamp (SCT), or it is wrong.
    CertificateTimestampInvalid = "certificate-timestamp-invalid" => NotVerified,
    /// A signature stands in no transparency log.
    LogEntryMissing = "log-entry-missing" => NotVerified,
    /// An entry of a transparency log is not proven, not by a trusted log, or about something else.
    LogEntryInvalid = "log-entry-invalid" => NotVerified,
    /// A signature has no timestamp.
    TimestampMissing = "timestamp-missing" => NotVerified,
    /// A timestamp is not on this signature, or no trusted authority's.
    TimestampInvalid = "timestamp-invalid" => NotVerified,
    /// Nothing proves when a signature was made, so its certificate cannot be judged.
    TimeUnproven = "time-unproven" => NotVerified,
    /// A signature does not match what it claims to sign.
    SignatureInvalid = "signature-invalid" => NotVerified,
    /// A certificate was not valid at the time that counts: the proven time of signing, or now.
    CertificateExpired = "certificate-expired" => NotVerified,
    /// A certificate was revoked.
    CertificateRevoked = "certificate-revoked" => NotVerified,
    /// Revocation lists were given, and no current one covers a certificate.
    RevocationUnknown = "revocation-unknown" => NotVerified,
    /// A bundle is malformed or of an unsupported version.
    BundleInvalid = "bundle-invalid" => NotVerified,
    /// A bundle is of a kind that these settings cannot check.
    BundleUnsupported = "bundle-unsupported" => NotVerified,
    /// An envelope's payload type is not in-toto.
    PayloadTypeMismatch = "payload-type-mismatch" => NotVerified,
    /// A signed statement is malformed.
    StatementInvalid = "statement-invalid" => NotVerified,
    /// A statement is about another artifact.
    SubjectMismatch = "subject-mismatch" => NotVerified,
    /// Files are not those that a model signature lists.
    FilesMismatch = "files-mismatch" => NotVerified,
    /// A statement's predicate is not of the type that is asked for.
    PredicateTypeMismatch = "predicate-type-mismatch" => NotVerified,
    /// What an attestation says is not what the policy asks for.
    ConstraintUnmet = "constraint-unmet" => NotVerified,
    /// Provenance is of a lower SLSA level, according to the policy, than is asked for.
    SlsaLevel = "slsa-level" => NotVerified,
    /// A signature was made for another repository or tag, or does not say for which.
    NameMismatch = "name-mismatch" => NotVerified,
    /// A key signed outside of the time for which it is trusted.
    OutsideValidity = "outside-validity" => NotVerified,
    /// A signature is older than the policy allows.
    SignatureTooOld = "signature-too-old" => NotVerified,
    /// A signature is younger than the policy allows.
    SignatureTooYoung = "signature-too-young" => NotVerified,
    /// The artifact is not known to be newer than the one that was accepted before.
    Downgrade = "downgrade" => NotVerified,
    /// The lock file does not say what the reference was.
    NotLocked = "not-locked" => NotVerified,
    /// The artifact is not the one that the lock file says.
    LockMismatch = "lock-mismatch" => NotVerified,
    /// The artifact, its signature or its signer was revoked.
    Revoked = "revoked" => NotVerified,
    /// The list of what is revoked is missing, out of date, or older than one seen before.
    RevocationsUnavailable = "revocations-unavailable" => NotVerified,
    /// More evidence is attached than will be looked at.
    TooManyReferrers = "too-many-referrers" => NotVerified,
    /// What a model was made from is not to be found, or is no artifact that could be.
    ChainLinkMissing = "chain-link-missing" => NotVerified,
    /// A model is said to be made from itself.
    ChainCycle = "chain-cycle" => NotVerified,
    /// A chain is deeper, or has more links, than will be followed.
    ChainTooLong = "chain-too-long" => NotVerified,
    /// A pulled directory has no receipt to be verified against.
    ReceiptMissing = "receipt-missing" => NotVerified,
    /// A receipt or what lies beside it contradicts itself.
    ReceiptInvalid = "receipt-invalid" => NotVerified,

    /// Bytes do not hash to their digest.
    DigestMismatch = "digest-mismatch" => Content,
    /// Content is longer or shorter than declared.
    SizeMismatch = "size-mismatch" => Content,
    /// A digest is not of the form `sha256:` and 64 lower-case hex digits.
    DigestInvalid = "digest-invalid" => Content,
    /// A document is larger than any honest one.
    TooLarge = "too-large" => Content,
    /// JSON from outside is malformed, too deep, or says a thing twice.
    JsonInvalid = "json-invalid" => Content,
    /// A manifest or index is not of exactly one known kind.
    ManifestInvalid = "manifest-invalid" => Content,
    /// The artifact is not a model that can be unpacked.
    NotAModel = "not-a-model" => Content,
    /// A file name could escape, collide or harm on some system.
    PathUnsafe = "path-unsafe" => Content,
    /// Two files would be one on some file system.
    PathCollision = "path-collision" => Content,
    /// A file is a symlink out of the model, a device, a socket or a FIFO, by its name a secret, or
    /// executable under a policy that denies that.
    FileKindUnsafe = "file-kind-unsafe" => Content,
    /// A model has no file, or more or larger ones than can be carried, or than a policy allows.
    ModelUnsuitable = "model-unsuitable" => Content,
    /// A safetensors or GGUF header is malformed.
    HeaderInvalid = "header-invalid" => Content,
    /// A file is of a format that is not allowed, such as one that can run code when it is loaded.
    ContentFormatDenied = "content-format-denied" => Content,
    /// A file is two things at once: two readers would see two files.
    ContentAmbiguous = "content-ambiguous" => Content,
    /// An OCI image layout is damaged.
    LayoutInvalid = "layout-invalid" => Content,
    /// A pulled directory differs from its receipt.
    DirectoryChanged = "directory-changed" => Content,
    /// An audit log is not as it was written, or not what was signed of it.
    AuditBroken = "audit-broken" => Content,

    /// A tag, manifest or repository is not there.
    ReferenceNotFound = "reference-not-found" => NotFound,
    /// A blob that a manifest names is not there.
    BlobNotFound = "blob-not-found" => NotFound,
    /// A local file or directory is not there.
    FileNotFound = "file-not-found" => NotFound,

    /// The registry refused these credentials, or wants some.
    Unauthorised = "unauthorised" => NotAuthorised,
    /// The registry forbids this to these credentials.
    Forbidden = "forbidden" => NotAuthorised,
    /// A token (PKCS #11) refused the PIN, or is locked.
    TokenRefused = "token-refused" => NotAuthorised,
    /// A registry names a place that credentials must not be sent to.
    CredentialsWithheld = "credentials-withheld" => NotAuthorised,

    /// No connection, or it broke.
    Connection = "connection" => Network,
    /// TLS failed: an unknown CA, a wrong name, or no TLS at all.
    Tls = "tls" => Network,
    /// No root of trust could be fetched, or none that is new enough.
    TrustRootUnavailable = "trust-root-unavailable" => Network,
    /// The registry asks to slow down.
    RateLimited = "rate-limited" => Network,
    /// The registry, or a service that signing needs, failed.
    RegistryFailed = "registry-failed" => Network,
    /// The registry, or a service that signing needs, answered outside the protocol.
    RegistryProtocol = "registry-protocol" => Network,
    /// Nothing came for too long.
    TimedOut = "timed-out" => Network,
    /// Another writer kept changing the same list of referrers.
    ReferrersContended = "referrers-contended" => Network,

    /// Reading or writing a local file failed.
    Disk = "disk" => Disk,
    /// The disk is full, or a quota is used up.
    DiskFull = "disk-full" => Disk,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_in_kebab_case() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert!(
            codes
                .iter()
                .all(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        );
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn display_shows_the_whole_chain() {
        let inner = std::io::Error::new(std::io::ErrorKind::StorageFull, "no space");
        let error = Error::io("write", "a/b", inner).at("pull");
        assert_eq!(error.to_string(), "pull: cannot write `a/b`: no space");
        assert_eq!(error.reason(), Reason::DiskFull);
    }
}
