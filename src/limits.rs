//! Every cap on what comes from outside, with the attack it stops.
//!
//! Sizes are bytes. A cap is checked before the bytes are kept, so memory follows the cap and not
//! what a registry chooses to send.

use std::time::Duration;

/// A manifest or image index: the [distribution-spec] asks registries for at least 4 MiB; an
/// endless manifest must not fill memory.
///
/// [distribution-spec]: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-manifests
pub const MANIFEST: u64 = 4 << 20;

/// A model's config blob.
pub const CONFIG: u64 = 4 << 20;

/// A signature or attestation bundle; predicates such as ML-BOMs can be large, endless data not.
pub const BUNDLE: u64 = 16 << 20;

/// A layer at one of cosign's `.sig` and `.att` tags: it is kept in base64, as large as a bundle.
pub const LEGACY_LAYER: u64 = 8 << 20;

/// Entries of transparency logs in one bundle: each costs several signatures to check, and
/// thousands were measured to take seconds.
pub const LOG_ENTRIES: usize = 32;

/// Signed timestamps in one bundle.
pub const TIMESTAMPS: usize = 32;

/// Certificates in one chain: an honest one has three or four, and no key is used before they are
/// counted.
pub const CERTIFICATES: usize = 16;

/// Hashes of one inclusion proof: a tree of 2⁶³ entries has no longer path.
pub const PROOF_HASHES: usize = 64;

/// A certificate in a bundle.
pub const CERTIFICATE: usize = 64 << 10;

/// A signed timestamp in a bundle, certificates included.
pub const TIMESTAMP_TOKEN: usize = 64 << 10;

/// A log's checkpoint: each of its lines may be a signature that is checked.
pub const CHECKPOINT: usize = 16 << 10;

/// A file with a Sigstore instance's keys and certificates.
pub const TRUSTED_ROOT: u64 = 1 << 20;

/// Logs, and authorities of one kind, of one Sigstore instance.
pub const TRUSTED_ROOT_ENTRIES: usize = 64;

/// All bundles of one artifact together.
pub const BUNDLES_TOTAL: u64 = 64 << 20;

/// A token, an error body, a tag list page: small by nature.
pub const SMALL_BODY: u64 = 1 << 20;

/// The receipt of a pulled model: it says less about each file than the manifest does.
pub const RECEIPT: u64 = 8 << 20;

/// Pages of one paginated list: a `Link` that goes round in circles ends here.
pub const PAGES: usize = 64;

/// Referrers listed for one artifact (a flood must not hide the real ones: overflow is an error,
/// never "unsigned").
pub const REFERRERS: usize = 4096;

/// Bundles of one artifact that are fetched and authenticated.
pub const CANDIDATES: usize = 256;

/// Layers of a manifest, and so files of a model.
pub const FILES: usize = 65_536;

/// Depth of nesting in JSON from outside.
pub const JSON_DEPTH: usize = 64;

/// Subjects of one in-toto statement.
pub const SUBJECTS: usize = 1024;

/// Depth of a walk through referrers of referrers.
pub const REFERRER_DEPTH: usize = 4;

/// Depth of a chain of models that were made from each other: honest ones have a handful of links,
/// and each costs several requests.
pub const CHAIN_DEPTH: usize = 16;

/// Links of a chain.
pub const CHAIN_LINKS: usize = 64;

/// Depth of a walk through indexes of indexes.
pub const INDEX_DEPTH: usize = 4;

/// All manifests of one copy together: they are held until the last one is known to be right.
pub const DOCUMENTS_TOTAL: u64 = 64 << 20;

/// Bytes of a relative path, and of one component of it.
pub const PATH_BYTES: usize = 1024;
/// Bytes of one component of a path: the limit of every common file system.
pub const NAME_BYTES: usize = 255;
/// Components of a path.
pub const PATH_DEPTH: usize = 32;

/// The JSON header of a safetensors file.
pub const SAFETENSORS_HEADER: u64 = 16 << 20;

/// The header of a GGUF file: tokenizer vocabularies make honest ones tens of megabytes.
pub const GGUF_HEADER: u64 = 512 << 20;

/// Entries of a GGUF file, and its tensors: the largest models have some ten thousand.
pub const GGUF_ENTRIES: u64 = 1_000_000;

/// A string in a GGUF file: a chat template is the longest honest one.
pub const GGUF_STRING: u64 = 16 << 20;

/// Elements of an array in a GGUF file: a vocabulary is the longest honest one.
pub const GGUF_ARRAY: u64 = 16 << 20;

/// The list that says which shard holds which tensor: models with many experts make honest ones
/// tens of megabytes.
pub const SHARD_INDEX: u64 = 64 << 20;

/// A key, certificate, ignore or configuration file on the local disk.
pub const LOCAL_FILE: u64 = 1 << 20;

/// Certificates in one file of trusted ones: the largest public collections have some hundred.
pub const TRUSTED_CERTIFICATES: usize = 1024;

/// A certificate revocation list on the local disk: those of large issuers are megabytes.
pub const REVOCATION_LIST: u64 = 64 << 20;

/// A predicate file on the local disk.
pub const PREDICATE_FILE: u64 = 8 << 20;

/// A list of digests: one line for each of some hundred thousand files.
pub const DIGEST_LIST: u64 = 64 << 20;

/// What a program that is asked about its surroundings may print.
pub const PROBE_OUTPUT: u64 = 1 << 20;

/// How long a program that is asked about its surroundings may take: `nvidia-smi` was seen to take
/// seconds on a machine with eight GPUs.
pub const PROBE_TIME: Duration = Duration::from_secs(15);

/// A policy file, and a list of revocations.
pub const POLICY_FILE: u64 = 1 << 20;

/// Entries of a list of revocations.
pub const REVOCATIONS: usize = 65_536;

/// A line of an audit log: some thirty bundles, each with who signed it, fit.
pub const AUDIT_LINE: usize = 64 << 10;

/// Breaks of an audit log that are told one by one: a log that is none has one on each line.
pub const AUDIT_BREAKS: usize = 100;

/// What a credential helper may print.
pub const HELPER_OUTPUT: u64 = 64 << 10;

/// How long a credential helper may take.
pub const HELPER_TIME: Duration = Duration::from_secs(30);

/// How long somebody may take to log in by browser.
pub const LOGIN_TIME: Duration = Duration::from_secs(300);

/// How long a connection may take to open.
pub const CONNECT_TIME: Duration = Duration::from_secs(15);

/// How long a peer may send nothing.
pub const STALL_TIME: Duration = Duration::from_secs(30);

/// Redirects followed for one request.
pub const REDIRECTS: usize = 5;

/// Tokens for one purpose that a registry may make us ask for within [`TOKENS_TIME`]: one that
/// honours none for longer than a request or two would make every request three.
pub const TOKENS: usize = 30;

/// The time in which [`TOKENS`] are counted; no honest token lives shorter.
pub const TOKENS_TIME: Duration = Duration::from_secs(60);

/// Tries of one idempotent request.
pub const TRIES: u32 = 5;

/// Failures in a row after which a mirror is not asked any more.
pub const MIRROR_FAILURES: u32 = 3;

/// The longest wait between two tries that is of our own choosing.
pub const RETRY_WAIT: Duration = Duration::from_secs(30);

/// The longest wait that a registry may ask for (`Retry-After`) before it counts as a refusal.
pub const RETRY_AFTER: Duration = Duration::from_secs(120);

/// What is read of the body that comes with a refusal.
pub const ERROR_BODY: u64 = 64 << 10;

/// Size of the pieces in which bulk data is read, hashed and written: it fits the L2 cache
/// (larger pieces were measured to be up to four times slower).
pub const PIECE: usize = 128 << 10;

/// What is gathered of a file before it is hashed and written.
pub const GATHER: usize = 1 << 20;

/// Size of the pieces in which files are written through the page cache. Larger ones make the kernel look for larger runs
/// of free memory to cache them in, which was measured to cost two to three times as much.
pub const WRITE: usize = 32 << 10;
