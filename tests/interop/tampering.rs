//! A registry whose disk was changed behind its back.

use std::fs;

use serde_json::Value;

use crate::keys;
use crate::lab::{Lab, assert_same_files, digest};
use crate::registry::Registry;

/// Flips a bit in the middle of a file.
fn flip(path: &std::path::Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Returns the digest of the largest layer.
fn largest_layer(manifest: &Value) -> String {
    let layers = manifest["layers"].as_array().unwrap();
    let largest = layers
        .iter()
        .max_by_key(|layer| layer["size"].as_u64())
        .unwrap();
    largest["digest"].as_str().unwrap().to_owned()
}

#[test]
fn an_altered_layer_is_refused_and_nothing_appears() {
    let Some(lab) = Lab::with([]) else { return };
    let Some(registry) = Registry::open() else {
        return;
    };
    keys::write_pair(&lab, "release");
    let model = registry.reference("acme/bert:v1");
    let pinned = lab.push(&model, "--sign --key release.key");
    let manifest: Value =
        serde_json::from_slice(&fs::read(registry.blob_file(digest(&pinned))).unwrap()).unwrap();
    let layer = registry.blob_file(&largest_layer(&manifest));

    // What is in the cache is right whatever the registry has by now.
    for pull in ["--no-cache --verify --key release.pub", "--no-cache"] {
        flip(&layer);
        lab.run(format!("modelctl pull {model} ./pulled {pull}"))
            .refuses(4, "digest-mismatch");
        assert!(!lab.path("pulled").exists());
        flip(&layer);
        lab.run(format!("modelctl pull {model} ./pulled {pull}"))
            .succeeds();
        assert_same_files(&lab.path("model"), &lab.path("pulled"));
        fs::remove_dir_all(lab.path("pulled")).unwrap();
    }
}

#[test]
fn an_altered_manifest_is_refused_by_its_digest() {
    let Some(lab) = Lab::with([]) else { return };
    let Some(registry) = Registry::open() else {
        return;
    };
    let pinned = lab.push(&registry.reference("acme/bert:v1"), "");
    let manifest = registry.blob_file(digest(&pinned));
    let text = fs::read_to_string(&manifest).unwrap();
    let altered = text.replacen("README.md", "README.mb", 1);
    assert_ne!(altered, text, "the manifest names README.md");

    fs::write(&manifest, altered).unwrap();
    lab.run(format!("modelctl pull {pinned} ./pulled"))
        .refuses(4, "digest-mismatch");
    assert!(!lab.path("pulled").exists());
    fs::write(&manifest, text).unwrap();
    lab.run(format!("modelctl pull {pinned} ./pulled"))
        .succeeds();
}
