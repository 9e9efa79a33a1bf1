//! Carrying a chain along: every link into one place, so that nothing else is needed.

use std::collections::HashSet;

use super::{Chain, Guide, Link};
use crate::copy::{Copied, Options, copy};
use crate::error::{Error, Reason, Result};
use crate::progress::Progress;
use crate::reference::{Location, Selector, Tag};
use crate::store::Store;

/// What was carried.
#[derive(Debug, Clone)]
pub struct Carried {
    /// The artifact that was asked for; its numbers are those of all links together.
    pub copied: Copied,
    /// The models that came along.
    pub links: usize,
}

/// Copies the artifact at the beginning of `chain` from `source` to `target`, with every link that
/// was found: manifest, content, and what refers to it. Then `tag` names the artifact there.
///
/// A chain that is not whole is refused: what is carried is what was verified. The links come
/// first and the tag last, so that whoever finds the tag finds the chain.
pub async fn carry(
    guide: &dyn Guide,
    chain: &Chain,
    source: &dyn Store,
    target: &dyn Store,
    tag: Option<&Tag>,
    options: Options,
    progress: &dyn Progress,
) -> Result<Carried> {
    if let Some(refusal) = chain.refusal() {
        return Err(refusal);
    }
    let mut done: Vec<Copied> = Vec::new();
    for (selector, place) in links(chain, target.location()) {
        let store = guide.open(place)?;
        done.push(copy(&*store, &selector, target, None, options, progress).await?);
    }
    let selector = root(chain.root())?;
    let mut copied = copy(source, &selector, target, tag, options, progress).await?;
    for link in &done {
        copied.blobs_copied += link.blobs_copied;
        copied.blobs_skipped += link.blobs_skipped;
        copied.bytes += link.bytes;
        copied.referrers += link.referrers;
    }
    let links = done.len();
    Ok(Carried { copied, links })
}

fn root(link: &Link) -> Result<Selector> {
    let unnamed = || Error::new(Reason::Internal, "a chain begins with nothing");
    link.digest.map(Selector::Digest).ok_or_else(unnamed)
}

/// Returns what is to be copied, and from where: what a link was made from before the link, each
/// once, and nothing that is at the target already.
fn links<'a>(chain: &'a Chain, target: &Location) -> Vec<(Selector, &'a Location)> {
    let mut once = HashSet::new();
    let links = chain.links().into_iter().skip(1).rev();
    let found = links.filter_map(|link| Some((link.digest?, link.found_in.as_ref()?)));
    let wanted = found.filter(|(digest, place)| *place != target && once.insert((*digest, *place)));
    wanted
        .map(|(digest, place)| (Selector::Digest(digest), place))
        .collect()
}
