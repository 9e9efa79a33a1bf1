//! Policies for other tools: what a policy file asks for, in the words of admission controllers and
//! container engines.
//!
//! Other tools cannot be asked everything. What could not be said is a [`Loss`], and none is passed
//! over: if leaving it out lets through what the file refuses, the loss is [`Effect::Weaker`]. Who
//! cannot be named is left out, and where nobody is left the export refuses everything: that is
//! stricter, and never the other way round. Nothing is read here: the files that a policy names are
//! passed in.

mod cluster_image_policy;
mod containers;
mod kyverno;
mod loss;
mod notation;
mod predicate;
mod quorum;
mod signer;
mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use self::loss::{Effect, Loss};
use self::loss::{Losses, Telling};
use super::file::{PolicyFile, ScopedPolicy, Uncovered};
use crate::error::{Error, Reason, Result};

/// The bytes of the files that a policy file names, by their paths.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// For whom a policy is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// [policy-controller](https://docs.sigstore.dev/policy-controller/overview/) of Sigstore:
    /// `ClusterImagePolicy`, `policy.sigstore.dev/v1beta1`, as YAML.
    ClusterImagePolicy,
    /// [Kyverno](https://kyverno.io/docs/policy-types/image-validating-policy/):
    /// `ImageValidatingPolicy`, `policies.kyverno.io/v1`, as YAML.
    Kyverno,
    /// Podman, Buildah, Skopeo and CRI-O:
    /// [`policy.json`](https://github.com/containers/image/blob/main/docs/containers-policy.json.5.md).
    Containers,
    /// [notation](https://github.com/notaryproject/specifications/blob/main/specs/trust-store-trust-policy.md):
    /// `trustpolicy.json`.
    Notation,
}

/// A policy for another tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The policy, in the tool's format.
    pub text: String,
    /// What it does not say, or says otherwise.
    pub losses: Vec<Loss>,
}

impl Export {
    /// Whether it lets through what the policy file refuses.
    pub fn is_weaker(&self) -> bool {
        self.losses.iter().any(|loss| loss.effect == Effect::Weaker)
    }
}

/// What is exported, and from what.
struct Source<'a> {
    file: &'a PolicyFile,
    files: &'a Files,
    policies: Vec<&'a ScopedPolicy>,
    /// Whether it is all of the file, so that what no policy covers matters, too.
    whole: Whole,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    File,
    OnePolicy,
}

impl Source<'_> {
    /// Returns what becomes of what no policy covers, if that is to be exported.
    fn default(&self) -> Option<Uncovered> {
        (self.whole == Whole::File).then_some(self.file.default)
    }
}

/// Exports the policies of `file`, or the one that is called `name`, for `target`. `files` are what
/// the policy file names.
pub fn export(
    file: &PolicyFile,
    name: Option<&str>,
    files: &Files,
    target: Target,
) -> Result<Export> {
    let named = |policy: &&ScopedPolicy| name.is_none_or(|name| policy.name == name);
    let source = Source {
        file,
        files,
        policies: file.policies.iter().filter(named).collect(),
        whole: match name {
            None => Whole::File,
            Some(_) => Whole::OnePolicy,
        },
    };
    if source.policies.is_empty() {
        let wanted = name.map(|name| format!(" called `{name}`"));
        let message = format!(
            "`{}` has no policy{}",
            file.path.display(),
            wanted.unwrap_or_default()
        );
        return Err(Error::new(Reason::Usage, message)
            .hint("`modelctl policy check FILE` lists the policies"));
    }
    let mut losses = Losses::default();
    let text = match target {
        Target::ClusterImagePolicy => cluster_image_policy::text(&source, &mut losses)?,
        Target::Kyverno => kyverno::text(&source, &mut losses)?,
        Target::Containers => containers::text(&source, &mut losses)?,
        Target::Notation => notation::text(&source, &mut losses)?,
    };
    let losses = losses.finish();
    Ok(Export {
        text: match target {
            Target::ClusterImagePolicy | Target::Kyverno => head(file, &losses) + &text,
            // JSON has no comments.
            Target::Containers | Target::Notation => text,
        },
        losses,
    })
}

/// Returns the comments that an export begins with.
fn head(file: &PolicyFile, losses: &[Loss]) -> String {
    let mut head = format!(
        "# Made by `modelctl policy export` from a policy file with the digest\n# {}\n",
        file.digest
    );
    for loss in losses {
        let line = loss.to_string().replace(char::is_control, " ");
        head.push_str(&format!("# {line}\n"));
    }
    head
}

/// Returns what begins a policy's losses: what no other tool can be asked.
fn unsaid<'l>(source: &Source<'_>, scoped: &ScopedPolicy, losses: &'l mut Losses) -> Telling<'l> {
    let mut telling = losses.of(&scoped.name);
    telling.unsaid(source.file, scoped);
    telling
}

/// Returns a name that Kubernetes allows: lower-case letters, digits and `-`
/// ([RFC 1123](https://www.rfc-editor.org/rfc/rfc1123)).
fn kubernetes_name(text: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() => c,
        _ => '-',
    };
    let name: String = text.chars().map(plain).take(200).collect();
    match name.trim_matches('-') {
        "" => "policy".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests;
