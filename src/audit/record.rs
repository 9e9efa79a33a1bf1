//! What is written down: a decision and its grounds, a signature that is about to be made, or that
//! a line was torn.
//!
//! Nothing secret is in a record, and no sentence from a stranger: reasons are codes, and names are
//! capped.

use std::fmt::Display;

use jiff::Timestamp;
use serde::Serialize;

use crate::digest::Digest;
use crate::error::Reason;
use crate::policy::{Evidence, Verdict};
use crate::trust::{SignerIdentity, TrustRoot, Trusted, Witness};

/// Characters of a name that are kept: enough for every honest one.
const NAME: usize = 1000;

/// Bundles that are listed in one record; a registry can attach far more of them.
const LISTED: usize = 32;

/// What is written down.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Event {
    /// Whether an artifact may be used.
    Decision(Box<Decision>),
    /// A signature or attestation is about to be made.
    Signing(Signing),
    /// What follows the record before this one is what a crash left of a line.
    Torn(Torn),
}

/// What the writer says of itself in every record.
#[derive(Debug, Clone, Serialize)]
pub struct Origin {
    /// The program and its version.
    pub tool: String,
    /// The machine, if that is to be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The user, if that is to be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// What became of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It may be used: everything that was required was found.
    Admitted,
    /// It may not be used.
    Refused,
    /// It is used, and nobody vouches for it.
    Unverified,
}

/// A decision and its grounds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    verdict: Outcome,
    reasons: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<AppliedPolicy>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trust: Vec<Trusted>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<Proof>,
    #[serde(skip_serializing_if = "is_zero")]
    evidence_left_out: usize,
}

/// Which policy of which file was applied.
#[derive(Debug, Clone, Serialize)]
pub struct AppliedPolicy {
    /// The file.
    pub file: String,
    /// The policy's name in it.
    pub name: String,
    /// The digest of the file's bytes.
    pub digest: Digest,
}

/// A bundle that counted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    bundle: Digest,
    predicate_type: String,
    signer: Signer,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logs: Vec<LogEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
}

/// Who signed.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum Signer {
    Key {
        name: String,
        fingerprint: Digest,
    },
    Certificate {
        name: String,
        subject: String,
        issuer: String,
        fingerprint: Digest,
    },
    Keyless {
        name: String,
        identity: String,
        issuer: String,
    },
}

/// Where a signature stands in a transparency log.
#[derive(Debug, Clone, Serialize)]
struct LogEntry {
    log: String,
    index: u64,
}

/// A signature or attestation that is about to be made.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signing {
    command: String,
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    predicate_type: String,
    signer: String,
}

/// What a crash left of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Torn {
    /// How many bytes of it there are.
    pub bytes: u64,
    /// Their digest.
    pub digest: Digest,
}

impl Decision {
    /// Returns what `verdict` says to `command`.
    pub fn judged(command: &str, verdict: &Verdict) -> Self {
        let outcome = match verdict.admits() {
            true => Outcome::Admitted,
            false => Outcome::Refused,
        };
        let evidence = verdict.evidence();
        Self {
            reasons: reasons(verdict),
            evidence_left_out: evidence.len().saturating_sub(LISTED),
            evidence: evidence.into_iter().take(LISTED).map(Proof::of).collect(),
            ..Self::new(command, outcome)
        }
    }

    /// Returns that `command` is refused for `reason`.
    pub fn refused(command: &str, reason: Reason) -> Self {
        Self {
            reasons: vec![reason.code()],
            ..Self::new(command, Outcome::Refused)
        }
    }

    /// Returns that `command` is admitted by a check that lists no evidence.
    pub fn admitted(command: &str) -> Self {
        Self::new(command, Outcome::Admitted)
    }

    /// Returns that `command` uses what nobody vouches for; `why`, in words.
    pub fn unverified(command: &str, why: &str) -> Self {
        Self::new(command, Outcome::Unverified).despite(why)
    }

    fn new(command: &str, verdict: Outcome) -> Self {
        Self {
            command: command.to_owned(),
            reference: None,
            digest: None,
            verdict,
            reasons: Vec::new(),
            why: None,
            policy: None,
            trust: Vec::new(),
            evidence: Vec::new(),
            evidence_left_out: 0,
        }
    }

    /// Says that the artifact is used whatever the verdict is, and why.
    #[must_use]
    pub fn despite(mut self, why: &str) -> Self {
        self.verdict = Outcome::Unverified;
        self.why = Some(plain(why));
        self
    }

    /// Says what was decided about.
    #[must_use]
    pub fn about(mut self, reference: impl Display, digest: Option<Digest>) -> Self {
        self.reference = Some(plain(&reference.to_string()));
        self.digest = digest;
        self
    }

    /// Says by whom and what it was decided.
    #[must_use]
    pub fn under(mut self, trust: &TrustRoot, policy: Option<AppliedPolicy>) -> Self {
        let facts = trust.facts().into_iter().take(LISTED);
        self.trust = facts.map(Trusted::plain).collect();
        self.policy = policy;
        self
    }

    /// Whether the artifact may not be used.
    pub fn refuses(&self) -> bool {
        self.verdict == Outcome::Refused
    }

    /// Leaves half of the evidence out, which is said; nothing if there is none left.
    pub(super) fn shorter(&self) -> Option<Self> {
        let kept = self.evidence.len() / 2;
        let left_out = self.evidence.len() - kept;
        (left_out > 0).then(|| Self {
            evidence: self.evidence.iter().take(kept).cloned().collect(),
            evidence_left_out: self.evidence_left_out + left_out,
            ..self.clone()
        })
    }
}

impl Signing {
    /// Returns that `signer` is about to sign a statement of this type for `command`.
    pub fn new(command: &str, signer: &str, predicate_type: &str) -> Self {
        Self {
            command: command.to_owned(),
            reference: String::new(),
            digest: None,
            predicate_type: plain(predicate_type),
            signer: plain(signer),
        }
    }

    /// Says what it is about.
    #[must_use]
    pub fn about(mut self, reference: impl Display, digest: Option<Digest>) -> Self {
        self.reference = plain(&reference.to_string());
        self.digest = digest;
        self
    }
}

impl Trusted {
    fn plain(mut self) -> Self {
        self.name = plain(&self.name);
        self
    }
}

impl Proof {
    fn of(evidence: &Evidence) -> Self {
        let logs = evidence
            .witnesses
            .iter()
            .filter_map(|witness| match witness {
                Witness::Log { log, index, .. } => Some(LogEntry {
                    log: plain(log),
                    index: *index,
                }),
                Witness::Timestamp { .. } => None,
            });
        Self {
            bundle: evidence.bundle,
            predicate_type: plain(&evidence.predicate_type),
            signer: Signer::of(&evidence.signer),
            logs: logs.collect(),
            time: evidence.time,
        }
    }
}

impl Signer {
    fn of(identity: &SignerIdentity) -> Self {
        let name = plain(identity.authority());
        match identity {
            SignerIdentity::Key { fingerprint, .. } => Self::Key {
                name,
                fingerprint: *fingerprint,
            },
            SignerIdentity::Certificate {
                subject,
                issuer,
                fingerprint,
                ..
            } => Self::Certificate {
                name,
                subject: plain(subject),
                issuer: plain(issuer),
                fingerprint: *fingerprint,
            },
            SignerIdentity::Keyless {
                identity, issuer, ..
            } => Self::Keyless {
                name,
                identity: plain(identity),
                issuer: plain(issuer),
            },
        }
    }
}

/// Returns the codes of everything that stands against the artifact, once each.
fn reasons(verdict: &Verdict) -> Vec<&'static str> {
    let objections = verdict.objections.iter().map(|objection| objection.reason);
    let unmet = verdict.findings.iter().filter_map(|finding| finding.reason);
    let mut codes = Vec::new();
    for reason in objections.chain(unmet) {
        if !codes.contains(&reason.code()) {
            codes.push(reason.code());
        }
    }
    codes
}

/// Returns a name without what it may not show, and not longer than an honest one: a token's URI
/// can have the PIN in its query (RFC 7512, section 2.4).
pub(super) fn plain(name: &str) -> String {
    let shown = match name.split_once('?') {
        Some((token, _)) if token.starts_with("pkcs11:") => token,
        _ => name,
    };
    shown.chars().take(NAME).collect()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes references to fields"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
