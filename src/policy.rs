//! Judgement: is what was signed, by whom, enough? Pure: no clock, no network, no disk.
//!
//! A [`Policy`] is a list of rules, all of which must be met, whether flags or a policy file
//! ([`mod@file`]) say so. [`Policy::judge`] looks at the whole set of candidates, so their order never
//! matters and a bad one never hides a good one. Its [`Verdict`] is data; printing it is someone
//! else's work.

mod binding;
mod circumstances;
mod conditions;
pub mod constraint;
mod contents;
mod demand;
pub mod export;
pub mod file;
mod glob;
mod quorum;
mod rule;
mod scope;
mod subject;
mod verdict;

pub use binding::{Binding, REPOSITORY, Remap, TAG, name_annotations};
pub use circumstances::{Circumstances, Pin, Pins};
pub use conditions::Conditions;
pub use demand::Demand;
pub use rule::{Requirement, Rule};
pub use scope::Scope;
pub use subject::Subject;
pub use verdict::{Evidence, Finding, Objection, Refusal, Verdict};

use crate::content::ContentRules;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::oms::{self, Coverage};
use crate::slsa::{Assessment, Builders};
use crate::statement::Statement;
use crate::trust::{Authenticated, Recognised};

/// What must be attached to an artifact before it is used. There is no default policy: one that
/// asks for nothing cannot be made.
///
/// ```compile_fail
/// let empty: modelctl::policy::Policy = Default::default();
/// ```
#[derive(Debug, Clone)]
pub struct Policy {
    rules: Vec<Rule>,
    builders: Builders,
    downgrade: Downgrade,
    content: Option<ContentRules>,
    circumstances: Circumstances,
}

/// What becomes of an artifact that is not known to be newer than the one accepted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downgrade {
    /// It may be used.
    Allow,
    /// It may not.
    Deny,
}

impl Policy {
    /// Returns a policy with these requirements, each of which anyone who is trusted can meet;
    /// without any it would admit everything, which is an error.
    pub fn new(requirements: impl IntoIterator<Item = Requirement>) -> Result<Self> {
        Self::of_rules(requirements.into_iter().map(Rule::new))
    }

    /// Returns a policy with these rules; without any it would admit everything, which is an error.
    pub fn of_rules(rules: impl IntoIterator<Item = Rule>) -> Result<Self> {
        let rules: Vec<_> = rules.into_iter().collect();
        if rules.is_empty() {
            return Err(Error::new(
                Reason::NothingToVerifyAgainst,
                "a policy without requirements would admit everything",
            ));
        }
        Ok(Self {
            rules,
            builders: Builders::default(),
            downgrade: Downgrade::Allow,
            content: None,
            circumstances: Circumstances::default(),
        })
    }

    /// Demands these, too, of every bundle that is to count.
    #[must_use]
    pub fn demanding(mut self, demands: impl IntoIterator<Item = Demand>) -> Self {
        let demands: Vec<_> = demands.into_iter().collect();
        for rule in &mut self.rules {
            rule.conditions.demands.extend(&demands);
        }
        self
    }

    /// Says what becomes of an artifact that is not known to be newer than its pin.
    #[must_use]
    pub fn on_downgrade(mut self, downgrade: Downgrade) -> Self {
        self.downgrade = downgrade;
        self
    }

    /// Believes of provenance what `builders` says: without it, nothing is more than level 1.
    #[must_use]
    pub fn believing(mut self, builders: Builders) -> Self {
        self.builders = builders;
        self
    }

    /// Says what may be in the artifact. What its manifest says of its files is judged here; the
    /// bytes are for whoever has them ([`Policy::content`]).
    #[must_use]
    pub fn containing(mut self, rules: ContentRules) -> Self {
        self.content = Some(rules);
        self
    }

    /// Judges under these circumstances: what time it is, what was accepted before, what is revoked.
    #[must_use]
    pub fn under(mut self, circumstances: Circumstances) -> Self {
        self.circumstances = circumstances;
        self
    }

    /// Returns what asks for everything that this and `other` ask for: nothing gets looser.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.rules.extend(other.rules);
        self.builders = self.builders.and(other.builders);
        if other.downgrade == Downgrade::Deny {
            self.downgrade = Downgrade::Deny;
        }
        self.content = match (self.content, other.content) {
            (Some(own), Some(others)) => Some(own.and(&others)),
            (own, others) => own.or(others),
        };
        self
    }

    /// Returns what asks for attestations of `predicate_type` alone: by the rules that are about it
    /// if there are any, else of those who must have signed the artifact.
    #[must_use]
    pub fn attesting(&self, predicate_type: &str) -> Self {
        let is_about = |rule: &&Rule| rule.requirement.accepts(predicate_type);
        let mut rules: Vec<_> = self.rules.iter().filter(is_about).cloned().collect();
        if rules.is_empty() {
            let signatures = self.rules.iter().filter(|rule| rule.is_signature());
            rules.extend(signatures.map(|rule| rule.attesting(predicate_type)));
        }
        if rules.is_empty() {
            rules.extend(self.rules.iter().map(|rule| rule.attesting(predicate_type)));
        }
        Self {
            rules,
            ..self.clone()
        }
    }

    /// Returns the rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Returns what becomes of an artifact that is not known to be newer than its pin.
    pub fn downgrade(&self) -> Downgrade {
        self.downgrade
    }

    /// Returns what may be in the artifact, if that is said.
    pub fn content(&self) -> Option<&ContentRules> {
        self.content.as_ref()
    }

    /// Judges what is attached to an artifact.
    pub fn judge<'a>(&self, artifact: impl Into<Subject<'a>>, candidates: &[Candidate]) -> Verdict {
        let artifact = artifact.into();
        let findings = self
            .rules
            .iter()
            .map(|rule| self.judge_one(rule, &artifact, candidates));
        let mut objections = self.circumstances.objections(&artifact, self.downgrade);
        let content = self.content.iter();
        objections.extend(content.flat_map(|rules| contents::objections(rules, &artifact)));
        Verdict {
            findings: findings.collect(),
            objections,
        }
    }

    fn judge_one(&self, rule: &Rule, artifact: &Subject<'_>, candidates: &[Candidate]) -> Finding {
        let mut met_by = Vec::new();
        let mut refused = Vec::new();
        for candidate in candidates {
            match self.consider(candidate, rule, artifact) {
                Ok(found) => met_by.extend(found),
                Err(refusal) => refused.push(refusal),
            }
        }
        // One bundle counts once, however often it is attached; and what a registry lists first must
        // not show.
        let order = |one: &Evidence| (one.bundle, one.signer.authority().to_owned());
        met_by.sort_by_key(order);
        met_by.dedup();
        refused.sort_by(|a, b| {
            (a.bundle, a.reason, &a.message).cmp(&(b.bundle, b.reason, &b.message))
        });
        refused.dedup();
        let signers = quorum::count(&met_by);
        Finding {
            requirement: rule.requirement.clone(),
            authorities: rule.authorities.iter().flatten().cloned().collect(),
            threshold: rule.threshold,
            signers,
            reason: verdict::unmet(rule, signers, &refused),
            met_by,
            refused,
        }
    }

    /// Returns by whom `candidate` counts for `rule`, or the nearest to a reason why by nobody.
    fn consider(
        &self,
        candidate: &Candidate,
        rule: &Rule,
        artifact: &Subject<'_>,
    ) -> Result<Vec<Evidence>, Refusal> {
        let bundle = candidate.bundle;
        let authenticated = stated(candidate, &rule.requirement, artifact)
            .map_err(|why| Refusal::new(bundle, why))?;
        let mut counts = Vec::new();
        let mut refusals = Vec::new();
        for recognised in authenticated.recognised() {
            let admitted = self.admit(bundle, authenticated, recognised, rule, artifact);
            let admitted = admitted.map_err(|why| Refusal::new(bundle, why));
            match admitted.and_then(|()| self.assess(bundle, authenticated, recognised, rule)) {
                Ok(slsa) => {
                    counts.push(Evidence::new(candidate, authenticated, recognised, slsa));
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        refusals.sort_by_key(|refusal| std::cmp::Reverse(verdict::nearness(refusal.reason)));
        match (counts.is_empty(), refusals.into_iter().next()) {
            (true, Some(refusal)) => Err(refusal),
            _ => Ok(counts),
        }
    }

    /// Says why what `recognised` signed does not count for `rule`, if so.
    fn admit(
        &self,
        bundle: Digest,
        authenticated: &Authenticated,
        recognised: &Recognised,
        rule: &Rule,
        artifact: &Subject<'_>,
    ) -> Result<(), (Reason, String)> {
        rule.asks(recognised.signer())?;
        let circumstances = &self.circumstances;
        circumstances.check_signer(bundle, recognised)?;
        let now = circumstances.now;
        rule.conditions
            .check(authenticated.statement(), recognised, artifact, now)?;
        let predicate = &authenticated.statement().predicate;
        for constraint in &rule.constraints {
            let met = constraint.check(predicate, recognised.signer(), now);
            met.map_err(|why| (Reason::ConstraintUnmet, why))?;
        }
        Ok(())
    }

    /// Returns of which SLSA level what `recognised` signed is, if `rule` asks for one: if that is
    /// less, it does not count.
    fn assess(
        &self,
        bundle: Digest,
        authenticated: &Authenticated,
        recognised: &Recognised,
        rule: &Rule,
    ) -> Result<Option<Assessment>, Refusal> {
        let Requirement::Provenance { level } = rule.requirement else {
            return Ok(None);
        };
        let statement = authenticated.statement();
        let found = self.builders.assess(statement, recognised.signer());
        let found = found.map_err(|why| Refusal::new(bundle, why))?;
        match found.level >= level {
            true => Ok(Some(found)),
            false => Err(Refusal::of_level(bundle, found)),
        }
    }
}

/// A bundle that is attached, and what authentication made of it.
#[derive(Debug)]
pub struct Candidate {
    /// The digest of the bundle's bytes.
    pub bundle: Digest,
    /// The predicate type it claims, for choosing words only.
    pub claims: Option<String>,
    /// Who says what, or why nobody does.
    pub outcome: Result<Authenticated>,
    /// What became of comparing the files that it lists with those there are, if it lists files
    /// and they were compared: without that, a model signature is about nothing.
    pub coverage: Option<Result<Coverage>>,
}

/// Returns what `candidate` states, if it is what `requirement` asks for, about `artifact`.
fn stated<'a>(
    candidate: &'a Candidate,
    requirement: &Requirement,
    artifact: &Subject<'_>,
) -> Result<&'a Authenticated, (Reason, String)> {
    let other_type = |found: &str| {
        let wanted = requirement.predicate_type();
        let message = format!("it states {found:?}, not {wanted:?}");
        (Reason::PredicateTypeMismatch, message)
    };
    let authenticated = match (&candidate.outcome, &candidate.claims) {
        (Ok(authenticated), _) => authenticated,
        // A bundle that does not even claim to be what is wanted is no reason to talk about its
        // signature.
        (Err(_), Some(claimed)) if !requirement.accepts(claimed) => {
            return Err(other_type(claimed));
        }
        (Err(error), _) => return Err((error.reason(), error.to_string())),
    };
    let statement = authenticated.statement();
    if !requirement.accepts(&statement.predicate_type) {
        return Err(other_type(&statement.predicate_type));
    }
    about(candidate, statement, artifact.digest)?;
    Ok(authenticated)
}

/// Refuses a statement about something else: a model signature by its files, which were compared,
/// any other by the artifact's digest.
fn about(
    candidate: &Candidate,
    statement: &Statement,
    artifact: &Digest,
) -> Result<(), (Reason, String)> {
    let other = |message: String| Err((Reason::SubjectMismatch, message));
    if !oms::is_model_signature(&statement.predicate_type) {
        return match statement.is_about(artifact) {
            true => Ok(()),
            false => other(format!(
                "it is signed, but about another artifact than {artifact}"
            )),
        };
    }
    match &candidate.coverage {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err((error.reason(), error.to_string())),
        None => other("it is signed, but its files were not compared".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predicate::SLSA_PROVENANCE_V1;

    fn attestation(predicate_type: &str) -> Requirement {
        Requirement::Attestation {
            predicate_type: predicate_type.to_owned(),
        }
    }

    fn rule(requirement: Requirement, who: &str) -> Rule {
        Rule::new(requirement).by([who], 1).unwrap()
    }

    #[test]
    fn attestations_are_asked_of_those_whom_the_policy_trusts_for_them() {
        let signature = || rule(Requirement::Signature, "release");
        let other = || rule(attestation("https://example.com/test/v1"), "tester");
        let own = || rule(attestation(SLSA_PROVENANCE_V1), "builder");
        for (rules, who) in [
            (vec![signature(), other()], "release"),
            (vec![signature(), other(), own()], "builder"),
            (vec![other()], "tester"),
        ] {
            let asked = Policy::of_rules(rules)
                .unwrap()
                .attesting(SLSA_PROVENANCE_V1);
            let [rule] = asked.rules() else {
                panic!("one rule is left: {asked:?}");
            };
            assert_eq!(rule.requirement(), &attestation(SLSA_PROVENANCE_V1));
            assert_eq!(rule.authorities().unwrap().first().unwrap(), who);
        }
    }
}
