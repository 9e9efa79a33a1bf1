//! What a file is for, judged by its name, and the layer media types that say so.

use std::fmt;

use crate::path::SafePath;

/// What every layer media type of ModelPack starts with.
const PREFIX: &str = "application/vnd.cncf.model.";

/// What it started with before the format moved to the CNCF.
const LEGACY_PREFIX: &str = "application/vnd.cnai.model.";

/// What a file of a model is for, in the order of the artifact's layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// What a loader reads beside the weights: configuration, tokenizer, templates.
    WeightConfig,
    /// The weights.
    Weight,
    /// Programs and what they need to run.
    Code,
    /// What people read or look at.
    Doc,
    /// Training or evaluation data.
    Dataset,
}

impl Kind {
    /// Every kind, in the order of the artifact's layers.
    pub const ALL: [Self; 5] = [
        Self::WeightConfig,
        Self::Weight,
        Self::Code,
        Self::Doc,
        Self::Dataset,
    ];

    /// Returns what the file at `path` is for.
    ///
    /// Only the name counts, so that the same files give the same artifact everywhere. A name that
    /// nothing is known about is a [`Kind::WeightConfig`]: consumers that take only what a loader
    /// needs leave documents and code behind, and a file too many harms less than one too few.
    pub fn of(path: &SafePath) -> Self {
        let name = path.file_name().to_lowercase();
        by_name(&name)
            .or_else(|| by_extension(extension(&name)))
            .unwrap_or(Self::WeightConfig)
    }

    /// Returns the name by which layer media types call this kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WeightConfig => "weight.config",
            Self::Weight => "weight",
            Self::Code => "code",
            Self::Doc => "doc",
            Self::Dataset => "dataset",
        }
    }

    /// Returns the media type of a layer that holds files of this kind in `form`.
    pub fn media_type(self, form: Form) -> String {
        format!("{PREFIX}{self}.v1.{form}")
    }

    /// Reads a layer's media type, in its present or its legacy spelling.
    pub fn parse_media_type(media_type: &str) -> Option<(Self, Form)> {
        let rest = media_type
            .strip_prefix(PREFIX)
            .or_else(|| media_type.strip_prefix(LEGACY_PREFIX))?;
        let (kind, form) = rest.split_once(".v1.")?;
        let kind = Self::ALL.into_iter().find(|known| known.as_str() == kind)?;
        // Docker Model Runner wrote weights under their format's name before it followed the spec.
        if kind == Self::Weight && matches!(form, "gguf" | "safetensors") {
            return Some((kind, Form::Raw));
        }
        let form = Form::ALL.into_iter().find(|known| known.as_str() == form)?;
        Some((kind, form))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a layer holds its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// One file, as it is: the layer's digest is the file's.
    Raw,
    /// A tar archive.
    Tar,
    /// A tar archive, compressed with gzip.
    TarGzip,
    /// A tar archive, compressed with zstd.
    TarZstd,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Raw, Self::Tar, Self::TarGzip, Self::TarZstd];

    /// Returns the name by which layer media types call this form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Tar => "tar",
            Self::TarGzip => "tar+gzip",
            Self::TarZstd => "tar+zstd",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names that say more than their extension does.
fn by_name(name: &str) -> Option<Kind> {
    const LOADED_TEXT: [&str; 4] = ["vocab.txt", "merges.txt", "labels.txt", "dict.txt"];
    const PROJECT: [&str; 6] = [
        "requirements.txt",
        "pyproject.toml",
        "setup.cfg",
        "dockerfile",
        "makefile",
        "environment.yml",
    ];
    const READ_BY_PEOPLE: [&str; 10] = [
        "readme",
        "license",
        "licence",
        "notice",
        "copying",
        "copyright",
        "changelog",
        "contributing",
        "citation",
        "use_policy",
    ];
    // TensorFlow's shards (`variables.data-00000-of-00001`) and ONNX's external data.
    if name.contains(".data-") || name.ends_with(".onnx.data") || name.ends_with(".onnx_data") {
        return Some(Kind::Weight);
    }
    // Mistral's tokenizers carry a version after the extension (`tokenizer.model.v3`).
    if name.contains("tokenizer.model") || LOADED_TEXT.contains(&name) {
        return Some(Kind::WeightConfig);
    }
    if PROJECT.contains(&name) {
        return Some(Kind::Code);
    }
    let stem = name.split(['.', '-', ' ']).next().unwrap_or(name);
    let is_document = READ_BY_PEOPLE.contains(&stem) || stem.starts_with("license_");
    (is_document && by_extension(extension(name)) != Some(Kind::Code)).then_some(Kind::Doc)
}

/// Returns what stands after the last dot, so that `.gitattributes` has an extension too.
fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn by_extension(extension: &str) -> Option<Kind> {
    Some(match extension {
        "safetensors" | "gguf" | "ggml" | "bin" | "pt" | "pth" | "pt2" | "pte" | "ptl" | "mar"
        | "ckpt" | "checkpoint" | "onnx" | "ort" | "h5" | "hdf5" | "keras" | "pb" | "tflite"
        | "index" | "msgpack" | "npy" | "npz" | "pkl" | "pickle" | "joblib" | "mlmodel"
        | "engine" | "trt" | "dduf" | "llamafile" | "caffemodel" | "weights" => Kind::Weight,
        // `*.model` and `*.spm` are SentencePiece vocabularies far more often than anything else.
        "json" | "json5" | "jsonc" | "yaml" | "yml" | "toml" | "ini" | "cfg" | "conf"
        | "config" | "xml" | "properties" | "jinja" | "jinja2" | "tiktoken" | "model" | "spm"
        | "bpe" | "vocab" | "prototxt" | "pbtxt" => Kind::WeightConfig,
        "py" | "pyi" | "ipynb" | "sh" | "bash" | "ps1" | "bat" | "c" | "cc" | "cpp" | "cu"
        | "cuh" | "h" | "hpp" | "rs" | "go" | "js" | "mjs" | "ts" | "java" | "kt" | "swift"
        | "rb" | "r" | "jl" | "lua" | "m" | "mm" | "scala" | "sql" | "patch" | "diff" | "lock"
        | "cmake" | "mk" | "so" | "dll" | "dylib" | "whl" => Kind::Code,
        "md" | "txt" | "rst" | "pdf" | "html" | "htm" | "tex" | "bib" | "cff" | "log" | "doc"
        | "docx" | "png" | "jpg" | "jpeg" | "gif" | "svg" | "webp" | "bmp" | "tif" | "tiff"
        | "ico" | "mp4" | "webm" | "mov" | "mp3" | "wav" | "flac" | "ogg" | "gitattributes"
        | "gitignore" => Kind::Doc,
        "csv" | "tsv" | "parquet" | "jsonl" | "ndjson" | "arrow" | "feather" | "tfrecord"
        | "tfrecords" | "avro" | "orc" => Kind::Dataset,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_classified_by_its_name() {
        for (kind, names) in [
            (
                Kind::Weight,
                "model.safetensors model-00001-of-00002.safetensors a/m.GGUF pytorch_model.bin x.pt \
                 x.pth x.ckpt model.onnx model.onnx_data model.onnx.data tf_model.h5 \
                 flax_model.msgpack m.tflite w.npz variables/variables.data-00000-of-00001 \
                 variables/variables.index saved_model.pb optimizer.pkl",
            ),
            (
                Kind::WeightConfig,
                "config.json tokenizer.json model.safetensors.index.json a.yaml a.yml a.toml \
                 tokenizer.model tokenizer.model.v3 spiece.model sentencepiece.bpe.model vocab.txt \
                 merges.txt chat_template.jinja qwen.tiktoken 1_Pooling/config.json vocab.bpe \
                 unknown no-extension.xyz",
            ),
            (
                Kind::Code,
                "modeling_x.py train.ipynb run.sh requirements.txt Makefile license_check.py kernel.cu",
            ),
            (
                Kind::Doc,
                "README.md README LICENSE LICENSE.txt LICENSE-MIT LICENSE_GEMMA NOTICE \
                 license.json USE_POLICY.md notes.txt paper.pdf a/figure.PNG .gitattributes",
            ),
            (
                Kind::Dataset,
                "train.csv data/train.parquet eval.jsonl data.arrow",
            ),
        ] {
            for name in names.split_whitespace() {
                assert_eq!(Kind::of(&name.parse().unwrap()), kind, "{name}");
            }
        }
    }

    #[test]
    fn layers_are_ordered_as_other_tools_order_them() {
        let mut kinds = Kind::ALL;
        kinds.reverse();
        kinds.sort();
        let names = kinds.map(Kind::as_str);
        assert_eq!(names, ["weight.config", "weight", "code", "doc", "dataset"]);
    }

    #[test]
    fn every_media_type_reads_back() {
        for kind in Kind::ALL {
            for form in Form::ALL {
                let text = kind.media_type(form);
                assert_eq!(Kind::parse_media_type(&text), Some((kind, form)), "{text}");
                let legacy = text.replace(".cncf.", ".cnai.");
                assert_ne!(legacy, text);
                assert_eq!(Kind::parse_media_type(&legacy), Some((kind, form)));
            }
        }
        let text = Kind::WeightConfig.media_type(Form::Raw);
        assert_eq!(text, "application/vnd.cncf.model.weight.config.v1.raw");
        let gguf = Kind::parse_media_type("application/vnd.cncf.model.weight.v1.gguf");
        assert_eq!(gguf, Some((Kind::Weight, Form::Raw)));
    }

    #[test]
    fn other_media_types_are_no_layers_of_a_model() {
        for bad in [
            "",
            "application/vnd.cncf.model.config.v1+json",
            "application/vnd.cncf.model.manifest.v1+json",
            "application/vnd.cncf.model.weight.v1.raw+gzip",
            "application/vnd.cncf.model.weight.v1.",
            "application/vnd.cncf.model.weight.v2.raw",
            "application/vnd.cncf.model.weight.v1.raw ",
            "application/vnd.cncf.model.Weight.v1.raw",
            "application/vnd.cncf.model..v1.raw",
            "application/vnd.cncf.model.doc.v1.gguf",
            "application/vnd.kitops.modelkit.model.v1.tar",
            "application/vnd.oci.image.layer.v1.tar+gzip",
        ] {
            assert_eq!(Kind::parse_media_type(bad), None, "{bad}");
        }
    }
}
