//! Who is trusted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::node::{Fields, Node};
use crate::certificate::DistinguishedName;
use crate::error::Result;
use crate::identity::Match;
use crate::policy::constraint::Glob;
use crate::trust::Validity;
use crate::trust::sigstore::{Claim, Identity};

/// The instance that identities are of unless another is named.
const PUBLIC_GOOD: &str = "public-good";

/// A Sigstore instance, and where its keys and certificates come from.
#[derive(Debug, Clone)]
pub enum Instance {
    /// The public one.
    PublicGood,
    /// A `trusted_root.json`.
    File(PathBuf),
    /// A TUF repository, and the `root.json` that its first metadata are verified with.
    Repository {
        /// The repository.
        mirror: String,
        /// The `root.json`.
        root: PathBuf,
    },
}

/// Who is meant by the name of an authority.
#[derive(Debug, Clone)]
pub enum Trusted {
    /// Whoever holds one of these keys.
    Keys {
        /// The keys.
        keys: Vec<TrustedKey>,
        /// The instance under which log entries and timestamps are checked, if one is named.
        instance: Option<String>,
    },
    /// Whoever an instance certified to be someone.
    Identity {
        /// Who.
        identity: Identity,
        /// Which instance.
        instance: String,
        /// For signatures of which time.
        validity: Validity,
    },
    /// Whoever holds such a certificate.
    Certificates(Box<Certificates>),
}

/// Certificates that are trusted, by the files that they are in.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// What trust begins with.
    pub anchor: CertificateAnchor,
    /// Authorities whose timestamps prove when something was signed.
    pub timestamping: Vec<PathBuf>,
    /// For signatures of which time.
    pub validity: Validity,
}

/// What trust in certificates begins with.
#[derive(Debug, Clone)]
pub enum CertificateAnchor {
    /// The holder of exactly this certificate.
    Leaf(PathBuf),
    /// Whoever these authorities say is one of the signers.
    Roots {
        /// The authorities.
        roots: Vec<PathBuf>,
        /// Authorities between them and the signers.
        intermediates: Vec<PathBuf>,
        /// The signer's alternative name, if it matters.
        identity: Option<Match>,
        /// The signer's distinguished name, if it matters.
        subject: Option<DistinguishedName>,
        /// Lists of revoked certificates.
        revocations: Vec<PathBuf>,
    },
}

/// A key that is trusted.
#[derive(Debug, Clone)]
pub struct TrustedKey {
    /// The file that it is in.
    pub file: PathBuf,
    /// For signatures of which time.
    pub validity: Validity,
}

pub(super) fn instances(node: Option<Node<'_>>) -> Result<BTreeMap<String, Instance>> {
    let mut instances = BTreeMap::from([(PUBLIC_GOOD.to_owned(), Instance::PublicGood)]);
    let Some(node) = node else {
        return Ok(instances);
    };
    for (name, node) in node.table()?.named() {
        if instances.insert(name.to_owned(), instance(node)?).is_some() {
            return Err(node.wrong("`public-good` is the public instance, and no other"));
        }
    }
    Ok(instances)
}

fn instance(node: Node<'_>) -> Result<Instance> {
    let mut fields = node.table()?;
    let parts = (
        fields.take("trusted_root"),
        fields.take("tuf_mirror"),
        fields.take("tuf_root"),
    );
    let instance = match parts {
        (Some(file), None, None) => Instance::File(file.path()?),
        (None, Some(mirror), Some(root)) => Instance::Repository {
            mirror: mirror.text()?.to_owned(),
            root: root.path()?,
        },
        _ => return Err(node.wrong("it needs `trusted_root`, or `tuf_mirror` and `tuf_root`")),
    };
    fields.finish()?;
    Ok(instance)
}

pub(super) fn authorities(
    node: Option<Node<'_>>,
    instances: &BTreeMap<String, Instance>,
) -> Result<BTreeMap<String, Trusted>> {
    let Some(node) = node else {
        return Ok(BTreeMap::new());
    };
    let authority = |(name, node): (&str, Node<'_>)| {
        let trusted = authority(node, instances)?;
        Ok((name.to_owned(), trusted))
    };
    node.table()?.named().map(authority).collect()
}

fn authority(node: Node<'_>, instances: &BTreeMap<String, Instance>) -> Result<Trusted> {
    let mut fields = node.table()?;
    let kinds = ["keys", "ca_roots", "certificate"];
    let trusted = match kinds.map(|kind| fields.has(kind)) {
        [true, _, _] => Trusted::Keys {
            keys: keys(&mut fields)?,
            instance: instance_of(&mut fields, instances)?,
        },
        [_, false, false] => Trusted::Identity {
            identity: keyless(node, &mut fields)?,
            instance: instance_of(&mut fields, instances)?
                .unwrap_or_else(|| PUBLIC_GOOD.to_owned()),
            validity: validity(node, &mut fields)?,
        },
        _ => Trusted::Certificates(Box::new(certificates(node, &mut fields)?)),
    };
    fields.finish()?;
    Ok(trusted)
}

fn keys(fields: &mut Fields<'_>) -> Result<Vec<TrustedKey>> {
    let keys = fields.need("keys")?.list()?;
    keys.into_iter().map(key).collect()
}

fn instance_of(
    fields: &mut Fields<'_>,
    instances: &BTreeMap<String, Instance>,
) -> Result<Option<String>> {
    let node = fields.take("instance");
    node.map(|node| known(node, instances)).transpose()
}

fn certificates(node: Node<'_>, fields: &mut Fields<'_>) -> Result<Certificates> {
    let anchor = match fields.take("certificate") {
        Some(certificate) => CertificateAnchor::Leaf(certificate.path()?),
        None => roots(node, fields)?,
    };
    Ok(Certificates {
        anchor,
        timestamping: files(fields.take("timestamp_chains"))?,
        validity: validity(node, fields)?,
    })
}

/// Reads whose certificates are meant: a company's authority issues them to more people than release
/// models.
fn roots(node: Node<'_>, fields: &mut Fields<'_>) -> Result<CertificateAnchor> {
    let subject = fields.take("subject").map(|node| {
        let parsed = node.text()?.parse();
        parsed.map_err(|error| node.is_wrong(&error))
    });
    let (identity, subject) = (identity(node, fields)?, subject.transpose()?);
    if identity.is_none() && subject.is_none() {
        return Err(node.wrong("`ca_roots` needs the signer's `identity` or `subject`, too"));
    }
    Ok(CertificateAnchor::Roots {
        roots: files(fields.take("ca_roots"))?,
        intermediates: files(fields.take("ca_intermediates"))?,
        identity,
        subject,
        revocations: files(fields.take("crls"))?,
    })
}

fn files(node: Option<Node<'_>>) -> Result<Vec<PathBuf>> {
    match node {
        Some(node) => node.list()?.iter().map(Node::path).collect(),
        None => Ok(Vec::new()),
    }
}

fn known(node: Node<'_>, instances: &BTreeMap<String, Instance>) -> Result<String> {
    let name = node.text()?;
    match instances.contains_key(name) {
        true => Ok(name.to_owned()),
        false => Err(node.wrong(&format!("there is no instance `{name}`"))),
    }
}

/// Reads a key: its file, or its file and for which time it is trusted.
fn key(node: Node<'_>) -> Result<TrustedKey> {
    if !node.is_table() {
        return Ok(TrustedKey {
            file: node.path()?,
            validity: Validity::ALWAYS,
        });
    }
    let mut fields = node.table()?;
    let key = TrustedKey {
        file: fields.need("file")?.path()?,
        validity: validity(node, &mut fields)?,
    };
    fields.finish()?;
    Ok(key)
}

fn validity(node: Node<'_>, fields: &mut Fields<'_>) -> Result<Validity> {
    let from = fields.take("valid_from").map(|node| node.time());
    let until = fields.take("valid_until").map(|node| node.time());
    let validity = Validity {
        from: from.transpose()?,
        until: until.transpose()?,
    };
    match validity.is_empty() {
        true => Err(node.wrong("`valid_until` is before `valid_from`")),
        false => Ok(validity),
    }
}

/// Reads the name that a certificate must have, if one is given.
fn identity(node: Node<'_>, fields: &mut Fields<'_>) -> Result<Option<Match>> {
    let exact = fields.take("identity");
    let glob = fields.take("identity_glob");
    let pattern = fields.take("identity_regexp");
    let (at, meant) = match (exact, glob, pattern) {
        (None, None, None) => return Ok(None),
        (Some(node), None, None) => (node, Match::exact(node.text()?)),
        (None, Some(node), None) => (node, Match::pattern(&like(node)?.to_regexp())),
        (None, None, Some(node)) => (node, Match::pattern(node.text()?)),
        _ => {
            let why = "it needs one of `identity`, `identity_glob` and `identity_regexp`";
            return Err(node.wrong(why));
        }
    };
    meant.map(Some).map_err(|error| at.is_wrong(&error))
}

/// Reads a glob that says whose names it is about.
pub(super) fn like(node: Node<'_>) -> Result<Glob> {
    let glob = Glob::new(node.text()?).map_err(|error| node.is_wrong(&error))?;
    match names_somebody(glob.as_str()) {
        true => Ok(glob),
        false => {
            let why = "`*` may stand for neither the host of a URI nor the domain of an address";
            Err(node.wrong(why))
        }
    }
}

fn keyless(node: Node<'_>, fields: &mut Fields<'_>) -> Result<Identity> {
    let Some(identity) = identity(node, fields)? else {
        let why = "it says neither `keys` nor `identity` nor `ca_roots`: nobody is meant";
        return Err(node.wrong(why));
    };
    let issuer = fields.need("issuer")?;
    let issuer = Match::exact(issuer.text()?).map_err(|error| issuer.is_wrong(&error))?;
    let claims = match fields.take("claims") {
        Some(node) => node.table()?.named().map(claim).collect::<Result<_>>()?,
        None => Vec::new(),
    };
    Ok(Identity {
        claims,
        ..Identity::new(identity, issuer)
    })
}

/// Whether a glob says whose names it is about: a URI's scheme and host, or a mail address's domain.
fn names_somebody(glob: &str) -> bool {
    let fixed = |text: &str| !text.is_empty() && !text.contains('*');
    if let Some((scheme, rest)) = glob.split_once("://") {
        return rest
            .split_once('/')
            .is_some_and(|(host, _)| fixed(scheme) && fixed(host));
    }
    glob.rsplit_once('@')
        .is_some_and(|(_, domain)| fixed(domain))
}

fn claim((name, node): (&str, Node<'_>)) -> Result<(Claim, String)> {
    let claim = Claim::named(name).ok_or_else(|| {
        let names: Vec<_> = Claim::ALL.iter().map(|claim| claim.name()).collect();
        node.wrong(&format!(
            "there is no claim `{name}`; there are {}",
            names.join(", ")
        ))
    })?;
    Ok((claim, node.text()?.to_owned()))
}
