//! Policy files: who is trusted for which repositories, and what for, in TOML.
//!
//! Reading is strict: whatever is not understood, or could not be enforced, is an error with line
//! and column. A line that was passed over could be the one that kept a stranger out. Nothing is
//! fetched here and no file but the given text is read: keys and instances are named, and found by
//! whoever uses the policy.

mod authorities;
mod builders;
mod chain;
mod constraints;
mod content;
mod node;
mod policies;

pub use authorities::{CertificateAnchor, Certificates, Instance, Trusted, TrustedKey};
pub use chain::{ChainRule, Others, Vouching};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use self::node::{Fields, Source};
use super::scope::Scope;
use super::{Conditions, Policy};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::reference::{Location, Reference};
use crate::slsa::Builders;

/// The version of the format.
const VERSION: i64 = 1;

/// A policy file.
#[derive(Debug, Clone)]
pub struct PolicyFile {
    /// Where it is.
    pub path: PathBuf,
    /// What its bytes hash to: which policy this was.
    pub digest: Digest,
    /// What becomes of repositories that no policy covers.
    pub default: Uncovered,
    /// Whether nothing else may take its place; this means something in the system's file only.
    pub locked: bool,
    /// Sigstore instances, by name.
    pub instances: BTreeMap<String, Instance>,
    /// Who is trusted, by name.
    pub authorities: BTreeMap<String, Trusted>,
    /// Whose provenance, by which builder, is believed to be of which SLSA level.
    pub builders: Builders,
    /// Where the list of what is revoked is.
    pub revocations: Option<RevocationSource>,
    /// Policies, in the file's order.
    pub policies: Vec<ScopedPolicy>,
}

/// Which policy of which file, as records name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyName {
    /// What the policy is called.
    pub name: String,
    /// What the file's bytes hashed to.
    pub digest: Digest,
}

/// What becomes of a repository that no policy covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Uncovered {
    /// It is refused.
    Deny,
    /// It may be used, unverified, and this is told.
    Warn,
    /// It may be used as if there were no policy.
    Allow,
}

/// A policy with what it is for.
#[derive(Debug, Clone)]
pub struct ScopedPolicy {
    /// What it is called.
    pub name: String,
    /// Which repositories it is for.
    pub scopes: Vec<Scope>,
    /// What becomes of what it does not admit.
    pub mode: Mode,
    /// What must hold of each signature, whatever it is asked for besides.
    pub conditions: Conditions,
    /// What it asks for.
    pub policy: Policy,
    /// What it asks of the models that a model was made from.
    pub chain: Option<ChainRule>,
}

/// What becomes of what a policy does not admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// It is refused.
    Enforce,
    /// It may be used, unverified, and this is told.
    Warn,
}

/// Where the list of what is revoked is, and who may make it.
#[derive(Debug, Clone)]
pub struct RevocationSource {
    /// Where it is.
    pub place: RevocationPlace,
    /// Who may sign it.
    pub authorities: BTreeSet<String>,
    /// How old it may be, whatever it says itself.
    pub max_age: Option<SignedDuration>,
}

/// Where a list of revocations is.
#[derive(Debug, Clone)]
pub enum RevocationPlace {
    /// Attached to an artifact, as any attestation is.
    Attached(Reference),
    /// In a file with a Sigstore bundle.
    File(PathBuf),
}

impl PolicyFile {
    /// Reads the file at `path`, whose bytes are `bytes`. Names of files in it are relative to where
    /// it is.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let message = format!("`{}` is not text", path.display());
            Error::new(Reason::PolicyInvalid, message).because(error)
        })?;
        let source = Source { path, text };
        let table = DeTable::parse(text)
            .map_err(|error| source.wrong(error.span().unwrap_or_default(), error.message()))?;
        let fields = Fields::new(&source, table.get_ref(), table.span());
        read(fields, Digest::of(bytes))
    }

    /// Returns the policy that is called `name`.
    pub fn named(&self, name: &str) -> Option<&ScopedPolicy> {
        self.policies.iter().find(|policy| policy.name == name)
    }

    /// Returns the policy for a repository: of those that cover it, the most specific one.
    pub fn covering(&self, location: &Location) -> Option<&ScopedPolicy> {
        let scopes = self.policies.iter().flat_map(|policy| {
            let covers = policy.scopes.iter().filter(|scope| scope.covers(location));
            covers.map(move |scope| (scope, policy))
        });
        let most = scopes.reduce(|best, next| match next.0.is_more_specific_than(best.0) {
            true => next,
            false => best,
        });
        most.map(|(_, policy)| policy)
    }
}

impl ScopedPolicy {
    /// Returns the names of everyone whose summaries stand in for a part of a chain.
    pub fn vouching(&self) -> impl Iterator<Item = &str> {
        let vouchers = self.chain.iter().flat_map(|chain| &chain.vouchers);
        vouchers.flat_map(|one| one.authorities.iter().map(String::as_str))
    }

    /// Returns the names of everyone whom this policy asks for.
    pub fn authorities(&self) -> BTreeSet<&str> {
        let named = self
            .policy
            .rules()
            .iter()
            .filter_map(|rule| rule.authorities());
        named.flatten().map(String::as_str).collect()
    }
}

fn read(mut fields: Fields<'_>, digest: Digest) -> Result<PolicyFile> {
    let version = fields.need("version")?;
    if version.integer()? != VERSION {
        return Err(version.wrong("this version of modelctl reads policies of version 1"));
    }
    let default = fields.need("default")?.one_of(&[
        ("deny", Uncovered::Deny),
        ("warn", Uncovered::Warn),
        ("allow", Uncovered::Allow),
    ])?;
    let locked = fields
        .take("locked")
        .map(|node| node.boolean())
        .transpose()?;
    let instances = authorities::instances(fields.take("instances"))?;
    let authorities = authorities::authorities(fields.take("authorities"), &instances)?;
    let builders = builders::builders(fields.take("builders"), &authorities)?;
    let revocations = fields.take("revocations");
    let revocations = revocations.map(|node| revocation_source(node, &authorities));
    let policies = match fields.take("policies") {
        Some(node) => policies::policies(node, &authorities, &builders)?,
        None => Vec::new(),
    };
    let path = fields.source.path.to_owned();
    fields.finish()?;
    Ok(PolicyFile {
        path,
        digest,
        default,
        locked: locked.unwrap_or_default(),
        instances,
        authorities,
        builders,
        revocations: revocations.transpose()?,
        policies,
    })
}

fn revocation_source(
    node: node::Node<'_>,
    known: &BTreeMap<String, Trusted>,
) -> Result<RevocationSource> {
    let mut fields = node.table()?;
    let place = match (fields.take("reference"), fields.take("file")) {
        (Some(reference), None) => {
            let parsed = reference.text()?.parse::<Reference>();
            RevocationPlace::Attached(parsed.map_err(|error| reference.is_wrong(&error))?)
        }
        (None, Some(file)) => RevocationPlace::File(file.path()?),
        _ => return Err(node.wrong("it needs `reference` or `file`, and not both")),
    };
    let authorities = policies::named(fields.need("authorities")?, known)?;
    let max_age = fields.take("max_age").map(|node| node.duration());
    fields.finish()?;
    Ok(RevocationSource {
        place,
        authorities,
        max_age: max_age.transpose()?,
    })
}

#[cfg(test)]
mod tests;
