//! The targets: one for each parser of what others wrote.

mod artifact;
mod evidence;
mod file;
mod registry;
mod settings;
pub(crate) mod trust;
mod word;

/// Bytes that an input may hold at one time: what a document of 64 KiB becomes in memory.
const PEAK: i64 = 24 << 20;

/// Bytes that an input may ask for in all.
const SUM: i64 = 256 << 20;

/// A parser with properties.
pub(crate) struct Target {
    /// What it is called, here and below `fixtures/fuzz`.
    pub(crate) name: &'static str,
    /// Panics when a property does not hold.
    pub(crate) run: fn(&[u8]),
    /// Files below `fixtures` to begin with.
    pub(crate) fixtures: &'static [&'static str],
    /// More to begin with.
    pub(crate) seeds: &'static [&'static [u8]],
    /// The most bytes that an input may hold.
    pub(crate) peak: i64,
    /// The most bytes that an input may ask for in all.
    pub(crate) sum: i64,
}

impl Target {
    /// Returns a target with nothing to begin with.
    pub(crate) const fn new(name: &'static str, run: fn(&[u8])) -> Self {
        Self {
            name,
            run,
            fixtures: &[],
            seeds: &[],
            peak: PEAK,
            sum: SUM,
        }
    }

    /// Begins with these files below `fixtures`.
    pub(crate) const fn fixtures(self, fixtures: &'static [&'static str]) -> Self {
        Self { fixtures, ..self }
    }

    /// Begins with these, too.
    pub(crate) const fn seeds(self, seeds: &'static [&'static [u8]]) -> Self {
        Self { seeds, ..self }
    }

    /// Allows this many bytes at one time.
    pub(crate) const fn peak(self, peak: i64) -> Self {
        Self { peak, ..self }
    }
}

/// Returns `bytes` as text, for parsers that are given nothing else.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Every target.
pub(crate) const TARGETS: &[Target] = &[
    artifact::INDEX,
    artifact::LAYOUT_INDEX,
    artifact::MANIFEST,
    artifact::MODEL_CONFIG,
    artifact::RECEIPT,
    evidence::BUNDLE,
    evidence::ENVELOPE,
    evidence::LEGACY_LAYER,
    evidence::MODEL_SIGNATURE,
    evidence::PREDICATE,
    evidence::SIMPLE_SIGNING,
    evidence::STATEMENT,
    file::CONTENT,
    file::GGUF,
    file::SAFETENSORS,
    file::SHARD_INDEX,
    file::TRANSFORMERS_CONFIG,
    registry::CHALLENGE,
    registry::LINK,
    registry::REFUSAL,
    registry::RETRY_AFTER,
    registry::TOKEN,
    settings::DOCKER_CONFIG,
    settings::HOSTS,
    settings::POLICY,
    settings::RUN,
    settings::SIGNING_CONFIG,
    settings::TRUSTED_ROOT,
    trust::AUTHENTICATE,
    trust::CERTIFICATE,
    trust::ENCRYPTED_KEY,
    trust::IDENTITY_TOKEN,
    trust::NAME,
    trust::PRIVATE_KEY,
    trust::PUBLIC_KEY,
    trust::REVOCATION_LIST,
    word::DIGEST,
    word::GLOB,
    word::JSON,
    word::PATH,
    word::PATTERN,
    word::PKCS11_URI,
    word::PREDICATE_TYPE,
    word::REFERENCE,
    word::SELECTION,
];
