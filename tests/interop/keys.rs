//! Key pairs of every kind that signs.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm};

use crate::lab::Lab;

/// The kinds of unencrypted PKCS#8 keys that cosign verifies too: their name and algorithm. P-384
/// is missing: cosign 3.1.1 hashes with SHA-256 whatever the curve, and the specification says
/// SHA-384.
pub(crate) const PKCS8: [(&str, &SignatureAlgorithm); 3] = [
    ("p256", &PKCS_ECDSA_P256_SHA256),
    ("ed25519", &PKCS_ED25519),
    ("rsa", &PKCS_RSA_SHA256),
];

/// Writes `NAME.key`, an unencrypted PKCS#8 key, and `NAME.pub`.
pub(crate) fn write_pkcs8(
    lab: &Lab,
    name: &str,
    algorithm: &'static SignatureAlgorithm,
) -> KeyPair {
    let pair = KeyPair::generate_for(algorithm).unwrap();
    lab.write(&format!("{name}.key"), pair.serialize_pem());
    lab.write(&format!("{name}.pub"), pair.public_key_pem());
    pair
}

/// Writes `NAME.key` and `NAME.pub`, a P-256 pair: the quickest to sign with.
pub(crate) fn write_pair(lab: &Lab, name: &str) {
    write_pkcs8(lab, name, &PKCS_ECDSA_P256_SHA256);
}
