//! Signatures and attestations by key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use modelctl::bundle::{IN_TOTO, pre_authentication_encoding};
use modelctl::digest::Digest;
use modelctl::error::Reason;
use modelctl::legacy::{Kind, Layer, SimpleSigning, image, is_record};
use modelctl::manifest::media_type::MANIFEST;
use modelctl::manifest::{Annotations, Descriptor, Document};
use modelctl::referrer::RawBundle;
use modelctl::statement::{self, Statement};
use modelctl::trust::Format;
use serde_json::{Value, json};

use crate::bench::{
    SIGNATURE, SUBJECT, attestation, cosign, fixture, generate, judge, layer, location, payload,
    reason, signature, signed, stored, trusting,
};

const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

#[test]
fn what_cosign_stored_is_authenticated_with_its_key() {
    let subject: Digest = SUBJECT.parse().unwrap();
    for (layer, predicate_type) in [
        (signature(), statement::SIGNATURE),
        (attestation(), PROVENANCE),
    ] {
        let found = cosign().authenticate_legacy(&layer).unwrap();
        assert_eq!(found.statement().predicate_type, predicate_type);
        assert!(found.statement().is_about(&subject));
        assert!(!found.statement().is_about(&Digest::of(b"")));
        assert_eq!(
            (found.format(), found.witnesses()),
            (Format::Legacy, &[][..])
        );
        assert_eq!(
            layer.claimed_predicate_type().as_deref(),
            Some(predicate_type)
        );
        let stranger = trusting(&generate()).authenticate_legacy(&layer);
        assert_eq!(reason(stranger), Reason::UntrustedSigner);
    }
}

#[test]
fn an_image_is_written_as_cosign_writes_it() {
    let subject: Digest = SUBJECT.parse().unwrap();
    let at = location("127.0.0.1:5002/stack/c25");
    let claim = SimpleSigning::new(&subject, &at, serde_json::Map::new());
    assert_eq!(signature().content(), &claim.to_bytes().unwrap());
    let bundle = attestation().bundle().unwrap();
    let rewritten = Layer::of_attestation(&bundle).unwrap();
    assert_eq!(rewritten, attestation());
    let bundle = signature().bundle().unwrap();
    let signature = Layer::of_signature(signature().content(), &bundle).unwrap();
    for (name, layer) in [("sig", signature), ("att", rewritten)] {
        let (manifest, config) = image(vec![layer.descriptor()]);
        let read = |part: &str| fixture(&format!("cosign/legacy/{name}.{part}.json"));
        let theirs = Document::parse(&read("manifest"), MANIFEST, "it").unwrap();
        assert_eq!(Document::Manifest(manifest), theirs);
        assert_eq!(config, read("config"));
    }
}

#[test]
fn a_signature_counts_for_its_own_artifact_only() {
    let key = generate();
    let (digest, other) = (Digest::of(b"a"), Digest::of(b"b"));
    let layer = signed(&key, &payload(&digest));
    let judged = |artifact| judge(artifact, trusting(&key).authenticate_legacy(&layer));
    let verdict = judged(&digest);
    assert!(verdict.admits());
    assert_eq!(verdict.evidence()[0].format, Format::Legacy);
    let (_, reason) = judged(&other).first_unmet().unwrap();
    assert_eq!(reason, Reason::SubjectMismatch);
}

/// Returns what stands in JSON at `pointer`, put through `change`.
fn changed(payload: &[u8], change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(payload).unwrap();
    change(&mut json);
    serde_json::to_vec(&json).unwrap()
}

#[test]
fn what_is_signed_must_be_one_clear_payload() {
    let key = generate();
    let digest = Digest::of(b"a");
    let good = payload(&digest);
    let text = String::from_utf8(good.clone()).unwrap();
    let authenticate = |payload: &[u8]| trusting(&key).authenticate_legacy(&signed(&key, payload));
    for fine in [
        good.clone(),
        changed(&good, |json| {
            drop(json.as_object_mut().unwrap().remove("optional"))
        }),
        changed(&good, |json| json["optional"] = json!({ "tag": "v1" })),
        changed(&good, |json| {
            json["critical"]["identity"]["docker-reference"] = json!("x")
        }),
    ] {
        assert!(authenticate(&fine).unwrap().statement().is_about(&digest));
    }
    let statement = Statement::signature(&digest, serde_json::Map::new());
    let statement = statement.to_bytes().unwrap();
    for (bad, expected) in [
        (
            changed(&good, |json| {
                json["critical"]["type"] = json!("atomic container signature")
            }),
            Reason::PayloadTypeMismatch,
        ),
        (
            text.replacen('{', r#"{"critical":{},"#, 1).into_bytes(),
            Reason::StatementInvalid,
        ),
        (
            changed(&good, |json| json["critical"]["more"] = json!(1)),
            Reason::StatementInvalid,
        ),
        (
            changed(&good, |json| json["more"] = json!(1)),
            Reason::StatementInvalid,
        ),
        (
            changed(&good, |json| json["critical"]["image"] = json!({})),
            Reason::StatementInvalid,
        ),
        (
            text.replace("sha256:", "sha512:").into_bytes(),
            Reason::StatementInvalid,
        ),
        ([&good[..], b"{}"].concat(), Reason::StatementInvalid),
        (statement.clone(), Reason::StatementInvalid),
        // A signature on an envelope is none on a payload, whatever it says.
        (
            pre_authentication_encoding(IN_TOTO, &good),
            Reason::StatementInvalid,
        ),
    ] {
        let shown = String::from_utf8_lossy(&bad).into_owned();
        assert_eq!(reason(authenticate(&bad)), expected, "{shown}");
    }
}

#[test]
fn a_layer_that_was_altered_is_refused() {
    let trust = cosign();
    let (good, _) = stored("sig", "payload");
    let with = |name: &str, value: &str| {
        let mut annotations = good.annotations.clone();
        annotations.insert(name.to_owned(), value.to_owned());
        layer(Kind::Signature, signature().content(), &annotations)
    };
    let other = generate().sign(signature().content()).unwrap();
    for (bad, expected) in [
        (
            layer(Kind::Signature, b"{}", &good.annotations),
            Reason::UntrustedSigner,
        ),
        (
            layer(Kind::Signature, signature().content(), &Annotations::new()),
            Reason::BundleInvalid,
        ),
        (with(SIGNATURE, "%"), Reason::BundleInvalid),
        (
            with(SIGNATURE, &STANDARD.encode(other)),
            Reason::UntrustedSigner,
        ),
        (
            with("dev.sigstore.cosign/certificate", "x"),
            Reason::BundleInvalid,
        ),
        (
            with("dev.sigstore.cosign/chain", "x"),
            Reason::BundleInvalid,
        ),
        (
            with("dev.sigstore.cosign/bundle", "{}"),
            Reason::BundleInvalid,
        ),
        (
            with("dev.sigstore.cosign/rfc3161timestamp", "{}"),
            Reason::BundleInvalid,
        ),
    ] {
        assert_eq!(reason(trust.authenticate_legacy(&bad)), expected, "{bad:?}");
    }
    // An empty annotation is none.
    trust
        .authenticate_legacy(&with("dev.sigstore.cosign/certificate", ""))
        .unwrap();
}

#[test]
fn an_envelope_that_was_altered_is_refused() {
    let good = attestation();
    let authenticate = |change: &dyn Fn(&mut Value)| {
        let content = changed(good.content(), |json| change(json));
        let layer = layer(Kind::Attestation, &content, &good.descriptor().annotations);
        cosign().authenticate_legacy(&layer)
    };
    authenticate(&|_| {}).unwrap();
    let simple = Kind::Signature.media_type();
    for (change, expected) in [
        (
            &(|json: &mut Value| json["payloadType"] = json!(simple)) as &dyn Fn(&mut Value),
            Reason::PayloadTypeMismatch,
        ),
        (
            &|json| json["payload"] = json!("e30="),
            Reason::UntrustedSigner,
        ),
        (
            &|json| json["signatures"] = json!([]),
            Reason::BundleInvalid,
        ),
        (
            &|json| {
                let one = json["signatures"][0].clone();
                json["signatures"] = json!([one, one]);
            },
            Reason::BundleInvalid,
        ),
        (&|json| json["more"] = json!(1), Reason::BundleInvalid),
    ] {
        assert_eq!(reason(authenticate(change)), expected);
    }
}

#[test]
fn only_layers_of_the_two_media_types_are_read() {
    let (good, content) = stored("sig", "payload");
    for media_type in ["application/json", "application/vnd.in-toto+json", ""] {
        let mut descriptor = Descriptor::of(media_type, &content);
        descriptor.annotations = good.annotations.clone();
        let refused = Layer::new(&descriptor, content.clone());
        assert_eq!(reason(refused), Reason::BundleUnsupported, "{media_type}");
    }
    let large = vec![b' '; (8 << 20) + 1];
    let descriptor = Descriptor::of(Kind::Signature.media_type(), &large);
    assert_eq!(
        reason(Layer::new(&descriptor, large.into())),
        Reason::TooLarge
    );
}

#[test]
fn what_is_kept_in_one_piece_is_read_back_and_changes_are_noticed() {
    for layer in [signature(), attestation()] {
        let record = layer.to_record().unwrap();
        assert!(is_record(&record));
        assert_eq!(Layer::parse_record(&record).unwrap(), layer);
        let kept = RawBundle::kept(record.clone().into());
        kept.evidence().unwrap().authenticate(&cosign()).unwrap();
        // As an attached bundle it would be in no known form.
        let attached = RawBundle::new(record.clone().into());
        assert_eq!(reason(attached.evidence()), Reason::BundleInvalid);
        for (field, value) in [
            ("data", json!("e30=")),
            ("data", json!("%")),
            ("data", json!(null)),
            ("size", json!(1)),
            ("digest", json!(SUBJECT)),
        ] {
            let bad = changed(&record, |json| json[field] = value.clone());
            assert_eq!(reason(Layer::parse_record(&bad)), Reason::BundleInvalid);
        }
    }
}
