//! Signatures without a key, and signatures by a key that witnesses saw.

use jiff::Timestamp;
use modelctl::digest::Digest;
use modelctl::error::Reason;
use modelctl::key::Algorithm;
use modelctl::sign::key::{KeySigner, PrivateKey};
use modelctl::sign::keyless::KeylessSigner;
use modelctl::sign::{Witnessed, sign_blob, sign_statement, sign_written};
use modelctl::trust::{Authority, Blob, TrustRoot, Witness};

use crate::bench::{self, CI, found, root, services, signer, statement, token, trust};
use crate::support::sigstore::{Claims, Server, Version};

const BOTH: [&[Version]; 2] = [&[Version::V1], &[Version::V2]];

#[tokio::test]
async fn a_signature_without_a_key_is_its_signers_only() {
    let server = Server::start();
    for logs in BOTH {
        let signer = signer(&server, logs).await.unwrap();
        let bundle = sign_statement(&statement(), &signer).await.unwrap();
        let url = &server.provider.url;
        let who = found(&trust(&server, CI), &bundle).unwrap();
        assert_eq!(who, format!("{CI} (issuer {url})"));
        let other = found(&trust(&server, "eve@example.com"), &bundle);
        assert_eq!(other.unwrap_err(), Reason::IdentityMismatch);
        let stranger = Server::start();
        found(&trust(&stranger, CI), &bundle).unwrap_err();
    }
}

#[tokio::test]
async fn a_workload_signs_as_what_the_authority_calls_it() {
    let server = Server::start();
    let services = services(&server, &[Version::V1]);
    let uri = "https://ci.example/train@main";
    let token = token(&server, &Claims::uri(uri));
    let now = Timestamp::now();
    // Without a root of trust, the certificate is checked to be the right one.
    let signer = KeylessSigner::request(&services, &token, None, now)
        .await
        .unwrap();
    assert_eq!(signer.certified().identity(), uri);
    let signer = Witnessed::new(Box::new(signer), services.witnesses().unwrap(), None);
    let bundle = sign_statement(&statement(), &signer).await.unwrap();
    found(&trust(&server, uri), &bundle).unwrap();
    // What a signer knows of itself is no root of trust for other signatures of the same name.
    let own = TrustRoot::new([bench::authority(&signer)]).unwrap();
    own.authenticate(&bundle).unwrap();
    let another = bench::signer(&server, &[Version::V1]).await.unwrap();
    let another = sign_statement(&statement(), &another).await.unwrap();
    assert_eq!(found(&own, &another).unwrap_err(), Reason::UntrustedSigner);
}

#[tokio::test]
async fn one_certificate_serves_several_statements() {
    let server = Server::start();
    let signer = signer(&server, &[Version::V1]).await.unwrap();
    for _ in 0..3 {
        sign_statement(&statement(), &signer).await.unwrap();
    }
    assert_eq!(server.asked("/api/v2/signingCert").len(), 1);
    assert_eq!(server.asked("/api/v1/log/entries").len(), 3);
}

#[tokio::test]
async fn bytes_are_signed_as_they_are() {
    let server = Server::start();
    for logs in BOTH {
        let signer = signer(&server, logs).await.unwrap();
        let bundle = sign_blob(b"a blob", &signer).await.unwrap();
        let trust = trust(&server, CI);
        trust
            .authenticate_blob(&bundle, Blob::Bytes(b"a blob"))
            .unwrap();
        trust
            .authenticate_blob(&bundle, Blob::Bytes(b"another"))
            .unwrap_err();
    }
}

#[tokio::test]
async fn what_a_key_signs_can_be_logged_and_dated() {
    let server = Server::start();
    let root = root(&server);
    for (algorithm, logs, expected) in [
        (Algorithm::EcdsaP256, &[Version::V1], 1),
        (Algorithm::EcdsaP256, &[Version::V2], 2),
        (Algorithm::Rsa, &[Version::V1], 1),
        (Algorithm::Ed25519, &[Version::V1], 1),
    ] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let public = key.public_key().clone();
        let services = services(&server, logs);
        let signer = Witnessed::new(
            Box::new(KeySigner::new("release", key)),
            services.witnesses().unwrap(),
            Some(root.clone()),
        );
        let bundle = sign_statement(&statement(), &signer).await.unwrap();
        let authority = Authority::key("release", public);
        let trust = TrustRoot::new([authority]).unwrap();
        let trust = trust.with_witnesses(root.clone());
        let found = trust.authenticate(&bundle).unwrap();
        assert_eq!(found.witnesses().len(), expected, "{algorithm} in {logs:?}");
        let is_log = |witness: &Witness| matches!(witness, Witness::Log { .. });
        assert_eq!(found.witnesses().iter().filter(|w| is_log(w)).count(), 1);
    }
}

#[tokio::test]
async fn rekor_2_is_not_asked_to_log_what_it_cannot() {
    let server = Server::start();
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP384, Algorithm::Rsa] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let witnesses = services(&server, &[Version::V2]).witnesses().unwrap();
        let signer = Witnessed::new(Box::new(KeySigner::new("release", key)), witnesses, None);
        let error = sign_statement(&statement(), &signer).await.unwrap_err();
        assert_eq!(error.reason(), Reason::KeyInvalid, "{algorithm}");
    }
    assert!(server.asked("/api/v2/log/entries").is_empty());
}

#[tokio::test]
async fn the_same_entry_again_is_found_and_not_refused() {
    let server = Server::start();
    // Ed25519 signs the same bytes the same way.
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    let witnesses = services(&server, &[Version::V1]).witnesses().unwrap();
    let signer = Box::new(KeySigner::new("release", key));
    let signer = Witnessed::new(signer, witnesses, Some(root(&server)));
    let first = sign_statement(&statement(), &signer).await.unwrap();
    let second = sign_statement(&statement(), &signer).await.unwrap();
    assert_eq!(first, second);
    let asked = server.asked("/api/v1/log/entries");
    let methods: Vec<_> = asked.iter().map(|asked| asked.method.as_str()).collect();
    assert_eq!(methods, ["POST", "POST", "GET"]);
}

#[tokio::test]
async fn a_statement_is_signed_as_it_is_written() {
    let server = Server::start();
    let signer = signer(&server, &[Version::V1]).await.unwrap();
    let digest = Digest::of(b"a").hex();
    let written = format!(
        r#"{{ "_type": "https://in-toto.io/Statement/v1", "subject": [ {{ "name": "a",
           "digest": {{ "sha256": "{digest}" }}, "uri": "https://a.example" }} ],
           "predicateType": "https://example.com/t", "predicate": {{}} }}"#
    );
    let bundle = sign_written(written.as_bytes(), &signer).await.unwrap();
    let payload = bundle.envelope().unwrap().unverified_payload();
    assert_eq!(payload, written.as_bytes());
    let error = sign_written(b"{}", &signer).await.unwrap_err();
    assert_eq!(error.reason(), Reason::StatementInvalid);
}
