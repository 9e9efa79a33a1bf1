//! The formats that are told apart, and what each can do to whoever loads it.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::error::{Error, Reason};

/// What a format can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Danger {
    /// It is data to every common loader.
    Data,
    /// It carries no code that this tool knows of, and is not understood well enough to say more.
    Opaque,
    /// It is code, can carry code that runs when it is loaded, or hides what it carries.
    Code,
}

macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $danger:ident, $words:literal;)+) => {
        /// What the bytes of a file are.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[non_exhaustive]
        pub enum Format { $($(#[$doc])* #[serde(rename = $code)] $name,)+ }

        impl Format {
            /// Every format.
            pub const ALL: &'static [Format] = &[$(Format::$name,)+];

            /// Returns the stable name, by which rules and flags speak of it.
            pub const fn code(self) -> &'static str {
                match self { $(Format::$name => $code,)+ }
            }

            /// Returns what it can do.
            pub const fn danger(self) -> Danger {
                match self { $(Format::$name => Danger::$danger,)+ }
            }

            /// Returns what it is, in words that continue "the file is".
            pub const fn description(self) -> &'static str {
                match self { $(Format::$name => $words,)+ }
            }
        }
    };
}

formats! {
    /// Tensors in the safetensors format.
    Safetensors = "safetensors", Data, "tensors (safetensors)";
    /// A model in the GGUF format.
    Gguf = "gguf", Data, "a GGUF model";
    /// A graph in the ONNX format.
    Onnx = "onnx", Data, "an ONNX graph";
    /// One JSON document.
    Json = "json", Data, "JSON";
    /// UTF-8 text, or nothing at all.
    Text = "text", Data, "text";
    /// A SentencePiece vocabulary.
    TokenizerModel = "tokenizer-model", Data, "a SentencePiece vocabulary";
    /// A picture.
    Image = "image", Data, "a picture";
    /// Sound, film, or a PDF document.
    Media = "media", Opaque, "sound, film or a PDF document";
    /// A table of data: Parquet or Arrow.
    Table = "table", Opaque, "a table of data";
    /// NumPy arrays of numbers.
    Numpy = "numpy", Opaque, "NumPy arrays of numbers";
    /// An HDF5 file, as older Keras writes, in which no Lambda layer was found.
    Hdf5 = "hdf5", Opaque, "HDF5";
    /// A Keras archive of Keras' own layers.
    Keras = "keras", Opaque, "a Keras model of plain layers";
    /// A TensorFlow Lite model.
    TfLite = "tflite", Opaque, "a TensorFlow Lite model";
    /// Anything else.
    Unknown = "unknown", Opaque, "of an unknown format";
    /// A TensorFlow graph, whose operations can read and write files.
    SavedModel = "saved-model", Code, "a TensorFlow SavedModel, whose operations can use files";
    /// A Keras model with Lambda layers, with classes of others, or that cannot be looked into.
    KerasCode = "keras-code", Code, "a Keras model that can carry Python code";
    /// NumPy arrays of objects, which are pickles.
    NumpyObjects = "numpy-objects", Code, "NumPy arrays that can hold pickled objects";
    /// A Python pickle.
    Pickle = "pickle", Code, "a Python pickle, which can run any code when it is loaded";
    /// A PyTorch archive, which holds a pickle.
    TorchZip = "torch-zip", Code, "a PyTorch archive, whose pickle can run any code when it is loaded";
    /// A joblib dump, which is a pickle.
    Joblib = "joblib", Code, "a joblib dump, a pickle that can run any code when it is loaded";
    /// Python source, or a notebook.
    Python = "python", Code, "Python code";
    /// A script of another language.
    Script = "script", Code, "a script";
    /// A program or library for a processor or a virtual machine.
    NativeCode = "native-code", Code, "a program or library";
    /// An archive or a compressed file, which hides what it holds.
    Archive = "archive", Code, "an archive or compressed file, which hides what it holds";
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = Self::ALL.iter().find(|format| format.code() == text);
        known.copied().ok_or_else(|| {
            let codes: Vec<_> = Self::ALL.iter().map(|format| format.code()).collect();
            Error::new(Reason::Usage, format!("{text:?} is no format"))
                .hint(format!("one of {}", codes.join(", ")))
        })
    }
}

/// Returns the format that the extension of a name claims, where that makes a file more dangerous
/// than its bytes do: whoever has it loaded or run goes by the name.
pub(super) fn by_extension(extension: &str) -> Option<Format> {
    Some(match extension {
        "py" | "pyi" | "pyw" | "pyx" | "ipynb" => Format::Python,
        "sh" | "bash" | "zsh" | "fish" | "bat" | "cmd" | "ps1" | "vbs" | "js" | "mjs" | "cjs"
        | "rb" | "pl" | "lua" | "php" => Format::Script,
        "so" | "dll" | "dylib" | "exe" | "pyd" | "pyc" | "pyo" | "llamafile" => Format::NativeCode,
        "pkl" | "pickle" | "dill" | "cloudpickle" => Format::Pickle,
        "joblib" => Format::Joblib,
        _ => return None,
    })
}
