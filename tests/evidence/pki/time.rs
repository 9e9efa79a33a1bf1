//! When a certificate counts: now, or when a trusted authority says that the signature was there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use modelctl::bundle::{Bundle, Material};
use modelctl::certificate::Certificate;
use modelctl::error::Reason;
use modelctl::limits;
use modelctl::trust::Witness;
use modelctl::trust::pki::{Pki, Signing, TimestampAuthority};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use super::{Acme, judge, pem};
use crate::authority::{Ca, authority, certificate, now, release, signer, trust};
use crate::bundles::fixture;

/// Returns the fixture's bundle with these timestamps.
fn stamped(names: &[&str]) -> Bundle {
    let timestamps = names.iter().map(|name| {
        let token = STANDARD.encode(fixture(name));
        json!({"signedTimestamp": token})
    });
    with_timestamps(json!({"rfc3161Timestamps": timestamps.collect::<Vec<_>>()})).unwrap()
}

fn with_timestamps(data: Value) -> Result<Bundle, Reason> {
    let mut bundle: Value = serde_json::from_slice(&fixture("pki/bundle.json")).unwrap();
    bundle["verificationMaterial"]["timestampVerificationData"] = data;
    Bundle::parse(&serde_json::to_vec(&bundle).unwrap()).map_err(|error| error.reason())
}

fn timestamping(name: &str) -> TimestampAuthority {
    let chain = Certificate::all_from_pem(&fixture(name), name).unwrap();
    TimestampAuthority::from_chain(chain).expect(name)
}

#[test]
fn the_whole_chain_must_be_valid_at_the_time_that_counts() {
    let expired = |mut params: CertificateParams| {
        params.not_after = date_time_ymd(2027, 1, 1);
        params
    };
    let future = |mut params: CertificateParams| {
        params.not_before = date_time_ymd(2028, 1, 1);
        params
    };
    let (root, between) = (|| authority("root"), || authority("intermediate"));
    for (root, between, leaf) in [
        (root(), between(), expired(signer())),
        (root(), between(), future(signer())),
        (root(), expired(between()), signer()),
        (root(), future(between()), signer()),
        (expired(root()), between(), signer()),
        (future(root()), between(), signer()),
    ] {
        assert_eq!(
            Acme::with(root, between).judge(&leaf),
            Err(Reason::CertificateExpired)
        );
    }
    assert_eq!(Acme::with(root(), between()).judge(&signer()), Ok(()));
}

#[test]
fn a_root_that_was_renewed_with_the_same_key_is_found() {
    let key = KeyPair::generate().unwrap();
    let mut params = authority("root");
    let new = Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap();
    params.not_after = date_time_ymd(2027, 1, 1);
    let old = Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let holder = KeyPair::generate().unwrap();
    let leaf = signer().signed_by(&holder, &issuer).unwrap();
    let pki = |roots| Pki::with_roots(roots, release(), now()).unwrap();
    let leaf = Certificate::from_der(leaf.der()).unwrap();
    assert!(
        pki(vec![old.clone(), new.clone()])
            .check(&leaf, &[], Signing::Anything)
            .is_ok()
    );
    let error = pki(vec![old])
        .check(&leaf, &[], Signing::Anything)
        .unwrap_err();
    assert_eq!(error.reason(), Reason::CertificateExpired);
}

#[test]
fn revocation_is_looked_at_when_lists_are_given_and_then_nothing_is_unknown() {
    let acme = Acme::new();
    let (leaf, between) = (signer(), authority("intermediate"));
    let bundle = acme.intermediate.issue(&leaf).sign();
    let judged = |lists: Vec<Vec<_>>| judge(acme.pki().and_revocations(lists.concat()), &bundle);
    let (root, issuer) = (&acme.root, &acme.intermediate);
    assert_eq!(judged(vec![]), Ok(()));
    assert_eq!(judged(vec![root.revoke(&[]), issuer.revoke(&[])]), Ok(()));
    for revoked in [
        vec![root.revoke(&[]), issuer.revoke(&[&leaf])],
        vec![root.revoke(&[&between]), issuer.revoke(&[])],
    ] {
        assert_eq!(judged(revoked), Err(Reason::CertificateRevoked));
    }
    let impostor = Ca::root(authority("intermediate"));
    for unknown in [
        vec![issuer.revoke(&[])],
        vec![root.revoke(&[])],
        vec![root.revoke(&[]), impostor.revoke(&[])],
        vec![root.revoke(&[]), issuer.revoke_in(&[], 2026)],
        vec![root.revoke(&[]), issuer.revoke_in(&[], 2028)],
    ] {
        assert_eq!(judged(unknown), Err(Reason::RevocationUnknown));
    }
}

#[test]
fn a_trusted_timestamp_proves_when_an_expired_certificate_was_valid() {
    // The certificate was valid for one day in 2026; it is judged in 2027.
    let pki = |authorities: &[&str]| {
        Pki::with_roots(vec![pem("pki/root.pem")], release(), now())
            .unwrap()
            .and_intermediates(vec![pem("pki/intermediate.pem")])
            .and_timestamping(authorities.iter().map(|name| timestamping(name)).collect())
    };
    let (tsa, other) = ("pki/tsa.pem", "pki/other-tsa.pem");
    for (authorities, timestamps, expected) in [
        (&[tsa][..], &["pki/tsa.tsr"][..], Ok(())),
        (&[other, tsa], &["pki/tsa.tsr"], Ok(())),
        (&[tsa, other], &["pki/tsa.tsr", "pki/other-tsa.tsr"], Ok(())),
        // None is trusted, or none is there: only now counts.
        (&[], &["pki/tsa.tsr"], Err(Reason::CertificateExpired)),
        (&[tsa], &[], Err(Reason::CertificateExpired)),
        // Not one may be by anybody else, or on anything else.
        (
            &[tsa],
            &["pki/other-tsa.tsr"],
            Err(Reason::TimestampInvalid),
        ),
        (
            &[tsa],
            &["pki/tsa.tsr", "pki/other-tsa.tsr"],
            Err(Reason::TimestampInvalid),
        ),
        (&[tsa], &["pki/make.sh"], Err(Reason::TimestampInvalid)),
    ] {
        assert_eq!(
            judge(pki(authorities), &stamped(timestamps)),
            expected,
            "{authorities:?} {timestamps:?}"
        );
    }
    // Who dated the signature goes with the statement, where they are believed.
    let witnesses = |authorities: &[&str]| {
        let found = trust(pki(authorities)).authenticate(&stamped(&["pki/tsa.tsr"]));
        found.map(|found| found.witnesses().to_vec())
    };
    let [Witness::Timestamp { authority, time }] = &witnesses(&[tsa]).unwrap()[..] else {
        panic!("there is one witness");
    };
    assert_eq!(authority, "CN=tsa");
    assert_eq!(time.to_string().get(..11), Some("2026-11-21T"));
    let token = json!({"signedTimestamp": STANDARD.encode(fixture("pki/tsa.tsr"))});
    for malformed in [
        json!({"rfc3161Timestamps": vec![token; limits::TIMESTAMPS + 1]}),
        json!({"rfc3161Timestamps": [{"signedTimestamp": "!"}]}),
        json!({"rfc3161Timestamps": [{}]}),
        json!({"x": 1}),
        json!(1),
    ] {
        assert_eq!(with_timestamps(malformed), Err(Reason::BundleInvalid));
    }
    // The timestamp is on another signature.
    let acme = Acme::new();
    let pki = acme.pki().and_timestamping(vec![timestamping(tsa)]);
    let material = Material {
        timestamp_verification_data: stamped(&["pki/tsa.tsr"])
            .material()
            .timestamp_verification_data
            .clone(),
        ..certificate(&acme.intermediate.issue(&signer()).certificate)
    };
    let moved = acme.intermediate.issue(&signer()).sign_with(material);
    assert_eq!(judge(pki, &moved), Err(Reason::TimestampInvalid));
}

#[test]
fn a_proven_time_counts_instead_of_now() {
    let acme = Acme::new();
    let at = |time: &str| {
        Pki::with_roots(vec![pem("pki/root.pem")], release(), time.parse().unwrap())
            .unwrap()
            .and_intermediates(vec![pem("pki/intermediate.pem")])
            .and_timestamping(vec![timestamping("pki/tsa.pem")])
    };
    // The clock does not matter once the time is proven.
    for time in [
        "1980-01-01T00:00:00Z",
        "2026-11-22T00:00:00Z",
        "2099-01-01T00:00:00Z",
    ] {
        assert_eq!(
            judge(at(time), &stamped(&["pki/tsa.tsr"])),
            Ok(()),
            "{time}"
        );
    }
    // What is revoked is not good because a timestamp is older.
    let list = acme.root.revoke(&[]);
    assert_eq!(
        judge(
            at("2027-06-01T00:00:00Z").and_revocations(list),
            &stamped(&["pki/tsa.tsr"])
        ),
        Err(Reason::RevocationUnknown)
    );
}

#[test]
fn a_timestamp_authority_is_a_whole_chain() {
    let chain = |name| Certificate::all_from_pem(&fixture(name), name).unwrap();
    let (tsa, other) = (chain("pki/tsa.pem"), chain("pki/other-tsa.pem"));
    let reversed = tsa.iter().rev().cloned().collect();
    assert!(TimestampAuthority::from_chain(reversed).is_ok());
    for bad in [
        vec![],
        tsa[..1].to_vec(),
        tsa[1..].to_vec(),
        [&tsa[..], &other[..]].concat(),
        [&tsa[..], &other[1..]].concat(),
    ] {
        let error = TimestampAuthority::from_chain(bad).unwrap_err();
        assert_eq!(error.reason(), Reason::CertificateFileInvalid);
    }
}
