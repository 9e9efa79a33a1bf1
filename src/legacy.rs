//! What cosign stored before version 3: an image at the tag `sha256-….sig` or `sha256-….att`, each
//! layer of which is one signature or attestation with its evidence in annotations
//! ([cosign, signature specification](https://github.com/sigstore/cosign/blob/v2.5.0/specs/SIGNATURE_SPEC.md)).
//!
//! A layer is read as a [`Bundle`] of version 0.1, so that it is verified by the same code as every
//! other bundle; nothing here is verified.

mod evidence;
mod payload;

pub use payload::{SIGNATURE_TYPE, SimpleSigning};

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::bundle::{Bundle, Content, Envelope, Version};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::manifest::{Annotations, Descriptor, Manifest, media_type};
use crate::reference::Tag;
use crate::{json, limits, statement};
use evidence::{annotated, material};

/// The annotation with the signature on a `.sig` layer, base64; empty on a `.att` layer, whose
/// envelope holds it.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The annotation with the predicate type of a `.att` layer, for whoever lists them.
const PREDICATE_TYPE: &str = "predicateType";

/// The media type of the config of cosign's images.
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// The field of a descriptor that holds the content itself
/// ([image-spec, "Embedded Content"](https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#embedded-content)).
const DATA: &str = "data";

/// Which of cosign's tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `.sig`: signatures on payloads that name the artifact.
    Signature,
    /// `.att`: attestations in envelopes.
    Attestation,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Signature, Self::Attestation];

    /// Returns the tag for the artifact with this digest.
    pub fn tag(self, artifact: &Digest) -> Result<Tag> {
        let end = match self {
            Self::Signature => "sig",
            Self::Attestation => "att",
        };
        format!("{}.{end}", Tag::for_referrers(artifact).as_str()).parse()
    }

    /// Returns the media type of the layers.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Signature => "application/vnd.dev.cosign.simplesigning.v1+json",
            Self::Attestation => "application/vnd.dsse.envelope.v1+json",
        }
    }

    fn of(media_type: &str) -> Option<Self> {
        let mut kinds = Self::ALL.into_iter();
        kinds.find(|kind| kind.media_type() == media_type)
    }
}

/// One signature or attestation: a layer's bytes and annotations, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    kind: Kind,
    content: Bytes,
    annotations: Annotations,
}

impl Layer {
    /// Returns the layer that `descriptor` describes, whose bytes are `content`.
    pub fn new(descriptor: &Descriptor, content: Bytes) -> Result<Self> {
        let Some(kind) = Kind::of(&descriptor.media_type) else {
            let message = format!("the layer is {:?}, no signature", descriptor.media_type);
            return Err(Error::new(Reason::BundleUnsupported, message));
        };
        if content.len() as u64 > limits::LEGACY_LAYER {
            let message = "a layer with a signature is larger than 8 MiB";
            return Err(Error::new(Reason::TooLarge, message));
        }
        Ok(Self {
            kind,
            content,
            annotations: descriptor.annotations.clone(),
        })
    }

    /// Returns the layer that says what `bundle` says: the signature on `payload`.
    pub fn of_signature(payload: &[u8], bundle: &Bundle) -> Result<Self> {
        let Content::Message(message) = bundle.content() else {
            let message = "an envelope is no signature on a payload";
            return Err(Error::new(Reason::Internal, message));
        };
        let signature = STANDARD.encode(message.signature());
        let mut annotations = annotated(bundle.material(), Kind::Signature)?;
        annotations.insert(SIGNATURE.to_owned(), signature);
        Ok(Self {
            kind: Kind::Signature,
            content: Bytes::copy_from_slice(payload),
            annotations,
        })
    }

    /// Returns the layer with the envelope of `bundle`.
    pub fn of_attestation(bundle: &Bundle) -> Result<Self> {
        let mut annotations = annotated(bundle.material(), Kind::Attestation)?;
        annotations.insert(SIGNATURE.to_owned(), String::new());
        if let Some(claimed) = bundle.claimed_predicate_type() {
            annotations.insert(PREDICATE_TYPE.to_owned(), claimed);
        }
        Ok(Self {
            kind: Kind::Attestation,
            content: bundle.envelope()?.to_bytes()?.into(),
            annotations,
        })
    }

    /// Returns which tag it belongs to.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns its bytes: the payload that was signed, or the envelope.
    pub fn content(&self) -> &Bytes {
        &self.content
    }

    /// Returns what a manifest says of it.
    pub fn descriptor(&self) -> Descriptor {
        let mut descriptor = Descriptor::of(self.kind.media_type(), &self.content);
        descriptor.annotations = self.annotations.clone();
        descriptor
    }

    /// Returns the predicate type that it claims, for choosing words only.
    pub fn claimed_predicate_type(&self) -> Option<String> {
        match self.kind {
            Kind::Signature => Some(statement::SIGNATURE.to_owned()),
            Kind::Attestation => self.bundle().ok()?.claimed_predicate_type(),
        }
    }

    /// Reads the layer as a bundle. Its version is the one for which a log's promise is enough:
    /// cosign kept nothing else.
    pub fn bundle(&self) -> Result<Bundle> {
        let material = material(&self.annotations, self.kind)?;
        match self.kind {
            Kind::Signature => {
                let signature = self.annotations.get(SIGNATURE).map(|text| decoded(text));
                let signature = signature.ok_or_else(|| invalid("has no signature"))??;
                Bundle::of_message(&Digest::of(&self.content), &signature, material)
                    .of_version(Version::V01)
            }
            Kind::Attestation => {
                let envelope = Envelope::parse(&self.content)?;
                Bundle::of_envelope(envelope, material).of_version(Version::V01)
            }
        }
    }

    /// Returns the layer in one piece, to be kept: its descriptor with the content embedded.
    pub fn to_record(&self) -> Result<Vec<u8>> {
        let mut descriptor = self.descriptor();
        let data = Value::String(STANDARD.encode(&self.content));
        descriptor.other = BTreeMap::from([(DATA.to_owned(), data)]);
        serde_json::to_vec(&descriptor)
            .map_err(|error| Error::new(Reason::Internal, "cannot write a layer").because(error))
    }

    /// Reads what [`Layer::to_record`] wrote.
    pub fn parse_record(bytes: &[u8]) -> Result<Self> {
        let descriptor: Descriptor = json::parse(bytes, "the kept layer")
            .map_err(|error| Error::new(Reason::BundleInvalid, error.to_string()))?;
        let data = descriptor.other.get(DATA).and_then(Value::as_str);
        let content = decoded(data.ok_or_else(|| invalid("has no content"))?)?;
        if !Descriptor::of(descriptor.media_type.clone(), &content).same_content(&descriptor) {
            return Err(invalid("is not what its digest says"));
        }
        Self::new(&descriptor, content.into())
    }
}

/// Whether `bytes` claim to be a layer in one piece.
pub fn is_record(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        media_type: String,
    }
    serde_json::from_slice::<Shape>(bytes).is_ok_and(|s| Kind::of(&s.media_type).is_some())
}

/// Returns the manifest of the image of `layers`, as cosign 2 writes it, and the config, which
/// makes an image of it that never runs.
pub fn image(layers: Vec<Descriptor>) -> (Manifest, Bytes) {
    let history = vec![r#"{"created":"0001-01-01T00:00:00Z"}"#; layers.len()].join(",");
    let layer_ids: Vec<_> = layers.iter().map(|l| format!("\"{}\"", l.digest)).collect();
    let config = format!(
        r#"{{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{history}],"os":"","rootfs":{{"type":"layers","diff_ids":[{}]}},"config":{{}}}}"#,
        layer_ids.join(",")
    );
    let config = Bytes::from(config);
    let manifest = Manifest {
        schema_version: 2,
        media_type: media_type::MANIFEST.to_owned(),
        artifact_type: None,
        config: Descriptor::of(CONFIG, &config),
        layers,
        subject: None,
        annotations: Annotations::new(),
    };
    (manifest, config)
}

fn decoded(text: &str) -> Result<Vec<u8>> {
    let decoded = STANDARD.decode(text);
    decoded.map_err(|error| invalid("has a field that is not base64").because(error))
}

fn invalid(why: &str) -> Error {
    Error::new(
        Reason::BundleInvalid,
        format!("the layer with a signature {why}"),
    )
}
