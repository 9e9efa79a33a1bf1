//! What a manifest claims of a model's files, judged before a byte of them is fetched.

use serde::Deserialize;

use super::rules::{ContentRules, ExecutableBit, Limits};
use crate::error::{Error, Reason, Result};
use crate::json;
use crate::model::{ModelFile, annotation};

/// The bits by which anyone may execute a file.
const EXECUTE: u32 = 0o111;

/// What a layer says of its file's metadata, as far as it matters here
/// ([spec](https://github.com/modelpack/model-spec/blob/main/docs/annotations.md)).
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    mode: u32,
}

impl ContentRules {
    /// Whether anything is asked that a manifest answers.
    pub fn asks_of_manifests(&self) -> bool {
        self.limits != Limits::NONE || self.executable_bit == ExecutableBit::Deny
    }

    /// Returns what stands against a model that has these files, by what its manifest says of them:
    /// how many there are, how large, and whether one is to be executable. Each kind of objection
    /// comes once, however many files it is about.
    pub fn judge_claims(&self, files: &[ModelFile]) -> Vec<Error> {
        let found = [
            self.too_many(files),
            self.too_large(files),
            self.too_much(files),
            self.executable(files),
        ];
        found.into_iter().flatten().collect()
    }

    fn too_many(&self, files: &[ModelFile]) -> Option<Error> {
        let cap = self.limits.files?;
        let count = files.len() as u64;
        (count > cap).then(|| {
            let message = format!("the model has {count} files, and {cap} are allowed");
            Error::new(Reason::ModelUnsuitable, message)
        })
    }

    fn too_large(&self, files: &[ModelFile]) -> Option<Error> {
        let cap = self.limits.file_bytes?;
        let first = files.iter().find(|file| file.descriptor.size > cap)?;
        let (path, size) = (&first.path, first.descriptor.size);
        let message = format!("`{path}` has {size} bytes, and {cap} are allowed for a file");
        Some(Error::new(Reason::ModelUnsuitable, message))
    }

    fn too_much(&self, files: &[ModelFile]) -> Option<Error> {
        let cap = self.limits.total_bytes?;
        let bytes = files
            .iter()
            .fold(0_u64, |sum, file| sum.saturating_add(file.descriptor.size));
        (bytes > cap).then(|| {
            let message = format!("the model has {bytes} bytes, and {cap} are allowed");
            Error::new(Reason::ModelUnsuitable, message)
        })
    }

    fn executable(&self, files: &[ModelFile]) -> Option<Error> {
        if self.executable_bit == ExecutableBit::Allow {
            return None;
        }
        files.iter().find_map(|file| check_mode(file).err())
    }
}

/// Refuses a file that is declared to be executable, or of which that cannot be told.
fn check_mode(file: &ModelFile) -> Result<()> {
    let annotations = &file.descriptor.annotations;
    let keys = [annotation::FILE_METADATA, annotation::LEGACY_FILE_METADATA];
    let path = &file.path;
    for text in keys.into_iter().filter_map(|key| annotations.get(key)) {
        let what = format!("the metadata of `{path}`");
        let metadata: Metadata = json::parse(text.as_bytes(), &what)?;
        if metadata.mode & EXECUTE != 0 {
            let message = format!("`{path}` is declared to be executable");
            return Err(Error::new(Reason::FileKindUnsafe, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::model::{Form, Kind, layer_descriptor};

    fn file(name: &str, size: u64, metadata: Option<(&str, &str)>) -> ModelFile {
        let path: crate::path::SafePath = name.parse().unwrap();
        let mut descriptor = layer_descriptor(&path, Kind::Weight, Digest::of(b""), size);
        if let Some((key, text)) = metadata {
            descriptor
                .annotations
                .insert(key.to_owned(), text.to_owned());
        }
        ModelFile {
            path,
            kind: Kind::Weight,
            form: Form::Raw,
            descriptor,
        }
    }

    fn reasons(rules: &ContentRules, files: &[ModelFile]) -> Vec<Reason> {
        rules
            .judge_claims(files)
            .iter()
            .map(Error::reason)
            .collect()
    }

    #[test]
    fn limits_hold_up_to_and_no_further() {
        let files = [file("a", 3, None), file("b", 4, None)];
        let with = |limits| ContentRules::without_code().within(limits);
        let none = Limits::NONE;
        for (enough, too_little) in [
            (
                Limits {
                    files: Some(2),
                    ..none
                },
                Limits {
                    files: Some(1),
                    ..none
                },
            ),
            (
                Limits {
                    file_bytes: Some(4),
                    ..none
                },
                Limits {
                    file_bytes: Some(3),
                    ..none
                },
            ),
            (
                Limits {
                    total_bytes: Some(7),
                    ..none
                },
                Limits {
                    total_bytes: Some(6),
                    ..none
                },
            ),
        ] {
            assert_eq!(reasons(&with(enough), &files), []);
            assert_eq!(
                reasons(&with(too_little), &files),
                [Reason::ModelUnsuitable]
            );
        }
        let huge = [file("a", u64::MAX, None), file("b", u64::MAX, None)];
        let cap = Limits {
            total_bytes: Some(u64::MAX - 1),
            ..none
        };
        assert_eq!(reasons(&with(cap), &huge), [Reason::ModelUnsuitable]);
        assert!(!with(none).asks_of_manifests());
        assert!(with(cap).asks_of_manifests());
    }

    #[test]
    fn a_declared_executable_is_refused_where_that_is_denied_only() {
        let deny = ContentRules::without_code().on_executable_bit(ExecutableBit::Deny);
        assert!(deny.asks_of_manifests());
        let (now, legacy) = (annotation::FILE_METADATA, annotation::LEGACY_FILE_METADATA);
        for (key, text, expected) in [
            (now, r#"{"name": "a", "mode": 420}"#, None),
            (now, r#"{"name": "a"}"#, None),
            (
                now,
                r#"{"name": "a", "mode": 493}"#,
                Some(Reason::FileKindUnsafe),
            ),
            (now, r#"{"mode": 1}"#, Some(Reason::FileKindUnsafe)),
            (legacy, r#"{"mode": 8}"#, Some(Reason::FileKindUnsafe)),
            (
                now,
                r#"{"mode": 420, "mode": 493}"#,
                Some(Reason::JsonInvalid),
            ),
            (now, r#"{"mode": "0755"}"#, Some(Reason::JsonInvalid)),
            (now, "755", Some(Reason::JsonInvalid)),
        ] {
            let files = [file("a", 1, None), file("b", 1, Some((key, text)))];
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(reasons(&deny, &files), expected, "{text}");
            assert_eq!(reasons(&ContentRules::without_code(), &files), []);
        }
        assert_eq!(reasons(&deny, &[file("a", 1, None)]), []);
    }
}
