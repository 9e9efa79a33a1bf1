//! What a judgement depends on besides the artifact and its evidence.

use jiff::Timestamp;

use super::Downgrade;
use super::subject::Subject;
use super::verdict::Objection;
use crate::digest::Digest;
use crate::error::Reason;
use crate::reference::Reference;
use crate::revocation::Revocations;
use crate::store::RawDocument;
use crate::trust::Recognised;

/// What time it is, what was accepted before, and what is revoked. Passed in, never looked up.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// What time it is: without it, whatever depends on it is not met.
    pub now: Option<Timestamp>,
    /// What was accepted before.
    pub pins: Pins,
    /// What is revoked, if that is known.
    pub revocations: Option<Revocations>,
}

/// What was accepted before, by name: nothing older takes its place.
#[derive(Debug, Clone, Default)]
pub struct Pins(Vec<Pin>);

/// One artifact that was accepted before.
#[derive(Debug, Clone)]
pub struct Pin {
    /// As what: its digest does not matter.
    pub reference: Reference,
    /// What it was.
    pub digest: Digest,
    /// When it was made, as its manifest says.
    pub created: Option<Timestamp>,
}

impl Pin {
    /// Returns the pin of the artifact whose manifest is `document`, accepted as `reference`.
    pub fn of(document: &RawDocument, reference: Reference) -> Self {
        let subject = Subject::new(document.digest(), document.document(), Some(&reference));
        let created = subject.created;
        Self {
            reference,
            digest: *document.digest(),
            created,
        }
    }
}

impl FromIterator<Pin> for Pins {
    fn from_iter<I: IntoIterator<Item = Pin>>(pins: I) -> Self {
        Self(pins.into_iter().collect())
    }
}

impl Pins {
    /// Says why `artifact` may not take the place of what was accepted under its name, if so.
    fn objection(&self, artifact: &Subject<'_>) -> Option<Objection> {
        let asked = artifact.reference?;
        let same_name = |pin: &&Pin| {
            pin.reference.location() == asked.location() && pin.reference.tag() == asked.tag()
        };
        let pins = || self.0.iter().filter(same_name);
        if pins().any(|pin| pin.digest == *artifact.digest) {
            return None;
        }
        let is_newer = |pin: &Pin| match (artifact.created, pin.created) {
            (Some(created), Some(before)) => created > before,
            _ => false,
        };
        let newer = pins().find(|pin| !is_newer(pin))?;
        let shown = |time: Option<Timestamp>| match time {
            Some(time) => format!("of {time}"),
            None => "of unknown age".to_owned(),
        };
        let message = format!(
            "{} ({}) was accepted before under this name, and this one ({}) is not newer",
            newer.digest,
            shown(newer.created),
            shown(artifact.created)
        );
        let reason = Reason::Downgrade;
        Some(Objection { reason, message })
    }
}

impl Circumstances {
    /// Returns what stands against `artifact`, whatever is attached to it.
    pub(super) fn objections(
        &self,
        artifact: &Subject<'_>,
        downgrade: Downgrade,
    ) -> Vec<Objection> {
        let mut objections = Vec::new();
        if downgrade == Downgrade::Deny {
            objections.extend(self.pins.objection(artifact));
        }
        if let Some(revocations) = &self.revocations {
            let stale = revocations.check_fresh(self.now);
            let revoked = revocations.check_artifact(artifact.digest);
            let failed = [stale, revoked].into_iter().filter_map(Result::err);
            objections.extend(failed.map(|(reason, message)| Objection { reason, message }));
        }
        objections
    }

    /// Says why a signature does not count any more, if so.
    pub(super) fn check_signer(
        &self,
        bundle: Digest,
        recognised: &Recognised,
    ) -> Result<(), (Reason, String)> {
        match &self.revocations {
            Some(revocations) => revocations.check_signature(&bundle, recognised),
            None => Ok(()),
        }
    }
}
