//! What a `.sig` layer's signature is on
//! ([simple signing](https://github.com/containers/image/blob/v5.34.0/docs/containers-signature.5.md#json-data-format)).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::json;
use crate::reference::Location;
use crate::statement::Statement;

/// The type of cosign's payloads.
pub const SIGNATURE_TYPE: &str = "cosign container image signature";

/// A claim that an artifact is signed. Everything in it is known: the format says of `critical`
/// that whoever does not understand a field must refuse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimpleSigning {
    critical: Critical,
    #[serde(default)]
    optional: Option<Map<String, Value>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

/// Where the artifact was when it was signed. Nobody checks it: what is copied stays signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

impl SimpleSigning {
    /// Returns the claim about the artifact with this digest at `location`; `annotations` are
    /// signed with it.
    pub fn new(digest: &Digest, location: &Location, annotations: Map<String, Value>) -> Self {
        Self {
            critical: Critical {
                identity: Identity {
                    reference: location.to_string(),
                },
                image: Image { digest: *digest },
                kind: SIGNATURE_TYPE.to_owned(),
            },
            optional: Some(annotations).filter(|annotations| !annotations.is_empty()),
        }
    }

    /// Reads an authenticated payload: strictly, because what was signed must have one meaning.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let claim: Self = json::parse(payload, "the signed payload")
            .map_err(|error| Error::new(Reason::StatementInvalid, error.to_string()))?;
        if claim.critical.kind != SIGNATURE_TYPE {
            let message = format!(
                "the signed payload is {:?}, not {SIGNATURE_TYPE:?}",
                claim.critical.kind
            );
            return Err(Error::new(Reason::PayloadTypeMismatch, message));
        }
        Ok(claim)
    }

    /// Returns the bytes to be signed.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Error::new(Reason::Internal, "cannot write a payload").because(error))
    }

    /// Returns the statement that says the same.
    pub fn into_statement(self) -> Statement {
        Statement::signature(
            &self.critical.image.digest,
            self.optional.unwrap_or_default(),
        )
    }
}
