//! Timestamps ([RFC 3161](https://www.rfc-editor.org/rfc/rfc3161)): when a signature was there, as
//! an authority says that is trusted for saying so.

use jiff::Timestamp;

use crate::certificate::Certificate;
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::trust::signed::Signed;
use crate::trust::sigstore::timestamp::Chain;

/// An authority whose timestamps are believed.
#[derive(Debug, Clone)]
pub struct TimestampAuthority {
    leaf: Certificate,
    intermediates: Vec<Certificate>,
    root: Certificate,
}

impl TimestampAuthority {
    /// Returns the authority with this chain, in any order: its own certificate, those above it,
    /// and one root that issued itself.
    pub fn from_chain(chain: Vec<Certificate>) -> Result<Self> {
        let unusable = |why: &str| {
            Error::new(
                Reason::CertificateFileInvalid,
                format!("the timestamp authority's chain {why}"),
            )
            .hint("it has the authority's own certificate, those above it, and one root")
        };
        let (authorities, mut leaves): (Vec<_>, Vec<_>) =
            chain.into_iter().partition(Certificate::is_authority);
        let (mut roots, intermediates): (Vec<_>, Vec<_>) = authorities
            .into_iter()
            .partition(|authority| authority.subject() == authority.issuer());
        match (
            leaves.pop(),
            leaves.is_empty(),
            roots.pop(),
            roots.is_empty(),
        ) {
            (Some(leaf), true, Some(root), true) => Ok(Self {
                leaf,
                intermediates,
                root,
            }),
            (None, ..) => Err(unusable("lacks the authority's own certificate")),
            (Some(_), false, ..) => Err(unusable("has several certificates that issue nothing")),
            (.., None, _) => Err(unusable("lacks a root")),
            (.., Some(_), false) => Err(unusable("has several roots")),
        }
    }

    fn chain(&self) -> Chain<'_> {
        Chain {
            leaf: self.leaf.der(),
            intermediates: self.intermediates.iter().map(Certificate::der).collect(),
            root: self.root.der(),
        }
    }
}

/// Returns each time that the bundle's timestamps prove under `authorities`, and by whom.
///
/// Every one of them must verify, so that none can be hidden behind another. Where no authority is
/// trusted, none is looked at: they prove nothing, and only now counts.
pub(super) fn proven(
    authorities: &[TimestampAuthority],
    signed: &Signed<'_>,
) -> Result<Vec<(String, Timestamp)>> {
    if authorities.is_empty() {
        return Ok(Vec::new());
    }
    let timestamps = signed.material.timestamps();
    if timestamps.len() > limits::TIMESTAMPS {
        return Err(invalid(
            "the bundle has more timestamps than will be looked at",
        ));
    }
    timestamps
        .iter()
        .map(|timestamp| time(authorities, &timestamp.signed_timestamp, signed.signature))
        .collect()
}

fn time(
    authorities: &[TimestampAuthority],
    token: &[u8],
    signature: &[u8],
) -> Result<(String, Timestamp)> {
    let mut last = invalid("a timestamp is by no trusted authority");
    for authority in authorities {
        match authority.chain().time(token, signature) {
            Ok(time) => return Ok((authority.leaf.subject().to_string(), time)),
            Err(error) => {
                last = invalid("a timestamp is not by a trusted authority on this signature")
                    .because(error);
            }
        }
    }
    Err(last)
}

fn invalid(message: &str) -> Error {
    Error::new(Reason::TimestampInvalid, message)
}
