//! What a model is: its files, what is in them, and how the artifact says so.
//!
//! A model travels as a CNCF [ModelPack] artifact with one raw layer per file. This module knows
//! that format ([`mod@files`], [`config`], [`kind`]) and reads the headers of weight files
//! ([`safetensors`], [`gguf`]) as far as is needed to refuse broken ones and to tell what they hold
//! ([`summary`]). It is pure: bytes come in through [`std::io::Read`], nothing is opened here.
//!
//! A header that passes says that the file is what it claims to be, byte for byte accounted for. It
//! does not say that the weights are good, nor that a loader with a bug of its own is safe.
//!
//! [ModelPack]: https://github.com/modelpack/model-spec/blob/main/docs/spec.md

pub mod config;
pub mod files;
pub mod gguf;
pub mod kind;
pub mod safetensors;
pub mod summary;
pub mod tensor;
mod transformers;

pub use config::{ModelConfig, ModelDescriptor};
pub use files::{ModelFile, files, layer_descriptor};
pub use kind::{Form, Kind};
pub use summary::{Summary, SummaryBuilder};

/// The media types of ModelPack
/// ([spec](https://github.com/modelpack/model-spec/blob/main/docs/spec.md)); those of layers are
/// [`Kind::media_type`].
pub mod media_type {
    /// The `artifactType` of a model's manifest.
    pub const ARTIFACT: &str = "application/vnd.cncf.model.manifest.v1+json";
    /// A model's config document.
    pub const CONFIG: &str = "application/vnd.cncf.model.config.v1+json";
    /// The `artifactType` before the format moved to the CNCF: read, never written.
    pub const LEGACY_ARTIFACT: &str = "application/vnd.cnai.model.manifest.v1+json";
    /// The config's media type before the format moved to the CNCF: read, never written.
    pub const LEGACY_CONFIG: &str = "application/vnd.cnai.model.config.v1+json";
}

/// The annotation keys of ModelPack layers
/// ([spec](https://github.com/modelpack/model-spec/blob/main/docs/annotations.md)).
pub mod annotation {
    /// A file's path in the model.
    pub const FILEPATH: &str = "org.cncf.model.filepath";
    /// A file's name, mode, owner, size and time, as JSON.
    pub const FILE_METADATA: &str = "org.cncf.model.file.metadata+json";
    /// Whether the layer's media type was chosen without looking at the file.
    pub const MEDIATYPE_UNTESTED: &str = "org.cncf.model.file.mediatype.untested";
    /// A file's path before the format moved to the CNCF: read, never written.
    pub const LEGACY_FILEPATH: &str = "org.cnai.model.filepath";
    /// A file's metadata before the format moved to the CNCF: read, never written.
    pub const LEGACY_FILE_METADATA: &str = "org.cnai.model.file.metadata+json";
    /// oras's mark of a layer that is a packed directory.
    pub const ORAS_UNPACK: &str = "io.deis.oras.content.unpack";
}
