//! Pulls that use the cache: what they fetch, what they share, what they survive.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

mod kills;
mod mounts;
mod reuse;
#[path = "../support/mod.rs"]
mod support;
mod trouble;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::support::command::{Outcome, Workspace, safetensors};
use crate::support::registry::contents::digest;
use crate::support::registry::{Options, Registry};

/// What headers, manifests and the like may take, all requests of a pull together.
const TALK: u64 = 40_000;

/// Bytes of a large file, which is hard-linked where files can only be so.
const LARGE: usize = (1 << 20) + 4321;

/// A registry with models, and a place to pull them to.
struct Scene {
    registry: Registry,
    at: Workspace,
}

impl Scene {
    fn new() -> Self {
        Self {
            registry: Registry::start(Options::default()),
            at: Workspace::new(),
        }
    }

    fn reference(&self, tag: &str) -> String {
        format!("{}/acme/bert:{tag}", self.registry.host())
    }

    /// Pushes a model of `large` large and some small files, those of which whose numbers `changed`
    /// has are another version's.
    fn push(&self, tag: &str, large: usize, changed: &[usize]) {
        let model = format!("model-{tag}");
        for number in 0..large {
            let version = u64::from(changed.contains(&number));
            let weights = safetensors(&noise(LARGE, number as u64 * 2 + version));
            self.at
                .write(&format!("{model}/{number}.safetensors"), weights);
        }
        self.at.write(
            &format!("{model}/config.json"),
            r#"{"architectures":["BertModel"]}"#,
        );
        self.at
            .write(&format!("{model}/sub/README.md"), "# A model\n");
        self.at.run(&["push", &self.reference(tag), &model]).ok();
        self.registry.forget_requests();
    }

    /// Pulls, and returns what it says and how many bytes of blobs it can have been sent.
    fn pull(&self, tag: &str, target: &str, more: &[&str]) -> (Value, u64) {
        let before = self.registry.bytes_sent();
        let outcome = self.try_pull(tag, target, more);
        outcome.ok();
        assert_eq!(self.at.tree(&format!("model-{tag}")), self.at.tree(target));
        let sent = self.registry.bytes_sent() - before;
        (outcome.json(), sent.saturating_sub(TALK))
    }

    fn try_pull(&self, tag: &str, target: &str, more: &[&str]) -> Outcome {
        let reference = self.reference(tag);
        let pull = ["pull", &reference, target, "--json"];
        self.at.run(&[&pull[..], more].concat())
    }

    /// Returns the bytes of the model's files.
    fn size(&self, tag: &str) -> u64 {
        let files = self.at.tree(&format!("model-{tag}"));
        files
            .iter()
            .map(|(_, content)| content.as_ref().map_or(0, Vec::len) as u64)
            .sum()
    }

    /// Returns how often blobs were asked for.
    fn asked(&self) -> usize {
        self.registry.count("GET", "/blobs/")
    }

    fn cache(&self) -> PathBuf {
        self.at.path("home/.cache/modelctl/content")
    }

    /// Returns the bytes that are in the cache, whole blobs and beginnings, and checks that what
    /// has a blob's name is that blob.
    fn cached(&self) -> u64 {
        let mut sum = 0;
        for shelf in ["blobs/sha256", "ingest"] {
            let Ok(entries) = self.cache().join(shelf).read_dir() else {
                continue;
            };
            for entry in entries.map(Result::unwrap) {
                // It may be renamed between listing and looking.
                let Ok(bytes) = std::fs::read(entry.path()) else {
                    continue;
                };
                sum += bytes.len() as u64;
                let name = entry.file_name().into_string().unwrap();
                if shelf != "ingest" {
                    assert_eq!(digest(&bytes), format!("sha256:{name}"));
                }
            }
        }
        sum
    }
}

/// Returns bytes that do not repeat.
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let word = |n: u64| (n + (seed << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes: Vec<u8> = (1..=size.div_ceil(8) as u64)
        .flat_map(|n| (word(n) ^ (word(n) >> 29)).to_le_bytes())
        .collect();
    bytes.truncate(size);
    bytes
}

fn inode(path: &Path) -> u64 {
    path.metadata().unwrap().ino()
}

fn number(report: &Value, field: &str) -> u64 {
    report[field]
        .as_u64()
        .unwrap_or_else(|| panic!("{field}: {report}"))
}

/// Runs `work` on as many threads as there are items, and waits for all.
fn at_once<T: Send>(items: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
    let work = Arc::new(&work);
    std::thread::scope(|scope| {
        for item in items {
            let work = Arc::clone(&work);
            scope.spawn(move || work(item));
        }
    });
}
