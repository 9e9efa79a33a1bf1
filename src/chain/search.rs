//! The search for one link: by digest, at several places, until all is proven.

use super::gap::{Gap, Why};
use super::origin::{Proven, prove};
use super::{Guide, Options, Standard};
use crate::digest::Digest;
use crate::error::{Class, Error, Result};
use crate::reference::{Location, Reference, Selector};
use crate::verify::{Artifact, Verification, verify};

/// A link as it was found at one place.
pub(super) struct Found {
    pub(super) place: Location,
    pub(super) verification: Verification,
    pub(super) proven: Proven,
    /// Why another place, which may know more, could not be looked at.
    pub(super) failure: Option<Gap>,
}

impl Found {
    /// Returns how much is proven: the more, the better the place.
    fn proof(&self) -> u8 {
        let stated = !matches!(self.proven, Proven::Nothing(_));
        2 * u8::from(self.verification.verdict().admits()) + u8::from(stated)
    }
}

/// What [`Found::proof`] is where nothing is left to be proven.
const WHOLE: u8 = 3;

/// The search for one link.
pub(super) struct Search<'a> {
    pub(super) guide: &'a dyn Guide,
    pub(super) options: &'a Options,
    pub(super) named: &'a Reference,
    pub(super) digest: Digest,
    pub(super) standard: &'a Standard,
    pub(super) uri: Option<&'a str>,
}

impl Search<'_> {
    /// Returns the link at the first place where all is proven, else where most is.
    pub(super) async fn find(&self, places: Vec<Location>) -> Result<Result<Found, Gap>> {
        let mut best: Option<Found> = None;
        let (mut failure, mut other) = (None, None);
        for place in &places {
            match self.look(place).await {
                Ok(found) => {
                    let proof = found.proof();
                    if best.as_ref().is_none_or(|best| best.proof() < proof) {
                        best = Some(found);
                    }
                    if proof == WHOLE {
                        break;
                    }
                }
                Err(error) => match error.reason().class() {
                    Class::NotFound => {}
                    Class::Content => other = other.or(Some(error)),
                    _ => failure = failure.or(Some(Gap::Failed(Why::from(&at(error, place))))),
                },
            }
        }
        Ok(match (best, failure) {
            (Some(found), failure) => Ok(Found { failure, ..found }),
            (None, Some(failure)) => Err(failure),
            (None, None) => Err(self.missing(&places, other)),
        })
    }

    /// Judges the link by what is at `place`, under the name that its child gives it: its signatures
    /// were made for that name, wherever it was carried.
    async fn look(&self, place: &Location) -> Result<Found> {
        let store = self.guide.open(place)?;
        let document = store.manifest(&Selector::Digest(self.digest)).await?;
        let artifact = Artifact::stored(self.named.clone(), document);
        let Standard { trust, policy } = self.standard;
        let verification = verify(&*store, artifact, trust, policy).await?;
        let vouchers = &self.options.vouchers;
        let proven = prove(&*store, &verification, self.standard, vouchers, self.uri).await?;
        Ok(Found {
            place: place.clone(),
            verification,
            proven,
            failure: None,
        })
    }

    fn missing(&self, places: &[Location], other: Option<Error>) -> Gap {
        let places: Vec<_> = places.iter().map(|place| format!("`{place}`")).collect();
        let places = places.join(", ");
        Gap::Missing(match other {
            Some(error) => format!("nothing in {places} has its digest: {error}"),
            None => format!("it is not in {places}"),
        })
    }
}

fn at(error: Error, place: &Location) -> Error {
    error.at(format_args!("`{place}`"))
}
