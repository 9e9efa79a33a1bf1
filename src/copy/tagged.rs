//! What is at cosign's older tags, on its way to another store.

use crate::digest::Digest;
use crate::error::Result;
use crate::legacy::Kind;
use crate::manifest::Document;
use crate::reference::Tag;
use crate::referrer::{find_tagged, merge_tagged};
use crate::store::{RawDocument, Store};

/// An image at one of cosign's tags.
pub(super) struct Tagged {
    kind: Kind,
    subject: Digest,
    tag: Tag,
    document: RawDocument,
}

impl Tagged {
    /// Returns what `source` has at the tag of this kind for `subject`.
    pub(super) async fn find(
        source: &dyn Store,
        kind: Kind,
        subject: Digest,
    ) -> Result<Option<Self>> {
        let found = find_tagged(source, kind, &subject).await?;
        Ok(found.map(|(tag, document)| Self {
            kind,
            subject,
            tag,
            document,
        }))
    }

    /// Returns the image's manifest.
    pub(super) fn document(&self) -> &RawDocument {
        &self.document
    }

    /// Makes the tag name the image in `target`, whose blobs are there. What `target` has at the tag
    /// already is kept, as it is signed too: then the image has the layers of both.
    pub(super) async fn store(&self, target: &dyn Store) -> Result<()> {
        let Document::Manifest(manifest) = self.document.document() else {
            return Ok(());
        };
        match find_tagged(target, self.kind, &self.subject).await? {
            Some(_) => {
                merge_tagged(target, self.kind, &self.subject, &manifest.layers).await?;
                Ok(())
            }
            None => target.put_manifest(&self.document, Some(&self.tag)).await,
        }
    }
}
