//! Files of models.

use std::io::Cursor;

use modelctl::content::{self, ContentRules};
use modelctl::model::safetensors::ShardIndex;
use modelctl::model::tensor::Tensor;
use modelctl::model::{SummaryBuilder, gguf, safetensors};
use modelctl::path::SafePath;

use super::Target;

/// What a file may be called: its name decides where its bytes do not.
const NAMES: &[&str] = &[
    "model.safetensors",
    "a.bin",
    "b.pt",
    "c.npy",
    "d.zip",
    "e.onnx",
    "f.py",
    "g",
];

pub(super) const CONTENT: Target = Target::new("content", |bytes| {
    let mut found = Vec::new();
    for name in NAMES {
        let path: SafePath = name.parse().expect("it is safe");
        let size = bytes.len() as u64;
        if let Ok(finding) = content::examine(&mut Cursor::new(bytes), size, &path) {
            assert_eq!(finding.size, size);
            found.push((path, finding));
        }
    }
    ContentRules::strict().judge(&found);
    ContentRules::without_code().judge(&found);
})
.peak(32 << 20)
.seeds(&[
    b"\x80\x02cposix\nsystem\nq\x00X\x02\x00\x00\x00idq\x01\x85q\x02Rq\x03.",
    b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
    b"cposix\nsystem\np0\n(Vid\np1\ntp2\nRp3\n.",
    b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (1,), }                                                            \n\x80\x03.",
    b"\x08\x07\x12\x04test\x3a\x10\x0a\x04\x0a\x01a\x12\x01b\x42\x05\x0a\x00\x10\x0d",
    b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0",
    b"#!/usr/bin/env python3\nimport os\n",
    b"{\"auto_map\": {\"AutoModel\": \"modeling.Model\"}, \"chat_template\": \"{{ x }}\"}",
    b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
]);

/// A tensor is where the file is.
fn check_tensors(tensors: &[Tensor], size: u64) {
    for tensor in tensors {
        let bytes = tensor.bytes();
        assert!(
            bytes.start <= bytes.end && bytes.end <= size,
            "{}",
            tensor.name()
        );
        assert_eq!(
            tensor.dtype().size_of(tensor.elements()),
            Some(tensor.size())
        );
    }
}

pub(super) const SAFETENSORS: Target = Target::new("safetensors", |bytes| {
    let size = bytes.len() as u64;
    // The header alone, of a file that ends with it or goes on.
    for size in [size, size + 4, size + 64] {
        if let Ok(header) = safetensors::Header::read(&mut &bytes[..], size) {
            check_tensors(header.tensors(), size);
            let mut summary = SummaryBuilder::default();
            summary.add_safetensors(&header);
            summary.finish();
        }
    }
})
.seeds(&[
    b"\x36\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}\x01\x02\x03\x04",
    b"\x8f\0\0\0\0\0\0\0{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},\"b\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[16,18]}}   0123456789abcdef01",
]);

pub(super) const GGUF: Target = Target::new("gguf", |bytes| {
    let size = bytes.len() as u64;
    for size in [size, size + 48, size + (1 << 40)] {
        if let Ok(header) = gguf::Header::read(&mut &bytes[..], size) {
            check_tensors(header.tensors(), size);
            let mut summary = SummaryBuilder::default();
            summary.add_gguf(&header);
            summary.finish();
        }
    }
})
.peak(48 << 20)
.seeds(&[
    b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x14\0\0\0\0\0\0\0general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0llama\x01\0\0\0\0\0\0\0a\x09\0\0\0\x04\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0w\x01\0\0\0\x20\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    b"GGUF\x02\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x11\0\0\0\0\0\0\0general.alignment\x04\0\0\0\x40\0\0\0",
]);

pub(super) const SHARD_INDEX: Target = Target::new("shard-index", |bytes| {
    if let Ok(index) = ShardIndex::parse(bytes) {
        for shard in index.shards() {
            super::word::check_path(shard);
        }
    }
})
.seeds(&[br#"{"metadata":{"total_size":16},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#]);

pub(super) const TRANSFORMERS_CONFIG: Target = Target::new("transformers-config", |bytes| {
    let mut summary = SummaryBuilder::default();
    summary.add_config(bytes);
    summary.finish();
})
.seeds(&[br#"{"architectures":["LlamaForCausalLM"],"model_type":"llama","torch_dtype":"bfloat16","text_config":{"dtype":"float16"},"quantization_config":{"quant_method":"gptq","bits":4}}"#]);
