//! Trust flags: who is trusted, and what must be attached.

mod identity;
pub(super) mod pki;

use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use modelctl::error::{Error, Reason, Result};
use modelctl::oms;
use modelctl::policy::file::ScopedPolicy;
use modelctl::policy::{Finding, Policy, Requirement, Rule, Verdict};
use modelctl::predicate::PredicateType;
use modelctl::slsa::Level;
use modelctl::trust::sigstore::SigstoreRoot;
use modelctl::trust::{Authority, Format, TrustRoot};

pub(super) use self::identity::IdentityArgs;
use self::pki::PkiArgs;
use super::keyless::KeylessArgs;
use super::terminal::Terminal;
use super::{keys, parse};

/// Who is trusted: any one of those who are named is enough.
#[derive(Args, Clone)]
#[command(next_help_heading = "Trust")]
pub(super) struct SignersArgs {
    /// Trust whoever holds this key: a public key's PEM file, `env://NAME`, or a `pkcs11:` URI. Any
    /// one of several is enough (repeatable).
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    keyless: KeylessArgs,
    #[command(flatten)]
    pki: PkiArgs,
}

impl SignersArgs {
    /// Whether nobody is named.
    pub(super) fn is_empty(&self) -> bool {
        self.key.is_empty()
            && self.identity.is_empty()
            && self.keyless.is_empty()
            && self.pki.is_empty()
    }

    /// Returns who is trusted.
    pub(super) async fn root(&self, terminal: &Terminal) -> Result<TrustRoot> {
        if self.is_empty() {
            return Err(TrustArgs::nobody());
        }
        let keys: Result<Vec<_>> = self.key.iter().map(|key| keys::authority(key)).collect();
        let certified = self.certified(terminal).await?;
        let root = TrustRoot::new(keys?.into_iter().chain(certified))?;
        Ok(match self.keyless.witnesses()? {
            Some(instance) => root.with_witnesses(instance),
            None => root,
        })
    }

    /// Returns who is trusted by a certificate: of one's own authorities if these are named, else
    /// of a Sigstore instance.
    async fn certified(&self, terminal: &Terminal) -> Result<Vec<Authority>> {
        match (self.pki.names_authority(), self.keyless.is_empty()) {
            (true, true) => Ok(vec![self.pki.authority(&self.identity, Timestamp::now())?]),
            (true, false) => {
                let message = "identities are under an authority or under an issuer, not both";
                Err(Error::new(Reason::Usage, message).hint(
                    "give `--ca-roots` (and the like) or `--certificate-oidc-issuer`, not both",
                ))
            }
            (false, _) if !self.pki.is_empty() => Err(PkiArgs::without_root()),
            (false, true) if self.identity.is_empty() => Ok(Vec::new()),
            (false, _) => self.keyless.authorities(&self.identity, terminal).await,
        }
    }
}

/// Who is trusted, and what for.
#[derive(Args, Clone)]
#[command(next_help_heading = "Trust")]
pub(super) struct TrustArgs {
    #[command(flatten)]
    signers: SignersArgs,
    /// Require, besides a signature, an attestation of this type: a short name
    /// (slsaprovenance1, cyclonedx, …) or a predicate type URI; `oms` is a model signature on the
    /// artifact's files (repeatable).
    #[arg(long, value_name = "TYPE", value_parser = parse::<Required>)]
    require: Vec<Required>,
    /// Take a model signature (OMS) on the artifact's files for its signature too. It does not cover
    /// the manifest's annotations and config.
    #[arg(long)]
    accept_oms: bool,
    /// Require SLSA provenance of at least this Build level (1, 2 or 3) by the word of the policy
    /// file's `[[builders]]`, without which nothing is more than 1 (docs/levels.md).
    #[arg(long, value_name = "N", value_parser = parse::<Level>)]
    slsa_level: Option<Level>,
}

impl TrustArgs {
    /// Whether nobody is named.
    pub(super) fn is_empty(&self) -> bool {
        self.signers.is_empty()
    }

    /// Whether anything is said about who is trusted, or for what: then something is to be verified.
    pub(super) fn is_given(&self) -> bool {
        !self.is_empty() || self.signers.keyless.names_instance() || self.requires().is_some()
    }

    /// Whether a SLSA level is asked for.
    pub(super) fn asks_for_level(&self) -> bool {
        self.slsa_level.is_some()
    }

    /// Returns the flag that is given and says what must be attached, if one is.
    pub(super) fn requires(&self) -> Option<&'static str> {
        let flags = [
            ("--require", !self.require.is_empty()),
            ("--accept-oms", self.accept_oms),
            ("--slsa-level", self.slsa_level.is_some()),
        ];
        let mut given = flags.into_iter().filter(|(_, given)| *given);
        given.next().map(|(flag, _)| flag)
    }

    /// Returns who is trusted.
    pub(super) async fn root(&self, terminal: &Terminal) -> Result<TrustRoot> {
        self.signers.root(terminal).await
    }

    /// Returns what must be attached: a signature, and each required attestation.
    pub(super) fn policy(&self) -> Result<Policy> {
        Policy::new(self.requirements().chain(self.level()))
    }

    /// Returns what is asked for besides `policy`, on its conditions: provenance of a level, by
    /// anyone whom its file lists, too; and where no flag names anybody, each required attestation,
    /// by those whom it asks.
    pub(super) fn additions(&self, policy: &ScopedPolicy) -> Result<Vec<Rule>> {
        let names = policy.authorities();
        let required = self.require.iter().filter(|_| self.is_empty());
        let asked = |required: &Required| Rule::new(required.0.clone()).by(names.clone(), 1);
        let level = self.level().map(|level| Ok(Rule::new(level)));
        let rules = required.map(asked).chain(level);
        rules
            .map(|rule| Ok(rule?.provided(policy.conditions.clone())))
            .collect()
    }

    fn level(&self) -> Option<Requirement> {
        let level = self.slsa_level?;
        Some(Requirement::Provenance { level })
    }

    /// Returns the same, by one of those who are called one of `names`.
    pub(super) fn policy_of<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<Policy> {
        let names: Vec<_> = names.collect();
        let rules = self
            .requirements()
            .map(|requirement| Rule::new(requirement).by(names.iter().copied(), 1));
        Policy::of_rules(rules.collect::<Result<Vec<_>>>()?)
    }

    /// Returns what asks for a signature alone: that of a model that the artifact was made from.
    pub(super) fn signed(&self) -> Result<Policy> {
        Policy::new([self.signature()])
    }

    /// Returns the same, by one of those who are called one of `names`.
    pub(super) fn signed_by<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<Policy> {
        Policy::of_rules([Rule::new(self.signature()).by(names, 1)?])
    }

    /// Returns the Sigstore instance that certifies, logs and dates.
    pub(super) async fn instance(&self, terminal: &Terminal) -> Result<Arc<SigstoreRoot>> {
        self.signers.keyless.instance(terminal).await
    }

    /// Returns under what log entries and timestamps of signatures by keys are checked.
    pub(super) fn witnesses(&self) -> Result<Option<Arc<SigstoreRoot>>> {
        self.signers.keyless.witnesses()
    }

    fn requirements(&self) -> impl Iterator<Item = Requirement> {
        let required = self.require.iter().map(|required| required.0.clone());
        std::iter::once(self.signature()).chain(required)
    }

    fn signature(&self) -> Requirement {
        match self.accept_oms {
            true => Requirement::AnySignature,
            false => Requirement::Signature,
        }
    }

    /// Says what to do when `--verify` was asked for and nobody is named.
    pub(super) fn nobody() -> Error {
        Error::new(
            Reason::NothingToVerifyAgainst,
            "there is nothing to verify against",
        )
        .hint(
            "name who is trusted: `--key release.pub`, `--certificate-identity` with \
             `--certificate-oidc-issuer`, or `--ca-roots root.pem` with `--certificate-identity`; \
             or write a policy: `modelctl policy init`",
        )
    }
}

/// What `--require` names.
#[derive(Clone)]
struct Required(Requirement);

impl FromStr for Required {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "oms" || oms::is_model_signature(text) {
            return Ok(Self(Requirement::ModelSignature));
        }
        let predicate_type: PredicateType = text.parse()?;
        Ok(Self(Requirement::Attestation {
            predicate_type: predicate_type.into(),
        }))
    }
}

/// Returns a verdict as lines: each requirement, what meets it or why nothing does.
pub(super) fn explain(verdict: &Verdict) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in &verdict.findings {
        lines.push(heading(finding));
        for evidence in &finding.met_by {
            let form = match evidence.format {
                Format::Legacy => ", in cosign's older form",
                Format::Bundle => "",
            };
            lines.push(format!("     by {}{form}", evidence.signer));
            let witnesses = evidence.witnesses.iter();
            lines.extend(witnesses.map(|witness| format!("        {witness}")));
            let slsa = evidence.slsa.iter();
            lines.extend(slsa.map(|found| format!("     {}: {found}", found.level)));
            if !evidence.not_covered.is_empty() {
                let rest = evidence.not_covered.join(", ");
                lines.push(format!("     it does not cover {rest}"));
            }
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
