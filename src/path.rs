//! The one path type for files of a model: safe under POSIX and Windows rules, on every system.
//!
//! A model packed on Linux is pulled on other systems and copied to others still, so a name is
//! refused wherever it would be dangerous anywhere. Names are refused, never cleaned: a cleaned
//! name is one that nobody signed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::error::{Error, Reason, Result};
use crate::limits;

/// The directory inside a pulled model that belongs to this tool; no model may bring its own.
pub const RESERVED: &str = ".modelctl";

/// A relative path of a regular file, `/`-separated, that is safe to create below a directory.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SafePath(String);

impl SafePath {
    /// Returns the path with `/` between its components.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the components, outermost first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Returns the last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Returns the lower-case text after the last dot of the file name, if there is one.
    pub fn extension(&self) -> Option<String> {
        let (stem, extension) = self.file_name().rsplit_once('.')?;
        (!stem.is_empty()).then(|| extension.to_lowercase())
    }

    /// Returns this path below `directory`, for error messages and reading; writing goes through
    /// directory handles (`unpack::staging`).
    pub fn below(&self, directory: &Path) -> PathBuf {
        directory.join(&self.0)
    }

    /// Returns what this path becomes on a file system that ignores case and normalises Unicode:
    /// two paths with one key cannot stand in one model.
    pub fn collision_key(&self) -> String {
        // Upper case first: it unfolds what has no single lower-case form (`ß`, `ﬁ`, `K` the
        // Kelvin sign), so that everything some file system takes for one name meets here.
        let folded: String = self.0.nfkc().flat_map(char::to_uppercase).collect();
        let folded: String = folded.chars().flat_map(char::to_lowercase).collect();
        folded.nfkc().collect()
    }
}

impl FromStr for SafePath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            let shown: String = text.chars().take(120).collect();
            Error::new(Reason::PathUnsafe, format!("the file name {shown:?} {why}"))
                .hint("rename the file; names must be safe on Linux, macOS and Windows alike")
        };
        if text.is_empty() {
            return Err(refuse("is empty"));
        }
        if text.len() > limits::PATH_BYTES {
            return Err(refuse("is longer than 1024 bytes"));
        }
        if !is_nfc(text) {
            return Err(refuse("is not in Unicode normalisation form C"));
        }
        if text.split('/').count() > limits::PATH_DEPTH {
            return Err(refuse("is nested more than 32 directories deep"));
        }
        for (index, component) in text.split('/').enumerate() {
            if let Some(why) = component_fault(component) {
                return Err(refuse(why));
            }
            if index == 0 && is_reserved(component) {
                return Err(refuse("is in `.modelctl`, which belongs to this tool"));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

/// Whether `component`, as some file system may spell it, is [`RESERVED`].
fn is_reserved(component: &str) -> bool {
    component
        .nfkc()
        .flat_map(char::to_lowercase)
        .eq(RESERVED.chars())
}

/// Says what is wrong with one component of a path, if anything is.
fn component_fault(component: &str) -> Option<&'static str> {
    match component {
        "" => return Some("is absolute, ends in `/`, or has an empty component"),
        "." | ".." => return Some("has a `.` or `..` component"),
        _ => {}
    }
    if component.len() > limits::NAME_BYTES {
        return Some("has a component of more than 255 bytes");
    }
    if component.chars().any(is_invisible) {
        return Some("has a control, bidirectional or invisible character");
    }
    if component.contains(['\\', ':', '*', '?', '"', '<', '>', '|']) {
        return Some("has one of the characters \\ : * ? \" < > | that Windows gives a meaning");
    }
    if component.ends_with(['.', ' ']) {
        return Some("has a component that ends in a dot or space, which Windows drops");
    }
    if component.starts_with(' ') {
        return Some("has a component that starts with a space");
    }
    if is_windows_device(component) {
        return Some("is the name of a Windows device");
    }
    if is_short_name(component) {
        return Some("looks like a Windows short name (`NAME~1`)");
    }
    None
}

/// Characters that a person cannot see, or that reorder what they see (general categories Cc and
/// Cf, the line separators, and the fillers that render as nothing).
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'
            | '\u{ffff}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1345f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Windows opens the device whatever the case, and whatever follows the first dot
/// ([Naming files](https://learn.microsoft.com/windows/win32/fileio/naming-a-file)).
fn is_windows_device(component: &str) -> bool {
    let stem = component
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_ascii_uppercase();
    if matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$"
    ) {
        return true;
    }
    let Some(number) = stem
        .strip_prefix("COM")
        .or_else(|| stem.strip_prefix("LPT"))
    else {
        return false;
    };
    let mut digits = number.chars();
    matches!(
        (digits.next(), digits.next()),
        (Some('0'..='9' | '¹' | '²' | '³'), None)
    )
}

/// `PROGRA~1` may be an alias of a long name on Windows.
fn is_short_name(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default();
    let Some((name, number)) = stem.rsplit_once('~') else {
        return false;
    };
    (1..=6).contains(&name.chars().count())
        && (1..=6).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
        && stem.chars().count() <= 8
}

impl fmt::Display for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for SafePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SafePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse()
            .map_err(|error: Error| serde::de::Error::custom(error))
    }
}

/// The paths of one model: refuses what would be one file, or file and directory at once, on some
/// file system.
#[derive(Debug, Default)]
pub struct PathSet {
    files: BTreeMap<String, SafePath>,
    directories: BTreeSet<String>,
}

impl PathSet {
    /// Adds `path`, or says which one it collides with.
    pub fn insert(&mut self, path: &SafePath) -> Result<()> {
        let key = path.collision_key();
        let collision = |other: &str| {
            Error::new(
                Reason::PathCollision,
                format!("the files `{path}` and `{other}` would be one on some file systems"),
            )
            .hint("rename one of them")
        };
        if let Some(other) = self.files.get(&key) {
            return Err(collision(other.as_str()));
        }
        if self.directories.contains(&key) {
            return Err(collision(&format!("{path}/…")));
        }
        for (end, _) in key.match_indices('/') {
            if let Some(other) = self.files.get(&key[..end]) {
                return Err(collision(other.as_str()));
            }
        }
        self.directories
            .extend(key.match_indices('/').map(|(end, _)| key[..end].to_owned()));
        self.files.insert(key, path.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_names_that_models_have() {
        for good in [
            "config.json",
            "model-00001-of-00002.safetensors",
            "a/b/c.txt",
            ".gitattributes",
            "1_Pooling/config.json",
            "données/été.txt",
            "日本語/モデル.bin",
            "a b.txt",
            "x..y",
            "...x",
            "COMPANY.txt",
            "console",
            "lpt10",
            "model~v2.bin",
            "a~1b",
            "+[]{}()'!#$%&=@^`,;.md",
            "😀.txt",
            ".modelignore",
            "sub/.modelctl",
            "com10.txt",
        ] {
            let path: SafePath = good.parse().unwrap_or_else(|e| panic!("{good:?}: {e}"));
            assert_eq!(path.as_str(), good);
        }
    }

    #[test]
    fn refuses_what_is_dangerous_on_any_system() {
        let long_name = "x".repeat(256);
        let long_path = "x/".repeat(600);
        let deep = "x/".repeat(32) + "x";
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a/..",
            "..",
            ".",
            "./a",
            "a/.",
            "a//b",
            "a/",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            "a\u{1b}[31m",
            &long_name,
            &long_path,
            &deep,
            "C:\\x",
            "C:x",
            "\\\\host\\share",
            "\\\\?\\C:\\x",
            "a\\b",
            "a:b",
            "a::$DATA",
            "con",
            "CON",
            "CON.txt",
            "con .txt",
            "nul",
            "NUL.tar.gz",
            "aux.c",
            "prn",
            "COM1",
            "com1.txt",
            "COM¹",
            "lpt9",
            "LPT²",
            "COM0",
            "CONIN$",
            "conout$.x",
            "clock$",
            "a.",
            "a ",
            "a/b.",
            "a /b",
            " a",
            "PROGRA~1",
            "progra~1.txt",
            "A~1/x",
            "a*b",
            "a?b",
            "a\"b",
            "a<b",
            "a>b",
            "a|b",
            "e\u{301}.txt",
            "a\u{200b}b",
            "a\u{202e}b",
            "\u{feff}a",
            "a\u{2028}b",
            "a\u{ad}b",
            "a\u{e0041}",
            "\u{2066}x",
            ".modelctl",
            ".modelctl/receipt.json",
            ".ModelCtl/x",
            ".ｍodelctl/x",
            "a\u{3164}b",
        ] {
            let error = bad.parse::<SafePath>().expect_err(bad);
            assert_eq!(error.reason(), Reason::PathUnsafe, "{bad:?}");
        }
    }

    #[test]
    fn finds_collisions_on_any_file_system() {
        let pairs = [
            ("a", "a"),
            ("Config.json", "config.json"),
            ("a", "a/b"),
            ("A/b", "a"),
            ("ﬁ", "fi"),
            ("ß", "SS"),
            ("K", "k"),
            ("É", "é"),
            ("x/Y", "X/y"),
            ("ı", "i"),
            ("①", "1"),
        ];
        for (first, second) in pairs {
            for (first, second) in [(first, second), (second, first)] {
                let mut set = PathSet::default();
                set.insert(&first.parse().unwrap()).unwrap();
                let error = set.insert(&second.parse().unwrap()).expect_err(second);
                assert_eq!(
                    error.reason(),
                    Reason::PathCollision,
                    "{first:?} {second:?}"
                );
            }
        }
        let mut set = PathSet::default();
        for fine in ["a/b", "a/c", "ab", "b", "a.b", "a-/x"] {
            set.insert(&fine.parse().unwrap()).unwrap();
        }
    }
}
