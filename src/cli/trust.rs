//! Trust flags: who is trusted, and what must be attached.

mod pki;

use clap::Args;
use jiff::Timestamp;
use modelctl::error::{Error, Reason, Result};
use modelctl::policy::{Policy, Requirement, Verdict};
use modelctl::predicate::PredicateType;
use modelctl::trust::{Authority, TrustRoot};

pub(super) use self::pki::PkiArgs;
use super::{keys, parse};

/// Who is trusted, and what for.
#[derive(Args, Clone)]
#[command(next_help_heading = "Trust")]
pub(super) struct TrustArgs {
    /// Trust whoever holds this key: a public key's PEM file, `env://NAME`, or a `pkcs11:` URI. Any
    /// one of several is enough (repeatable).
    #[arg(long, value_name = "KEY")]
    pub(super) key: Vec<String>,
    /// Require, besides a signature, an attestation of this type: a short name
    /// (slsaprovenance1, cyclonedx, …) or a predicate type URI (repeatable).
    #[arg(long, value_name = "TYPE", value_parser = parse::<PredicateType>)]
    require: Vec<PredicateType>,
    #[command(flatten)]
    pki: PkiArgs,
}

impl TrustArgs {
    /// Whether nobody is named.
    pub(super) fn is_empty(&self) -> bool {
        self.key.is_empty() && self.pki.is_empty()
    }

    /// Returns who is trusted.
    pub(super) fn root(&self) -> Result<TrustRoot> {
        let authorities: Result<Vec<_>> = self
            .key
            .iter()
            .map(|key| Ok(Authority::key(key, keys::public_key(key)?)))
            .collect();
        let certificates = self.pki.authority(Timestamp::now())?;
        TrustRoot::new(authorities?.into_iter().chain(certificates))
    }

    /// Returns what must be attached: a signature, and each required attestation.
    pub(super) fn policy(&self) -> Result<Policy> {
        let attestation = |predicate_type: &PredicateType| Requirement::Attestation {
            predicate_type: predicate_type.to_string(),
        };
        let attestations = self.require.iter().map(attestation);
        Policy::new(std::iter::once(Requirement::Signature).chain(attestations))
    }

    /// Says what to do when `--verify` was asked for and nobody is named.
    pub(super) fn nobody() -> Error {
        Error::new(
            Reason::NothingToVerifyAgainst,
            "there is nothing to verify against",
        )
        .hint(
            "name who is trusted: `--key release.pub`, or `--ca-roots root.pem \
             --certificate-identity release@example.com`",
        )
    }
}

/// Returns a verdict as lines: each requirement, what meets it or why nothing does.
pub(super) fn explain(verdict: &Verdict) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in &verdict.findings {
        let mark = if finding.reason.is_none() {
            "ok "
        } else {
            "no "
        };
        lines.push(format!("{mark} {}", finding.requirement));
        lines.extend(
            finding
                .met_by
                .iter()
                .map(|evidence| format!("     by {}", evidence.signer)),
        );
        if finding.reason.is_some() {
            let refused = finding.refused.iter();
            let refused = refused.filter(|r| r.reason != Reason::PredicateTypeMismatch);
            lines.extend(refused.map(|r| {
                format!(
                    "     {:.19}… does not count: {} ({})",
                    r.bundle.to_string(),
                    r.message,
                    r.reason.code()
                )
            }));
        }
    }
    lines
}
