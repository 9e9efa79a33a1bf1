//! Keys, certificates, and signatures by their holders.

use std::sync::{Arc, LazyLock};

use modelctl::bundle::{Bundle, Content};
use modelctl::certificate::{Certificate, DistinguishedName, RevocationList};
use modelctl::error::{Error, Reason};
use modelctl::fuzzing;
use modelctl::identity::Match;
use modelctl::key::PublicKey;
use modelctl::secret::Secret;
use modelctl::sign::key::PrivateKey;
use modelctl::sign::keyless::IdentityToken;
use modelctl::statement::Statement;
use modelctl::trust::pki::{Pki, Signers, TimestampAuthority};
use modelctl::trust::sigstore::{Identity, Keyless, SigstoreRoot};
use modelctl::trust::{Authority, Blob, TrustRoot};

use super::{Target, text};

/// What somebody signed whom [`TRUST`] knows.
const BUNDLES: &[&str] = &[
    "cosign/referrers-api/sign.bundle.json",
    "cosign/referrers-api/attest.bundle.json",
    "keyless/cosign.sign.bundle.json",
    "keyless/cosign.attest.bundle.json",
    "keyless/blob.rekor1.sigstore.json",
    "keyless/blob.rekor2.sigstore.json",
    "pki/bundle.json",
];

pub(super) const AUTHENTICATE: Target = Target::new("authenticate", |bytes| {
    let Ok(bundle) = Bundle::parse(bytes) else {
        return;
    };
    match bundle.content() {
        Content::Statement(_) => {
            if let Ok(found) = TRUST.authenticate(&bundle) {
                let statement = found.statement();
                assert!(SIGNED.contains(statement), "nobody signed {statement:?}");
            }
        }
        Content::Message(_) => {
            let _ = TRUST.authenticate_blob(&bundle, Blob::Bytes(b""));
            let _ = TRUST.authenticate_blob(&bundle, Blob::Bytes(&TEXT));
            let refused = TRUST.authenticate_blob(&bundle, Blob::Bytes(b"what nobody signed"));
            assert!(refused.is_err(), "what nobody signed is accepted");
        }
    }
})
.fixtures(BUNDLES);

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    std::fs::read(path.join(name)).expect(name)
}

/// What the blobs in [`BUNDLES`] are on.
static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| fixture("keyless/art.txt"));

fn certificates(name: &str) -> Vec<Certificate> {
    Certificate::all_from_pem(&fixture(name), name).expect(name)
}

/// Everyone who signed something in the corpus.
pub(crate) static TRUST: LazyLock<TrustRoot> = LazyLock::new(|| {
    let key = PublicKey::from_pem(&fixture("cosign/cosign.pub"), "key").unwrap();
    let keyless = |root: &str| {
        let root = Arc::new(SigstoreRoot::from_json(&fixture(root), "root").unwrap());
        let identity = Match::exact("https://example.com/ci/model-release@refs/heads/main");
        let issuer = Match::pattern("http://127\\.0\\.0\\.1:[0-9]+");
        let identity = Identity::new(identity.unwrap(), issuer.unwrap());
        Authority::keyless("ci", Keyless { root, identity })
    };
    TrustRoot::new([
        Authority::key("key", key),
        keyless("keyless/cosign.trusted_root.json"),
        keyless("keyless/trusted_root.json"),
        Authority::pki("pki", pki()),
    ])
    .unwrap()
});

fn pki() -> Pki {
    let signers = Signers {
        identities: vec![Match::exact("release@acme.example").unwrap()],
        ..Signers::default()
    };
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    let authority = TimestampAuthority::from_chain(certificates("pki/tsa.pem")).unwrap();
    Pki::with_roots(certificates("pki/root.pem"), signers, now)
        .unwrap()
        .and_intermediates(certificates("pki/intermediate.pem"))
        .and_timestamping(vec![authority])
}

/// Every statement that somebody signed.
pub(crate) static SIGNED: LazyLock<Vec<Statement>> = LazyLock::new(|| {
    let statement = |name: &&str| {
        let bundle = Bundle::parse(&fixture(name)).expect(name);
        Statement::parse(bundle.envelope().ok()?.unverified_payload()).ok()
    };
    BUNDLES.iter().filter_map(statement).collect()
});

pub(super) const PUBLIC_KEY: Target = Target::new("public-key", |bytes| {
    for key in [
        PublicKey::from_pem(bytes, "it"),
        PublicKey::from_spki(bytes),
    ] {
        let Ok(key) = key else { continue };
        let again = PublicKey::from_pem(key.to_pem().as_bytes(), "it").expect("it was written");
        assert_eq!(again.fingerprint(), key.fingerprint());
        assert!(!key.verifies(b"a message", bytes));
    }
})
.fixtures(&[
    "keys/p256.pub",
    "keys/p521.pub",
    "keys/ed25519.pub",
    "keys/rsa.pub",
    "keys/refused.pkcs1.pub",
    "keys/refused.explicit.pub",
]);

pub(super) const PRIVATE_KEY: Target = Target::new("private-key", |bytes| {
    // A password would be asked for here: what follows is another target's.
    let none = || Err(Error::new(Reason::KeyPassword, "there is no password"));
    if let Ok(key) = PrivateKey::from_pem(bytes, none, "it") {
        let signature = key.sign(b"a message").expect("a key that is read signs");
        assert!(key.public_key().verifies(b"a message", &signature));
    }
})
.fixtures(&[
    "keys/p256.key",
    "keys/p256.sec1.key",
    "keys/p384.nopublic.key",
    "keys/p521.ecparam.key",
    "keys/ed25519.key",
    "keys/refused.encrypted.sec1.key",
    "cosign/cosign.key",
]);

pub(super) const ENCRYPTED_KEY: Target = Target::new("encrypted-key", |bytes| {
    let _ = fuzzing::encrypted_key(bytes);
})
.seeds(&[br#"{"kdf":{"name":"scrypt","params":{"N":65536,"r":8,"p":1},"salt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},"cipher":{"name":"nacl/secretbox","nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"ciphertext":"AAAA"}"#]);

pub(super) const CERTIFICATE: Target = Target::new("certificate", |bytes| {
    let one = Certificate::from_der(bytes);
    let all = Certificate::all_from_pem(bytes, "it").unwrap_or_default();
    for certificate in one.into_iter().chain(all) {
        let _ = certificate.public_key();
        let _ = certificate.check_may_sign_code();
        let pem = certificate.to_pem();
        let again = Certificate::from_pem(pem.as_bytes(), "it").expect("it was written");
        assert_eq!(again.der(), certificate.der());
        check_name(certificate.subject());
        check_name(certificate.issuer());
    }
})
.fixtures(&[
    "pki/root.pem",
    "pki/release.pem",
    "pki/tsa.pem",
    "pki/refused.critical.pem",
    "model-signing/root.crt",
]);

/// A name that a certificate bears can be written in a policy.
fn check_name(name: &DistinguishedName) {
    let shown = name.to_string();
    if !name.is_empty() {
        let again: DistinguishedName = shown.parse().unwrap_or_else(|_| panic!("{shown:?}"));
        assert_eq!(again, *name, "{shown:?}");
    }
}

pub(super) const NAME: Target = Target::new("name", |bytes| {
    if let Some(Ok(name)) = text(bytes).map(str::parse::<DistinguishedName>) {
        check_name(&name);
    }
})
.seeds(&[
    b"CN=release,O=Acme\\, Inc.,C=DE",
    b"CN=\\23a+UID=b\\20,1.2.3.4=#0C0161,DC=example,DC=com",
]);

pub(super) const REVOCATION_LIST: Target = Target::new("revocation-list", |bytes| {
    for list in RevocationList::all_from_file(bytes, "it").unwrap_or_default() {
        check_name(list.issuer());
    }
});

pub(super) const IDENTITY_TOKEN: Target = Target::new("identity-token", |bytes| {
    let Some(text) = text(bytes) else { return };
    if let Ok(token) = IdentityToken::parse(Secret::new(text.to_owned())) {
        assert!(!token.name().is_empty());
    }
})
.seeds(&[b"eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2EuZXhhbXBsZSIsInN1YiI6ImIiLCJhdWQiOiJzaWdzdG9yZSIsImV4cCI6MTAsImVtYWlsIjoiYUBiLmNvbSIsImVtYWlsX3ZlcmlmaWVkIjp0cnVlfQ.c2ln"]);
