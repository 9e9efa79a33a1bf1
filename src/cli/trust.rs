//! Trust flags: who is trusted, and what must be attached.

use clap::Args;
use modelctl::error::{Error, Reason, Result};
use modelctl::policy::{Finding, Policy, Requirement, Rule, Verdict};
use modelctl::predicate::PredicateType;
use modelctl::trust::{Authority, TrustRoot};

use super::keyless::KeylessArgs;
use super::terminal::Terminal;
use super::{keys, parse};

/// Who is trusted: any one of those who are named is enough.
#[derive(Args, Clone)]
#[command(next_help_heading = "Trust")]
pub(super) struct SignersArgs {
    /// Trust whoever holds this key: a public key's PEM file, or `env://NAME`. Any one of several
    /// is enough (repeatable).
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    #[command(flatten)]
    keyless: KeylessArgs,
}

impl SignersArgs {
    /// Whether nobody is named.
    pub(super) fn is_empty(&self) -> bool {
        self.key.is_empty() && self.keyless.is_empty()
    }

    /// Returns who is trusted.
    pub(super) async fn root(&self, terminal: &Terminal) -> Result<TrustRoot> {
        if self.is_empty() {
            return Err(TrustArgs::nobody());
        }
        let keys: Result<Vec<_>> = self
            .key
            .iter()
            .map(|key| Ok(Authority::key(key, keys::public_key(key)?)))
            .collect();
        let keyless = self.keyless.authority(terminal).await?;
        let root = TrustRoot::new(keys?.into_iter().chain(keyless))?;
        Ok(match self.keyless.witnesses()? {
            Some(instance) => root.with_witnesses(instance),
            None => root,
        })
    }
}

/// Who is trusted, and what for.
#[derive(Args, Clone)]
#[command(next_help_heading = "Trust")]
pub(super) struct TrustArgs {
    #[command(flatten)]
    signers: SignersArgs,
    /// Require, besides a signature, an attestation of this type: a short name
    /// (slsaprovenance1, cyclonedx, …) or a predicate type URI (repeatable).
    #[arg(long, value_name = "TYPE", value_parser = parse::<PredicateType>)]
    require: Vec<PredicateType>,
}

impl TrustArgs {
    /// Whether nobody is named.
    pub(super) fn is_empty(&self) -> bool {
        self.signers.is_empty()
    }

    /// Whether anything is said about who is trusted: then something is to be verified.
    pub(super) fn is_given(&self) -> bool {
        !self.is_empty() || self.signers.keyless.names_instance()
    }

    /// Returns who is trusted.
    pub(super) async fn root(&self, terminal: &Terminal) -> Result<TrustRoot> {
        self.signers.root(terminal).await
    }

    /// Returns what must be attached: a signature, and each required attestation.
    pub(super) fn policy(&self) -> Result<Policy> {
        Policy::new(self.requirements())
    }

    /// Returns the same, by one of those who are called one of `names`.
    pub(super) fn policy_of<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<Policy> {
        let names: Vec<_> = names.collect();
        let rules = self
            .requirements()
            .map(|requirement| Rule::new(requirement).by(names.iter().copied(), 1));
        Policy::of_rules(rules.collect::<Result<Vec<_>>>()?)
    }

    fn requirements(&self) -> impl Iterator<Item = Requirement> {
        let attestation = |predicate_type: &PredicateType| Requirement::Attestation {
            predicate_type: predicate_type.to_string(),
        };
        std::iter::once(Requirement::Signature).chain(self.require.iter().map(attestation))
    }

    /// Says what to do when `--verify` was asked for and nobody is named.
    pub(super) fn nobody() -> Error {
        Error::new(
            Reason::NothingToVerifyAgainst,
            "there is nothing to verify against",
        )
        .hint(
            "name who is trusted: `--key release.pub`, or `--certificate-identity` with \
             `--certificate-oidc-issuer`; or write a policy (`modelctl policy init`)",
        )
    }
}

/// Returns a verdict as lines: each requirement, what meets it or why nothing does.
pub(super) fn explain(verdict: &Verdict) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in &verdict.findings {
        lines.push(heading(finding));
        for evidence in &finding.met_by {
            lines.push(format!("     by {}", evidence.signer));
            let witnesses = evidence.witnesses.iter();
            lines.extend(witnesses.map(|witness| format!("        {witness}")));
        }
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
    let objections = verdict.objections.iter();
    lines.extend(objections.map(|o| format!("no  {} ({})", o.message, o.reason.code())));
    lines
}

/// Returns a requirement with whether it is met, and by whom it must be if not by anyone.
fn heading(finding: &Finding) -> String {
    let mark = match finding.reason {
        None => "ok ",
        Some(_) => "no ",
    };
    let whose = match (finding.authorities.as_slice(), finding.threshold) {
        ([], _) => String::new(),
        ([one], _) => format!(" by {one}"),
        (several, threshold) => format!(
            " by {threshold} of {} ({} found)",
            several.join(", "),
            finding.signers
        ),
    };
    format!("{mark} {}{whose}", finding.requirement)
}
