//! What is signed, and what it is packed in.

use modelctl::bundle::{
    Bundle, Content, Envelope, IN_TOTO, pre_authentication_encoding, statement_of,
};
use modelctl::legacy::{Layer, SimpleSigning};
use modelctl::oms::Contents;
use modelctl::predicate::{self, PredicateType};
use modelctl::revocation::Revocations;
use modelctl::statement::Statement;

use super::Target;

pub(super) const BUNDLE: Target = Target::new("bundle", |bytes| {
    let Ok(bundle) = Bundle::parse(bytes) else {
        return;
    };
    bundle.claimed_predicate_type();
    if let Content::Statement(envelope) = bundle.content() {
        check_envelope(envelope);
    }
    let written = bundle.to_bytes().expect("it was read");
    assert_eq!(Bundle::parse(&written).expect("it was written"), bundle);
})
.fixtures(&[
    "cosign/referrers-api/sign.bundle.json",
    "cosign/keyless/attest.bundle.json",
    "keyless/blob.rekor1.sigstore.json",
    "keyless/blob.rekor2.sigstore.json",
    "model-signing/key.sig",
    "sigstore-conformance/happy-path-v0.1/bundle.sigstore.json",
    "sigstore-conformance/happy-path-v0.2/bundle.sigstore.json",
    "sigstore-conformance/rekor2-dsse-happy-path/bundle.sigstore.json",
]);

fn check_envelope(envelope: &Envelope) {
    let signed = envelope.signed_bytes();
    assert_eq!(statement_of(&signed), Some(envelope.unverified_payload()));
}

pub(super) const ENVELOPE: Target = Target::new("envelope", |bytes| {
    if let Ok(envelope) = Envelope::parse(bytes) {
        check_envelope(&envelope);
        let written = envelope.to_bytes().expect("it was read");
        assert_eq!(Envelope::parse(&written).expect("it was written"), envelope);
    }
    // The encoding of one payload, and of no other.
    if let Some(payload) = statement_of(bytes) {
        let again = pre_authentication_encoding(IN_TOTO, payload);
        assert_eq!(again, bytes);
    }
})
.fixtures(&["cosign/legacy/att.envelope.json"])
.seeds(&[b"DSSEv1 28 application/vnd.in-toto+json 2 {}"]);

pub(super) const STATEMENT: Target = Target::new("statement", |bytes| {
    let Ok(statement) = Statement::parse(bytes) else {
        return;
    };
    let written = statement.to_bytes().expect("it was read");
    assert_eq!(Statement::parse(&written).expect("it was written"), statement);
    check_contents(&statement);
    if let Ok(list) = Revocations::read(&statement.predicate) {
        let shown = &statement.predicate["version"];
        assert_eq!(shown.as_u64(), Some(list.version()));
    }
})
.seeds(&[
    br#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"495b64672eb8d6f8058ecb957d2a7d235059efabc4105f46856bceefc97aa360"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}"#,
    br#"{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"digest":{"sha256":"495b64672eb8d6f8058ecb957d2a7d235059efabc4105f46856bceefc97aa360","sha512":"ab"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{"buildDefinition":{"buildType":"https://example.com/t","externalParameters":{}},"runDetails":{"builder":{"id":"https://example.com/b"}}}}"#,
    br#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"r","digest":{"sha256":"495b64672eb8d6f8058ecb957d2a7d235059efabc4105f46856bceefc97aa360"}}],"predicateType":"https://modelctl.dev/revocations/v1","predicate":{"version":7,"issued":"2026-01-01T00:00:00Z","expires":"2026-02-01T00:00:00Z","entries":[]}}"#,
]);

/// What a model signature says, says it again when it is written.
fn check_contents(statement: &Statement) {
    let Ok(contents) = Contents::read(statement) else {
        return;
    };
    let again = Contents::read(&contents.to_statement()).expect("it was written");
    assert_eq!(again.root(), contents.root());
    assert_eq!(again.resources(), contents.resources());
}

pub(super) const MODEL_SIGNATURE: Target = Target::new("model-signature", |bytes| {
    let payload = match Bundle::parse(bytes) {
        Ok(bundle) => match bundle.envelope() {
            Ok(envelope) => envelope.unverified_payload().to_vec(),
            Err(_) => return,
        },
        Err(_) => bytes.to_vec(),
    };
    if let Ok(statement) = Statement::parse(&payload) {
        check_contents(&statement);
    }
})
.fixtures(&[
    "model-signing/v0.2.0.p256.sig",
    "model-signing/v0.3.1.sig",
    "model-signing/v1.1.1.sig",
    "model-signing/v1.1.1.blake3.sig",
    "model-signing/v1.1.1.shards.sig",
]);

pub(super) const PREDICATE: Target = Target::new("predicate", |bytes| {
    for name in PredicateType::names() {
        let kind: PredicateType = name.parse().expect("it is known");
        let _ = predicate::read(bytes, &kind);
    }
    if let Ok(value) = serde_json::from_slice(bytes) {
        let _ = Revocations::read(&value);
    }
})
.fixtures(&["cosign/slsa.json"])
.seeds(&[
    br#"{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[{"type":"machine-learning-model","name":"m"}]}"#,
    br#"{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"m","dataLicense":"CC0-1.0","documentNamespace":"https://example.com","creationInfo":{"created":"2026-01-01T00:00:00Z","creators":["Tool: t"]}}"#,
    br#"{"verifier":{"id":"https://example.com"},"timeVerified":"2026-01-01T00:00:00Z","resourceUri":"a","policy":{"uri":"b"},"verificationResult":"PASSED","verifiedLevels":["SLSA_BUILD_LEVEL_3"]}"#,
    br#"{"result":"PASSED","configuration":[{"uri":"a","digest":{"sha256":"ab"}}],"url":"https://example.com","passedTests":["a"],"failedTests":[]}"#,
    br#"{"version":7,"issued":"2026-01-01T00:00:00Z","expires":"2026-02-01T00:00:00Z","entries":[]}"#,
]);

pub(super) const LEGACY_LAYER: Target = Target::new("legacy-layer", |bytes| {
    let Ok(layer) = Layer::parse_record(bytes) else {
        return;
    };
    let written = layer.to_record().expect("it was read");
    assert_eq!(
        Layer::parse_record(&written).expect("it was written"),
        layer
    );
    layer.claimed_predicate_type();
    if let Ok(bundle) = layer.bundle() {
        let written = bundle.to_bytes().expect("it was read");
        assert_eq!(Bundle::parse(&written).expect("it was written"), bundle);
    }
});

pub(super) const SIMPLE_SIGNING: Target = Target::new("simple-signing", |bytes| {
    if let Ok(claim) = SimpleSigning::parse(bytes) {
        let written = claim.to_bytes().expect("it was read");
        assert_eq!(
            SimpleSigning::parse(&written).expect("it was written"),
            claim
        );
        claim.into_statement().to_bytes().expect("it was read");
    }
})
.fixtures(&["cosign/legacy/sig.payload.json"]);
