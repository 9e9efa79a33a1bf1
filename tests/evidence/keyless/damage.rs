//! What can be missing from a keyless signature's evidence, or wrong with it.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[test]
fn evidence_that_is_missing_or_altered_is_refused_for_what_is_wrong_with_it() {
    let trust = trusting(&json(ROOT), named(IDENTITY, ISSUER));
    let (rekor1, rekor2) = (json(REKOR1), json(REKOR2));
    let no_last_line = |note: &Value| {
        let note = note.as_str().unwrap().trim_end();
        let (head, line) = note.rsplit_once(' ').unwrap();
        json!(format!(
            "{head} {}\n",
            flipped(&json!(line)).as_str().unwrap()
        ))
    };
    let none = |_: &Value| json!([]);
    for (what, bundle, reason) in [
        (
            "no entry",
            altered(&rekor1, ENTRIES, none),
            Reason::LogEntryMissing,
        ),
        (
            "no entry",
            altered(&rekor2, ENTRIES, none),
            Reason::LogEntryMissing,
        ),
        (
            "promise",
            altered(&rekor1, PROMISE, flipped),
            Reason::LogEntryInvalid,
        ),
        (
            "checkpoint",
            altered(&rekor1, CHECKPOINT, no_last_line),
            Reason::LogEntryInvalid,
        ),
        (
            "checkpoint",
            altered(&rekor2, CHECKPOINT, no_last_line),
            Reason::LogEntryInvalid,
        ),
        (
            "no proof",
            without(&rekor1, ENTRY, "inclusionProof"),
            Reason::LogEntryInvalid,
        ),
        (
            "a second entry that nothing proves",
            altered(&rekor1, ENTRIES, |entries| {
                let bare = without(&entries[0], "", "inclusionProof");
                json!([entries[0], without(&bare, "", "inclusionPromise")])
            }),
            Reason::LogEntryInvalid,
        ),
        (
            "index",
            altered(&rekor2, &format!("{ENTRY}/logIndex"), |_| json!("5")),
            Reason::LogEntryInvalid,
        ),
        (
            "time",
            altered(&rekor1, &format!("{ENTRY}/integratedTime"), |_| {
                json!("1795217000")
            }),
            Reason::LogEntryInvalid,
        ),
        (
            "no promise, and so no time",
            without(&rekor1, ENTRY, "inclusionPromise"),
            Reason::TimeUnproven,
        ),
        (
            "timestamp",
            altered(&rekor2, TOKEN, flipped),
            Reason::TimestampInvalid,
        ),
        (
            "no timestamp",
            altered(&rekor2, TIMESTAMPS, |_| json!({})),
            Reason::TimestampMissing,
        ),
        (
            "another's timestamp",
            altered(&rekor1, TIMESTAMPS, |_| {
                rekor2.pointer(TIMESTAMPS).unwrap().clone()
            }),
            Reason::TimestampInvalid,
        ),
        (
            "another's entry",
            altered(&rekor2, ENTRIES, |_| {
                rekor1.pointer(ENTRIES).unwrap().clone()
            }),
            Reason::LogEntryInvalid,
        ),
        (
            "signature",
            altered(&rekor1, "/messageSignature/signature", flipped),
            Reason::SignatureInvalid,
        ),
        (
            "another authority's certificate",
            json("keyless/stranger.rekor1.sigstore.json"),
            Reason::CertificateInvalid,
        ),
        (
            "a key's",
            altered(
                &without(&rekor1, "/verificationMaterial", "certificate"),
                "/verificationMaterial",
                |m| {
                    let mut material = m.clone();
                    material["publicKey"] = json!({"hint": ""});
                    material
                },
            ),
            Reason::UntrustedSigner,
        ),
    ] {
        let error = verify(&trust, &bundle).expect_err(what);
        assert_eq!(error.reason(), reason, "{what}: {error}");
    }
    verify(&trust, &rekor1).unwrap();
    verify(&trust, &rekor2).unwrap();
    let text = Blob::Bytes(b"another text");
    let error = trust
        .authenticate_blob(&parsed(&rekor1).unwrap(), text)
        .unwrap_err();
    assert_eq!(error.reason(), Reason::SubjectMismatch);
}

#[test]
fn an_instance_is_trusted_for_what_it_is() {
    let good = json(ROOT);
    let none = |_: &Value| json!([]);
    for (bundle, list, reason) in [
        (REKOR1, "/ctlogs", Reason::CertificateTimestampInvalid),
        (REKOR1, "/tlogs", Reason::LogEntryInvalid),
        (
            REKOR1,
            "/certificateAuthorities",
            Reason::CertificateInvalid,
        ),
        (REKOR2, "/timestampAuthorities", Reason::TimestampInvalid),
    ] {
        let trust = trusting(&altered(&good, list, none), named(IDENTITY, ISSUER));
        let error = verify(&trust, &json(bundle)).unwrap_err();
        assert_eq!(error.reason(), reason, "{list}: {error}");
    }
    let ended = |_: &Value| json!({"start": "2024-01-01T00:00:00Z", "end": "2024-01-02T00:00:00Z"});
    let ended = altered(&good, "/tlogs/1/publicKey/validFor", ended);
    let trust = trusting(&ended, named(IDENTITY, ISSUER));
    let error = verify(&trust, &json(REKOR1)).unwrap_err();
    assert_eq!(error.reason(), Reason::LogEntryInvalid);
}

/// Returns `bundle` and `trusted_root` with another log key, which signed another time.
fn promised_at(seconds: i64, bundle: &Value, trusted_root: &Value) -> (Value, Value) {
    let key = generate();
    let id = Digest::of(key.public_key().spki());
    let entry = bundle.pointer(ENTRY).unwrap();
    let index: i64 = entry["logIndex"].as_str().unwrap().parse().unwrap();
    let body = entry["canonicalizedBody"].as_str().unwrap();
    let promise = format!(
        r#"{{"body":"{body}","integratedTime":{seconds},"logID":"{}","logIndex":{index}}}"#,
        id.hex()
    );
    let promise = STANDARD.encode(key.sign(promise.as_bytes()).unwrap());
    let key_id = json!({"keyId": STANDARD.encode(id.as_bytes())});
    let bundle = altered(bundle, PROMISE, |_| json!(promise));
    let bundle = altered(&bundle, &format!("{ENTRY}/integratedTime"), |_| {
        json!(seconds.to_string())
    });
    let bundle = altered(&bundle, &format!("{ENTRY}/logId"), |_| key_id.clone());
    let spki = STANDARD.encode(key.public_key().spki());
    let root = altered(trusted_root, "/tlogs/0/publicKey/rawBytes", |_| json!(spki));
    (bundle, altered(&root, "/tlogs/0/logId", |_| key_id.clone()))
}

#[test]
fn a_clock_that_is_behind_is_named_as_such() {
    let good = json("keyless/cosign.sign.bundle.json");
    let refusal = |seconds| {
        let (bundle, root) = promised_at(seconds, &good, &json(COSIGN_ROOT));
        let trust = trusting(&root, named(IDENTITY, COSIGN_ISSUER));
        trust.authenticate(&parsed(&bundle).unwrap()).unwrap_err()
    };
    let early = refusal(4_000_000_000);
    assert_eq!(early.reason(), Reason::LogEntryInvalid);
    assert!(early.message().contains("clock is behind"), "{early}");
    assert!(early.message().contains("2096-10-02"), "{early}");
    // The same promise of a time that has come: the certificate was not valid then.
    let past = refusal(1_710_000_000);
    assert_eq!(past.reason(), Reason::CertificateInvalid);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_changed_byte_never_makes_it_someone_elses(place in any::<Index>(), byte in any::<u8>()) {
        for name in [REKOR1, REKOR2, "keyless/model.rekor2.sig"] {
            let mut bytes = fixture(name);
            let at = place.index(bytes.len());
            bytes[at] = byte;
            let Ok(bundle) = Bundle::parse(&bytes) else { continue };
            let text = fixture("keyless/art.txt");
            let outcome = match bundle.envelope() {
                Ok(_) => PRIVATE.authenticate(&bundle).map(|found| found.signer().clone()),
                Err(_) => PRIVATE
                    .authenticate_blob(&bundle, Blob::Bytes(&text))
                    .map(|found| found.signer().clone()),
            };
            if let Ok(SignerIdentity::Keyless { identity, issuer, .. }) = outcome {
                prop_assert_eq!((identity.as_str(), issuer.as_str()), (IDENTITY, ISSUER));
            }
        }
    }
}
