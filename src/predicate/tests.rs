use super::*;
use serde_json::json;

fn resolve(text: &str) -> PredicateType {
    text.parse().expect(text)
}

fn refusal(name: &str, predicate: &Value) -> String {
    let error = check(&resolve(name), predicate).expect_err(&predicate.to_string());
    assert_eq!(error.reason(), Reason::PredicateInvalid, "{name}");
    assert!(error.advice().is_some(), "{name}");
    error.message().to_owned()
}

/// Returns a predicate of each type that has every field that is looked at.
fn full(name: &str) -> Value {
    let time = "2026-01-31T12:00:00Z";
    let hex = "0".repeat(64);
    let resource = json!({"name": "n", "uri": "u", "digest": {"sha256": hex, "gitCommit": "00"}});
    match name {
        "custom" => json!({"Data": "anything", "Timestamp": time}),
        "slsaprovenance" => json!({
            "builder": {"id": "b"},
            "buildType": "t",
            "invocation": {"configSource": {"uri": "u", "digest": {"sha1": "00"}}},
            "metadata": {"buildStartedOn": time, "completeness": {"materials": true}},
            "materials": [{"uri": "u", "digest": {"sha256": hex}}],
        }),
        "slsaprovenance1" => json!({
            "buildDefinition": {
                "buildType": "t",
                "externalParameters": {},
                "internalParameters": {"a": 1},
                "resolvedDependencies": [resource],
            },
            "runDetails": {
                "builder": {"id": "b", "version": {"c": "1"}},
                "metadata": {"invocationId": "i", "startedOn": time, "finishedOn": time},
                "byproducts": [resource],
            },
        }),
        "spdx" => json!({"spdxVersion": "SPDX-2.3", "name": "n"}),
        "cyclonedx" => {
            json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "n"}]})
        }
        "link" => json!({
            "_type": "link", "name": "step", "materials": {"a b": {"sha256": hex}},
            "products": {}, "byproducts": {}, "command": ["make"], "environment": {},
        }),
        "vuln" => json!({
            "invocation": {"parameters": [], "uri": "", "event_id": "", "builder.id": "b"},
            "scanner": {"uri": "u", "version": "1", "db": {"uri": "u"}, "result": {}},
            "metadata": {"scanStartedOn": time, "scanFinishedOn": time},
        }),
        "openvex" => {
            json!({"@context": "https://openvex.dev/ns/v0.2.0", "timestamp": time, "statements": [{}]})
        }
        "testresult" => json!({
            "result": "PASSED", "configuration": [resource], "url": "u",
            "passedTests": ["a"], "warnedTests": [], "failedTests": ["b"],
        }),
        "vsa" => json!({
            "verifier": {"id": "v", "version": {"c": "1"}}, "timeVerified": time,
            "resourceUri": "r", "policy": {"uri": "p", "digest": {"sha256": hex}},
            "inputAttestations": [resource], "verificationResult": "PASSED",
            "verifiedLevels": ["SLSA_BUILD_LEVEL_1"], "dependencyLevels": {}, "slsaVersion": "1.2",
        }),
        other => panic!("no predicate of type {other}"),
    }
}

#[test]
fn short_names_stand_for_the_uris_that_cosign_gives_them() {
    for (name, uri) in [
        ("custom", "https://cosign.sigstore.dev/attestation/v1"),
        ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
        ("slsaprovenance02", "https://slsa.dev/provenance/v0.2"),
        ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
        ("spdx", "https://spdx.dev/Document"),
        ("spdxjson", "https://spdx.dev/Document"),
        ("cyclonedx", "https://cyclonedx.org/bom"),
        ("link", "https://in-toto.io/Link/v1"),
        ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
        ("openvex", "https://openvex.dev/ns"),
        (
            "testresult",
            "https://in-toto.io/attestation/test-result/v0.1",
        ),
        ("vsa", "https://slsa.dev/verification_summary/v1"),
    ] {
        assert_eq!(resolve(name).as_str(), uri);
        assert_eq!(resolve(uri), resolve(name));
        assert!(PredicateType::names().any(|known| known == name), "{name}");
    }
    assert_eq!(PredicateType::names().count(), 12);
}

#[test]
fn any_absolute_uri_is_a_type_and_nothing_else_is() {
    for uri in [
        "https://example.com/eval/v1?x#y",
        "urn:uuid:0",
        "a+b.c-d:e",
        "HTTP://h",
    ] {
        assert_eq!(resolve(uri).as_str(), uri);
    }
    for bad in [
        "",
        "slsa",
        "SLSAProvenance1",
        "slsaprovenance1 ",
        "https:",
        "://x",
        "1a:b",
        "/example.com/eval",
        "https://example.com/a b",
        "https://example.com/\u{1b}[31m",
        "https://exämple.com",
        "ht tp:x",
    ] {
        let error = bad.parse::<PredicateType>().expect_err(bad);
        assert_eq!(error.reason(), Reason::Usage, "{bad}");
        let advice = error.advice().unwrap();
        assert!(
            PredicateType::names().all(|name| advice.contains(name)),
            "{advice}"
        );
        assert!(!error.message().contains('\u{1b}'));
    }
}

#[test]
fn a_predicate_of_every_type_passes_and_may_say_more() {
    for known in KNOWN {
        let name = known.names[0];
        let mut predicate = full(name);
        check(&resolve(name), &predicate).expect(name);
        predicate["https://example.com/extension"] = json!([1, null]);
        check(&resolve(name), &predicate).expect(name);
    }
    let spdx_3 = json!({"@context": ["https://spdx.org/rdf/3.0.1/spdx-context.jsonld"]});
    check(&resolve("spdx"), &spdx_3).unwrap();
    check(&resolve("https://example.com/x"), &json!({})).unwrap();
}

#[test]
fn a_required_field_that_is_absent_null_or_empty_is_named() {
    for (name, pointer, path) in [
        ("slsaprovenance", "/builder", "builder"),
        ("slsaprovenance", "/builder/id", "builder.id"),
        ("slsaprovenance", "/buildType", "buildType"),
        ("slsaprovenance1", "/buildDefinition", "buildDefinition"),
        (
            "slsaprovenance1",
            "/buildDefinition/buildType",
            "buildDefinition.buildType",
        ),
        (
            "slsaprovenance1",
            "/buildDefinition/externalParameters",
            "buildDefinition.externalParameters",
        ),
        ("slsaprovenance1", "/runDetails", "runDetails"),
        (
            "slsaprovenance1",
            "/runDetails/builder",
            "runDetails.builder",
        ),
        (
            "slsaprovenance1",
            "/runDetails/builder/id",
            "runDetails.builder.id",
        ),
        ("cyclonedx", "/bomFormat", "bomFormat"),
        ("cyclonedx", "/specVersion", "specVersion"),
        ("link", "/_type", "_type"),
        ("link", "/name", "name"),
        ("link", "/materials", "materials"),
        ("link", "/products", "products"),
        ("link", "/byproducts", "byproducts"),
        ("link", "/command", "command"),
        ("link", "/environment", "environment"),
        ("vuln", "/invocation", "invocation"),
        ("vuln", "/scanner", "scanner"),
        ("vuln", "/scanner/result", "scanner.result"),
        ("vuln", "/metadata/scanStartedOn", "metadata.scanStartedOn"),
        (
            "vuln",
            "/metadata/scanFinishedOn",
            "metadata.scanFinishedOn",
        ),
        ("openvex", "/@context", "@context"),
        ("openvex", "/statements", "statements"),
        ("testresult", "/result", "result"),
        ("testresult", "/configuration", "configuration"),
        ("vsa", "/verifier/id", "verifier.id"),
        ("vsa", "/resourceUri", "resourceUri"),
        ("vsa", "/policy", "policy"),
        ("vsa", "/policy/uri", "policy.uri"),
        ("vsa", "/verificationResult", "verificationResult"),
        ("vsa", "/verifiedLevels", "verifiedLevels"),
    ] {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let mut absent = full(name);
        let object = absent.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        object.remove(field).expect(pointer);
        let mut predicates = vec![absent];
        for nothing in [json!(null), json!("")] {
            let mut predicate = full(name);
            *predicate.pointer_mut(pointer).unwrap() = nothing;
            predicates.push(predicate);
        }
        for predicate in predicates {
            assert_eq!(
                refusal(name, &predicate),
                format!("`{path}` is missing"),
                "{name}"
            );
        }
    }
    let said = refusal("spdx", &json!({"name": "n", "spdxVersion": null}));
    assert_eq!(said, "the predicate has none of `spdxVersion`, `@context`");
}

#[test]
fn a_field_of_another_kind_is_named_whether_it_is_required_or_not() {
    for (name, pointer, value, said) in [
        (
            "slsaprovenance",
            "/materials/0/uri",
            json!(1),
            "`materials[0].uri` must be a string",
        ),
        (
            "slsaprovenance",
            "/metadata/completeness/materials",
            json!("yes"),
            "true or false",
        ),
        (
            "slsaprovenance1",
            "/buildDefinition",
            json!([]),
            "must be an object, and is a list",
        ),
        (
            "slsaprovenance1",
            "/buildDefinition/buildType",
            json!(1),
            "and is a number",
        ),
        (
            "slsaprovenance1",
            "/buildDefinition/externalParameters",
            json!("a"),
            "an object",
        ),
        (
            "slsaprovenance1",
            "/buildDefinition/internalParameters",
            json!(true),
            "an object",
        ),
        (
            "slsaprovenance1",
            "/buildDefinition/resolvedDependencies",
            json!({}),
            "a list",
        ),
        (
            "slsaprovenance1",
            "/buildDefinition/resolvedDependencies/0",
            json!({"name": "n"}),
            "`buildDefinition.resolvedDependencies[0]` has none of `uri`, `digest`, `content`",
        ),
        (
            "slsaprovenance1",
            "/buildDefinition/resolvedDependencies/0/digest/sha256",
            json!(format!("sha256:{}", "0".repeat(64))),
            "resolvedDependencies[0].digest.sha256` must be 64 lower-case hex digits",
        ),
        (
            "slsaprovenance1",
            "/buildDefinition/resolvedDependencies/0/digest/sha256",
            json!("A".repeat(64)),
            "must be 64 lower-case hex digits",
        ),
        (
            "slsaprovenance1",
            "/buildDefinition/resolvedDependencies/0/digest/gitCommit",
            json!(1),
            "digest.gitCommit` must be a string",
        ),
        (
            "slsaprovenance1",
            "/runDetails/builder/version/c",
            json!(1),
            "version.c` must be",
        ),
        (
            "slsaprovenance1",
            "/runDetails/metadata/startedOn",
            json!(0),
            "must be a string",
        ),
        (
            "slsaprovenance1",
            "/runDetails/metadata/finishedOn",
            json!("now"),
            "must be a time",
        ),
        ("spdx", "/spdxVersion", json!(2.3), "must be a string"),
        (
            "cyclonedx",
            "/bomFormat",
            json!("SPDX"),
            "must be CycloneDX",
        ),
        (
            "cyclonedx",
            "/components/0",
            json!("n"),
            "`components[0]` must be an object",
        ),
        ("link", "/_type", json!("layout"), "must be link"),
        (
            "link",
            "/materials/a b/sha256",
            json!("00"),
            r#"`materials["a b"].sha256` must"#,
        ),
        ("link", "/command", json!("make"), "must be a list"),
        (
            "vuln",
            "/metadata/scanStartedOn",
            json!("2026-01-31"),
            "must be a time",
        ),
        (
            "vuln",
            "/invocation/builder.id",
            json!([]),
            "must be a string",
        ),
        ("openvex", "/statements", json!({}), "must be a list"),
        (
            "testresult",
            "/result",
            json!("passed"),
            "must be PASSED or WARNED or FAILED",
        ),
        ("testresult", "/configuration", json!({}), "must be a list"),
        (
            "testresult",
            "/failedTests/0",
            json!(1),
            "`failedTests[0]` must be a string",
        ),
        ("vsa", "/timeVerified", json!("yesterday"), "must be a time"),
        (
            "vsa",
            "/verificationResult",
            json!("WARNED"),
            "must be PASSED or FAILED",
        ),
        (
            "vsa",
            "/verifiedLevels",
            json!("SLSA_BUILD_LEVEL_1"),
            "must be a list",
        ),
    ] {
        let mut predicate = full(name);
        *predicate.pointer_mut(pointer).expect(pointer) = value;
        let found = refusal(name, &predicate);
        assert!(found.contains(said), "{pointer}: {found}");
    }
}

#[test]
fn a_predicate_is_an_object_whatever_its_type() {
    for name in ["custom", "slsaprovenance1", "https://example.com/x"] {
        for bad in [json!("text"), json!([{}]), json!(null), json!(1)] {
            let said = refusal(name, &bad);
            assert!(
                said.starts_with("the predicate must be an object"),
                "{said}"
            );
        }
    }
}

#[test]
fn times_are_those_of_rfc_3339() {
    let finished = |time: &str| {
        let mut predicate = full("slsaprovenance1");
        predicate["runDetails"]["metadata"]["finishedOn"] = json!(time);
        check(&resolve("slsaprovenance1"), &predicate)
    };
    for good in [
        "2026-01-31T12:00:00Z",
        "2024-02-29T23:59:59.123456789Z",
        "2026-01-31T12:00:00+05:30",
        "2026-01-31T12:00:00.5-08:00",
    ] {
        finished(good).expect(good);
    }
    for bad in [
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00Z",
        "2026-01-31t12:00:00z",
        "20260131T120000Z",
        "2026-02-29T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00,5Z",
        "2026-01-31T12:00:00+0530",
        "2026-01-31T12:00:00+05",
        "2026-01-31T12:00:00Z[UTC]",
        "+02026-01-31T12:00:00Z",
        "2026-01-31T12:00:0\u{e9}Z",
        "1769860800",
    ] {
        assert!(finished(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_whole_statement_or_envelope_is_recognised() {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": full("slsaprovenance1"),
    });
    let envelope = json!({"payloadType": "application/vnd.in-toto+json", "payload": ""});
    let bundle = json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"});
    for name in ["custom", "slsaprovenance1", "https://example.com/x"] {
        assert!(refusal(name, &statement).contains("a whole in-toto statement"));
        assert!(refusal(name, &envelope).contains("a signed envelope"));
        assert!(refusal(name, &bundle).contains("a signed envelope"));
    }
}

#[test]
fn reads_what_cosign_attested_and_refuses_what_is_not_one_document() {
    let slsa = resolve("slsaprovenance1");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/cosign/slsa.json");
    let bytes = std::fs::read(path).unwrap();
    let predicate = read(&bytes, &slsa).unwrap();
    assert_eq!(predicate["runDetails"]["metadata"]["invocationId"], "run-1");
    for bad in [
        &b""[..],
        b"not json",
        b"{",
        b"{\"a\":1,\"a\":2}",
        b"{} {}",
        b"{}",
        b"<bom/>",
        b"\xff",
    ] {
        let error = read(bad, &slsa).expect_err(&String::from_utf8_lossy(bad));
        assert_eq!(error.reason(), Reason::PredicateInvalid);
    }
}

#[test]
fn a_predicate_beyond_the_cap_is_refused_and_one_at_it_is_not() {
    let custom = resolve("custom");
    let cap = usize::try_from(limits::PREDICATE_FILE).unwrap();
    let mut bytes = vec![b' '; cap];
    bytes[..2].copy_from_slice(b"{}");
    read(&bytes, &custom).unwrap();
    bytes.push(b' ');
    assert_eq!(
        read(&bytes, &custom).unwrap_err().reason(),
        Reason::TooLarge
    );
}

#[test]
fn numbers_are_signed_as_they_were_written() {
    // The last two were altered by a parser that rounds hastily.
    let text = r#"{"a":[0,-1,18446744073709551615,0.1,0.00005,0.9073038322028689,1.9704161150362086e+195]}"#;
    let predicate = read(text.as_bytes(), &resolve("custom")).unwrap();
    assert_eq!(predicate.to_string(), text);
}
