//! Descriptors, manifests and indexes of the OCI image-spec, read strictly and written
//! deterministically.
//!
//! A document is exactly one kind: `mediaType` must be there, be the one that was promised, and no
//! field of the other kind may be present (the confusion of CVE-2021-41190).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::{json, limits};

/// Annotations, in the order of their keys so that equal content gives equal bytes.
pub type Annotations = BTreeMap<String, String>;

/// The media types that every part of this crate uses.
pub mod media_type {
    /// An OCI image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// The empty JSON object that stands where a manifest needs no config.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// A Sigstore bundle, as this crate writes it; readers accept the whole
    /// [family](super::is_bundle).
    pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
    /// Docker's manifest, which other tools' artifacts may still be.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's manifest list.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
}

/// The annotation keys that every part of this crate uses.
pub mod annotation {
    /// When an artifact was made, RFC 3339.
    pub const CREATED: &str = "org.opencontainers.image.created";
    /// A file's name: what oras and CRI-O write a layer to.
    pub const TITLE: &str = "org.opencontainers.image.title";
    /// The tag of an entry in a layout's `index.json`.
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// What a Sigstore bundle holds: `dsse-envelope` or `message-signature`.
    pub const BUNDLE_CONTENT: &str = "dev.sigstore.bundle.content";
    /// The predicate type of the statement in a Sigstore bundle.
    pub const BUNDLE_PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";
}

/// Whether `media_type` is one of the Sigstore bundle's.
pub fn is_bundle(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.dev.sigstore.bundle")
}

/// The JSON object that an artifact without config points to.
pub const EMPTY_JSON: &[u8] = b"{}";

/// What names content: media type, digest and size
/// ([image-spec, descriptor](https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// What the content hashes to.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// What the artifact is that the content, a manifest, describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Whatever else is said about it; unsigned in a referrers list.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// Other places for the content: never followed, and refused in a model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Whatever other tools add (`platform`, `data`), kept when a list is written again.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl Descriptor {
    /// Returns a descriptor of `bytes`.
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Returns a descriptor with nothing optional.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            artifact_type: None,
            annotations: Annotations::new(),
            urls: Vec::new(),
            other: BTreeMap::new(),
        }
    }

    /// Returns the descriptor of the empty JSON object.
    pub fn empty_json() -> Self {
        Self::of(media_type::EMPTY, EMPTY_JSON)
    }

    /// Returns only what names the content: media type, digest and size.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self::new(self.media_type.clone(), self.digest, self.size)
    }

    /// Whether this names the same bytes, read the same way, as `other`.
    pub fn same_content(&self, other: &Self) -> bool {
        self.digest == other.digest
            && self.size == other.size
            && self.media_type == other.media_type
    }
}

/// An image manifest: the root of a model, or of a referrer
/// ([image-spec, manifest](https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Always [`media_type::MANIFEST`], or Docker's in what other tools wrote.
    pub media_type: String,
    /// What the artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The artifact's config.
    pub config: Descriptor,
    /// The artifact's content.
    pub layers: Vec<Descriptor>,
    /// What this artifact is about, if it is a referrer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Whatever else is said about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

impl Manifest {
    /// Returns an artifact's manifest.
    pub fn new(
        artifact_type: impl Into<String>,
        config: Descriptor,
        layers: Vec<Descriptor>,
    ) -> Self {
        Self {
            schema_version: 2,
            media_type: media_type::MANIFEST.to_owned(),
            artifact_type: Some(artifact_type.into()),
            config,
            layers,
            subject: None,
            annotations: Annotations::new(),
        }
    }

    /// Returns what the artifact is: its `artifactType`, else its config's media type
    /// ([distribution-spec, "Listing referrers"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers)).
    pub fn kind(&self) -> &str {
        match self.artifact_type.as_deref() {
            Some(kind) if !kind.is_empty() => kind,
            _ => &self.config.media_type,
        }
    }

    /// Returns the bytes to be pushed: compact JSON in a fixed order of fields.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        to_bytes(self)
    }

    /// Returns the descriptor by which a list of referrers names this manifest, whose bytes are
    /// `bytes`.
    pub fn referrer_descriptor(&self, bytes: &[u8]) -> Descriptor {
        let mut descriptor = Descriptor::of(self.media_type.clone(), bytes);
        descriptor.artifact_type = Some(self.kind().to_owned());
        descriptor.annotations = self.annotations.clone();
        descriptor
    }
}

/// An image index: a list of manifests
/// ([image-spec, image index](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Always [`media_type::INDEX`], or Docker's in what other tools wrote. May be absent only in
    /// a layout's `index.json`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// What the artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// What this index is about, if it is a referrer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Whatever else is said about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

impl Index {
    /// Returns an index of `manifests`.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: media_type::INDEX.to_owned(),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: Annotations::new(),
        }
    }

    /// Returns the bytes to be pushed: compact JSON in a fixed order of fields.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        to_bytes(self)
    }
}

fn to_bytes(document: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(document)
        .map_err(|error| Error::new(Reason::Internal, "cannot write a manifest").because(error))
}

/// A manifest or an index: what a digest in a repository can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// An image manifest.
    Manifest(Manifest),
    /// An image index.
    Index(Index),
}

/// What is looked at before a document is read as one kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<serde_json::Value>,
    media_type: Option<String>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads `bytes` as the one kind that `expected`, a media type from a descriptor or a
    /// `Content-Type`, and the document's own `mediaType` agree on; `what` names it in errors.
    pub fn parse(bytes: &[u8], expected: &str, what: &str) -> Result<Self> {
        let wrong = |why: String| {
            Error::new(
                Reason::ManifestInvalid,
                format!("the manifest {what} {why}"),
            )
        };
        if bytes.len() as u64 > limits::MANIFEST {
            return Err(Error::new(
                Reason::TooLarge,
                format!(
                    "the manifest {what} is larger than {} bytes",
                    limits::MANIFEST
                ),
            ));
        }
        let shape: Shape = json::parse(bytes, &format!("the manifest {what}"))?;
        if shape.schema_version != Some(2.into()) {
            return Err(wrong("does not have `schemaVersion` 2".to_owned()));
        }
        let own = shape
            .media_type
            .ok_or_else(|| wrong("has no `mediaType`".to_owned()))?;
        if own != expected {
            return Err(wrong(format!(
                "says it is {own:?} but was announced as {expected:?}"
            )));
        }
        let manifest_fields = shape.config.is_some() || shape.layers.is_some();
        let index_fields = shape.manifests.is_some();
        if shape.fs_layers.is_some() || (manifest_fields && index_fields) {
            return Err(wrong("has the fields of two kinds at once".to_owned()));
        }
        let malformed = |error: serde_json::Error| wrong("is malformed".to_owned()).because(error);
        match own.as_str() {
            media_type::MANIFEST | media_type::DOCKER_MANIFEST if !index_fields => {
                let manifest: Manifest = serde_json::from_slice(bytes).map_err(malformed)?;
                check_counts(manifest.layers.len(), what)?;
                Ok(Self::Manifest(manifest))
            }
            media_type::INDEX | media_type::DOCKER_INDEX if !manifest_fields => {
                let index: Index = serde_json::from_slice(bytes).map_err(malformed)?;
                check_counts(index.manifests.len(), what)?;
                Ok(Self::Index(index))
            }
            media_type::MANIFEST | media_type::INDEX => {
                Err(wrong(format!("has fields that {own:?} does not have")))
            }
            _ => Err(wrong(format!("is of the unsupported kind {own:?}"))),
        }
    }

    /// Returns the manifest, or says that this is an index.
    pub fn into_manifest(self, what: &str) -> Result<Manifest> {
        match self {
            Self::Manifest(manifest) => Ok(manifest),
            Self::Index(_) => Err(Error::new(
                Reason::NotAModel,
                format!("{what} is an image index, not a model"),
            )
            .hint("name one of its manifests by digest")),
        }
    }

    /// Returns every descriptor that this document points down to, config first.
    pub fn children(&self) -> Vec<&Descriptor> {
        match self {
            Self::Manifest(manifest) => std::iter::once(&manifest.config)
                .chain(&manifest.layers)
                .collect(),
            Self::Index(index) => index.manifests.iter().collect(),
        }
    }

    /// Returns what this document is about, if it is a referrer.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Manifest(manifest) => manifest.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }
}

fn check_counts(count: usize, what: &str) -> Result<()> {
    if count <= limits::FILES {
        return Ok(());
    }
    let message = format!(
        "the manifest {what} has {count} entries, more than {}",
        limits::FILES
    );
    Err(Error::new(Reason::TooLarge, message))
}

/// Whether `media_type` is one of the kinds of [`Document`].
pub fn is_document(media_type: &str) -> bool {
    [
        media_type::MANIFEST,
        media_type::INDEX,
        media_type::DOCKER_MANIFEST,
        media_type::DOCKER_INDEX,
    ]
    .contains(&media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let layer = Descriptor::of("text/plain", b"hello");
        Manifest::new("application/x", Descriptor::empty_json(), vec![layer])
    }

    fn parse(json: &str, expected: &str) -> Result<Document> {
        Document::parse(json.as_bytes(), expected, "m")
    }

    #[test]
    fn reads_back_what_it_writes() {
        let bytes = manifest().to_bytes().unwrap();
        let read = Document::parse(&bytes, media_type::MANIFEST, "m").unwrap();
        assert_eq!(read, Document::Manifest(manifest()));
        let index = Index::new(vec![Descriptor::of(media_type::MANIFEST, &bytes)]);
        let bytes = index.to_bytes().unwrap();
        let read = Document::parse(&bytes, media_type::INDEX, "i").unwrap();
        assert_eq!(read, Document::Index(index));
    }

    #[test]
    fn refuses_every_confusion_of_kinds() {
        let good = String::from_utf8(manifest().to_bytes().unwrap()).unwrap();
        let broken = [
            good.replace("\"schemaVersion\":2", "\"schemaVersion\":1"),
            good.replace("\"schemaVersion\":2", "\"schemaVersion\":\"2\""),
            good.replace("\"schemaVersion\":2,", ""),
            good.replace(&format!("\"mediaType\":\"{}\",", media_type::MANIFEST), ""),
            good.replace(media_type::MANIFEST, media_type::INDEX),
            good.replace("\"layers\"", "\"manifests\":[],\"layers\""),
            good.replace("\"layers\"", "\"fsLayers\":[],\"layers\""),
            good.replace("\"layers\"", "\"manifests\""),
            good.replace("\"size\":5", "\"size\":-1"),
            good.replace("\"size\":5", "\"size\":5.0"),
            good.replace("\"size\":5", "\"size\":\"5\""),
            good.replace("\"size\":5", "\"size\":18446744073709551616"),
            good.replace("sha256:2cf2", "sha256:2CF2"),
        ];
        parse(&good, media_type::MANIFEST).unwrap();
        for bad in broken {
            assert_ne!(bad, good);
            let error = parse(&bad, media_type::MANIFEST).expect_err(&bad);
            assert_eq!(error.reason(), Reason::ManifestInvalid, "{bad}");
        }
        let error = parse(&good, media_type::INDEX).unwrap_err();
        assert_eq!(error.reason(), Reason::ManifestInvalid);
        let twice = good.replace("\"layers\"", "\"layers\":[],\"layers\"");
        assert_eq!(
            parse(&twice, media_type::MANIFEST).unwrap_err().reason(),
            Reason::JsonInvalid
        );
    }
}
