//! Models to carry: a small one, and large ones that take no disk until they are copied.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Writes a small valid model: weights in two folders, settings, and words about it.
pub(crate) fn write_small(directory: &Path) {
    fs::create_dir_all(directory.join("head")).unwrap();
    write_weights(&directory.join("model.safetensors"), "encoder.weight", 4096);
    write_weights(&directory.join("head/model.safetensors"), "head.weight", 64);
    let config = r#"{"architectures":["BertModel"],"model_type":"bert","torch_dtype":"float32"}"#;
    fs::write(directory.join("config.json"), config).unwrap();
    let tokenizer = r#"{"version":"1.0","model":{"type":"WordPiece","vocab":{"[UNK]":0}}}"#;
    fs::write(directory.join("tokenizer.json"), tokenizer).unwrap();
    fs::write(directory.join("README.md"), "# A small model\n").unwrap();
}

/// Writes a model of eight weight files with `total` bytes together.
pub(crate) fn write_large(directory: &Path, total: u64) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("config.json"), r#"{"model_type":"llama"}"#).unwrap();
    for part in 1..=8 {
        let file = directory.join(format!("model-{part:05}-of-00008.safetensors"));
        write_weights(&file, &format!("layers.{part}.weight"), total / 8);
    }
}

/// Writes a safetensors file with one tensor of `bytes` zeros. They are a hole in the file, so it
/// is written at once whatever its size; the tensor's name makes each file another one.
fn write_weights(path: &Path, tensor: &str, bytes: u64) {
    let entry = serde_json::json!({"dtype": "U8", "shape": [bytes], "data_offsets": [0, bytes]});
    let mut header = serde_json::json!({ tensor: entry }).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let length = header.len() as u64;
    let mut file = File::create(path).unwrap();
    file.write_all(&length.to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + length + bytes).unwrap();
}
