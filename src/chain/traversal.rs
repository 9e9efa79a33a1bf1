//! The walk itself: one link after the other, each found by digest and judged by its own rule.

use std::collections::HashSet;

use futures_util::future::BoxFuture;

use super::gap::{Gap, Why};
use super::input::{Input, Target};
use super::link::{Link, Origin};
use super::origin::{Proven, prove};
use super::search::Search;
use super::{Guide, Options, Standard};
use crate::digest::Digest;
use crate::error::{Class, Result};
use crate::provenance::Role;
use crate::reference::{Location, Reference};
use crate::store::Store;
use crate::verify::{Verification, refusal};

/// Walks the chain of the artifact that `root` is about.
pub(super) async fn walk(
    guide: &dyn Guide,
    store: &dyn Store,
    root: &Verification,
    standard: &Standard,
    options: &Options,
) -> Result<Link> {
    let home = root.artifact().reference().location().clone();
    let mut link = Link::root(root);
    link.gaps.extend(refused(root));
    let proven = prove(store, root, standard, &options.vouchers, None).await?;
    let mut traversal = Traversal {
        guide,
        options,
        home: home.clone(),
        path: Vec::new(),
        seen: HashSet::new(),
        count: 1,
    };
    traversal.follow(&mut link, proven, &home).await?;
    Ok(link)
}

struct Traversal<'a> {
    guide: &'a dyn Guide,
    options: &'a Options,
    /// Where the artifact is that was asked for.
    home: Location,
    /// The links between the artifact and where the walk is.
    path: Vec<Digest>,
    /// What was judged: the same artifact in another role is under another rule.
    seen: HashSet<(Digest, &'static str, Option<Reference>)>,
    count: usize,
}

impl Traversal<'_> {
    /// Adds to `link`, found at `near`, what is proven of its origin, and walks on from there.
    async fn follow(&mut self, link: &mut Link, proven: Proven, near: &Location) -> Result<()> {
        match proven {
            Proven::Vouched { verifier, by } => link.origin = Origin::Vouched { verifier, by },
            Proven::Nothing(why) => {
                link.origin = Origin::Unstated;
                if !self.may_end(link.role) {
                    link.gaps.push(Gap::OriginUnstated(why));
                }
            }
            Proven::Stated { by, provenance } => {
                link.origin = Origin::Stated { by };
                let inputs = Input::all(&provenance).into_iter();
                let (models, rest) = inputs.partition(|input| input.model().is_some());
                link.inputs = rest;
                let above = self.path.len();
                self.path.extend(link.digest);
                self.descend(link, models, near).await?;
                self.path.truncate(above);
            }
        }
        Ok(())
    }

    fn may_end(&self, role: Option<Role>) -> bool {
        role.is_some_and(|role| self.options.ends.contains(&role))
    }

    async fn descend(
        &mut self,
        link: &mut Link,
        models: Vec<Input>,
        near: &Location,
    ) -> Result<()> {
        for input in models {
            let Some(role) = input.model() else { continue };
            if self.count >= self.options.max_links {
                let limit = self.options.max_links;
                let message = format!("the chain has more than {limit} links");
                link.gaps.push(Gap::TooLong(message));
                break;
            }
            self.count += 1;
            link.links.push(self.link(input, role, near.clone()).await?);
        }
        Ok(())
    }

    fn link(&mut self, input: Input, role: Role, near: Location) -> BoxFuture<'_, Result<Link>> {
        Box::pin(async move {
            let mut link = Link::of(&input, role);
            let target = match input.target() {
                Ok(target) => target,
                Err(Gap::NoArtifact(_)) if self.may_end(Some(role)) => {
                    link.origin = Origin::Unstated;
                    return Ok(link);
                }
                Err(gap) => {
                    link.gaps.push(gap);
                    return Ok(link);
                }
            };
            link.digest = Some(target.digest);
            link.reference = target.reference.clone();
            if let Some(gap) = self.limit(&target.digest) {
                link.gaps.push(gap);
                return Ok(link);
            }
            let key = (target.digest, role.word(), target.reference.clone());
            match self.seen.insert(key) {
                true => self.examine(&mut link, &input, target, near).await?,
                false => link.origin = Origin::Elsewhere,
            }
            Ok(link)
        })
    }

    /// Says why the walk does not go on to `digest`, if so.
    fn limit(&self, digest: &Digest) -> Option<Gap> {
        if self.path.contains(digest) {
            let message = format!("{digest} is said to be made from itself");
            return Some(Gap::Cycle(message));
        }
        let limit = self.options.max_depth;
        (self.path.len() > limit)
            .then(|| Gap::TooLong(format!("it lies more than {limit} links deep")))
    }

    /// Finds `target`, judges it, and walks on.
    async fn examine(
        &mut self,
        link: &mut Link,
        input: &Input,
        target: Target,
        near: Location,
    ) -> Result<()> {
        let Some(role) = link.role else { return Ok(()) };
        let digest = target.digest;
        // What has no name of its own is known by that of whoever carries it.
        let unnamed = || Reference::new(near.clone(), None, Some(digest));
        let named = target.reference.clone().unwrap_or_else(unnamed);
        let standard = match self.guide.standard(role, &named).await {
            Ok(standard) => standard,
            Err(error) if error.reason().class() == Class::NotVerified => {
                link.gaps.push(Gap::Uncovered(Why::from(&error)));
                return Ok(());
            }
            Err(error) => return Err(error.at(format_args!("the rule for the {role} `{named}`"))),
        };
        let search = Search {
            guide: self.guide,
            options: self.options,
            named: &named,
            digest,
            standard: &standard,
            uri: input.uri.as_deref(),
        };
        let places = self.places(&near, target.reference.as_ref());
        match search.find(places).await? {
            Err(gap) => link.gaps.push(gap),
            Ok(found) => {
                link.found_in = Some(found.place.clone());
                link.verdict = Some(found.verification.verdict().clone());
                link.gaps.extend(refused(&found.verification));
                self.follow(link, found.proven, &found.place).await?;
                if !link.holds() {
                    link.gaps.extend(found.failure);
                }
            }
        }
        Ok(())
    }

    /// Returns where to look for a link: beside its child, beside the artifact that was asked for,
    /// and where its child says that it is. What is carried along needs no network, and nobody
    /// learns that it was asked for.
    ///
    /// A path on this machine is looked at only if the child is on it too: a stranger's statement
    /// does not choose which of our files are read.
    fn places(&self, near: &Location, named: Option<&Reference>) -> Vec<Location> {
        let mut places = vec![near.clone()];
        let said = named.map(Reference::location).filter(|said| match said {
            Location::Registry { .. } => true,
            Location::Layout(_) => matches!(near, Location::Layout(_)),
        });
        for place in [Some(&self.home), said].into_iter().flatten() {
            if !places.contains(place) {
                places.push(place.clone());
            }
        }
        places
    }
}

/// Says why the rule for a link does not admit it, if so.
fn refused(verification: &Verification) -> Option<Gap> {
    let what = verification.artifact().pinned();
    let error = refusal(verification.verdict(), what)?;
    Some(Gap::Refused(Why::from(&error)))
}
