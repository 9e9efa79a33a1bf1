//! Refusals: a verdict as one sentence, and what to do about it.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::{Error, Reason};
use crate::policy::{Finding, Verdict};

/// Says in one error why `verdict` does not admit `what`; nothing if it does.
pub fn refusal(verdict: &Verdict, what: impl fmt::Display) -> Option<Error> {
    if verdict.admits() {
        return None;
    }
    if let Some(objection) = verdict.objections.first() {
        let message = format!("`{what}` may not be used: {}", objection.message);
        return Some(Error::new(objection.reason, message).hint(advice(objection.reason, &what)));
    }
    let Some((finding, reason)) = verdict.first_unmet() else {
        return Some(Error::new(Reason::SignatureMissing, "nothing was required"));
    };
    let message = format!(
        "`{what}` has {}: {}",
        lack(finding),
        detail(finding, reason)
    );
    let hint = finding.way_out().unwrap_or_else(|| advice(reason, &what));
    Some(Error::new(reason, message).hint(hint))
}

/// Says what an unmet requirement lacks.
fn lack(finding: &Finding) -> String {
    let requirement = &finding.requirement;
    match (finding.signers, finding.threshold) {
        (0, 1) => format!("no trusted {requirement}"),
        (found, wanted) => format!("{found} of {wanted} trusted signers of a {requirement}"),
    }
}

/// Says what came nearest to meeting a requirement.
fn detail(finding: &Finding, reason: Reason) -> String {
    let mut refused = finding.refused.iter();
    if let Some(near) = refused.find(|refusal| refusal.reason == reason) {
        return near.message.clone();
    }
    if reason == Reason::TooFewSigners {
        let signed: BTreeSet<_> = finding
            .met_by
            .iter()
            .map(|e| e.signer.authority())
            .collect();
        let signed: Vec<_> = signed.into_iter().collect();
        let asked = finding.authorities.join(", ");
        return format!("{} signed, of {asked}", signed.join(", "));
    }
    match finding.refused.is_empty() {
        true => "nothing is attached to it".to_owned(),
        false => "what is attached to it states other things".to_owned(),
    }
}

/// Returns what to do about a refusal.
fn advice(reason: Reason, what: &dyn fmt::Display) -> String {
    let text = match reason {
        Reason::SignatureMissing => {
            return format!("have its publisher sign it: `modelctl sign {what} --key …`");
        }
        Reason::AttestationMissing => {
            return format!("see what is attached: `modelctl tree {what}`");
        }
        Reason::TooFewSigners | Reason::ConstraintUnmet => {
            return format!("see each requirement: `modelctl policy explain {what}`");
        }
        Reason::UntrustedSigner => {
            "check that `--key` or `--ca-roots` is the publisher's; `modelctl tree` shows who signed"
        }
        Reason::CertificateExpired => {
            "have it signed anew; a timestamp in it proves an earlier time, under \
             `--timestamp-certificate-chain`"
        }
        Reason::RevocationUnknown => {
            "name the newest list of each authority below the root: `--crl FILE`"
        }
        Reason::IdentityMismatch | Reason::IssuerMismatch | Reason::ClaimMismatch => {
            "check that this is whom you trust; if so, name the identity and issuer as they are"
        }
        Reason::NameMismatch => {
            "it may have been moved there; if that is meant (a mirror), say so in the policy's \
             `remap`, or have it signed there"
        }
        Reason::SignatureTooYoung => "wait; the policy's `min_signature_age` says how long",
        Reason::SignatureTooOld | Reason::OutsideValidity => "have it signed anew",
        Reason::TimeUnproven => "have it signed with a transparency log or a timestamp authority",
        Reason::Downgrade => {
            "if the older one is meant, pull it by its digest, or into another directory"
        }
        Reason::ModelUnsuitable | Reason::FileKindUnsafe => {
            "the policy's `[policies.content]` says what may be in a model"
        }
        Reason::RevocationsUnavailable => "get the newest list from whoever publishes it",
        _ => "do not use it; ask its publisher, and whoever runs the registry",
    };
    text.to_owned()
}
