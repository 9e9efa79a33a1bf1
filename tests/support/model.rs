//! Model directories to push and pull.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Returns a safetensors file with one tensor of `elements` bytes.
pub fn safetensors(elements: usize) -> Vec<u8> {
    let header =
        format!(r#"{{"w":{{"dtype":"U8","shape":[{elements}],"data_offsets":[0,{elements}]}}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend((0..elements).map(|index| (index % 251) as u8));
    bytes
}

/// The files of a small model, weights larger than several pieces among them.
pub fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", br#"{"model_type":"bert"}"#.to_vec()),
        ("model.safetensors", safetensors(700_000)),
        ("tokenizer/vocab.txt", b"a\nb\n".to_vec()),
        ("tokenizer/empty", Vec::new()),
        ("README.md", b"# A model\n".to_vec()),
        ("COPY.md", b"# A model\n".to_vec()),
    ]
}

/// Writes `files` into `directory`, which need not exist.
pub fn write(directory: &Path, files: &[(&str, Vec<u8>)]) {
    for (path, content) in files {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// What stands at each path below `directory`: a file's bytes, or nothing for anything else.
pub type Snapshot = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// Returns all that stands below `directory`.
pub fn snapshot(directory: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let content = kind.is_file().then(|| std::fs::read(entry.path()).unwrap());
            if kind.is_dir() {
                pending.push(entry.path());
            }
            found.insert(entry.path(), content);
        }
    }
    found
}

/// Returns the names directly below `directory`, sorted.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Returns the permission bits of what stands at `path`.
pub fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}
