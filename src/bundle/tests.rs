use super::*;

fn good() -> Bundle {
    let hint = PublicKeyHint {
        hint: "h".to_owned(),
    };
    let material = Material {
        public_key: Some(hint),
        ..Material::default()
    };
    Bundle::new(b"{}", b"sig", material)
}

fn json() -> String {
    String::from_utf8(good().to_bytes().unwrap()).unwrap()
}

#[test]
fn is_written_as_cosign_writes_it() {
    assert_eq!(
        json(),
        r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"h"}},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"c2ln"}]}}"#
    );
    assert_eq!(Bundle::parse(json().as_bytes()).unwrap(), good());
}

#[test]
fn encodes_as_the_protocol_says() {
    let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
    assert_eq!(
        encoded,
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
}

#[test]
fn an_encoding_is_read_back_and_nothing_else_is() {
    for payload in ["", "{}", "a b"] {
        let message = pre_authentication_encoding(IN_TOTO, payload.as_bytes());
        assert_eq!(statement_of(&message), Some(payload.as_bytes()));
        assert_eq!(statement_of(&[&message, &b" "[..]].concat()), None);
    }
    assert_eq!(
        statement_of(&pre_authentication_encoding("text", b"{}")),
        None
    );
    assert_eq!(statement_of(b""), None);
}

#[test]
fn refuses_what_it_does_not_understand() {
    let with = |from: &str, to: &str| {
        let text = json().replace(from, to);
        assert_ne!(text, json());
        Bundle::parse(text.as_bytes()).and_then(|bundle| bundle.envelope().cloned())
    };
    let sig = r#"{"sig":"c2ln"}"#;
    for (from, to, reason) in [
        ("{\"media", "{\"x\":1,\"media", Reason::BundleInvalid),
        ("\"payload\"", "\"x\":1,\"payload\"", Reason::BundleInvalid),
        (sig, "", Reason::BundleInvalid),
        (sig, &format!("{sig},{sig}"), Reason::BundleInvalid),
        ("e30=", "e30", Reason::BundleInvalid),
        ("e30=", "!!!!", Reason::BundleInvalid),
        (
            "in-toto+json",
            "in-toto+json; x",
            Reason::PayloadTypeMismatch,
        ),
        ("in-toto+json", "In-Toto+json", Reason::PayloadTypeMismatch),
        (
            "bundle.v0.3+json",
            "bundle.v0.4+json",
            Reason::BundleUnsupported,
        ),
        (
            "\"dsseEnvelope\"",
            "\"messageSignature\":{\"signature\":\"\"},\"dsseEnvelope\"",
            Reason::BundleInvalid,
        ),
        (
            "{\"hint\":\"h\"}",
            "{\"hint\":\"h\"},\"certificate\":{\"rawBytes\":\"\"}",
            Reason::BundleInvalid,
        ),
        (
            "\"publicKey\":{\"hint\":\"h\"}",
            "\"x509CertificateChain\":{\"certificates\":[]}",
            Reason::BundleInvalid,
        ),
    ] {
        assert_eq!(with(from, to).unwrap_err().reason(), reason, "{to}");
    }
    with("bundle.v0.3+json", "bundle+json;version=0.3").unwrap();
    with(sig, r#"{"sig":"c2ln","keyid":""}"#).unwrap();
    with(sig, r#"{"sig":"c2ln","keyid":null}"#).unwrap();
}
#[test]
fn every_version_is_read_and_written_as_itself() {
    for (spelling, version, written) in [
        ("bundle.v0.3+json", Version::V03, "bundle.v0.3+json"),
        ("bundle+json;version=0.3", Version::V03, "bundle.v0.3+json"),
        (
            "bundle+json;version=0.2",
            Version::V02,
            "bundle+json;version=0.2",
        ),
        (
            "bundle+json;version=0.1",
            Version::V01,
            "bundle+json;version=0.1",
        ),
    ] {
        let text = json().replace("bundle.v0.3+json", spelling);
        let bundle = Bundle::parse(text.as_bytes()).expect(spelling);
        assert_eq!(bundle.version(), version);
        let bytes = String::from_utf8(bundle.to_bytes().unwrap()).unwrap();
        assert_eq!(bytes, json().replace("bundle.v0.3+json", written));
    }
}

#[test]
fn a_signature_on_bytes_is_read_and_is_no_statement() {
    let digest = Digest::of(b"x");
    let bundle = Bundle::of_message(&digest, b"sig", Material::default());
    let bytes = bundle.to_bytes().unwrap();
    assert_eq!(Bundle::parse(&bytes).unwrap(), bundle);
    let error = bundle.envelope().unwrap_err();
    assert_eq!(error.reason(), Reason::BundleUnsupported);
    let Content::Message(message) = bundle.content() else {
        panic!("it is not a signature on bytes");
    };
    assert!(!message.contradicts(&digest) && message.contradicts(&Digest::of(b"y")));
}

#[test]
fn more_evidence_than_any_honest_bundle_has_is_refused_before_it_is_looked_at() {
    let entry = r#"{"logId":{"keyId":""},"kindVersion":{"kind":"dsse","version":"0.0.1"},"inclusionProof":{"rootHash":"","treeSize":"1","hashes":[HASHES],"checkpoint":{"envelope":"NOTE"}},"canonicalizedBody":""}"#;
    let entries = |count: usize, hashes: usize, note: usize| {
        let hashes = vec![r#""""#; hashes].join(",");
        let entry = entry
            .replace("HASHES", &hashes)
            .replace("NOTE", &"x".repeat(note));
        format!(
            r#""tlogEntries":[{}]"#,
            vec![entry.as_str(); count].join(",")
        )
    };
    let timestamps = |count: usize, size: usize| {
        let token = format!(r#"{{"signedTimestamp":"{}"}}"#, "AAAA".repeat(size / 3));
        let tokens = vec![token.as_str(); count].join(",");
        format!(r#""timestampVerificationData":{{"rfc3161Timestamps":[{tokens}]}}"#)
    };
    let chain = |count: usize, size: usize| {
        let certificate = format!(r#"{{"rawBytes":"{}"}}"#, "AAAA".repeat(size / 3));
        let certificates = vec![certificate.as_str(); count].join(",");
        format!(r#""x509CertificateChain":{{"certificates":[{certificates}]}}"#)
    };
    for (good, bad) in [
        (entries(32, 1, 1), entries(33, 1, 1)),
        (entries(1, 64, 1), entries(1, 65, 1)),
        (entries(1, 1, 16 << 10), entries(1, 1, (16 << 10) + 1)),
        (timestamps(32, 3), timestamps(33, 3)),
        (timestamps(1, 65_535), timestamps(1, 65_538)),
        (chain(16, 3), chain(17, 3)),
        (chain(1, 65_535), chain(1, 65_538)),
    ] {
        let with = |material: &str| {
            let text = json().replace(r#""publicKey":{"hint":"h"}"#, material);
            Bundle::parse(text.as_bytes())
        };
        with(&good).unwrap();
        let error = with(&bad).unwrap_err();
        assert_eq!(error.reason(), Reason::BundleInvalid, "{error}");
    }
}

#[test]
fn numbers_are_read_as_protobuf_writes_them_and_are_never_negative() {
    let with = |index: &str| {
        let entry = format!(
            r#"{{"logIndex":{index},"logId":{{"keyId":""}},"kindVersion":{{"kind":"dsse","version":"0.0.1"}},"canonicalizedBody":""}}"#
        );
        let material = format!(r#""tlogEntries":[{entry}]"#);
        let text = json().replace(r#""publicKey":{"hint":"h"}"#, &material);
        Bundle::parse(text.as_bytes()).map(|b| b.material().tlog_entries[0].log_index)
    };
    assert_eq!(with("7").unwrap(), 7);
    assert_eq!(with("\"9223372036854775807\"").unwrap(), i64::MAX as u64);
    for bad in [
        "-1",
        "\"-1\"",
        "\"9223372036854775808\"",
        "1.5",
        "\"x\"",
        "null",
    ] {
        let error = with(bad).unwrap_err();
        assert_eq!(error.reason(), Reason::BundleInvalid, "{bad}");
    }
}
