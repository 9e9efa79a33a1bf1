//! Tensors as file headers describe them: what elements they have, and which bytes hold them.

use std::ops::Range;

/// The type of a tensor's elements, stored in blocks of a fixed size.
///
/// Types below a byte (`F4`, `Q4_K`) store several elements in one block; for all others a block is
/// one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dtype {
    name: &'static str,
    block_elements: u64,
    block_bytes: u64,
    precision: Option<&'static str>,
}

impl Dtype {
    /// Returns the type that safetensors calls `name`.
    pub fn from_safetensors(name: &str) -> Option<Self> {
        SAFETENSORS.iter().find(|known| known.name == name).copied()
    }

    /// Returns the type that GGUF numbers `code`.
    pub fn from_ggml(code: u32) -> Option<Self> {
        let (_, dtype) = GGML.iter().find(|(known, _)| *known == code)?;
        Some(*dtype)
    }

    /// Returns the name that the file format uses.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns how many elements one block holds.
    pub const fn block_elements(&self) -> u64 {
        self.block_elements
    }

    /// Returns the element's precision as ModelPack names it, or nothing for a quantised type,
    /// whose elements have none of their own.
    pub const fn precision(&self) -> Option<&'static str> {
        self.precision
    }

    /// Returns how many bytes `elements` take, if they fill whole blocks and can be counted.
    pub fn size_of(&self, elements: u64) -> Option<u64> {
        if !elements.is_multiple_of(self.block_elements) {
            return None;
        }
        (elements / self.block_elements).checked_mul(self.block_bytes)
    }
}

/// A tensor: what it is called, what it holds, and which bytes of the file are its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<u64>,
    elements: u64,
    bytes: Range<u64>,
}

impl Tensor {
    /// Returns the tensor whose data starts at `start`, or nothing if its size cannot be counted
    /// or does not fill whole blocks.
    pub fn new(name: String, dtype: Dtype, shape: Vec<u64>, start: u64) -> Option<Self> {
        let elements = shape.iter().try_fold(1_u64, |n, dim| n.checked_mul(*dim))?;
        let end = start.checked_add(dtype.size_of(elements)?)?;
        Some(Self {
            name,
            dtype,
            shape,
            elements,
            bytes: start..end,
        })
    }

    /// Returns the same tensor with its data `by` bytes further on.
    pub(super) fn shifted(mut self, by: u64) -> Option<Self> {
        self.bytes = self.bytes.start.checked_add(by)?..self.bytes.end.checked_add(by)?;
        Some(self)
    }

    /// Returns the name, which is whatever the file says: escape it before showing it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Returns the dimensions in the order of the file: safetensors puts the slowest first, GGUF
    /// the fastest.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Returns how many elements it has.
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// Returns which bytes of the file hold the data.
    pub fn bytes(&self) -> Range<u64> {
        self.bytes.clone()
    }

    /// Returns how many bytes the data has.
    pub fn size(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }
}

/// A type that stores each element on its own.
const fn plain(name: &'static str, bytes: u64, precision: &'static str) -> Dtype {
    packed(name, 1, bytes, precision)
}

/// A type that stores `elements` in `bytes`, because one alone is not a whole byte.
const fn packed(name: &'static str, elements: u64, bytes: u64, precision: &'static str) -> Dtype {
    Dtype {
        name,
        block_elements: elements,
        block_bytes: bytes,
        precision: Some(precision),
    }
}

/// A type that stores `elements` in `bytes` together with the scales to recover them.
const fn quantised(name: &'static str, elements: u64, bytes: u64) -> Dtype {
    Dtype {
        name,
        block_elements: elements,
        block_bytes: bytes,
        precision: None,
    }
}

/// Every type of safetensors 0.8
/// ([format](https://github.com/huggingface/safetensors/blob/v0.8.0/README.md#format)).
const SAFETENSORS: [Dtype; 22] = [
    plain("BOOL", 1, "bool"),
    packed("F4", 2, 1, "fp4"),
    packed("F6_E2M3", 4, 3, "fp6"),
    packed("F6_E3M2", 4, 3, "fp6"),
    plain("U8", 1, "uint8"),
    plain("I8", 1, "int8"),
    plain("F8_E5M2", 1, "fp8"),
    plain("F8_E4M3", 1, "fp8"),
    plain("F8_E8M0", 1, "fp8"),
    plain("F8_E4M3FNUZ", 1, "fp8"),
    plain("F8_E5M2FNUZ", 1, "fp8"),
    plain("I16", 2, "int16"),
    plain("U16", 2, "uint16"),
    plain("F16", 2, "fp16"),
    plain("BF16", 2, "bf16"),
    plain("I32", 4, "int32"),
    plain("U32", 4, "uint32"),
    plain("F32", 4, "fp32"),
    plain("C64", 8, "complex64"),
    plain("F64", 8, "fp64"),
    plain("I64", 8, "int64"),
    plain("U64", 8, "uint64"),
];

/// Every type of ggml that a GGUF file can hold
/// ([`ggml.h`](https://github.com/ggml-org/ggml/blob/master/include/ggml.h)). 4 and 5 are older
/// than GGUF; 31 to 33 are no longer written but still published; 36 to 38 only ever existed in
/// memory.
const GGML: [(u32, Dtype); 38] = [
    (0, plain("F32", 4, "fp32")),
    (1, plain("F16", 2, "fp16")),
    (2, quantised("Q4_0", 32, 18)),
    (3, quantised("Q4_1", 32, 20)),
    (6, quantised("Q5_0", 32, 22)),
    (7, quantised("Q5_1", 32, 24)),
    (8, quantised("Q8_0", 32, 34)),
    (9, quantised("Q8_1", 32, 36)),
    (10, quantised("Q2_K", 256, 84)),
    (11, quantised("Q3_K", 256, 110)),
    (12, quantised("Q4_K", 256, 144)),
    (13, quantised("Q5_K", 256, 176)),
    (14, quantised("Q6_K", 256, 210)),
    (15, quantised("Q8_K", 256, 292)),
    (16, quantised("IQ2_XXS", 256, 66)),
    (17, quantised("IQ2_XS", 256, 74)),
    (18, quantised("IQ3_XXS", 256, 98)),
    (19, quantised("IQ1_S", 256, 50)),
    (20, quantised("IQ4_NL", 32, 18)),
    (21, quantised("IQ3_S", 256, 110)),
    (22, quantised("IQ2_S", 256, 82)),
    (23, quantised("IQ4_XS", 256, 136)),
    (24, plain("I8", 1, "int8")),
    (25, plain("I16", 2, "int16")),
    (26, plain("I32", 4, "int32")),
    (27, plain("I64", 8, "int64")),
    (28, plain("F64", 8, "fp64")),
    (29, quantised("IQ1_M", 256, 56)),
    (30, plain("BF16", 2, "bf16")),
    (31, quantised("Q4_0_4_4", 32, 18)),
    (32, quantised("Q4_0_4_8", 32, 18)),
    (33, quantised("Q4_0_8_8", 32, 18)),
    (34, quantised("TQ1_0", 256, 54)),
    (35, quantised("TQ2_0", 256, 66)),
    (39, quantised("MXFP4", 32, 17)),
    (40, quantised("NVFP4", 64, 36)),
    (41, quantised("Q1_0", 128, 18)),
    (42, quantised("Q2_0", 64, 18)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_listed_once() {
        for (index, dtype) in SAFETENSORS.iter().enumerate() {
            assert_eq!(Dtype::from_safetensors(dtype.name), Some(*dtype));
            assert!(SAFETENSORS[..index].iter().all(|d| d.name != dtype.name));
        }
        for (code, dtype) in GGML {
            assert_eq!(Dtype::from_ggml(code), Some(dtype), "{code}");
        }
        for unknown in [4, 5, 36, 43, 142, u32::MAX] {
            assert_eq!(Dtype::from_ggml(unknown), None);
        }
        for unknown in ["", "f32", "F32 ", "Q4_K", "F128"] {
            assert_eq!(Dtype::from_safetensors(unknown), None);
        }
    }

    #[test]
    fn types_below_a_byte_take_whole_blocks() {
        for (dtype, elements, bytes) in [
            (Dtype::from_safetensors("F4"), 6, Some(3)),
            (Dtype::from_safetensors("F4"), 5, None),
            (Dtype::from_safetensors("F6_E2M3"), 8, Some(6)),
            (Dtype::from_safetensors("F6_E3M2"), 6, None),
            (Dtype::from_safetensors("BOOL"), 5, Some(5)),
            (Dtype::from_safetensors("C64"), 5, Some(40)),
            (Dtype::from_ggml(12), 512, Some(288)),
            (Dtype::from_ggml(12), 511, None),
            (Dtype::from_ggml(0), 0, Some(0)),
            (Dtype::from_ggml(28), u64::MAX / 8 + 1, None),
        ] {
            let dtype = dtype.unwrap();
            assert_eq!(dtype.size_of(elements), bytes, "{} {elements}", dtype.name);
        }
    }

    #[test]
    fn a_tensor_that_cannot_be_counted_does_not_exist() {
        let byte = Dtype::from_safetensors("U8").unwrap();
        let tensor = |shape: &[u64], start| Tensor::new("t".into(), byte, shape.to_vec(), start);
        let good = tensor(&[2, 3], 10).unwrap();
        assert_eq!((good.elements(), good.size(), good.bytes()), (6, 6, 10..16));
        assert_eq!(tensor(&[], 0).unwrap().elements(), 1);
        assert!(tensor(&[1 << 32, 1 << 32], 0).is_none());
        assert!(tensor(&[1], u64::MAX).is_none());
        assert!(good.clone().shifted(u64::MAX).is_none());
        assert_eq!(good.shifted(5).unwrap().bytes(), 15..21);
    }
}
