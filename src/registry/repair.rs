//! Entries in a list of referrers that another tool wrote wrongly: cosign puts the config's media
//! type where the artifact type belongs, and leaves the annotations out. Whoever filters by these
//! does not find the signature, so an entry is put right when the list is written anyway.

use std::collections::HashMap;

use super::manifests::Freshness;
use super::repository::Repository;
use crate::digest::Digest;
use crate::manifest::{Descriptor, Index, media_type};
use crate::reference::Selector;

/// Entries that are looked at for one write.
const LOOKS: usize = 64;

/// The config of a container image, whose media type other tools may have taken for the artifact's.
const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// What entries should be, as far as it is known.
pub(super) struct Repairs {
    subject: Digest,
    /// `None` is for what cannot be told.
    known: HashMap<Digest, Option<Descriptor>>,
}

impl Repairs {
    /// Returns repairs for the list of `subject`'s referrers.
    pub(super) fn new(subject: Digest) -> Self {
        Self {
            subject,
            known: HashMap::new(),
        }
    }

    /// Looks at the manifests behind suspicious entries, and returns whether there were any new
    /// ones.
    pub(super) async fn learn(&mut self, repository: &Repository, list: Option<&Index>) -> bool {
        let entries = list.map_or(&[][..], |index| &index.manifests);
        let room = LOOKS.saturating_sub(self.known.len());
        let fresh =
            |entry: &&Descriptor| is_suspicious(entry) && !self.known.contains_key(&entry.digest);
        let fresh: Vec<_> = entries.iter().filter(fresh).take(room).collect();
        for entry in &fresh {
            let right = self.look(repository, entry).await;
            self.known.insert(entry.digest, right);
        }
        !fresh.is_empty()
    }

    /// Returns what `entry` should be. That it cannot be told, for whatever reason, is no reason
    /// not to write the list.
    async fn look(&self, repository: &Repository, entry: &Descriptor) -> Option<Descriptor> {
        let selector = Selector::Digest(entry.digest);
        let fetched = repository
            .fetch(&selector, Freshness::Cached)
            .await
            .ok()??;
        let document = fetched.document;
        let about = document.document().subject()?.digest == self.subject;
        let right = document.referrer_descriptor();
        Some(right).filter(|right| about && right.same_content(entry))
    }

    /// Puts `entry` right, if it is known how.
    pub(super) fn apply(&self, entry: &mut Descriptor) {
        let Some(Some(right)) = self.known.get(&entry.digest) else {
            return;
        };
        entry.artifact_type.clone_from(&right.artifact_type);
        if entry.annotations.is_empty() {
            entry.annotations.clone_from(&right.annotations);
        }
    }
}

fn is_suspicious(entry: &Descriptor) -> bool {
    let mistyped = match entry.artifact_type.as_deref() {
        None | Some("" | media_type::EMPTY | IMAGE_CONFIG) => true,
        Some(_) => false,
    };
    mistyped || entry.annotations.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_another_tool_may_have_got_wrong_is_suspicious() {
        let mut entry = Descriptor::of(media_type::MANIFEST, b"x");
        assert!(is_suspicious(&entry));
        entry.annotations.insert("a".to_owned(), "b".to_owned());
        for (artifact_type, suspicious) in [
            (None, true),
            (Some(""), true),
            (Some(media_type::EMPTY), true),
            (Some(IMAGE_CONFIG), true),
            (Some(media_type::BUNDLE), false),
        ] {
            entry.artifact_type = artifact_type.map(str::to_owned);
            assert_eq!(is_suspicious(&entry), suspicious, "{artifact_type:?}");
        }
        entry.annotations.clear();
        assert!(is_suspicious(&entry));
    }
}
