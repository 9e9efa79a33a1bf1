//! Where it is decided whether an artifact may be fetched.

use modelctl::error::Result;
use modelctl::reference::Reference;
use modelctl::store::Store;
use modelctl::verify::{Artifact, Verification, Verified, refusal};
use serde_json::Value;

use super::super::audit::{Grounds, Recorder};
use super::super::chain::{Setting, Walked, drawn};
use super::super::levels;
use super::super::policy::{Applied, Basis, Ruling};
use super::super::report::Failure;
use super::super::stores::Stores;
use super::super::terminal::{Terminal, printable};
use super::PullArgs;

/// What may be pulled, and why.
pub(super) struct Admitted {
    pub(super) artifact: Verified<Artifact>,
    pub(super) applied: Option<Applied>,
    /// The chain, in JSON, if it was walked.
    pub(super) chain: Value,
}

/// Where it is decided whether the artifact may be fetched.
pub(super) struct Gate<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) args: &'a PullArgs,
    /// What is to be pulled, which may be pinned to what is locked.
    pub(super) reference: &'a Reference,
    /// What records the decision before anything follows from it.
    pub(super) recorder: &'a Recorder,
    pub(super) stores: &'a Stores,
    pub(super) terminal: &'a Terminal,
}

impl Gate<'_> {
    /// Resolves the artifact once and decides whether it may be fetched.
    pub(super) async fn admit(&self, ruling: Ruling) -> Result<Admitted, Failure> {
        let artifact = Artifact::resolve(self.store, self.reference).await?;
        let (basis, enforced) = match ruling {
            Ruling::Enforce(basis) => (basis, true),
            Ruling::Warn(basis) => (basis, false),
            Ruling::Unchecked(why) => {
                self.recorder.unverified(artifact.digest(), &why).await?;
                self.say(&format!("UNVERIFIED: {why}; anyone may have made this"));
                return Ok(Admitted {
                    artifact: Verified::unchecked(artifact, why),
                    applied: None,
                    chain: nothing(),
                });
            }
        };
        let (cache, chain) = (&self.args.cache, &self.args.chain);
        let recalled = cache.verify(self.store, artifact, &basis, chain, self.terminal);
        let verification = recalled.await?.verification;
        match enforced {
            true => self.enforce(verification, basis).await,
            false => self.warn(verification, basis).await,
        }
    }

    async fn enforce(&self, verification: Verification, basis: Basis) -> Result<Admitted, Failure> {
        let lines = levels::explained(&basis, verification.verdict());
        let json = serde_json::json!({
            "verified": false,
            "reference": verification.artifact().pinned().to_string(),
            "digest": verification.artifact().digest().to_string(),
            "policy": basis.applied,
            "findings": verification.verdict().findings,
            "objections": verification.verdict().objections,
        });
        let digest = verification.artifact().digest();
        self.recorder.about(digest);
        let chain = self.walk(&verification, &basis).await;
        let chain = chain.map_err(|failure| failure.with(&json))?;
        let (grounds, verdict) = (Grounds::from(&basis), verification.verdict());
        self.recorder.judged(grounds, Some(digest), verdict).await?;
        let admitted = verification.admit();
        let artifact = admitted.map_err(|e| Failure::from(e).with(&json).details(lines.clone()))?;
        lines.iter().for_each(|line| self.say(line));
        Ok(Admitted {
            artifact: artifact.under(basis.applied.as_ref().map(Applied::name)),
            applied: basis.applied,
            chain,
        })
    }

    /// Judges all the same, and tells.
    async fn warn(&self, verification: Verification, basis: Basis) -> Result<Admitted, Failure> {
        let lines = levels::explained(&basis, verification.verdict());
        lines.iter().for_each(|line| self.say(line));
        let mut refused = refusal(verification.verdict(), self.reference);
        if let Err(failure) = self.walk(&verification, &basis).await {
            failure.details.iter().for_each(|line| self.say(line));
            refused = Some(failure.error);
        }
        let why = match refused {
            None => "the policy only warns, and would have admitted it".to_owned(),
            Some(error) => format!("the policy only warns: {error}"),
        };
        let (digest, verdict) = (verification.artifact().digest(), verification.verdict());
        let grounds = Grounds::from(&basis);
        self.recorder.warned(grounds, digest, verdict, &why).await?;
        self.say(&format!("UNVERIFIED: {why}"));
        let artifact = Verified::unchecked(verification.artifact().clone(), why);
        Ok(Admitted {
            artifact: artifact
                .keeping(verification.collected())
                .under(basis.applied.as_ref().map(Applied::name)),
            applied: basis.applied,
            chain: nothing(),
        })
    }

    /// Walks the chain of what is admitted, if that is asked for, and returns it in JSON.
    async fn walk(&self, verification: &Verification, basis: &Basis) -> Result<Value, Failure> {
        let setting = Setting {
            trust: &self.args.trust,
            registry: &self.args.registry,
            mirrors: &self.args.mirrors,
            stores: self.stores,
            terminal: self.terminal,
        };
        let walk = self
            .args
            .chain
            .walk(self.store, verification, basis, setting);
        let Some(chain) = walk.await? else {
            return Ok(nothing());
        };
        drawn(&chain)
            .iter()
            .for_each(|line| self.terminal.say(line));
        Ok(serde_json::to_value(Walked::new(&chain)).unwrap_or_default())
    }

    fn say(&self, line: &str) {
        self.terminal.say(&printable(line));
    }
}

fn nothing() -> Value {
    Value::Object(Default::default())
}
