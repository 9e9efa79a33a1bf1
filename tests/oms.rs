//! Model signatures through the command: made with a push, demanded, given back, and never mistaken
//! for more than they are.
#![allow(clippy::unwrap_used)]

#[path = "oms/demands.rs"]
mod demands;
mod support;

use modelctl::bundle::Bundle;
use modelctl::reference::Selector;
use modelctl::referrer;
use modelctl::store::Store;
use modelctl::store::layout::{Access, Layout};
use serde_json::Value;
use support::command::Workspace;
use support::registry::{Options, Referrers, Registry};

const OMS: &str = "https://model_signing/signature/v1.0";
const REF: &str = "oci:./store:v1";
const OTHER: &str = "oci:./other:v1";
const PUSH: [&str; 6] = ["push", REF, "model", "--sign", "--key", "cosign.key"];
const PULL: [&str; 6] = ["pull", REF, "out", "--verify", "--key", "cosign.pub"];
const VERIFY: [&str; 4] = ["verify", REF, "--key", "cosign.pub"];
const VERIFY_OUT: [&str; 6] = [
    "verify",
    "./out",
    "--key",
    "cosign.pub",
    "--signature",
    "out.sig",
];

fn with<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [command, more].concat()
}

/// The predicate types of what is attached.
fn attached(at: &Workspace, reference: &str) -> Vec<String> {
    let tree = at.run(&["tree", reference, "--json"]).json();
    let referrers = tree["referrers"].as_array().unwrap().iter();
    let mut types: Vec<_> = referrers
        .map(|node| node["predicateType"].as_str().unwrap().to_owned())
        .collect();
    types.sort_unstable();
    types
}

#[test]
fn one_signing_act_makes_two_proofs_in_every_kind_of_store() {
    let registry = |referrers| {
        Registry::start(Options {
            referrers,
            ..Options::default()
        })
    };
    let registries = [Referrers::Api, Referrers::TagSchema].map(registry);
    let mut references = vec![REF.to_owned()];
    references.extend(
        registries
            .iter()
            .map(|r| format!("{}/acme/bert:v1", r.host())),
    );
    for reference in &references {
        let at = Workspace::with_model_and_key();
        at.run(&["push", reference, "model", "--sign", "--key", "cosign.key"])
            .ok();
        assert_eq!(
            attached(&at, reference),
            [OMS, "https://sigstore.dev/cosign/sign/v1"]
        );
        let verify = ["verify", reference, "--key", "cosign.pub"];
        at.run(&verify).ok();
        at.run(&with(&verify, &["--require", "oms"])).ok();
        at.run(&with(&verify, &["--require", OMS])).ok();
        // The same act again adds nothing.
        at.run(&["push", reference, "model", "--sign", "--key", "cosign.key"])
            .ok();
        assert_eq!(attached(&at, reference).len(), 2);

        let pull = ["pull", reference, "out", "--verify", "--key", "cosign.pub"];
        at.run(&with(&pull, &["--signature-out", "out.sig"])).ok();
        at.run(&VERIFY_OUT).ok();
        assert_eq!(
            std::fs::read(at.path("out.sig")).unwrap(),
            std::fs::read(at.path("out/.modelctl/model.sig")).unwrap()
        );
        at.run(&["verify", "./out", "--key", "cosign.pub"]).ok();
        at.write("out/config.json", "{}");
        at.run(&VERIFY_OUT).refused(3, "files-mismatch");
    }
}

#[test]
fn a_model_signature_counts_as_a_signature_only_where_that_is_said() {
    let at = Workspace::with_model_and_key();
    at.write("model/.gitattributes", "x");
    at.run(&["push", REF, "model"]).ok();
    at.run(&VERIFY).refused(3, "signature-missing");
    at.run(&with(&VERIFY, &["--accept-oms"]))
        .refused(3, "signature-missing");
    at.run(&["push", OTHER, "model", "--sign", "--key", "cosign.key"])
        .ok();
    attach(&at, "store", "v1", &attached_bundle(&at, OTHER));
    at.run(&VERIFY).refused(3, "signature-missing");
    at.run(&with(&VERIFY, &["--require", "oms"]))
        .refused(3, "signature-missing");
    let accepted = at.run(&with(&VERIFY, &["--accept-oms", "--json"])).json();
    assert_eq!(accepted["verified"], true);
    let evidence = &accepted["findings"][0]["metBy"][0];
    assert_eq!(evidence["predicateType"], OMS);
    let rest = [
        "the manifest's annotations",
        "its config",
        "`.gitattributes`",
    ];
    assert_eq!(evidence["notCovered"], Value::from(rest.to_vec()));
    let told = at.run(&with(&VERIFY, &["--accept-oms"])).stderr;
    assert!(
        told.contains("it does not cover the manifest's annotations, its config"),
        "{told}"
    );

    at.run(&["generate-key-pair", "--output-key-prefix", "other"])
        .ok();
    let stranger = ["verify", REF, "--key", "other.pub", "--accept-oms"];
    at.run(&stranger).refused(3, "untrusted-signer");
    at.run(&PULL).refused(3, "signature-missing");
    at.run(&with(&PULL, &["--accept-oms"])).ok();
    at.run(&["verify", "./out", "--key", "cosign.pub", "--accept-oms"])
        .ok();
    at.run(&["verify", "./out", "--key", "cosign.pub"])
        .refused(3, "signature-missing");
}

#[test]
fn a_model_signature_on_other_files_is_about_another_artifact() {
    let at = Workspace::with_model_and_key();
    at.run(&PUSH).ok();
    let first = attached_bundle(&at, REF);
    at.write("model/more", "x");
    at.run(&[
        "push",
        "oci:./store:v2",
        "model",
        "--sign",
        "--key",
        "cosign.key",
        "--no-oms",
    ])
    .ok();
    let verify = ["verify", "oci:./store:v2", "--key", "cosign.pub"];
    at.run(&verify).ok();
    at.run(&with(&verify, &["--require", "oms"]))
        .refused(3, "signature-missing");
    // The first artifact's model signature, attached to the second.
    attach(&at, "store", "v2", &first);
    at.run(&verify).ok();
    let refused = at.run(&with(&verify, &["--require", "oms"]));
    refused.refused(3, "subject-mismatch");
    assert!(
        refused.stderr.contains("`more` is not signed"),
        "{}",
        refused.stderr
    );
}

/// Attaches a bundle to what a tag in a layout names.
fn attach(at: &Workspace, layout: &str, tag: &str, bundle: &[u8]) {
    let bundle = Bundle::parse(bundle).unwrap();
    let attach = async {
        let store = Layout::open(at.path(layout), Access::Read).unwrap();
        let tagged = Selector::Tag(tag.parse().unwrap());
        let subject = store.manifest(&tagged).await.unwrap().descriptor().clone();
        let now = jiff::Timestamp::UNIX_EPOCH;
        referrer::attach(&store, &subject, &bundle, OMS, now)
            .await
            .unwrap();
    };
    tokio::runtime::Runtime::new().unwrap().block_on(attach);
}

/// Returns the bytes of the attached model signature.
fn attached_bundle(at: &Workspace, reference: &str) -> Vec<u8> {
    at.run(&["pull", reference, "first", "--signature-out", "first.sig"])
        .ok();
    std::fs::read(at.path("first.sig")).unwrap()
}

#[test]
fn a_directory_is_signed_and_its_signature_travels_with_it() {
    let at = Workspace::with_model_and_key();
    let signed = at.run(&["sign", "./model", "--key", "cosign.key"]);
    assert_eq!(signed.ok(), "./model/model.sig");
    at.run(&["sign", "./model", "--key", "cosign.key"])
        .refused(2, "target-exists");
    at.run(&["sign", "./model", "--key", "cosign.key", "--force"])
        .ok();
    let own = [
        "verify",
        "./model",
        "--signature",
        "model/model.sig",
        "--key",
        "cosign.pub",
    ];
    at.run(&own).ok();
    at.run(&PUSH).ok();
    at.run(&PULL).ok();
    let bytes = |name: &str| std::fs::read(at.path(name)).unwrap();
    assert_eq!(bytes("out/model.sig"), bytes("model/model.sig"));
    let travelled = [
        "verify",
        "./out",
        "--signature",
        "out/model.sig",
        "--key",
        "cosign.pub",
    ];
    at.run(&travelled).ok();

    at.write("model/config.json", "{}");
    at.run(&own).refused(3, "files-mismatch");
    let stale = at.run(&["push", "oci:./store:v2", "model"]);
    stale.refused(3, "files-mismatch");
    assert!(
        stale.stderr.contains("`model.sig` is stale"),
        "{}",
        stale.stderr
    );
    at.run(&["push", "oci:./store:v2", "model", "--exclude", "model.sig"])
        .ok();
    at.run(&["sign", "./model", "--key", "cosign.key", "--force"])
        .ok();
    at.run(&["push", "oci:./store:v2", "model"]).ok();
    // A file of that name that is something else is just a file.
    at.write("model/model.sig", "-----BEGIN PGP SIGNATURE-----");
    at.run(&["push", "oci:./store:v3", "model"]).ok();
}

#[test]
fn nothing_is_pushed_that_is_not_as_it_was_signed() {
    let at = Workspace::with_model_and_key();
    let push = [
        "push",
        REF,
        "model",
        "--require-signature",
        "--key",
        "cosign.pub",
    ];
    let refused = |reason: &str| {
        at.run(&push).refused(3, reason);
        let sent = std::fs::read_dir(at.path("store/blobs/sha256"));
        assert_eq!(
            sent.map_or(0, Iterator::count),
            0,
            "{reason}: something was sent"
        );
    };
    refused("signature-missing");
    at.run(&["sign", "./model", "--key", "cosign.key"]).ok();
    at.run(&push).ok();
    std::fs::remove_dir_all(at.path("store")).unwrap();

    at.write("model/evil.py", "x");
    refused("subject-mismatch");
    at.write("logs.sig", "");
    std::fs::remove_file(at.path("model/evil.py")).unwrap();
    at.run(&["generate-key-pair", "--output-key-prefix", "other"])
        .ok();
    at.run(&["sign", "./model", "--key", "other.key", "--force"])
        .ok();
    refused("untrusted-signer");
    at.write("model/model.sig", "{}");
    refused("bundle-invalid");
    // What the signer left out is vouched for by nobody.
    at.write("model/evil.py", "x");
    let ignoring = ["--force", "--ignore-paths", "model/evil.py"];
    at.run(&with(
        &["sign", "./model", "--key", "cosign.key"],
        &ignoring,
    ))
    .ok();
    refused("subject-mismatch");
    at.run(&with(&push, &["--exclude", "evil.py"])).ok();
}

#[test]
fn a_push_can_demand_one_signature_and_make_another() {
    let at = Workspace::with_model_and_key();
    at.run(&["generate-key-pair", "--output-key-prefix", "theirs"])
        .ok();
    at.run(&[
        "sign",
        "./model",
        "--signature",
        "their.sig",
        "--key",
        "theirs.key",
    ])
    .ok();
    let push = with(&PUSH, &["--require-signature", "--signature", "their.sig"]);
    at.run(&push).refused(2, "nothing-to-verify-against");
    at.run(&with(&push, &["--signed-by", "cosign.pub"]))
        .refused(3, "untrusted-signer");
    at.run(&with(&push, &["--signed-by", "theirs.pub"])).ok();
    at.run(&VERIFY).ok();
}

#[test]
fn a_signature_is_given_back_before_anything_is_fetched_or_not_at_all() {
    let at = Workspace::with_model_and_key();
    at.run(&[
        "push",
        REF,
        "model",
        "--sign",
        "--key",
        "cosign.key",
        "--no-oms",
    ])
    .ok();
    let out = ["--signature-out", "out.sig"];
    at.run(&with(&PULL, &out)).refused(3, "signature-missing");
    assert!(!at.path("out").exists() && !at.path("out.sig").exists());
    // It is made from the layers' digests: no file is read, for none is there.
    std::fs::remove_dir_all(at.path("model")).unwrap();
    at.run(&["sign", REF, "--key", "cosign.key", "--oms"]).ok();
    at.write("out.sig", "mine");
    at.run(&with(&PULL, &out)).refused(2, "target-exists");
    assert!(!at.path("out").exists());
    std::fs::remove_file(at.path("out.sig")).unwrap();
    at.run(&with(&PULL, &out)).ok();
    at.run(&VERIFY_OUT).ok();
    // A part of a model is not what the list says, and does not keep it.
    at.run(&[
        "pull",
        REF,
        "part",
        "--verify",
        "--key",
        "cosign.pub",
        "--include",
        "*.json",
    ])
    .ok();
    assert!(!at.path("part/.modelctl/model.sig").exists());
}

#[test]
fn flags_that_would_do_nothing_are_refused() {
    let at = Workspace::with_model_and_key();
    at.run(&PUSH).ok();
    for useless in [
        &["sign", REF, "--key", "cosign.key", "--signature", "x"][..],
        &["sign", REF, "--key", "cosign.key", "--force"],
        &["sign", "./model", "--key", "cosign.key", "--oms"],
        &["sign", "./model", "--key", "cosign.key", "-a", "k=v"],
        &["verify", REF, "--key", "cosign.pub", "--allow-symlinks"],
        &[
            "verify",
            "./model",
            "--key",
            "cosign.pub",
            "--signature",
            "x",
            "--accept-oms",
        ],
        &[
            "verify",
            "./model",
            "--key",
            "cosign.pub",
            "--signature",
            "x",
            "--require",
            "oms",
        ],
        &[
            "verify",
            "./model",
            "--key",
            "cosign.pub",
            "--ignore-unsigned-files",
        ],
        &["push", REF, "model", "--signature", "x"],
    ] {
        assert_eq!(at.run(useless).code, 2, "{useless:?}");
    }
    let missing = [
        "verify",
        "./model",
        "--key",
        "cosign.pub",
        "--signature",
        "missing.sig",
    ];
    at.run(&missing).refused(5, "file-not-found");
}

#[test]
fn keys_that_make_no_model_signatures_still_sign_artifacts() {
    let at = Workspace::with_model_and_key();
    let keys = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/keys");
    let key = keys.join("ed25519.key").display().to_string();
    let public = keys.join("ed25519.pub").display().to_string();
    let pushed = at.run(&["push", REF, "model", "--sign", "--key", &key]);
    pushed.ok();
    assert!(
        pushed.stderr.contains("need an ECDSA key"),
        "{}",
        pushed.stderr
    );
    at.run(&["verify", REF, "--key", &public]).ok();
    at.run(&["sign", "./model", "--key", &key])
        .refused(2, "key-invalid");
}
