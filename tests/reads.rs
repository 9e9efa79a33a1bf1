//! How much a push reads. It is counted for a whole process, so this is the only test of its
//! program.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::path::Path;

use jiff::Timestamp;
use modelctl::attest::Attacher;
use modelctl::key::Algorithm;
use modelctl::oms;
use modelctl::pack::{PackOptions, Plan};
use modelctl::progress::silent;
use modelctl::push::{PushOptions, push};
use modelctl::reference::Reference;
use modelctl::sign::key::{KeySigner, PrivateKey};
use modelctl::store::layout::{Access, Layout};
use modelctl::verify::Artifact;

/// The size of the model's one large file.
const SIZE: u64 = 32 << 20;

/// What else may be read: headers of files, and what was written before.
const SLACK: u64 = 2 << 20;

/// Returns how many bytes this process has asked the kernel to read
/// ([proc(5)](https://man7.org/linux/man-pages/man5/proc_pid_io.5.html)).
fn bytes_read() -> u64 {
    let counters = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = counters
        .lines()
        .find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

/// Pushes and signs `model`, and returns what was attached.
async fn push_signed(model: &Path, store: &Path) -> usize {
    let reference: Reference = format!("oci:{}:v1", store.display()).parse().unwrap();
    let store = Layout::open(store, Access::ReadOrCreate).unwrap();
    let options = PushOptions {
        pack: PackOptions::default(),
        concurrency: 2,
        memory: None,
        tag: None,
        gate: None,
    };
    let plan = Plan::read(model, &options.pack).await.unwrap();
    let pushed = push(&store, &plan, &options, silent()).await.unwrap();
    assert_eq!(pushed.total_bytes, SIZE + 2);
    let artifact = Artifact::stored(reference, pushed.document);
    let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
    let signer = KeySigner::new("key", key);
    let mut attacher = Attacher::open(&store, &artifact, &signer).await.unwrap();
    let now = Timestamp::UNIX_EPOCH;
    let signature = attacher.sign(serde_json::Map::new(), now).await.unwrap();
    let list = attacher.sign_model("model", now).await.unwrap();
    let kind = list.bundle.claimed_predicate_type();
    assert_eq!(kind.as_deref(), Some(oms::PREDICATE));
    [signature, list]
        .iter()
        .filter(|attached| !attached.existed)
        .count()
}

#[tokio::test]
async fn a_push_with_two_signatures_reads_each_byte_once() {
    let around = tempfile::tempdir().unwrap();
    let model = around.path().join("model");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("config.json"), "{}").unwrap();
    let weights: Vec<u8> = (0..SIZE).map(|at| (at / 4096) as u8).collect();
    std::fs::write(model.join("vocab.txt"), weights).unwrap();
    let before = bytes_read();
    assert_eq!(push_signed(&model, &around.path().join("store")).await, 2);
    let read = bytes_read() - before;
    assert!(
        (SIZE..SIZE + SLACK).contains(&read),
        "{read} bytes were read"
    );
}
