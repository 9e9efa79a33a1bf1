//! What must hold of each signature that is to count, whatever it is on.

use jiff::{SignedDuration, Timestamp};

use super::binding::Binding;
use super::demand::Demand;
use super::subject::Subject;
use crate::error::Reason;
use crate::statement::Statement;
use crate::trust::Recognised;

/// What must hold of each signature that is to count.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// What must be proven about it.
    pub demands: Vec<Demand>,
    /// For which name it must have been made.
    pub binding: Binding,
    /// How old it may be.
    pub max_age: Option<SignedDuration>,
    /// How old it must be: time for its signer to notice that somebody else signed.
    pub min_age: Option<SignedDuration>,
}

impl Conditions {
    /// Returns what is asked for, as lines for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .demands
            .iter()
            .map(|demand| demand.to_string())
            .collect();
        match self.binding {
            Binding::Any => {}
            Binding::Repository(_) => lines.push("made for this repository".to_owned()),
            Binding::Tag(_) => lines.push("made for this repository and tag".to_owned()),
        }
        lines.extend(self.max_age.map(|age| format!("made at most {age:#} ago")));
        lines.extend(self.min_age.map(|age| format!("made at least {age:#} ago")));
        lines
    }

    /// Says why the signature of `recognised` on `statement` does not count, if so.
    pub(super) fn check(
        &self,
        statement: &Statement,
        recognised: &Recognised,
        artifact: &Subject<'_>,
        now: Option<Timestamp>,
    ) -> Result<(), (Reason, String)> {
        let witnesses = recognised.witnesses();
        self.demands.iter().try_for_each(|d| d.check(witnesses))?;
        self.binding.check(statement, artifact)?;
        check_validity(recognised, now)?;
        self.check_age(recognised.time(), now)
    }

    fn check_age(
        &self,
        signed: Option<Timestamp>,
        now: Option<Timestamp>,
    ) -> Result<(), (Reason, String)> {
        if self.max_age.is_none() && self.min_age.is_none() {
            return Ok(());
        }
        let (Some(signed), Some(now)) = (signed, now) else {
            let message = "nothing proves when it was signed, and the policy limits its age";
            return Err((Reason::TimeUnproven, message.to_owned()));
        };
        let age = now.duration_since(signed);
        if self.max_age.is_some_and(|limit| age > limit) {
            let message = format!("it was signed at {signed}, longer ago than the policy allows");
            return Err((Reason::SignatureTooOld, message));
        }
        if self.min_age.is_some_and(|limit| age < limit) {
            let message = format!("it was signed at {signed}, less long ago than the policy asks");
            return Err((Reason::SignatureTooYoung, message));
        }
        Ok(())
    }
}

/// Says why the time of a signature is not one for which its signer is trusted, if so.
///
/// Where nobody else is proven to have seen it, the time of verification counts: it was signed
/// before. So a key that is no longer trusted needs a witness from the time when it was.
fn check_validity(recognised: &Recognised, now: Option<Timestamp>) -> Result<(), (Reason, String)> {
    let validity = recognised.validity();
    if validity.from.is_none() && validity.until.is_none() {
        return Ok(());
    }
    let Some(time) = recognised.time().or(now) else {
        let message = "nothing says when it was signed, and its key is trusted for a time only";
        return Err((Reason::TimeUnproven, message.to_owned()));
    };
    if validity.admits(time) {
        return Ok(());
    }
    let name = recognised.signer().authority();
    let how = match recognised.time() {
        Some(_) => format!("it was signed at {time}"),
        None => format!("nothing proves that it was signed before {time}"),
    };
    let message = format!("{how}, when {name:?} is not trusted");
    Err((Reason::OutsideValidity, message))
}
