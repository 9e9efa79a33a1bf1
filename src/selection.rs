//! Selections: which files of a model are meant, by globs on their paths.

use std::collections::BTreeSet;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{Error, Reason, Result};
use crate::path::SafePath;

/// Which files are meant: those that some `include` matches (all, if there is none) and no
/// `exclude` does. The default means all.
///
/// A pattern is matched with the whole path from the model's root: `*` and `?` stop at `/`, `**`
/// does not, `[…]` and `{a,b}` are as in a shell. A pattern that matches a directory means
/// everything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// What to take.
    pub include: Vec<String>,
    /// What to leave, whatever `include` says.
    pub exclude: Vec<String>,
}

impl Selection {
    /// Reads the patterns, each of which must be able to match something.
    pub fn filter(&self) -> Result<Filter> {
        Ok(Filter {
            included: compile(&self.include)?,
            excluded: compile(&self.exclude)?,
            spelled: self.include.iter().cloned().collect(),
        })
    }
}

/// A [`Selection`] whose patterns were read.
#[derive(Debug, Clone)]
pub struct Filter {
    included: GlobSet,
    excluded: GlobSet,
    spelled: BTreeSet<String>,
}

impl Filter {
    /// Whether `path` is meant.
    pub fn selects(&self, path: &SafePath) -> bool {
        let path = Path::new(path.as_str());
        self.includes(path) && !self.excludes(path)
    }

    /// Whether an `include`, or the absence of any, means `path`.
    pub fn includes(&self, path: &Path) -> bool {
        self.included.is_empty() || self.included.is_match(path)
    }

    /// Whether an `exclude` means `path`, or the directory `path` and so everything below it.
    pub fn excludes(&self, path: &Path) -> bool {
        self.excluded.is_match(path)
    }

    /// Whether an `include` spells out exactly `path`: that much intent is asked for before a file
    /// that looks like a secret is touched.
    pub fn spells(&self, path: &SafePath) -> bool {
        self.spelled.contains(path.as_str())
    }
}

fn compile(patterns: &[String]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let path = checked(pattern)?;
        for glob in [path.to_owned(), format!("{path}/**")] {
            let glob = GlobBuilder::new(&glob).literal_separator(true).build();
            set.add(glob.map_err(|error| invalid(pattern, "cannot be read").because(error))?);
        }
    }
    set.build()
        .map_err(|error| Error::new(Reason::PatternInvalid, "too many patterns").because(error))
}

/// Returns the pattern without a last `/`; one that could never match is a mistake worth telling.
fn checked(pattern: &str) -> Result<&str> {
    let path = pattern.strip_suffix('/').unwrap_or(pattern);
    let harmless = |component: &str| !matches!(component, "" | "." | "..");
    match path.split('/').all(harmless) {
        true => Ok(path),
        false => Err(invalid(pattern, "can match no file")
            .hint("patterns are relative to the model's root, such as `onnx/*.onnx` or `**/*.md`")),
    }
}

fn invalid(pattern: &str, why: &str) -> Error {
    Error::new(
        Reason::PatternInvalid,
        format!("the pattern {pattern:?} {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Result<Filter> {
        let owned = |patterns: &[&str]| patterns.iter().map(|p| (*p).to_owned()).collect();
        let selection = Selection {
            include: owned(include),
            exclude: owned(exclude),
        };
        selection.filter()
    }

    #[test]
    fn selects_by_the_whole_path() {
        type Texts = &'static [&'static str];
        let cases: [(Texts, Texts, Texts, Texts); 10] = [
            (&[], &[], &["a", "a/b"], &[]),
            (
                &["*.json"],
                &[],
                &["a.json"],
                &["b/a.json", "a.txt", "A.JSON"],
            ),
            (
                &["**/*.json"],
                &[],
                &["a.json", "b/a.json", "b/c/a.json"],
                &["a.jso"],
            ),
            (
                &["onnx"],
                &[],
                &["onnx", "onnx/a", "onnx/b/c"],
                &["onnx2/a", "b/onnx/a"],
            ),
            (&["onnx/"], &[], &["onnx/a"], &["onnx2"]),
            (&["a", "b?"], &[], &["a", "b1", "a/x"], &["b", "b/x"]),
            (&["{a,b}.[ch]"], &[], &["a.c", "b.h"], &["c.c", "a.x"]),
            (
                &[],
                &["*.md", "docs"],
                &["a", "x/a.md"],
                &["a.md", "docs/x"],
            ),
            (&["a/**"], &["a/b"], &["a/c", "a/bc"], &["a/b", "a/b/c"]),
            (&["**"], &[".*"], &["a", "b/.c"], &[".env", ".git/x"]),
        ];
        for (include, exclude, selected, left) in cases {
            let filter = filter(include, exclude).unwrap();
            for path in selected {
                assert!(filter.selects(&path.parse().unwrap()), "{include:?} {path}");
            }
            for path in left {
                assert!(
                    !filter.selects(&path.parse().unwrap()),
                    "{include:?} {path}"
                );
            }
        }
    }

    #[test]
    fn refuses_patterns_that_are_broken_or_can_match_nothing() {
        for bad in [
            "", "/", "/a", "./a", "../a", "a/../b", "a//b", "[a", "{a", "a{b,c",
        ] {
            for (include, exclude) in [(vec![bad], vec![]), (vec!["a"], vec![bad])] {
                let error = filter(&include, &exclude).expect_err(bad);
                assert_eq!(error.reason(), Reason::PatternInvalid, "{bad:?}");
            }
        }
    }

    #[test]
    fn only_a_path_written_out_is_spelled() {
        let filter = filter(&["**", ".env", "keys/*.key", "certs"], &[]).unwrap();
        assert!(filter.spells(&".env".parse().unwrap()));
        for path in ["keys/a.key", "certs/a.pem", "sub/.env"] {
            assert!(filter.selects(&path.parse().unwrap()));
            assert!(!filter.spells(&path.parse().unwrap()), "{path}");
        }
    }
}
