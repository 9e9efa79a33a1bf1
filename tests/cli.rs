//! The command, as people and scripts use it: transcripts over a layout and an in-process registry.

mod support;

use std::path::PathBuf;

use serde_json::Value;
use support::command::Workspace;
use support::registry::{Access, Action, Auth, Bearer, Fault, Options, Referrers, Registry, User};

const SLSA: &str = r#"{"buildDefinition":{"buildType":"https://example.com/train/v1","externalParameters":{}},"runDetails":{"builder":{"id":"https://example.com/ci"}}}"#;

/// Every kind of store, by the reference to use in it; the registry must outlive the test.
fn stores() -> Vec<(Option<Registry>, String)> {
    let registry = |referrers| {
        let registry = Registry::start(Options {
            referrers,
            ..Options::default()
        });
        let reference = format!("{}/acme/bert:v1", registry.host());
        (Some(registry), reference)
    };
    vec![
        (None, "oci:./store:v1".to_owned()),
        registry(Referrers::Api),
        registry(Referrers::ApiNoSubjectHeader),
        registry(Referrers::TagSchema),
    ]
}

fn registry() -> (Registry, String) {
    let registry = Registry::start(Options::default());
    let reference = format!("{}/acme/bert:v1", registry.host());
    (registry, reference)
}

#[test]
fn a_model_travels_signed_and_comes_back_the_same() {
    for (_registry, reference) in stores() {
        let at = Workspace::with_model_and_key();
        let pushed = at.run(&["push", &reference, "model", "--sign", "--key", "cosign.key"]);
        let pinned = pushed.ok().to_owned();
        assert!(
            pinned.starts_with(&format!("{reference}@sha256:")),
            "{pinned}"
        );

        let verified = at.run(&["verify", &reference, "--key", "cosign.pub"]);
        assert_eq!(verified.ok(), pinned);
        let pulled = at.run(&["pull", &reference, "out", "--verify", "--key", "cosign.pub"]);
        assert_eq!(pulled.ok(), "out");
        assert_eq!(at.tree("model"), at.tree("out"));
        for depth in [&[][..], &["--deep"]] {
            let again = [&["verify", "./out", "--key", "cosign.pub"][..], depth].concat();
            assert_eq!(at.run(&again).code, 0, "{:?}", at.run(&again));
        }
    }
}

#[test]
fn an_attestation_is_required_found_and_not_mistaken_for_a_signature() {
    for (_registry, reference) in stores() {
        let at = Workspace::with_model_and_key();
        at.write("p.json", SLSA);
        at.run(&["push", &reference, "model"]).ok();
        let verify = ["verify", &reference, "--key", "cosign.pub"];
        at.run(&verify).refused(3, "signature-missing");
        let attest = [
            "attest",
            &reference,
            "--type",
            "slsaprovenance1",
            "--predicate",
            "p.json",
        ];
        at.run(&[&attest[..], &["--key", "cosign.key"]].concat())
            .ok();
        at.run(&verify).refused(3, "signature-missing");
        at.run(&["sign", &reference, "--key", "cosign.key"]).ok();
        at.run(&verify).ok();
        at.run(&[&verify[..], &["--require", "slsaprovenance1"]].concat())
            .ok();
        let other = at.run(&[&verify[..], &["--require", "cyclonedx"]].concat());
        other.refused(3, "attestation-missing");
    }
}

#[test]
fn signing_twice_attaches_one_signature() {
    for (_registry, reference) in stores() {
        let at = Workspace::with_model_and_key();
        at.run(&["push", &reference, "model", "--sign", "--key", "cosign.key"])
            .ok();
        let again = at
            .run(&["sign", &reference, "--key", "cosign.key", "--json"])
            .json();
        assert_eq!(again["referrers"][0]["existed"], true);
        let tree = at
            .run(&["tree", &reference, "--json", "--key", "cosign.pub"])
            .json();
        let referrers = tree["referrers"].as_array().unwrap();
        let mut types: Vec<_> = referrers
            .iter()
            .map(|r| r["predicateType"].as_str())
            .collect();
        types.sort_unstable();
        let oms = "https://model_signing/signature/v1.0";
        let sign = "https://sigstore.dev/cosign/sign/v1";
        assert_eq!(types, [Some(oms), Some(sign)]);
        assert!(referrers.iter().all(|r| r["signer"]["kind"] == "key"));
        at.run(&["generate-key-pair", "--output-key-prefix", "b"])
            .ok();
        at.run(&["sign", &reference, "--key", "b.key"]).ok();
        let both = [
            "verify",
            &reference,
            "--key",
            "b.pub",
            "--key",
            "cosign.pub",
            "--json",
        ];
        let findings = at.run(&both).json();
        assert_eq!(
            findings["findings"][0]["metBy"].as_array().unwrap().len(),
            2
        );
    }
}

#[test]
fn the_same_files_give_the_same_digest_anywhere() {
    let at = Workspace::with_model_and_key();
    at.model("elsewhere/copy");
    let digest = |reference: &str, directory: &str| {
        let json = at.run(&["push", reference, directory, "--json"]).json();
        json["digest"].as_str().unwrap().to_owned()
    };
    let (_registry, reference) = registry();
    let first = digest("oci:a:v1", "model");
    assert_eq!(first, digest("oci:a:v2", "model"));
    assert_eq!(first, digest("oci:b:x", "elsewhere/copy"));
    assert_eq!(first, digest(&reference, "elsewhere/copy"));
    at.write("elsewhere/copy/README.md", "# Another model\n");
    assert_ne!(first, digest("oci:b:x", "elsewhere/copy"));
}

#[test]
fn refusals_write_nothing_and_say_why() {
    let at = Workspace::with_model_and_key();
    let (registry, reference) = registry();
    at.run(&["push", &reference, "model"]).ok();
    at.run(&["generate-key-pair", "--output-key-prefix", "other"])
        .ok();
    let before = at.entries();
    let pull = |key: &str| at.run(&["pull", &reference, "out", "--verify", "--key", key]);

    at.run(&["pull", &reference, "out", "--verify"])
        .refused(2, "nothing-to-verify-against");
    at.run(&["pull", &reference, "out", "--key", "cosign.pub"])
        .refused(2, "usage");
    pull("nowhere.pub").refused(2, "key-invalid");
    pull("cosign.key").refused(2, "key-invalid");
    pull("cosign.pub").refused(3, "signature-missing");
    at.run(&["sign", &reference, "--key", "other.key"]).ok();
    pull("cosign.pub").refused(3, "untrusted-signer");
    let inspected = at.run(&["inspect", &reference, "--json"]).json();
    for file in inspected["files"].as_array().unwrap() {
        assert_eq!(
            registry.count("GET", file["digest"].as_str().unwrap()),
            0,
            "{file}"
        );
    }
    at.run(&["pull", &format!("{reference}x"), "out"])
        .refused(5, "reference-not-found");
    assert_eq!(at.entries(), before);

    at.run(&["sign", &reference, "--key", "cosign.key"]).ok();
    pull("cosign.pub").ok();
    pull("cosign.pub").refused(2, "target-exists");
}

#[test]
fn a_registry_that_refuses_or_fails_is_never_unsigned() {
    let at = Workspace::with_model_and_key();
    for (referrers, path) in [
        (Referrers::Api, "/referrers/"),
        (Referrers::TagSchema, "/manifests/sha256-"),
    ] {
        let registry = Registry::start(Options {
            referrers,
            ..Options::default()
        });
        let reference = format!("{}/acme/bert:v1", registry.host());
        at.run(&["push", &reference, "model", "--sign", "--key", "cosign.key"])
            .ok();
        let before = at.entries();
        let html = || "<html>sign in</html>".to_owned();
        for (status, code, reason) in [
            (401, 6, "unauthorised"),
            (403, 6, "forbidden"),
            (429, 7, "rate-limited"),
            (500, 7, "registry-failed"),
        ] {
            registry.fault(Fault::on("GET", path).does(Action::Status(status, html())));
            let pull = at.run(&["pull", &reference, "out", "--verify", "--key", "cosign.pub"]);
            pull.refused(code, reason);
            assert_eq!(at.entries(), before);
            registry.clear_faults();
        }
        at.run(&["verify", &reference, "--key", "cosign.pub"]).ok();
    }
}

#[test]
fn altered_content_is_refused_and_leaves_nothing() {
    let at = Workspace::with_model_and_key();
    let (registry, reference) = registry();
    let pushed = at.run(&[
        "push",
        &reference,
        "model",
        "--sign",
        "--key",
        "cosign.key",
        "--json",
    ]);
    let digest = pushed.json()["digest"].as_str().unwrap().to_owned();
    let before = at.entries();
    let pull = || at.run(&["pull", &reference, "out", "--verify", "--key", "cosign.pub"]);

    let inspected = at.run(&["inspect", &reference, "--json"]).json();
    let files = inspected["files"].as_array().unwrap().clone();
    let weights = files
        .iter()
        .find(|f| f["path"] == "model.safetensors")
        .unwrap();
    let weights = weights["digest"].as_str().unwrap();
    registry.fault(Fault::on("GET", weights).does(Action::Corrupt(3)));
    pull().refused(4, "digest-mismatch");
    registry.clear_faults();
    registry.fault(Fault::on("GET", weights).does(Action::ExtraBytes(3)));
    pull().refused(4, "size-mismatch");
    registry.clear_faults();
    assert_eq!(at.entries(), before);

    let manifest = registry.manifest("acme/bert", &digest).unwrap();
    let altered = String::from_utf8(manifest.bytes.to_vec())
        .unwrap()
        .replace("README", "readme");
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    // Under its old digest it does not hash to it; under its own it is another, unsigned artifact.
    registry.put_manifest_as("acme/bert", &digest, media_type, &altered);
    let by_digest = format!("{}@{digest}", reference.trim_end_matches(":v1"));
    let pinned = at.run(&["pull", &by_digest, "out", "--verify", "--key", "cosign.pub"]);
    pinned.refused(4, "digest-mismatch");
    let own = registry.put_manifest("acme/bert", media_type, &altered);
    registry.put_tag("acme/bert", "v1", &own);
    pull().refused(3, "signature-missing");
    assert_eq!(at.entries(), before);

    registry.put_manifest_as("acme/bert", &digest, media_type, &*manifest.bytes);
    registry.put_tag("acme/bert", "v1", &digest);
    pull().ok();
}

#[test]
fn stripped_and_swapped_referrers_are_refused() {
    let at = Workspace::with_model_and_key();
    let registry = Registry::start(Options {
        referrers: Referrers::TagSchema,
        ..Default::default()
    });
    let reference = format!("{}/acme/bert:v1", registry.host());
    let other = format!("{}/acme/bert:other", registry.host());
    at.run(&["push", &reference, "model", "--sign", "--key", "cosign.key"])
        .ok();
    at.write("model/README.md", "another");
    at.run(&["push", &other, "model", "--sign", "--key", "cosign.key"])
        .ok();

    let verify = || at.run(&["verify", &reference, "--key", "cosign.pub", "--no-cache"]);
    verify().ok();
    let tag = |name: &str| registry.tag("acme/bert", name).unwrap();
    let list = format!("sha256-{}", &tag("v1")["sha256:".len()..]);
    let others = format!("sha256-{}", &tag("other")["sha256:".len()..]);
    let own = tag(&list);
    registry.put_tag("acme/bert", &list, &tag(&others));
    verify().refused(3, "signature-missing");
    registry.remove_tag("acme/bert", &list);
    verify().refused(3, "signature-missing");
    registry.put_tag("acme/bert", &list, &own);
    verify().ok();
}

#[test]
fn credentials_are_asked_for_kept_and_forgotten() {
    let at = Workspace::with_model_and_key();
    let auth = Auth::Basic {
        user: "alice".to_owned(),
        password: "s3cret".to_owned(),
    };
    let registry = Registry::start(Options {
        auth,
        ..Options::default()
    });
    let reference = format!("{}/acme/bert:v1", registry.host());
    let push = ["push", &reference, "model"];
    let login = [
        "login",
        &registry.host(),
        "--username",
        "alice",
        "--password-stdin",
    ];

    at.run(&push).refused(6, "unauthorised");
    let by_flag = [&push[..], &["--username", "alice", "--password-stdin"]].concat();
    at.run_with(&by_flag, &[], "wrong")
        .refused(6, "unauthorised");
    at.run_with(&by_flag, &[], "s3cret\n").ok();
    at.run_with(&login, &[], "wrong").refused(6, "unauthorised");
    at.run(&push).refused(6, "unauthorised");
    at.run_with(&login, &[], "s3cret").ok();
    at.run(&push).ok();
    let verbose = at.run(&["push", &reference, "model", "-vv"]);
    assert!(!verbose.stderr.contains("s3cret") && !verbose.stderr.contains("YWxpY2U6czNjcmV0"));
    at.run(&["logout", &registry.host()]).ok();
    at.run(&push).refused(6, "unauthorised");
}

#[test]
fn tokens_are_fetched_for_what_is_done() {
    let at = Workspace::with_model_and_key();
    let alice = User {
        name: "alice".to_owned(),
        password: "s3cret".to_owned(),
        identity_token: None,
        access: Access::Push,
    };
    let bearer = Bearer {
        users: vec![alice],
        anonymous: Access::Pull,
        ..Bearer::default()
    };
    let registry = Registry::start(Options {
        auth: Auth::Bearer(bearer),
        ..Options::default()
    });
    let reference = format!("{}/acme/bert:v1", registry.host());
    let push = ["push", &reference, "model", "--sign", "--key", "cosign.key"];
    assert_eq!(at.run(&push).code, 6);
    let as_alice = [&push[..], &["--username", "alice", "--password-stdin"]].concat();
    at.run_with(&as_alice, &[], "s3cret").ok();
    at.run(&["pull", &reference, "out", "--verify", "--key", "cosign.pub"])
        .ok();
}

#[test]
fn copies_take_the_proof_along() {
    let at = Workspace::with_model_and_key();
    let (_from, reference) = registry();
    let to = Registry::start(Options {
        referrers: Referrers::TagSchema,
        ..Options::default()
    });
    let mirror = format!("{}/mirror/bert:v1", to.host());
    at.run(&["push", &reference, "model", "--sign", "--key", "cosign.key"])
        .ok();
    at.run(&["copy", &reference, "oci:./air:gap"]).ok();
    at.run(&["copy", "oci:./air:gap", &mirror]).ok();
    for copy in ["oci:./air:gap", &mirror] {
        at.run(&["verify", copy, "--key", "cosign.pub"]).ok();
    }
    at.run(&["copy", &reference, "oci:./bare:v1", "--no-referrers"])
        .ok();
    at.run(&["verify", "oci:./bare:v1", "--key", "cosign.pub"])
        .refused(3, "signature-missing");
    let again = at.run(&["copy", "oci:./air:gap", &mirror, "--json"]).json();
    assert_eq!(again["blobsCopied"], 0);
}

#[test]
fn tags_are_listed_and_given() {
    for (_registry, reference) in stores() {
        let at = Workspace::with_model_and_key();
        at.run(&["push", &reference, "model", "--sign", "--key", "cosign.key"])
            .ok();
        at.run(&["tag", &reference, "production"]).ok();
        let repository = reference.trim_end_matches(":v1");
        assert_eq!(at.run(&["list", repository]).ok(), "production\nv1");
        let production = format!("{repository}:production");
        at.run(&["verify", &production, "--key", "cosign.pub"]).ok();
    }
}

#[test]
fn a_subset_is_pulled_and_verified() {
    let at = Workspace::with_model_and_key();
    let (registry, reference) = registry();
    at.run(&["push", &reference, "model", "--sign", "--key", "cosign.key"])
        .ok();
    registry.forget_requests();
    let pull = ["pull", &reference, "out", "--verify", "--key", "cosign.pub"];
    at.run(&[&pull[..], &["--include", "**/*.json"]].concat())
        .ok();
    let names: Vec<_> = at.tree("out").into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["1_Pooling", "1_Pooling/config.json", "config.json"].map(PathBuf::from)
    );
    at.run(&["verify", "./out", "--key", "cosign.pub", "--deep"])
        .ok();
}

#[test]
fn a_pulled_directory_is_judged_again_offline() {
    let at = Workspace::with_model_and_key();
    at.run(&[
        "push",
        "oci:store:v1",
        "model",
        "--sign",
        "--key",
        "cosign.key",
    ])
    .ok();
    at.run(&[
        "pull",
        "oci:store:v1",
        "out",
        "--verify",
        "--key",
        "cosign.pub",
    ])
    .ok();
    std::fs::remove_dir_all(at.path("store")).unwrap();
    let verify = |key: &str| at.run(&["verify", "./out", "--key", key]);
    verify("cosign.pub").ok();
    at.run(&["generate-key-pair", "--output-key-prefix", "new"])
        .ok();
    verify("new.pub").refused(3, "untrusted-signer");
    at.run(&["verify", "./out"])
        .refused(2, "nothing-to-verify-against");
    at.write("out/README.md", "# A modeL\n");
    verify("cosign.pub").refused(4, "directory-changed");
    at.write("out/README.md", "# A model\n");
    verify("cosign.pub").ok();
    at.write("out/extra.py", "import os");
    verify("cosign.pub").refused(4, "directory-changed");
    at.run(&["verify", "./model", "--key", "cosign.pub"])
        .refused(3, "receipt-missing");
}

#[test]
fn an_unverified_pull_says_so_and_a_forced_one_replaces() {
    let at = Workspace::with_model_and_key();
    at.run(&["push", "oci:store:v1", "model"]).ok();
    let pulled = at.run(&["pull", "oci:store:v1", "out"]);
    assert!(pulled.stderr.contains("UNVERIFIED"), "{}", pulled.stderr);
    at.run(&["verify", "./out", "--key", "cosign.pub"])
        .refused(3, "signature-missing");
    at.write("model/new.txt", "new");
    at.run(&[
        "push",
        "oci:store:v2",
        "model",
        "--sign",
        "--key",
        "cosign.key",
    ])
    .ok();
    let force = [
        "pull",
        "oci:store:v2",
        "out",
        "--force",
        "--verify",
        "--key",
    ];
    at.run(&[&force[..], &["cosign.key"]].concat())
        .refused(2, "key-invalid");
    assert!(!at.path("out/new.txt").exists());
    at.run(&[&force[..], &["cosign.pub"]].concat()).ok();
    assert_eq!(at.tree("model"), at.tree("out"));
    at.write("mine/precious.txt", "keep");
    let over_mine = ["pull", "oci:store:v2", "mine", "--force"];
    at.run(&over_mine).refused(2, "target-unsuitable");
    assert!(at.path("mine/precious.txt").exists());
}

#[test]
fn json_carries_a_schema_and_a_reason() {
    let at = Workspace::with_model_and_key();
    let pushed = at.run(&["push", "oci:store:v1", "model", "--json"]).json();
    assert_eq!(pushed["schema"], "modelctl.push/v1");
    assert_eq!(pushed["files"], 4);
    let failed = at
        .run(&["verify", "oci:store:v1", "--key", "cosign.pub", "--json"])
        .json();
    assert_eq!(failed["schema"], "modelctl.verify/v1");
    assert_eq!(failed["verified"], false);
    assert_eq!(failed["error"]["reason"], "signature-missing");
    assert_eq!(failed["error"]["exitCode"], 3);
    assert_eq!(failed["findings"][0]["reason"], "signature-missing");
}

#[test]
fn predicates_are_checked_before_anything_is_sent() {
    let at = Workspace::with_model_and_key();
    at.run(&["push", "oci:store:v1", "model"]).ok();
    at.write("empty.json", "{}");
    at.write("broken.json", "{");
    at.write("p.json", SLSA);
    let attest = |kind: &str, file: &str| {
        at.run(&[
            "attest",
            "oci:store:v1",
            "--type",
            kind,
            "--predicate",
            file,
            "--key",
            "cosign.key",
        ])
    };
    attest("slsaprovenance1", "empty.json").refused(2, "predicate-invalid");
    attest("slsaprovenance1", "broken.json").refused(2, "predicate-invalid");
    assert_eq!(attest("nonsense", "p.json").code, 2);
    attest("slsaprovenance1", "missing.json").refused(5, "file-not-found");
    attest("slsaprovenance1", "p.json").ok();
    let option = "slsaprovenance1=empty.json";
    let push = [
        "push",
        "oci:new:v1",
        "model",
        "--attest",
        option,
        "--key",
        "cosign.key",
    ];
    at.run(&push).refused(2, "predicate-invalid");
    assert!(!at.path("new").exists());
}

#[test]
fn an_attestation_cannot_pass_for_a_signature() {
    let at = Workspace::with_model_and_key();
    at.run(&["push", "oci:store:v1", "model"]).ok();
    at.write("p.json", "{}");
    let attest = |kind: &str| {
        let what = ["attest", "oci:store:v1", "--type", kind];
        let how = ["--predicate", "p.json", "--key", "cosign.key"];
        at.run(&[what, how].concat())
    };
    let push = |kind: &str| {
        let option = format!("{kind}=p.json");
        let what = ["push", "oci:new:v1", "model"];
        at.run(&[&what[..], &["--attest", &option, "--key", "cosign.key"]].concat())
    };
    let (signature, other) = (
        "https://sigstore.dev/cosign/sign/v1",
        "https://sigstore.dev/cosign/sign/v2",
    );
    for refused in [attest(signature), push(signature)] {
        refused.refused(2, "predicate-invalid");
        assert!(refused.stderr.contains("`modelctl sign`"), "{refused:?}");
    }
    assert!(!at.path("new").exists());
    for accepted in [attest(other), push(other)] {
        accepted.ok();
    }
    at.run(&["verify", "oci:store:v1", "--key", "cosign.pub"])
        .refused(3, "signature-missing");
}

#[test]
fn a_key_file_is_small() {
    let at = Workspace::with_model_and_key();
    at.run(&["push", "oci:store:v1", "model"]).ok();
    for kind in ["key", "pub"] {
        let mut text = std::fs::read(at.path(&format!("cosign.{kind}"))).unwrap();
        text.resize(
            usize::try_from(modelctl::limits::LOCAL_FILE).unwrap(),
            b'\n',
        );
        at.write(&format!("largest.{kind}"), &text);
        text.push(b'\n');
        at.write(&format!("larger.{kind}"), &text);
    }
    let sign = |key: &str| at.run(&["sign", "oci:store:v1", "--key", key]);
    let verify = |key: &str| at.run(&["verify", "oci:store:v1", "--key", key]);
    sign("larger.key").refused(2, "key-invalid");
    sign("largest.key").ok();
    verify("larger.pub").refused(2, "key-invalid");
    verify("largest.pub").ok();
}

#[test]
fn a_directory_that_cannot_be_packed_leaves_no_layout_behind() {
    let at = Workspace::with_model_and_key();
    at.write("broken/model.safetensors", "not a header");
    std::fs::create_dir(at.path("empty")).unwrap();
    let before = at.entries();
    at.run(&["push", "oci:new:v1", "broken"])
        .refused(4, "header-invalid");
    at.run(&["push", "oci:new:v1", "empty"])
        .refused(4, "model-unsuitable");
    assert_eq!(at.entries(), before);
    at.run(&["push", "oci:new:v1", "model"]).ok();
}

#[test]
fn keys_come_from_files_and_the_environment() {
    let at = Workspace::with_model_and_key();
    at.run(&["generate-key-pair"]).refused(2, "target-exists");
    let locked = [("MODELCTL_PASSWORD", "s3cret")];
    let generate = ["generate-key-pair", "--output-key-prefix", "locked"];
    at.run_with(&generate, &locked, "").ok();
    at.run(&["push", "oci:store:v1", "model"]).ok();
    let sign = ["sign", "oci:store:v1", "--key", "locked.key"];
    at.run(&sign).refused(2, "key-password");
    at.run_with(&sign, &locked, "").ok();
    let text = std::fs::read_to_string(at.path("cosign.key")).unwrap();
    let by_name = ["sign", "oci:store:v1", "--key", "env://SIGNING_KEY"];
    at.run_with(&by_name, &[("SIGNING_KEY", &text)], "").ok();
    at.run(&by_name).refused(2, "key-invalid");
    at.run(&["sign", "oci:store:v1", "--key", "pkcs11:object=x"])
        .refused(2, "key-invalid");
    at.run(&["verify", "oci:store:v1", "--key", "cosign.pub"])
        .ok();
    at.run(&["verify", "oci:store:v1", "--key", "locked.pub"])
        .ok();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(at.path("cosign.key"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn every_command_explains_itself() {
    let at = Workspace::new();
    let commands = [
        "push",
        "pull",
        "sign",
        "attest",
        "verify",
        "inspect",
        "tree",
        "copy",
        "list",
        "tag",
        "login",
        "logout",
        "generate-key-pair",
        "completions",
        "man",
    ];
    for command in commands {
        let help = at.run(&[command, "--help"]);
        assert!(help.ok().contains("Usage:"), "{command}");
        assert!(help.stdout.contains("Examples:"), "{command}");
    }
    assert_eq!(at.run(&[]).code, 2);
    assert_eq!(at.run(&["push"]).code, 2);
    let usage = at.run(&["push", "--json"]);
    assert_eq!(
        (usage.code, &usage.json()["error"]["reason"]),
        (2, &Value::from("usage"))
    );
    assert_eq!(at.run(&["push", "not a reference"]).code, 2);
    assert!(at.run(&["completions", "bash"]).ok().contains("modelctl"));
    assert!(at.run(&["man"]).ok().contains(".TH modelctl"));
    let value: Value = at.run(&["completions", "zsh", "--json"]).json();
    assert_eq!(value["schema"], "modelctl.completions/v1");
}
