//! Comparing what a model signature lists with what there is.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Reason, Result};
use crate::model::{Form, ModelFile};
use crate::oms::{Contents, HashType, IgnoredPaths, Method, SIGNATURE_FILES};

/// Differences that an error names.
const NAMED: usize = 10;

/// The proof that a list was compared with all files of an artifact or a directory and is right.
/// Only a comparison makes one.
///
/// ```compile_fail
/// let forged = modelctl::oms::Coverage { not_covered: vec![] };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    not_covered: Vec<String>,
}

impl Coverage {
    pub(crate) fn new(not_covered: Vec<String>) -> Self {
        Self { not_covered }
    }

    /// Returns what is there and is not signed by the list, in words.
    pub fn not_covered(&self) -> &[String] {
        &self.not_covered
    }
}

/// One way in which files differ from what was signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// A file that was signed is not there.
    Missing(String),
    /// A file is there that was not signed.
    Unsigned(String),
    /// A file is there that the signature leaves out, so that nobody vouches for it.
    Ignored(String),
    /// A file has other content than was signed.
    Content(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "`{}` is missing", path.escape_debug()),
            Self::Unsigned(path) => write!(f, "`{}` is not signed", path.escape_debug()),
            Self::Ignored(path) => {
                write!(f, "`{}` is left out of the signature", path.escape_debug())
            }
            Self::Content(path) => write!(f, "`{}` has other content", path.escape_debug()),
        }
    }
}

/// The ways in which files differ from what was signed, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences(Vec<Difference>);

impl Differences {
    /// Returns these differences.
    pub fn new(mut differences: Vec<Difference>) -> Self {
        differences.sort_unstable();
        Self(differences)
    }

    /// Returns the differences.
    pub fn as_slice(&self) -> &[Difference] {
        &self.0
    }

    /// Says that `what` differs, if it does.
    pub fn refuse(&self, what: &str, reason: Reason) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let shown = self.0.iter().take(NAMED).map(Difference::to_string);
        let mut shown: Vec<_> = shown.collect();
        if self.0.len() > NAMED {
            shown.push(format!("{} more", self.0.len() - NAMED));
        }
        let message = format!("{what} is not what was signed: {}", shown.join(", "));
        Err(Error::new(reason, message))
    }
}

impl Contents {
    /// Compares the list with the files of an artifact, by the digests of its layers: nothing is
    /// fetched.
    ///
    /// What the signer left out must not be in the artifact, because whoever pulls it gets it too;
    /// only files that no signature can cover may be: git's, and signatures.
    pub fn compare(&self, files: &[ModelFile]) -> Result<Coverage> {
        let serialization = self.serialization();
        if serialization.method != Method::Files || serialization.hash != HashType::Sha256 {
            let message = "the model signature lists other digests than those of whole files under \
                           SHA-256, so it can only be compared with the files themselves";
            return Err(Error::new(Reason::BundleUnsupported, message)
                .hint("pull the model, and verify the directory with `--signature`"));
        }
        let listed = self.resources().iter();
        let mut listed: BTreeMap<&str, &[u8]> = listed
            .map(|resource| (resource.path(), resource.digest()))
            .collect();
        let mut differences = Vec::new();
        let mut not_covered = Vec::new();
        for file in files {
            let path = file.path.as_str().to_owned();
            match listed.remove(path.as_str()) {
                Some(digest) if is_that(file, digest) => {}
                Some(_) => differences.push(Difference::Content(path)),
                None if self.cannot_cover(&path) => not_covered.push(format!("`{path}`")),
                None if serialization.ignored.covers(&path) => {
                    differences.push(Difference::Ignored(path));
                }
                None => differences.push(Difference::Unsigned(path)),
            }
        }
        let missing = listed
            .into_keys()
            .map(str::to_owned)
            .map(Difference::Missing);
        differences.extend(missing);
        Differences::new(differences).refuse("the artifact", Reason::SubjectMismatch)?;
        Ok(Coverage::new(not_covered))
    }

    /// Whether the specification, or the nature of a signature, keeps `path` out of this list.
    fn cannot_cover(&self, path: &str) -> bool {
        IgnoredPaths::git().covers(path)
            || (SIGNATURE_FILES.contains(&path) && self.serialization().ignored.covers(path))
    }
}

fn is_that(file: &ModelFile, digest: &[u8]) -> bool {
    file.form == Form::Raw && file.descriptor.digest.as_bytes().as_slice() == digest
}
