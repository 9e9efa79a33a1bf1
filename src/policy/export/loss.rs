//! What an export does not say, or says otherwise than the policy file.

use std::fmt;

use serde::Serialize;

use crate::content::ContentRules;
use crate::policy::file::{PolicyFile, ScopedPolicy, Trusted};
use crate::policy::{Binding, Downgrade, Rule};
use crate::slsa::Level;
use crate::trust::Validity;

/// Something that an export does not say, or says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    /// What becomes of it.
    pub effect: Effect,
    /// The policy that it is about; the file as a whole, if none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What it is.
    pub what: String,
}

/// What a loss does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// The export lets through what the file refuses.
    Weaker,
    /// The export refuses what the file lets through.
    Stricter,
    /// Something is to be done, or known, where the export is used.
    Note,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match self.effect {
            Effect::Weaker => "weaker",
            Effect::Stricter => "stricter",
            Effect::Note => "note",
        };
        match &self.policy {
            Some(policy) => write!(f, "{effect}: `{policy}`: {}", self.what),
            None => write!(f, "{effect}: {}", self.what),
        }
    }
}

/// The losses of an export so far.
#[derive(Default)]
pub(super) struct Losses(Vec<Loss>);

impl Losses {
    /// Returns where the losses of the policy that is called `name` are told.
    pub(super) fn of(&mut self, name: &str) -> Telling<'_> {
        Telling {
            losses: self,
            policy: Some(name.to_owned()),
        }
    }

    /// Returns where the losses of the file as a whole are told.
    pub(super) fn of_file(&mut self) -> Telling<'_> {
        Telling {
            losses: self,
            policy: None,
        }
    }

    /// Returns each once, the worst first.
    pub(super) fn finish(mut self) -> Vec<Loss> {
        self.0.sort();
        self.0.dedup();
        self.0
    }
}

/// Where losses of one policy are told.
pub(super) struct Telling<'a> {
    losses: &'a mut Losses,
    policy: Option<String>,
}

impl Telling<'_> {
    /// Tells that more gets through.
    pub(super) fn weaker(&mut self, what: impl Into<String>) {
        self.tell(Effect::Weaker, what.into());
    }

    /// Tells that less gets through.
    pub(super) fn stricter(&mut self, what: impl Into<String>) {
        self.tell(Effect::Stricter, what.into());
    }

    /// Tells what is to be known.
    pub(super) fn note(&mut self, what: impl Into<String>) {
        self.tell(Effect::Note, what.into());
    }

    /// Tells that provenance is asked for, and not of which level.
    pub(super) fn level(&mut self, level: Level) {
        if level > Level::One {
            self.weaker(format!(
                "provenance may be of any level (`slsa_level`: {level})"
            ));
        }
    }

    fn tell(&mut self, effect: Effect, what: String) {
        let policy = self.policy.clone();
        self.losses.0.push(Loss {
            effect,
            policy,
            what,
        });
    }

    /// Tells what of a policy no other tool can be asked.
    pub(super) fn unsaid(&mut self, file: &PolicyFile, scoped: &ScopedPolicy) {
        let policy = &scoped.policy;
        if file.revocations.is_some() {
            self.weaker("what `[revocations]` revokes still counts");
        }
        if policy.downgrade() == Downgrade::Deny {
            self.weaker("older versions are not refused (`downgrade`)");
        }
        let conditions = || policy.rules().iter().map(Rule::conditions);
        if conditions().any(|c| c.max_age.is_some()) {
            self.weaker("signatures may be of any age (`max_signature_age`)");
        }
        if conditions().any(|c| c.min_age.is_some()) {
            self.weaker("signatures may be brand-new (`min_signature_age`)");
        }
        if policy.content() == Some(&ContentRules::without_code()) {
            self.note("formats of files are for `modelctl pull` to judge");
        } else {
            self.weaker("files are not looked at (`[policies.content]`)");
        }
        if scoped.chain.is_some() {
            self.weaker("what a model was made from is not verified (`[policies.chain]`)");
        }
        for name in scoped.authorities() {
            self.unsaid_of(name, file.authorities.get(name));
        }
    }

    fn unsaid_of(&mut self, name: &str, trusted: Option<&Trusted>) {
        let is_bounded = |validity: &Validity| *validity != Validity::ALWAYS;
        let bounded = match trusted {
            Some(Trusted::Keys { keys, .. }) => keys.iter().any(|key| is_bounded(&key.validity)),
            Some(Trusted::Identity { validity, .. }) => is_bounded(validity),
            Some(Trusted::Certificates(certificates)) => is_bounded(&certificates.validity),
            None => false,
        };
        if bounded {
            self.weaker(format!(
                "`{name}` counts at any time (`valid_from`, `valid_until`)"
            ));
        }
        if let Some(Trusted::Identity { identity, .. }) = trusted
            && !identity.claims.is_empty()
        {
            self.weaker(format!(
                "`{name}` counts whatever the certificate claims (`claims`)"
            ));
        }
    }

    /// Tells that signatures made for another name count.
    pub(super) fn unbound(&mut self, scoped: &ScopedPolicy) {
        let mut rules = scoped.policy.rules().iter();
        if rules.any(|rule| rule.conditions().binding != Binding::Any) {
            self.weaker("signatures made for another name count (`names`)");
        }
    }
}
