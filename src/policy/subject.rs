//! What is judged.

use jiff::Timestamp;

use crate::digest::Digest;
use crate::manifest::{Document, annotation};
use crate::reference::Reference;

/// The artifact that a policy judges: its digest, and as what it was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The digest of its manifest.
    pub digest: &'a Digest,
    /// What was asked for.
    pub reference: Option<&'a Reference>,
    /// When it was made, as its manifest says, which the signatures are on.
    pub created: Option<Timestamp>,
    /// Its manifest, if that is known: it says which files there are.
    pub document: Option<&'a Document>,
}

impl<'a> Subject<'a> {
    /// Returns the artifact whose manifest is `document`, with this digest, asked for as
    /// `reference` if it has a name.
    pub fn new(
        digest: &'a Digest,
        document: &'a Document,
        reference: Option<&'a Reference>,
    ) -> Self {
        let annotations = match document {
            Document::Manifest(manifest) => &manifest.annotations,
            Document::Index(index) => &index.annotations,
        };
        let created = annotations.get(annotation::CREATED);
        Self {
            digest,
            reference,
            created: created.and_then(|text| text.parse().ok()),
            document: Some(document),
        }
    }
}

impl<'a> From<&'a Digest> for Subject<'a> {
    /// Returns an artifact of which nothing but the digest is known.
    fn from(digest: &'a Digest) -> Self {
        Self {
            digest,
            reference: None,
            created: None,
            document: None,
        }
    }
}
