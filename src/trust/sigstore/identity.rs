//! Identities: who a certificate must name.

use std::fmt;

use super::certificate::Holder;
use super::claim::Claim;
use crate::error::{Error, Reason, Result};
pub use crate::identity::Match;

/// Who signed: the identity and who vouched for it, both, and what else must have been said.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The identity: an e-mail address or a URI.
    pub identity: Match,
    /// The identity provider. Without it, whoever can get that identity from any provider is
    /// trusted.
    pub issuer: Match,
    /// Claims that must be there, with exactly these values.
    pub claims: Vec<(Claim, String)>,
}

impl Identity {
    /// Returns whoever has this identity by this issuer, whatever else they claim.
    pub fn new(identity: Match, issuer: Match) -> Self {
        Self {
            identity,
            issuer,
            claims: Vec::new(),
        }
    }

    /// Says why `holder` is not who is meant, if so.
    pub(super) fn admit(&self, holder: &Holder) -> Result<()> {
        if !self.identity.admits(&holder.identity) {
            let message = format!(
                "it was signed by {:?} (issuer {:?}), not by {}",
                holder.identity, holder.issuer, self.identity
            );
            return Err(Error::new(Reason::IdentityMismatch, message));
        }
        if !self.issuer.admits(&holder.issuer) {
            let message = format!(
                "{:?} was vouched for by the issuer {:?}, not by {}",
                holder.identity, holder.issuer, self.issuer
            );
            return Err(Error::new(Reason::IssuerMismatch, message));
        }
        for (claim, wanted) in &self.claims {
            let found = holder.claims.get(claim);
            if found != Some(wanted) {
                let message = match found {
                    Some(found) => format!("its {claim} is {found:?}, not {wanted:?}"),
                    None => format!("its certificate has no {claim}; {wanted:?} is required"),
                };
                return Err(Error::new(Reason::ClaimMismatch, message));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (issuer {})", self.identity, self.issuer)
    }
}
