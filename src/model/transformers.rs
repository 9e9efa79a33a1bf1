//! What a `config.json` of transformers says beside the weights.

use serde_json::Value;

use crate::{json, limits};

/// Longer than the name of any architecture or method; text that goes on is not one.
const NAME_BYTES: usize = 128;

/// What is of use in a `config.json` of transformers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TransformersConfig {
    pub(super) architecture: Option<String>,
    pub(super) precision: Option<String>,
    pub(super) quantization: Option<String>,
}

impl TransformersConfig {
    /// Reads a `config.json`. One that cannot be understood is the model's own matter and tells
    /// nothing.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        if bytes.len() as u64 > limits::CONFIG {
            return Self::default();
        }
        let document: Value = json::parse(bytes, "config.json").unwrap_or_default();
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
        let first = |pointers: &[&str]| pointers.iter().find_map(|pointer| text(pointer));
        let dtype = first(&[
            "/dtype",
            "/torch_dtype",
            "/text_config/dtype",
            "/text_config/torch_dtype",
        ]);
        Self {
            architecture: first(&["/architectures/0", "/model_type"]).and_then(name),
            precision: dtype.and_then(precision).map(str::to_owned),
            quantization: text("/quantization_config/quant_method").and_then(name),
        }
    }

    /// Takes from `other` what is not known yet.
    pub(super) fn fill(&mut self, other: &Self) {
        fill(&mut self.architecture, &other.architecture);
        fill(&mut self.precision, &other.precision);
        fill(&mut self.quantization, &other.quantization);
    }
}

fn fill(field: &mut Option<String>, other: &Option<String>) {
    if field.is_none() {
        field.clone_from(other);
    }
}

/// Returns `text` if it can be a name: it goes into documents and onto terminals.
pub(super) fn name(text: &str) -> Option<String> {
    let fine = |c: char| c.is_ascii_graphic() || c == ' ';
    (!text.is_empty() && text.len() <= NAME_BYTES && text.chars().all(fine))
        .then(|| text.to_owned())
}

/// Returns PyTorch's name of a type as ModelPack calls it.
fn precision(torch: &str) -> Option<&'static str> {
    Some(match torch.strip_prefix("torch.").unwrap_or(torch) {
        "bfloat16" => "bf16",
        "float16" | "half" => "fp16",
        "float32" | "float" => "fp32",
        "float64" | "double" => "fp64",
        "float8_e4m3fn" | "float8_e5m2" => "fp8",
        "int8" => "int8",
        "uint8" => "uint8",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(config: &str) -> (Option<String>, Option<String>, Option<String>) {
        let read = TransformersConfig::parse(config.as_bytes());
        (read.architecture, read.precision, read.quantization)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn tells_what_transformers_would_load() {
        for (config, architecture, precision, quantization) in [
            (
                r#"{"architectures":["BertModel"],"model_type":"bert"}"#,
                some("BertModel"),
                None,
                None,
            ),
            (
                r#"{"architectures":null,"model_type":"bert"}"#,
                some("bert"),
                None,
                None,
            ),
            (r#"{"torch_dtype":"bfloat16"}"#, None, some("bf16"), None),
            (
                r#"{"dtype":"float16","torch_dtype":"bfloat16"}"#,
                None,
                some("fp16"),
                None,
            ),
            (
                r#"{"text_config":{"torch_dtype":"torch.float32"}}"#,
                None,
                some("fp32"),
                None,
            ),
            (
                r#"{"quantization_config":{"quant_method":"awq"}}"#,
                None,
                None,
                some("awq"),
            ),
        ] {
            assert_eq!(
                told(config),
                (architecture, precision, quantization),
                "{config}"
            );
        }
    }

    #[test]
    fn what_makes_no_sense_tells_nothing() {
        let longest = format!(r#"{{"model_type":"{}"}}"#, "x".repeat(128));
        assert_eq!(told(&longest).0, Some("x".repeat(128)));
        let long = format!(r#"{{"model_type":"{}"}}"#, "x".repeat(129));
        let large = format!(
            r#"{{"model_type":"x"{}}}"#,
            " ".repeat(limits::CONFIG as usize)
        );
        for config in [
            "",
            "{",
            "[]",
            "null",
            "1",
            "{}",
            r#"{"architectures":[]}"#,
            r#"{"architectures":{}}"#,
            r#"{"architectures":[1],"torch_dtype":7}"#,
            r#"{"torch_dtype":"quux"}"#,
            r#"{"model_type":"a","model_type":"b"}"#,
            r#"{"quantization_config":"gptq"}"#,
            r#"{"model_type":""}"#,
            r#"{"model_type":"a\u001b[31m"}"#,
            &long,
            &large,
        ] {
            assert_eq!(told(config), (None, None, None), "{config:.100}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            TransformersConfig::parse(&bytes);
        }
    }
}
