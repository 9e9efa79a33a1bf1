//! Chains: from a model to the models that it was made from, each verified under its own rule.
//!
//! Each link is signed by its own party and says only what it is and what it took in, by digest:
//! SLSA's `resolvedDependencies`. A chain is walked from the artifact that was asked for towards
//! its origins. Nothing that nobody trusted signed steers the walk: only provenance that counts by
//! the rule of its link is followed, and what it names is found by digest, wherever it is.
//!
//! The result is data: a tree in which every gap is named. A chain is whole only if there is none;
//! that something could not be found or read is never taken for its being in order.

mod closure;
mod gap;
mod input;
mod link;
mod origin;
mod search;
mod traversal;
mod voucher;

pub use closure::{Carried, carry};
pub use gap::{Gap, Why};
pub use input::Input;
pub use link::{Link, Origin};
pub use voucher::Voucher;

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::Serialize;

use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::policy::Policy;
use crate::provenance::Role;
use crate::reference::{Location, Reference};
use crate::store::{SharedStore, Store};
use crate::trust::TrustRoot;
use crate::verify::Verification;

/// By what a link is judged.
#[derive(Debug, Clone)]
pub struct Standard {
    /// Whose signatures are recognised.
    pub trust: TrustRoot,
    /// What must be attached.
    pub policy: Policy,
}

/// Who knows where links are, and by what each of them is judged.
#[async_trait]
pub trait Guide: Send + Sync {
    /// Opens the store at `location` for reading.
    fn open(&self, location: &Location) -> Result<SharedStore>;

    /// Returns by what the artifact at `reference` is judged, which its child took in as `role`. A
    /// failure of [`Class::NotVerified`](crate::error::Class::NotVerified) is a gap of that link;
    /// any other ends the walk.
    async fn standard(&self, role: Role, reference: &Reference) -> Result<Standard>;
}

/// How far to walk, and what may end a chain.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many links one may lie below another.
    pub max_depth: usize,
    /// How many links a chain may have, the artifact itself included.
    pub max_links: usize,
    /// What a chain may end with: a model of such a role need not say how it came to be, or need
    /// not be an artifact.
    pub ends: BTreeSet<Role>,
    /// Whose word stands in for everything below a link.
    pub vouchers: Vec<Voucher>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_depth: limits::CHAIN_DEPTH,
            max_links: limits::CHAIN_LINKS,
            ends: BTreeSet::new(),
            vouchers: Vec::new(),
        }
    }
}

/// What an artifact was made from, what that was made from, and so on.
#[derive(Debug, Serialize)]
pub struct Chain {
    root: Link,
}

/// Walks the chain of the artifact that `root` is about, which is in `store` and was judged by
/// `standard`.
pub async fn walk(
    guide: &dyn Guide,
    store: &dyn Store,
    root: &Verification,
    standard: &Standard,
    options: &Options,
) -> Result<Chain> {
    let root = traversal::walk(guide, store, root, standard, options).await?;
    Ok(Chain { root })
}

impl Chain {
    /// Returns the artifact that was asked for.
    pub fn root(&self) -> &Link {
        &self.root
    }

    /// Returns all links, each after the one that it is an input of.
    pub fn links(&self) -> Vec<&Link> {
        let mut links = Vec::new();
        let mut next = vec![&self.root];
        while let Some(link) = next.pop() {
            links.push(link);
            next.extend(link.links.iter().rev());
        }
        links
    }

    /// Whether nothing is missing and nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.links().iter().all(|link| link.gaps.is_empty())
    }

    /// Says in one error which link is missing or wrong; nothing if the chain is whole.
    ///
    /// Missing trust comes before failures that may pass: another try cannot mend it.
    pub fn refusal(&self) -> Option<Error> {
        let links = self.links();
        let gaps = || {
            links
                .iter()
                .flat_map(|l| l.gaps.iter().map(move |g| (*l, g)))
        };
        let lasting = gaps().find(|(_, gap)| !matches!(gap, Gap::Failed(_)));
        let (link, gap) = lasting.or_else(|| gaps().next())?;
        let root = self.root.label();
        let message = match link.role {
            None => format!("the chain of `{root}` is broken at its beginning: {gap}"),
            Some(role) => {
                let label = link.label();
                format!("the chain of `{root}` is broken at the {role} `{label}`: {gap}")
            }
        };
        Some(Error::new(gap.reason(), message).hint(advice(gap)))
    }
}

/// Returns what to do about a gap.
fn advice(gap: &Gap) -> &'static str {
    match (gap, gap.reason()) {
        (Gap::OriginUnstated(_), Reason::AttestationMissing) => {
            "have its maker attest how it came to be (`modelctl attest REF --training-run \
             run.toml`), or let the chain end there: `--chain-end ROLE`"
        }
        (Gap::Refused(_) | Gap::OriginUnstated(_), _) => {
            "name who must have signed it: `--chain-key ROLE=KEY`; `modelctl tree` shows who did"
        }
        (Gap::Uncovered(_), _) => "add a policy with a scope for it, or name one in `roles`",
        (Gap::Missing(_), _) => {
            "carry it along where it is to be had: `modelctl copy --chain SRC DST`"
        }
        (Gap::NoArtifact(_), _) => {
            "push it as an artifact and name that, or let the chain end there: `--chain-end ROLE`"
        }
        (Gap::TooLong(_), _) => {
            "let somebody whom you trust vouch for a part of it: `--accept-vsa VERIFIER=KEY`"
        }
        (Gap::Failed(_), _) => "try again, or carry it along: `modelctl copy --chain SRC DST`",
        (Gap::Contradiction(_) | Gap::Cycle(_), _) => {
            "do not use it; ask whoever signed that provenance"
        }
    }
}
