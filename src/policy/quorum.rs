//! How many different authorities signed.

use std::collections::BTreeSet;

use super::verdict::Evidence;
use crate::trust::SignerIdentity;

/// Returns the largest number of authorities for each of which there is a signer of its own.
///
/// Two keys of one authority are one authority; and one signer whom two authorities recognise is
/// one signer, who can stand for either but not for both. That is a largest matching, found by
/// augmenting paths: it never gets smaller by more evidence, nor larger by fewer authorities.
pub(super) fn count(evidence: &[Evidence]) -> usize {
    let mut signers: Vec<&SignerIdentity> = Vec::new();
    let mut edges: BTreeSet<(&str, usize)> = BTreeSet::new();
    for one in evidence {
        let known = signers
            .iter()
            .position(|signer| signer.is_same(&one.signer));
        let signer = known.unwrap_or_else(|| {
            signers.push(&one.signer);
            signers.len() - 1
        });
        edges.insert((one.signer.authority(), signer));
    }
    let mut matching = Matching {
        edges: &edges,
        taken: vec![None; signers.len()],
    };
    let authorities: BTreeSet<_> = edges.iter().map(|(authority, _)| *authority).collect();
    let found = authorities
        .into_iter()
        .filter(|authority| matching.place(authority, &mut BTreeSet::new()));
    found.count()
}

struct Matching<'a> {
    edges: &'a BTreeSet<(&'a str, usize)>,
    /// By signer, for which authority they stand.
    taken: Vec<Option<&'a str>>,
}

impl<'a> Matching<'a> {
    /// Finds a signer for `authority`, moving others to other signers if need be.
    fn place(&mut self, authority: &'a str, seen: &mut BTreeSet<usize>) -> bool {
        let edges = self.edges;
        for (_, signer) in edges.iter().filter(|(name, _)| *name == authority) {
            if !seen.insert(*signer) {
                continue;
            }
            let Some(holder) = self.taken.get(*signer).copied() else {
                continue;
            };
            if holder.is_none_or(|holder| self.place(holder, seen)) {
                if let Some(place) = self.taken.get_mut(*signer) {
                    *place = Some(authority);
                }
                return true;
            }
        }
        false
    }
}
