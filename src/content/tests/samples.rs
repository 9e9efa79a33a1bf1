//! Files made by hand, byte by byte.

/// What `pickle.dumps` of CPython 3.11 makes of an object whose `__reduce__` returns
/// `(os.system, ("id",))`, in each protocol.
pub(super) const CALLS: [&[u8]; 6] = [
    b"cposix\nsystem\np0\n(Vid\np1\ntp2\nRp3\n.",
    b"cposix\nsystem\nq\x00(X\x02\x00\x00\x00idq\x01tq\x02Rq\x03.",
    b"\x80\x02cposix\nsystem\nq\x00X\x02\x00\x00\x00idq\x01\x85q\x02Rq\x03.",
    b"\x80\x03cposix\nsystem\nq\x00X\x02\x00\x00\x00idq\x01\x85q\x02Rq\x03.",
    b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
    b"\x80\x05\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
];

/// The same of `collections.OrderedDict(a=1)`, protocol 2.
pub(super) const DICT: &[u8] =
    b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00aq\x02K\x01s.";

pub(super) fn tensors() -> Vec<u8> {
    let header = br#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header, b"\x01\x02\x03\x04"].concat()
}

pub(super) fn gguf() -> Vec<u8> {
    [&b"GGUF\x03\0\0\0"[..], &[0; 16]].concat()
}

pub(super) fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// Returns a zip archive; `method` 0 stores, others claim to be compressed.
pub(super) fn zip_with(members: &[(&str, &[u8])], method: u16) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let (size, length) = (content.len() as u32, name.len() as u16);
        let offset = bytes.len() as u32;
        let mut common = [&[20, 0, 0, 0][..], &method.to_le_bytes(), &[0; 8]].concat();
        common.extend([size.to_le_bytes(), size.to_le_bytes()].concat());
        common.extend(length.to_le_bytes());
        common.extend([0, 0]);
        bytes.extend([b"PK\x03\x04", &common[..], name.as_bytes(), content].concat());
        directory.extend([b"PK\x01\x02\x14\0", &common[..], &[0; 10]].concat());
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (at, count) = (bytes.len() as u32, (members.len() as u16).to_le_bytes());
    let size = (directory.len() as u32).to_le_bytes();
    bytes.extend(directory);
    bytes.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count, &size].concat());
    bytes.extend(at.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

pub(super) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    zip_with(members, 0)
}

pub(super) fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in members {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[148..156].fill(b' ');
        header[257..263].copy_from_slice(b"ustar\0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend(header);
        bytes.extend(*content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

pub(super) fn npy(descr: &str) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}\n");
    let length = (header.len() as u16).to_le_bytes();
    joined(&[b"\x93NUMPY\x01\0", &length, header.as_bytes(), &[0; 8]])
}

pub(super) fn keras(config: &str) -> Vec<u8> {
    zip(&[
        ("metadata.json", b"{}"),
        ("config.json", config.as_bytes()),
        ("model.weights.h5", b"\x89HDF\r\n\x1a\n"),
    ])
}

/// A protobuf field that holds bytes.
pub(super) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    joined(&[&[number << 3 | 2, content.len() as u8], content])
}

pub(super) fn tokenizer() -> Vec<u8> {
    let pieces = ["<unk>", "a"].map(|piece| field(1, &field(1, piece.as_bytes())));
    joined(&[
        &pieces.concat(),
        &field(2, b"\x10\x01"),
        &field(3, b"\x0a\x01n"),
    ])
}

pub(super) fn onnx() -> Vec<u8> {
    joined(&[
        &[8, 8],
        &field(2, b"pytorch"),
        &field(7, &field(2, b"g")),
        &field(8, b"\x10\x11"),
    ])
}

pub(super) fn torch() -> Vec<u8> {
    zip(&[
        ("m/data.pkl", DICT),
        ("m/version", b"3\n"),
        ("m/data/0", &[0; 64]),
    ])
}

pub(super) fn at_offset(offset: usize, what: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; offset];
    bytes.extend(what);
    bytes
}

#[rustfmt::skip]
pub(super) fn table() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let lambda = r#"{"class_name":"Sequential","module":"keras","config":{"layers":[{"class_name":"Lambda","module":"keras.layers"}]}}"#;
    let foreign = r#"{"class_name":"Own","module":"evil.layers"}"#;
    let pe = [at_offset(0x3c, &[0x40, 0, 0, 0]), b"PE\0\0".to_vec()].concat();
    let pe = joined(&[b"MZ", &pe[2..]]);
    vec![
        // data
        ("safetensors", "model.safetensors", tensors()),
        ("safetensors", "pytorch_model.bin", tensors()),
        ("gguf", "model.gguf", gguf()),
        ("gguf", "weights", gguf()),
        ("onnx", "model.onnx", onnx()),
        ("tokenizer-model", "tokenizer.model", tokenizer()),
        ("json", "config.json", b" {\"a\": [1, 2]}\n".to_vec()),
        ("json", "list", b"[]".to_vec()),
        ("text", "lines.jsonl", b"{\"a\":1}\n{\"a\":2}\n".to_vec()),
        ("text", "README.md", b"# A model\n".to_vec()),
        ("text", "empty", Vec::new()),
        ("text", "vocab.txt", b"cat\ndog\n(\n)\n".to_vec()),
        ("text", "vocab.txt", b"cat\ndog\n.\nR\n".to_vec()),
        ("text", "LICENSE", "Ünïcode\n".repeat(8_000).into_bytes()),
        ("text", "Python.txt", b"Python is a language.\n.\n".to_vec()),
        ("text", "I.txt", b"I am a text.\n(if so\n".to_vec()),
        ("text", "MZ.txt", b"MZ is how it begins\n".to_vec()),
        ("text", "BZh.txt", b"BZh is how it begins\n".to_vec()),
        ("text", "ID3.txt", b"ID3 tags are text here\n".to_vec()),
        ("image", "a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec()),
        ("image", "a.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0".to_vec()),
        ("image", "a.webp", b"RIFF\x10\0\0\0WEBPVP8 ".to_vec()),
        // what is not known to carry code
        ("media", "a.wav", b"RIFF\x10\0\0\0WAVEfmt ".to_vec()),
        ("media", "paper.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec()),
        ("media", "a.mp4", b"\0\0\0\x20ftypisom".to_vec()),
        ("table", "a.parquet", b"PAR1\x15\x04\xff\0PAR1".to_vec()),
        ("numpy", "a.npy", npy("'<f4'")),
        ("numpy", "a.npy", npy("[('x', '<f4'), ('y', '<i8')]")),
        ("numpy", "a.npz", zip(&[("a.npy", &npy("'<f4'"))])),
        ("hdf5", "tf_model.h5", b"\x89HDF\r\n\x1a\n\0\0\0".to_vec()),
        ("keras", "m.keras", keras(r#"{"class_name":"Sequential","module":"keras"}"#)),
        ("tflite", "m.tflite", b"\x1c\0\0\0TFL3\0\0".to_vec()),
        ("unknown", "weights.bin", vec![0x9f; 4096]),
        ("unknown", "flax_model.msgpack", b"\x82\xa6params\x81\xa1a\xc4\x01\0".to_vec()),
        ("unknown", "utf16.txt", b"\xff\xfea\0b\0".to_vec()),
        ("unknown", "zeros", vec![0; 5000]),
        // code
        ("pickle", "model.pkl", CALLS[0].to_vec()),
        ("pickle", "notes.txt", CALLS[0].to_vec()),
        ("pickle", "model.bin", CALLS[1].to_vec()),
        ("pickle", "model.bin", CALLS[2].to_vec()),
        ("pickle", "model.bin", CALLS[3].to_vec()),
        ("pickle", "model.bin", CALLS[4].to_vec()),
        ("pickle", "config.json", CALLS[5].to_vec()),
        ("pickle", "cut", CALLS[4][..36].to_vec()),
        ("pickle", "breaks", joined(&[&CALLS[0][..33], b"\xff\xff"])),
        ("pickle", "inst", b"(S'id'\nios\nsystem\n.".to_vec()),
        ("pickle", "obj", b"(cos\nsystem\nS'id'\no.".to_vec()),
        ("pickle", "list", b"(lp0\nI1\naI2\naVa\np1\na.".to_vec()),
        ("pickle", "old.pt", joined(&[b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80\x02M\xe9\x03.", DICT])),
        ("pickle", "any.pickle", b"anything".to_vec()),
        ("pickle", "a.zip", zip(&[("readme.txt", CALLS[4])])),
        ("pickle", "a.tar", tar(&[("a", b"x"), ("b", CALLS[2])])),
        ("joblib", "m", b"\x80\x04\x8c\x13joblib.numpy_pickle\x8c\x11NumpyArrayWrapper\x93)\x81.".to_vec()),
        ("joblib", "m.joblib", vec![0x9f; 100]),
        ("torch-zip", "pytorch_model.bin", torch()),
        ("torch-zip", "deflated.pt", zip_with(&[("m/data.pkl", DICT)], 8)),
        ("numpy-objects", "a.npy", npy("'|O'")),
        ("numpy-objects", "a.npy", npy("[('x', '<f4'), ('y', 'O')]")),
        ("numpy-objects", "a.npy", b"\x93NUMPY\x01\0\xff".to_vec()),
        ("numpy-objects", "a.npz", zip(&[("a.npy", &npy("'|O'"))])),
        ("numpy-objects", "a.npz", zip_with(&[("a.npy", &npy("'<f4'"))], 8)),
        ("keras-code", "m.keras", keras(lambda)),
        ("keras-code", "m.keras", keras(foreign)),
        ("keras-code", "m.keras", keras("not JSON")),
        ("keras-code", "m.h5", joined(&[b"\x89HDF\r\n\x1a\n\0", br#"{"class_name": "Lambda"}"#])),
        ("saved-model", "saved_model.pb", joined(&[&[8, 1], &field(2, b"\x0a\x00")])),
        ("python", "modeling.py", b"import os\n".to_vec()),
        ("python", "__init__.py", Vec::new()),
        ("python", "train.ipynb", b"{\"cells\":[]}".to_vec()),
        ("python", "run.txt", b"#!/usr/bin/env python3\nimport os\n".to_vec()),
        ("script", "run", b"#!/bin/sh\nid\n".to_vec()),
        ("script", "install.sh", b"id\n".to_vec()),
        ("native-code", "a", b"\x7fELF\x02\x01\x01\0".to_vec()),
        ("native-code", "model.bin", pe),
        ("native-code", "a", b"\xcf\xfa\xed\xfe\x07\0\0\x01".to_vec()),
        ("native-code", "a", b"\0asm\x01\0\0\0".to_vec()),
        ("native-code", "a", b"\xa7\x0d\r\n\0\0\0\0\0\0\0\0\xe3".to_vec()),
        ("native-code", "op.so", b"text".to_vec()),
        ("archive", "a.zip", zip(&[("a.txt", b"text")])),
        ("archive", "a.zip", zip(&[])),
        ("archive", "a", zip(&[("a.txt", b"text")])[..40].to_vec()),
        ("archive", "a.tar", tar(&[("a.txt", b"text")])),
        ("archive", "a.gz", b"\x1f\x8b\x08\0\0\0\0\0".to_vec()),
        ("archive", "a.7z", b"7z\xbc\xaf\x27\x1c\0\x04".to_vec()),
        ("archive", "a.xz", b"\xfd7zXZ\0\0\x04".to_vec()),
        ("archive", "a.zst", b"\x28\xb5\x2f\xfd\x04\0".to_vec()),
        ("archive", "a.bz2", b"BZh91AY&SY\0\x01\xff".to_vec()),
        ("archive", "model.z", b"\x78\x9c\x4b\x04\0\0b\0b".to_vec()),
        // broken, or two things at once
        ("safetensors!", "model.safetensors", joined(&[&tensors(), b"x"])),
        ("safetensors!", "model.bin", tensors()[..tensors().len() - 1].to_vec()),
        ("gguf!", "model.gguf", b"GGUF\x03\0\0\0".to_vec()),
        ("gguf!", "model.gguf", joined(&[&gguf(), &[0; 9]])),
        ("text!", "model.safetensors", b"version https://git-lfs.github.com/spec/v1\n".to_vec()),
        ("unknown!", "model.gguf", vec![0x9f; 100]),
        ("archive+safetensors", "model.safetensors", joined(&[&tensors(), &zip(&[("a", b"x")])])),
        ("archive+gguf", "model.gguf", joined(&[&gguf(), &zip(&[("a", b"x")])])),
        ("archive+unknown", "config.json", joined(&[b"{\"a\":\"", &zip(&[("a", b"x")]), b"\"}"])),
        ("archive+image", "a.png", joined(&[b"\x89PNG\r\n\x1a\n\0\0", &zip(&[("a", b"x")])])),
        ("native-code+archive", "a.exe", joined(&[b"\x7fELF\x02\x01\x01\0", &zip(&[("a", b"x")])])),
        ("archive+archive", "a.zip", joined(&[&zip(&[("a", b"x")])[..31], &zip(&[("b", b"y")])])),
        ("unknown+hdf5", "a", at_offset(512, b"\x89HDF\r\n\x1a\n")),
    ]
}
