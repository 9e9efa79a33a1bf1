//! What a verdict comes to as a level, and what it was and was not reached by.

use serde::Serialize;

use super::assessment::{Assessment, Ground};
use super::level::Level;
use crate::digest::Digest;
use crate::policy::{Evidence, Policy, Requirement, Rule, Verdict};

/// Where provenance has what a build was given from outside.
const EXTERNAL_PARAMETERS: &str = "/buildDefinition/externalParameters";

/// The level that an artifact has according to a policy, and what that does and does not say.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reached {
    /// The level as verification summaries call it.
    pub name: &'static str,
    /// The provenance that it is by.
    pub provenance: Digest,
    /// Of which level it is, and why.
    #[serde(flatten)]
    pub assessment: Assessment,
    /// What was looked at.
    pub checked: Vec<Check>,
    /// What was not.
    pub not_checked: Vec<Check>,
}

/// Something that a level might be taken to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub aspect: Aspect,
    /// What was found of it, or why nothing was, as a sentence.
    pub detail: String,
}

/// What a level might be taken to be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Aspect {
    /// Who signed the provenance.
    Signature,
    /// That it is about this artifact.
    Subject,
    /// That the signer may speak for the builder.
    BuilderAndSigner,
    /// How it was built.
    BuildType,
    /// From what it was told to be built.
    ExternalParameters,
    /// That all that went into it is named, and where that comes from.
    Dependencies,
    /// That what went into it is any good.
    DataQuality,
    /// That the builder keeps builds apart from each other and from its secrets.
    BuilderIsolation,
}

impl Reached {
    /// Returns the level that `verdict`, which `policy` gave, comes to; nothing if no level was asked
    /// for, or none that was asked for is met.
    pub fn by(policy: &Policy, verdict: &Verdict) -> Option<Self> {
        let findings = policy.rules().iter().zip(&verdict.findings);
        let met = findings.filter(|(rule, finding)| {
            matches!(rule.requirement(), Requirement::Provenance { .. }) && finding.reason.is_none()
        });
        let evidence =
            met.flat_map(|(rule, finding)| finding.met_by.iter().map(move |e| (rule, e)));
        let assessed = evidence.filter_map(|(rule, e)| Some((rule, e, e.slsa.as_deref()?)));
        let best = assessed.max_by_key(|(rule, evidence, assessment)| {
            let said = external(rule).count();
            (assessment.level, said, std::cmp::Reverse(evidence.bundle))
        });
        best.map(|(rule, evidence, assessment)| Self::new(rule, evidence, assessment))
    }

    fn new(rule: &Rule, evidence: &Evidence, assessment: &Assessment) -> Self {
        let mut checked = vec![
            Check::new(Aspect::Signature, format!("signed by {}", evidence.signer)),
            Check::new(Aspect::Subject, "it names this artifact's digest"),
            Check::new(Aspect::BuilderAndSigner, assessment.to_string()),
        ];
        let mut not_checked = Vec::new();
        match build_type(assessment) {
            Ok(check) => checked.push(check),
            Err(check) => not_checked.push(check),
        }
        match external_parameters(rule) {
            Ok(check) => checked.push(check),
            Err(check) => not_checked.push(check),
        }
        not_checked.extend(never());
        Self {
            name: assessment.level.name(),
            provenance: evidence.bundle,
            assessment: assessment.clone(),
            checked,
            not_checked,
        }
    }

    /// Returns the level.
    pub fn level(&self) -> Level {
        self.assessment.level
    }
}

impl Check {
    fn new(aspect: Aspect, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { aspect, detail }
    }
}

fn build_type(assessment: &Assessment) -> Result<Check, Check> {
    let found = format!("{:.300?}", assessment.build_type);
    match &assessment.ground {
        Ground::Listed { build_types, .. } if !build_types.is_empty() => Ok(Check::new(
            Aspect::BuildType,
            format!("the build type {found} is one that the policy lists for the builder"),
        )),
        _ => Err(Check::new(
            Aspect::BuildType,
            format!("the build type, {found}: the policy lists none for the builder"),
        )),
    }
}

/// Returns what `rule` asks for of the parameters of the build.
fn external(rule: &Rule) -> impl Iterator<Item = String> {
    let constraints = rule.constraints().iter();
    let about = constraints.filter(|one| one.pointer().starts_with(EXTERNAL_PARAMETERS));
    about.map(ToString::to_string)
}

fn external_parameters(rule: &Rule) -> Result<Check, Check> {
    let constraints: Vec<_> = external(rule).collect();
    let check = |detail: String| Check::new(Aspect::ExternalParameters, detail);
    match constraints.is_empty() {
        true => Err(check(
            "the external parameters: the policy says nothing of what was to be built".to_owned(),
        )),
        false => Ok(check(format!(
            "{}; others were not looked at",
            constraints.join(", ")
        ))),
    }
}

/// Returns what no verifier sees in provenance
/// ([SLSA, "completeness"](https://slsa.dev/spec/v1.2/build-requirements)).
fn never() -> [Check; 3] {
    [
        Check::new(
            Aspect::Dependencies,
            "whether all that went into it is named, and where that comes from",
        ),
        Check::new(
            Aspect::DataQuality,
            "whether data and base model are what they are called, and any good",
        ),
        Check::new(
            Aspect::BuilderIsolation,
            "whether the builder keeps builds apart: that is the word of whoever lists it",
        ),
    ]
}
