//! What can be said of those who are trusted, for records.

use serde::Serialize;

use super::pki::Anchor;
use super::{Authority, Kind, TrustRoot};

/// Someone who is trusted, and by what they are recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trusted {
    /// What the user calls them.
    pub name: String,
    /// How they are recognised: `key`, `certificate` or `keyless`.
    pub kind: &'static str,
    /// The SHA-256 of the key, of the trusted certificates, or, for an identity, the identifiers of
    /// the keys of the logs of its Sigstore instance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
}

impl TrustRoot {
    /// Returns everyone recognised, as facts to be written down.
    pub fn facts(&self) -> Vec<Trusted> {
        self.authorities.iter().map(Authority::fact).collect()
    }
}

impl Authority {
    fn fact(&self) -> Trusted {
        let (kind, fingerprints) = match &self.kind {
            Kind::Key(key) => ("key", vec![key.fingerprint().to_string()]),
            Kind::Pki(pki) => ("certificate", anchors(pki.anchor())),
            Kind::Keyless(keyless) => ("keyless", keyless.root.log_identifiers()),
            Kind::Certificate(_) => ("certificate", Vec::new()),
        };
        Trusted {
            name: self.name.clone(),
            kind,
            fingerprints,
        }
    }
}

fn anchors(anchor: &Anchor) -> Vec<String> {
    let fingerprint = |certificate: &crate::certificate::Certificate| {
        let fingerprint = certificate.fingerprint();
        fingerprint.to_string()
    };
    match anchor {
        Anchor::Roots { roots, .. } => roots.iter().map(fingerprint).collect(),
        Anchor::Leaf(leaf) => vec![fingerprint(leaf)],
    }
}
