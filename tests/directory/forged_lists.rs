//! Lists that a trusted signer signed, and that no honest tool writes: each is refused before any
//! file is looked at.

use std::path::Path;

use modelctl::bundle::{Bundle, IN_TOTO, pre_authentication_encoding};
use modelctl::digest::Hasher;
use modelctl::error::Reason;
use modelctl::model_signature::list;
use modelctl::progress::silent;
use modelctl::referrer::RawBundle;
use modelctl::sign::{Signer, sign_written};
use serde_json::{Value, json};

use crate::model_signature::{model, options, signer, tree, verified};

/// Changes a list, whose root is then made to fit.
type Forgery = fn(&mut Value);

/// Returns the list of the files in `model`, as it would be signed.
async fn listed(model: &Path) -> Value {
    let contents = list(model, &tree(), silent()).await.unwrap();
    serde_json::from_slice(&contents.to_bytes().unwrap()).unwrap()
}

/// Makes the subject the digest of the listed digests.
fn seal(statement: &mut Value) {
    let mut hasher = Hasher::default();
    for resource in statement["predicate"]["resources"].as_array().unwrap() {
        let digest = resource["digest"].as_str().unwrap();
        hasher.update(&hex::decode(digest).unwrap());
    }
    statement["subject"][0]["digest"] = json!({"sha256": hasher.finish().hex()});
}

/// Signs bytes as a statement, whatever they say.
async fn signed(payload: &str) -> Vec<RawBundle> {
    let message = pre_authentication_encoding(IN_TOTO, payload.as_bytes());
    let (signature, material) = signer("p256").sign(&message).await.unwrap();
    let bundle = Bundle::new(payload.as_bytes(), &signature, material);
    vec![RawBundle::new(bundle.to_bytes().unwrap().into())]
}

fn resources(statement: &mut Value) -> &mut Vec<Value> {
    statement["predicate"]["resources"].as_array_mut().unwrap()
}

const FORGERIES: [(&str, Forgery); 16] = [
    ("a name that leads up", |s| {
        s["predicate"]["resources"][0]["name"] = json!("../config.json");
    }),
    ("a name that leads up and down again", |s| {
        s["predicate"]["resources"][0]["name"] = json!("onnx/../../model/config.json");
    }),
    ("an absolute name", |s| {
        s["predicate"]["resources"][0]["name"] = json!("/etc/passwd");
    }),
    ("an empty name", |s| {
        s["predicate"]["resources"][0]["name"] = json!("")
    }),
    ("a file twice", |s| {
        let twice = resources(s)[0].clone();
        resources(s).push(twice);
    }),
    ("a file twice, spelled otherwise", |s| {
        let mut twice = resources(s)[0].clone();
        twice["name"] = json!(format!("./{}", twice["name"].as_str().unwrap()));
        resources(s).push(twice);
    }),
    ("no files", |s| resources(s).clear()),
    ("a second subject", |s| {
        let more = json!({"name": "other", "digest": {"sha256": "00"}});
        s["subject"].as_array_mut().unwrap().push(more);
    }),
    ("a subject without a digest of the right kind", |s| {
        s["predicate"]["serialization"]["hash_type"] = json!("md5");
    }),
    ("a file that is ignored too", |s| {
        let name = resources(s)[0]["name"].clone();
        s["predicate"]["serialization"]["ignore_paths"] = json!([name]);
    }),
    ("everything ignored", |s| {
        s["predicate"]["serialization"]["ignore_paths"] = json!(["."]);
    }),
    ("an ignored path outside", |s| {
        s["predicate"]["serialization"]["ignore_paths"] = json!(["../other"]);
    }),
    ("an absolute ignored path", |s| {
        s["predicate"]["serialization"]["ignore_paths"] = json!(["/"]);
    }),
    ("no serialization", |s| {
        s["predicate"]["serialization"] = json!(null)
    }),
    ("a digest in capitals", |s| {
        let digest = s["predicate"]["resources"][0]["digest"]
            .as_str()
            .unwrap()
            .to_uppercase();
        s["predicate"]["resources"][0]["digest"] = json!(digest);
    }),
    ("another statement's version", |s| {
        s["_type"] = json!("https://in-toto.io/Statement/v0.1");
    }),
];

#[tokio::test]
async fn a_forged_list_is_refused_whoever_signed_it() {
    let (_around, model) = model();
    let honest = listed(&model).await.to_string();
    verified(&model, &signed(&honest).await, &options())
        .await
        .unwrap();
    for (what, forgery) in FORGERIES {
        let mut statement = listed(&model).await;
        forgery(&mut statement);
        seal(&mut statement);
        let bundles = signed(&statement.to_string()).await;
        let refusal = verified(&model, &bundles, &options())
            .await
            .expect_err(what);
        assert_eq!(
            refusal.reason(),
            Reason::StatementInvalid,
            "{what}: {refusal}"
        );
        // Nor is it signed.
        let unsigned = sign_written(statement.to_string().as_bytes(), &signer("p256")).await;
        assert_eq!(
            unsigned.unwrap_err().reason(),
            Reason::StatementInvalid,
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_list_that_can_be_read_in_two_ways_is_refused() {
    let (_around, model) = model();
    let honest = listed(&model).await.to_string();
    for (what, from, to) in [
        (
            "two lists",
            r#""resources":"#,
            r#""resources":[],"resources":"#,
        ),
        (
            "two names",
            r#""name":"config.json""#,
            r#""name":"evil","name":"config.json""#,
        ),
        (
            "two types",
            r#""predicateType":"#,
            r#""predicateType":"https://example.com/other","predicateType":"#,
        ),
    ] {
        assert!(honest.contains(from), "{what}: {honest}");
        let bundles = signed(&honest.replacen(from, to, 1)).await;
        let refusal = verified(&model, &bundles, &options())
            .await
            .expect_err(what);
        assert_eq!(
            refusal.reason(),
            Reason::StatementInvalid,
            "{what}: {refusal}"
        );
    }
}

#[tokio::test]
async fn a_root_binds_no_names_and_so_is_not_all_that_is_compared() {
    let (_around, model) = model();
    let mut statement = listed(&model).await;
    let root = statement["subject"].clone();
    // The digests stay in their order, so that the root stays the same.
    let names: Vec<Value> = resources(&mut statement)
        .iter()
        .map(|r| r["name"].clone())
        .collect();
    for (resource, name) in resources(&mut statement).iter_mut().zip(names.iter().rev()) {
        resource["name"] = name.clone();
    }
    seal(&mut statement);
    assert_eq!(statement["subject"], root);
    let bundles = signed(&statement.to_string()).await;
    let refusal = verified(&model, &bundles, &options()).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::FilesMismatch);
    // Another root than the list's.
    let mut statement = listed(&model).await;
    statement["subject"][0]["digest"]["sha256"] = json!("0".repeat(64));
    let bundles = signed(&statement.to_string()).await;
    let refusal = verified(&model, &bundles, &options()).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::StatementInvalid);
}
