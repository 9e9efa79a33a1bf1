//! What a model is, in the words of its config document, told from the headers of its files.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::tensor::{Dtype, Tensor};
use crate::model::transformers::{TransformersConfig, name};
use crate::model::{gguf, safetensors};

/// What the weights are, as far as their headers and `config.json` tell.
///
/// Nothing here is proven: it is for people and schedulers, never for trust decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// `safetensors` or `gguf`; of both, the one with more bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// What `config.json` calls it (`LlamaForCausalLM`), else the GGUF file (`llama`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// How many parameters the tensors hold; unknown when they are packed into integers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// The same in ModelPack's form: one decimal at most, and `k`, `m`, `b`, `t` or `q`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub param_size: Option<String>,
    /// The type that most bytes of the weights have: `bf16`, `fp16`, `fp32`, `fp8`, …; for weights
    /// packed into integers what `config.json` computes in, for quantised GGUF nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// How the weights were quantised: GGUF's file type (`Q4_K_M`), else the method that
    /// `config.json` names (`gptq`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    /// How many tensors there are, in all files.
    pub tensors: u64,
}

/// Gathers a [`Summary`] from the files of one model; shards add up, in any order.
///
/// Several whole GGUF files in one model are the same weights quantised differently, or companions
/// such as a projector: they do not add up, and the largest speaks for the model.
#[derive(Debug, Default)]
pub struct SummaryBuilder {
    tensors: u64,
    safetensors: Tally,
    gguf: Vec<GgufModel>,
    config: TransformersConfig,
}

impl SummaryBuilder {
    /// Adds a safetensors file.
    pub fn add_safetensors(&mut self, header: &safetensors::Header) {
        self.tensors += header.tensors().len() as u64;
        self.safetensors.add(header.tensors());
    }

    /// Adds a GGUF file.
    pub fn add_gguf(&mut self, header: &gguf::Header) {
        self.tensors += header.tensors().len() as u64;
        let shards = header.number("split.count").filter(|count| *count > 1);
        let same = |model: &&mut GgufModel| shards.is_some() && model.shards == shards;
        match self.gguf.iter_mut().find(same) {
            Some(model) => model.add(header),
            None => {
                let mut model = GgufModel {
                    shards,
                    ..GgufModel::default()
                };
                model.add(header);
                self.gguf.push(model);
            }
        }
    }

    /// Adds a `config.json` of transformers; where several say a thing, the first counts. One that
    /// cannot be understood is the model's own matter and tells nothing.
    pub fn add_config(&mut self, bytes: &[u8]) {
        self.config.fill(&TransformersConfig::parse(bytes));
    }

    /// Returns what all files together tell.
    pub fn finish(self) -> Summary {
        // `max_by_key` takes the last of equals; reversed, the first file decides.
        let largest = self.gguf.into_iter().rev().max_by_key(|m| m.tally.bytes);
        let has_safetensors = self.safetensors.files > 0;
        let larger = largest.filter(|m| !has_safetensors || m.tally.bytes > self.safetensors.bytes);
        let summary = match larger {
            Some(model) => model.summary(),
            None => self.safetensors.summary(&self.config),
        };
        Summary {
            architecture: self.config.architecture.or(summary.architecture),
            param_size: summary.parameters.and_then(param_size),
            tensors: self.tensors,
            ..summary
        }
    }
}

/// The tensors of one set of weights, counted.
#[derive(Debug, Default)]
struct Tally {
    files: u64,
    bytes: u64,
    parameters: u64,
    types: BTreeMap<&'static str, (Dtype, u64)>,
}

impl Tally {
    fn add(&mut self, tensors: &[Tensor]) {
        self.files += 1;
        for tensor in tensors {
            let dtype = tensor.dtype();
            self.bytes = self.bytes.saturating_add(tensor.size());
            if !is_index(dtype) {
                self.parameters = self.parameters.saturating_add(tensor.elements());
            }
            let (_, bytes) = self.types.entry(dtype.name()).or_insert((dtype, 0));
            *bytes = bytes.saturating_add(tensor.size());
        }
    }

    /// Returns the type that most bytes have; of equals the first by name.
    fn dominant(&self) -> Option<Dtype> {
        let by_bytes = self.types.values().rev().max_by_key(|(_, bytes)| *bytes);
        by_bytes.map(|(dtype, _)| *dtype)
    }

    fn summary(&self, config: &TransformersConfig) -> Summary {
        let dominant = self.dominant();
        // GPTQ, AWQ and bitsandbytes store several weights in one integer.
        let is_packed = config.quantization.is_some() && dominant.is_some_and(may_be_packed);
        let own = dominant
            .filter(|_| !is_packed)
            .and_then(|dtype| dtype.precision());
        Summary {
            format: (self.files > 0).then(|| "safetensors".to_owned()),
            parameters: (self.parameters > 0 && !is_packed).then_some(self.parameters),
            precision: own.map(str::to_owned).or_else(|| config.precision.clone()),
            quantization: config.quantization.clone(),
            ..Summary::default()
        }
    }
}

/// Position ids and masks are stored as tensors, but nobody trained them.
fn is_index(dtype: Dtype) -> bool {
    matches!(dtype.name(), "BOOL" | "I64" | "U64")
}

fn may_be_packed(dtype: Dtype) -> bool {
    matches!(dtype.name(), "U8" | "I32" | "U32")
}

/// A GGUF file, or the shards of one.
#[derive(Debug, Default)]
struct GgufModel {
    shards: Option<u64>,
    architecture: Option<String>,
    quantization: Option<&'static str>,
    tally: Tally,
}

impl GgufModel {
    /// Only the first shard says what the model is.
    fn add(&mut self, header: &gguf::Header) {
        self.tally.add(header.tensors());
        let architecture = header.text("general.architecture").and_then(name);
        self.architecture = self.architecture.take().or(architecture);
        self.quantization = self.quantization.or(header.quantization());
    }

    fn summary(self) -> Summary {
        let dominant = self.tally.dominant();
        let precision = dominant.and_then(|dtype| dtype.precision());
        let quantised = dominant.filter(|dtype| dtype.precision().is_none());
        let quantization = self.quantization.or(quantised.map(|dtype| dtype.name()));
        Summary {
            format: Some("gguf".to_owned()),
            architecture: self.architecture,
            parameters: (self.tally.parameters > 0).then_some(self.tally.parameters),
            precision: precision.map(str::to_owned),
            quantization: quantization.map(str::to_owned),
            ..Summary::default()
        }
    }
}

/// Returns a number of parameters with one decimal at most
/// ([model-spec, config, "paramSize"](https://github.com/modelpack/model-spec/blob/main/docs/config.md)).
fn param_size(parameters: u64) -> Option<String> {
    let units = [("k", 3), ("m", 6), ("b", 9), ("t", 12), ("q", 15)];
    units.into_iter().find_map(|(unit, digits)| {
        let tenth = 10_u64.pow(digits - 1);
        let tenths = parameters.saturating_add(tenth / 2) / tenth;
        match (tenths / 10, tenths % 10) {
            (0, 0) => None,
            (1000.., _) if unit != "q" => None,
            (whole, 0) => Some(format!("{whole}{unit}")),
            (whole, tenth) => Some(format!("{whole}.{tenth}{unit}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// A safetensors header with these types and numbers of elements.
    fn safetensors(tensors: &[(&str, u64)]) -> safetensors::Header {
        let mut end = 0;
        let mut entries = Vec::new();
        for (index, (dtype, elements)) in tensors.iter().enumerate() {
            let begin = end;
            end += Dtype::from_safetensors(dtype)
                .unwrap()
                .size_of(*elements)
                .unwrap();
            entries.push(format!(
                r#""{index}":{{"dtype":"{dtype}","shape":[{elements}],"data_offsets":[{begin},{end}]}}"#
            ));
        }
        let json = format!("{{{}}}", entries.join(","));
        let file = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
        safetensors::Header::read(&mut &file[..], file.len() as u64 + end).unwrap()
    }

    /// A GGUF header with these entries (texts or numbers) and one tensor.
    fn gguf(entries: &[(&str, Value)], kind: u32, elements: u64) -> gguf::Header {
        let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
        let mut file = b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0".to_vec();
        file.extend((entries.len() as u64).to_le_bytes());
        for (key, value) in entries {
            file.extend(text(key));
            match value.as_str() {
                Some(value) => file.extend([&8_u32.to_le_bytes()[..], &text(value)].concat()),
                None => {
                    file.extend(10_u32.to_le_bytes());
                    file.extend(value.as_u64().unwrap().to_le_bytes());
                }
            }
        }
        file.extend([text("t"), 1_u32.to_le_bytes().to_vec()].concat());
        file.extend([elements.to_le_bytes().to_vec(), kind.to_le_bytes().to_vec()].concat());
        file.extend([0; 8]);
        let data = Dtype::from_ggml(kind).unwrap().size_of(elements).unwrap();
        let size = (file.len() as u64).next_multiple_of(32) + data;
        gguf::Header::read(&mut &file[..], size).unwrap()
    }

    fn summary(build: impl FnOnce(&mut SummaryBuilder)) -> Summary {
        let mut builder = SummaryBuilder::default();
        build(&mut builder);
        builder.finish()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn shards_add_up_and_config_names_the_architecture() {
        let shards = [
            safetensors(&[("BF16", 3_000_000_000), ("F32", 10)]),
            safetensors(&[("BF16", 5_030_261_248), ("I64", 512), ("BOOL", 7)]),
        ];
        let config = br#"{"architectures":["LlamaForCausalLM"],"model_type":"llama","torch_dtype":"float16"}"#;
        let told = summary(|builder| {
            builder.add_safetensors(&shards[0]);
            builder.add_config(config);
            builder.add_safetensors(&shards[1]);
        });
        let expected = Summary {
            format: some("safetensors"),
            architecture: some("LlamaForCausalLM"),
            parameters: Some(8_030_261_258),
            param_size: some("8b"),
            precision: some("bf16"),
            quantization: None,
            tensors: 5,
        };
        assert_eq!(told, expected);
        assert_eq!(
            serde_json::to_string(&told).unwrap(),
            r#"{"format":"safetensors","architecture":"LlamaForCausalLM","parameters":8030261258,"paramSize":"8b","precision":"bf16","tensors":5}"#
        );
    }

    #[test]
    fn nothing_is_told_of_nothing() {
        assert_eq!(summary(|_| ()), Summary::default());
    }

    #[test]
    fn precision_is_what_most_bytes_have() {
        for (tensors, precision) in [
            (&[("F32", 10), ("F16", 19)][..], "fp32"),
            (&[("F32", 10), ("F16", 21)], "fp16"),
            (&[("F32", 10), ("F16", 20)], "fp16"),
            (&[("F8_E4M3", 100), ("BF16", 49)], "fp8"),
            (&[("F4", 100), ("F32", 1)], "fp4"),
        ] {
            let told = summary(|builder| builder.add_safetensors(&safetensors(tensors)));
            assert_eq!(told.precision, some(precision), "{tensors:?}");
        }
    }

    #[test]
    fn weights_packed_into_integers_are_not_counted() {
        let gptq =
            br#"{"dtype":"bfloat16","quantization_config":{"quant_method":"gptq","bits":4}}"#;
        let packed = safetensors(&[("I32", 1000), ("F16", 100)]);
        let told = summary(|builder| {
            builder.add_safetensors(&packed);
            builder.add_config(gptq);
        });
        assert_eq!(told.quantization, some("gptq"));
        assert_eq!((told.parameters, told.param_size), (None, None));
        assert_eq!(told.precision, some("bf16"));
        let plain = summary(|builder| builder.add_safetensors(&packed));
        assert_eq!((plain.parameters, plain.quantization), (Some(1100), None));
        let fp8 = summary(|builder| {
            builder.add_safetensors(&safetensors(&[("F8_E4M3", 1000), ("F32", 10)]));
            builder.add_config(br#"{"quantization_config":{"quant_method":"fp8"}}"#);
        });
        assert_eq!((fp8.parameters, fp8.precision), (Some(1010), some("fp8")));
    }

    #[test]
    fn a_gguf_file_tells_its_quantization() {
        let llama = ("general.architecture", Value::from("llama"));
        for (entries, kind, precision, quantization) in [
            (
                vec![llama.clone(), ("general.file_type", 15.into())],
                12,
                None,
                some("Q4_K_M"),
            ),
            (vec![llama.clone()], 12, None, some("Q4_K")),
            (
                vec![llama.clone(), ("general.file_type", 1.into())],
                1,
                some("fp16"),
                None,
            ),
            (
                vec![llama.clone(), ("general.file_type", 32.into())],
                30,
                some("bf16"),
                None,
            ),
            (
                vec![llama.clone(), ("general.file_type", 999.into())],
                0,
                some("fp32"),
                None,
            ),
        ] {
            let told = summary(|builder| builder.add_gguf(&gguf(&entries, kind, 1 << 20)));
            assert_eq!(told.format, some("gguf"));
            assert_eq!(told.architecture, some("llama"));
            assert_eq!(told.param_size, some("1m"));
            assert_eq!(
                (told.precision, told.quantization),
                (precision, quantization)
            );
        }
    }

    #[test]
    fn shards_of_a_gguf_file_add_up_but_whole_files_do_not() {
        let shard = |entries: &[(&'static str, Value)]| {
            let entries = [&[("split.count", Value::from(2))], entries].concat();
            gguf(&entries, 8, 1 << 20)
        };
        let sharded = summary(|builder| {
            builder.add_gguf(&shard(&[
                ("general.file_type", 7.into()),
                ("split.no", 0.into()),
            ]));
            builder.add_gguf(&shard(&[("split.no", 1.into())]));
        });
        assert_eq!(sharded.parameters, Some(2 << 20));
        assert_eq!((sharded.quantization, sharded.tensors), (some("Q8_0"), 2));
        let whole = summary(|builder| {
            builder.add_gguf(&gguf(&[("general.file_type", 15.into())], 12, 1 << 20));
            builder.add_gguf(&gguf(&[("general.file_type", 7.into())], 8, 1 << 20));
            builder.add_gguf(&gguf(&[("general.file_type", 1.into())], 1, 1 << 10));
        });
        assert_eq!(whole.parameters, Some(1 << 20));
        assert_eq!((whole.quantization, whole.tensors), (some("Q8_0"), 3));
    }

    #[test]
    fn of_two_formats_the_larger_speaks() {
        let large = gguf(&[("general.architecture", "bert".into())], 0, 100);
        let small = safetensors(&[("F16", 100)]);
        for (format, safetensors, gguf) in [
            ("gguf", &small, &large),
            ("safetensors", &safetensors(&[("F64", 100)]), &large),
        ] {
            let told = summary(|builder| {
                builder.add_gguf(gguf);
                builder.add_safetensors(safetensors);
            });
            assert_eq!(told.format, some(format));
        }
    }

    #[test]
    fn of_several_configs_the_first_counts() {
        let told = summary(|builder| {
            builder.add_config(br#"{"model_type":"llava"}"#);
            builder.add_config(br#"{"model_type":"other","dtype":"float16"}"#);
        });
        let expected = (some("llava"), some("fp16"));
        assert_eq!((told.architecture, told.precision), expected);
    }

    #[test]
    fn a_size_has_one_decimal_at_most() {
        for (parameters, size) in [
            (0, None),
            (49, None),
            (50, Some("0.1k")),
            (1_000, Some("1k")),
            (999_949, Some("999.9k")),
            (999_950, Some("1m")),
            (22_713_216, Some("22.7m")),
            (268_098_176, Some("268.1m")),
            (999_999_999, Some("1b")),
            (6_738_415_616, Some("6.7b")),
            (8_030_261_248, Some("8b")),
            (405_853_388_800, Some("405.9b")),
            (1_026_408_232_448, Some("1t")),
            (u64::MAX, Some("18446.7q")),
        ] {
            assert_eq!(param_size(parameters).as_deref(), size, "{parameters}");
        }
    }

    proptest! {
        #[test]
        fn every_count_has_a_short_size(parameters in any::<u64>()) {
            prop_assert!(param_size(parameters).is_none_or(|size| size.len() <= 8));
        }
    }
}
