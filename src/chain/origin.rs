//! What is proven of how a link came to be.

use super::Standard;
use super::gap::Why;
use super::voucher::Voucher;
use crate::error::{Reason, Result};
use crate::policy::{Evidence, Verdict};
use crate::predicate::SLSA_PROVENANCE_V1;
use crate::referrer::{self, RawBundle};
use crate::statement::Statement;
use crate::store::Store;
use crate::trust::TrustRoot;
use crate::verify::{Artifact, Verification, judge, refusal};

/// What is proven of how a link came to be.
pub(super) enum Proven {
    /// What it says is by somebody who is trusted for it.
    Stated {
        by: Vec<Evidence>,
        provenance: Vec<Statement>,
    },
    /// Somebody vouches for it.
    Vouched { verifier: String, by: Vec<Evidence> },
    /// Nothing that counts.
    Nothing(Why),
}

/// Finds out how the artifact that `verification` is about came to be, by what is attached to it in
/// `store`; `uri` is what its child calls it besides its reference.
pub(super) async fn prove(
    store: &dyn Store,
    verification: &Verification,
    standard: &Standard,
    vouchers: &[Voucher],
    uri: Option<&str>,
) -> Result<Proven> {
    let artifact = verification.artifact();
    let bundles = verification.collected().bundles();
    for voucher in vouchers {
        let (document, reference) = (artifact.document(), artifact.reference());
        let by = voucher.vouches(document, reference, uri, bundles)?;
        if !by.is_empty() {
            let verifier = voucher.verifier.clone();
            return Ok(Proven::Vouched { verifier, by });
        }
    }
    match stated(artifact, bundles, standard) {
        Proven::Nothing(_) => {}
        proven => return Ok(proven),
    }
    // What cosign stored before version 3 is asked for only where there is nothing newer.
    let mut bundles = bundles.to_vec();
    bundles.extend(tagged(store, artifact).await?);
    Ok(stated(artifact, &bundles, standard))
}

async fn tagged(store: &dyn Store, artifact: &Artifact) -> Result<Vec<RawBundle>> {
    let found = referrer::collect_tagged(store, artifact.digest()).await?;
    let layers = found.iter().flat_map(|tagged| tagged.layers());
    let usable = layers.filter_map(|(_, raw)| raw.as_ref().ok());
    Ok(usable.cloned().collect())
}

/// Returns the provenance among `bundles` that counts: by a rule of the policy about provenance, if
/// it has one, else by whoever must have signed the artifact.
fn stated(artifact: &Artifact, bundles: &[RawBundle], standard: &Standard) -> Proven {
    let policy = standard.policy.attesting(SLSA_PROVENANCE_V1);
    let trust = &standard.trust;
    let (document, reference) = (artifact.document(), artifact.reference());
    let verdict = judge(document, Some(reference), bundles, trust, &policy);
    let by = counted(&verdict);
    if by.is_empty() {
        return Proven::Nothing(why(&verdict, artifact));
    }
    let counts = |raw: &&RawBundle| by.iter().any(|one| one.bundle == raw.digest());
    let provenance = bundles.iter().filter(counts);
    let provenance = provenance.filter_map(|raw| statement(raw, trust)).collect();
    Proven::Stated { by, provenance }
}

/// Returns what meets any of the rules: each of them is enough, as whatever counts only adds links
/// that are to be verified.
fn counted(verdict: &Verdict) -> Vec<Evidence> {
    let met = verdict.findings.iter().filter(|f| f.reason.is_none());
    let mut by: Vec<_> = met.flat_map(|finding| &finding.met_by).cloned().collect();
    by.sort_by_key(|one| (one.bundle, one.signer.authority().to_owned()));
    by.dedup();
    by
}

fn statement(raw: &RawBundle, trust: &TrustRoot) -> Option<Statement> {
    let authenticated = raw.evidence().ok()?.authenticate(trust).ok()?;
    Some(authenticated.statement().clone())
}

/// Says why nothing counts.
fn why(verdict: &Verdict, artifact: &Artifact) -> Why {
    let missing = || Why {
        reason: Reason::AttestationMissing,
        message: "nothing is said of how it came to be".to_owned(),
    };
    let Some((_, reason)) = verdict.first_unmet() else {
        return missing();
    };
    match (reason, refusal(verdict, artifact.reference())) {
        (Reason::AttestationMissing, _) | (_, None) => missing(),
        (_, Some(error)) => Why::from(&error),
    }
}
