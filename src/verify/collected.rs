//! Everything attached to an artifact that may be evidence, from wherever it is stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Artifact;
use super::candidate::{all, files, lists_unverified, unusable};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::limits;
use crate::policy::{Candidate, Verdict};
use crate::referrer::{self, Content, RawBundle};
use crate::store::{RawDocument, Store};
use crate::trust::TrustRoot;

/// What is attached to an artifact: bundles, nobody having said what they are worth, and what
/// should be bundles but could not be had.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    bundles: Vec<RawBundle>,
    unusable: Vec<(Digest, Arc<Error>)>,
}

impl Collected {
    /// Fetches the bundles that refer to `artifact` in `store`.
    pub async fn attached(store: &dyn Store, artifact: &Artifact) -> Result<Self> {
        let mut collected = Self::default();
        for referrer in referrer::collect(store, artifact.document().descriptor()).await? {
            match referrer.content() {
                Content::Bundle(raw) => collected.bundles.push(raw.clone()),
                Content::Unusable(error) => {
                    let digest = *referrer.document().digest();
                    collected.unusable.push((digest, Arc::clone(error)));
                }
                Content::Other => {}
            }
        }
        Ok(collected)
    }

    /// Fetches what cosign stored about `artifact` in `store` before version 3.
    pub async fn tagged(store: &dyn Store, artifact: &Artifact) -> Result<Self> {
        let mut collected = Self::default();
        for tagged in referrer::collect_tagged(store, artifact.digest()).await? {
            for (layer, found) in tagged.layers() {
                match found {
                    Ok(raw) => collected.bundles.push(raw.clone()),
                    Err(error) => collected.unusable.push((layer.digest, Arc::clone(error))),
                }
            }
        }
        Ok(collected)
    }

    /// Returns bundles that were attached when somebody looked before.
    pub fn kept(bundles: Vec<RawBundle>) -> Self {
        Self {
            bundles,
            unusable: Vec::new(),
        }
    }

    /// Returns the bundles.
    pub fn bundles(&self) -> &[RawBundle] {
        &self.bundles
    }

    /// Adds `more`.
    pub(super) fn extend(&mut self, more: Self) {
        self.bundles.extend(more.bundles);
        self.unusable.extend(more.unusable);
    }

    /// Returns what a policy is to judge.
    pub(super) fn candidates(&self, artifact: &RawDocument, trust: &TrustRoot) -> Vec<Candidate> {
        let mut candidates = all(&self.bundles, artifact, trust);
        let unusable = self
            .unusable
            .iter()
            .map(|(digest, why)| unusable(*digest, why));
        candidates.extend(unusable);
        candidates
    }
}

/// Returns what is to be kept of `bundles`, first those that count in `verdict`.
pub(super) fn kept(bundles: &[RawBundle], verdict: &Verdict) -> Vec<RawBundle> {
    let counted = verdict.evidence().into_iter().map(|one| one.bundle);
    bounded(bundles, &counted.collect())
}

/// Returns what is to be kept of `bundles`: each once, `first` these, and no more than is read again.
pub(super) fn bounded(bundles: &[RawBundle], first: &BTreeSet<Digest>) -> Vec<RawBundle> {
    let mut ordered: Vec<_> = bundles.iter().collect();
    ordered.sort_by_key(|raw| (!first.contains(&raw.digest()), raw.digest()));
    ordered.dedup_by_key(|raw| raw.digest());
    let mut left = limits::BUNDLES_TOTAL;
    let mut kept = Vec::new();
    for raw in ordered.into_iter().take(limits::CANDIDATES) {
        // A large one does not keep out the smaller ones after it.
        if let Some(rest) = left.checked_sub(raw.bytes().len() as u64) {
            left = rest;
            kept.push(raw.clone());
        }
    }
    kept
}

/// Returns the attached model signatures that list exactly the files of `artifact`, whoever made
/// them: nobody says that they can be trusted.
pub async fn unverified_model_signatures(
    store: &dyn Store,
    artifact: &Artifact,
) -> Result<Vec<RawBundle>> {
    let Some(files) = files(artifact.document()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for raw in Collected::attached(store, artifact).await?.bundles {
        if lists_unverified(&raw, &files).is_ok() && !found.contains(&raw) {
            found.push(raw);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn raw(bytes: impl Into<Bytes>) -> RawBundle {
        RawBundle::new(bytes.into())
    }

    #[test]
    fn what_counted_is_kept_before_what_did_not_and_each_once() {
        let all: Vec<_> = (0..300).map(|n: u32| raw(n.to_string())).collect();
        let twice = [all.clone(), all.clone()].concat();
        let kept = bounded(&twice, &BTreeSet::new());
        assert_eq!(kept.len(), limits::CANDIDATES);
        let left: Vec<_> = all.iter().filter(|raw| !kept.contains(raw)).collect();
        assert_eq!(left.len(), 300 - limits::CANDIDATES);
        let counted: BTreeSet<_> = left.iter().map(|raw| raw.digest()).collect();
        let kept = bounded(&twice, &counted);
        assert_eq!(kept.len(), limits::CANDIDATES);
        let first = kept.iter().take(left.len());
        assert_eq!(
            first.map(RawBundle::digest).collect::<BTreeSet<_>>(),
            counted
        );
    }

    #[test]
    fn no_more_bytes_are_kept_than_are_read_again() {
        let half = usize::try_from(limits::BUNDLES_TOTAL / 2).unwrap();
        let (one, two) = (raw(vec![1; half]), raw(vec![2; half + 1]));
        let small = raw(vec![3; 9]);
        let all = [one.clone(), two.clone(), small.clone()];
        for (first, other) in [(&one, &two), (&two, &one)] {
            let kept = bounded(&all, &BTreeSet::from([first.digest()]));
            assert!(kept.contains(first) && kept.contains(&small));
            assert!(!kept.contains(other));
        }
    }
}
