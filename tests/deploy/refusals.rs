//! What no gate lets pass: nothing is started, and nothing is left behind.

use crate::site::{Gate, REFERENCE, assert_served, push, record, site};
use crate::support::command::Workspace;

/// How a model that is asked for is not as it should be.
struct Wrong {
    what: &'static str,
    /// Makes it so, of a signed model in the store.
    prepare: fn(&Workspace),
    settings: &'static [(&'static str, &'static str)],
    code: i32,
    reason: &'static str,
}

const TRUSTED: &[(&str, &str)] = &[("MODEL_KEY", "cosign.pub")];

/// Makes the model one that nobody signed.
fn unsign(at: &Workspace) {
    std::fs::remove_dir_all(at.path("store")).unwrap();
    at.run(&["push", REFERENCE, "model"]).ok();
}

/// Changes a byte of the weights in the store.
fn spoil(at: &Workspace) {
    let weights = std::fs::read(at.path("model/model.safetensors")).unwrap();
    let digest = modelctl::digest::Digest::of(&weights);
    let blob = at.path("store/blobs/sha256").join(digest.hex());
    let mut changed = weights;
    *changed.last_mut().unwrap() ^= 1;
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(blob, changed).unwrap();
}

fn nothing(_: &Workspace) {}

const WRONG: [Wrong; 7] = [
    Wrong {
        what: "nobody signed it",
        prepare: unsign,
        settings: TRUSTED,
        code: 3,
        reason: "signature-missing",
    },
    Wrong {
        what: "another key signed it",
        prepare: nothing,
        settings: &[("MODEL_KEY", "other.pub")],
        code: 3,
        reason: "untrusted-signer",
    },
    Wrong {
        what: "it lacks an attestation",
        prepare: nothing,
        settings: &[
            ("MODEL_KEY", "cosign.pub"),
            ("MODEL_REQUIRE", "slsaprovenance1"),
        ],
        code: 3,
        reason: "attestation-missing",
    },
    Wrong {
        what: "its weights are others in the registry",
        prepare: spoil,
        settings: TRUSTED,
        code: 4,
        reason: "digest-mismatch",
    },
    Wrong {
        what: "it is not said who is trusted",
        prepare: nothing,
        settings: &[],
        code: 2,
        reason: "nothing-to-verify-against",
    },
    Wrong {
        what: "the key file is not there",
        prepare: nothing,
        settings: &[("MODEL_KEY", "missing.pub")],
        code: 2,
        reason: "key-invalid",
    },
    Wrong {
        what: "there is no such model",
        prepare: |at| std::fs::write(at.path("store/index.json"), EMPTY).unwrap(),
        settings: TRUSTED,
        code: 5,
        reason: "reference-not-found",
    },
];

const EMPTY: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

#[test]
fn nothing_is_started_and_nothing_left_behind_when_a_model_is_refused() {
    for gate in Gate::ALL {
        for wrong in WRONG {
            let at = site();
            push(&at, "cosign.key");
            (wrong.prepare)(&at);
            let outcome = gate.serve(&at, REFERENCE, wrong.settings);
            let told = format!("{gate:?}, {}: {outcome:?}", wrong.what);
            assert_eq!(
                (outcome.code, outcome.reason()),
                (wrong.code, wrong.reason),
                "{told}"
            );
            assert!(outcome.stderr.contains("not starting"), "{told}");
            assert_eq!(record(&at), None, "a server was started: {told}");
            assert_eq!(at.tree("site"), [], "left behind: {told}");
        }
    }
}

#[test]
fn a_model_that_is_signed_is_served_with_its_files_and_arguments() {
    for gate in Gate::ALL {
        let at = site();
        push(&at, "cosign.key");
        let outcome = gate.serve(&at, REFERENCE, TRUSTED);
        assert_served(&at, gate, &outcome);
    }
}

#[test]
fn a_model_that_was_changed_since_it_was_pulled_is_neither_served_nor_replaced() {
    let changes: [fn(&Workspace, &str); 3] = [
        |at, place| at.write(&format!("{place}/config.json"), "{}"),
        |at, place| at.write(&format!("{place}/modeling.py"), "import os"),
        |at, place| {
            std::fs::remove_file(at.path(&format!("{place}/model.safetensors"))).unwrap();
        },
    ];
    for gate in Gate::ALL {
        for change in changes {
            let at = site();
            push(&at, "cosign.key");
            assert_served(&at, gate, &gate.serve(&at, REFERENCE, TRUSTED));
            change(&at, gate.place());
            let changed = at.tree("site");
            let outcome = gate.serve(&at, REFERENCE, TRUSTED);
            outcome.refused(4, "directory-changed");
            assert_eq!(record(&at), None, "a server was started: {outcome:?}");
            assert_eq!(at.tree("site"), changed);
        }
    }
}

/// Whoever can write to the volume can put the old size and times back; every byte is read.
#[test]
fn a_change_that_the_file_system_does_not_tell_is_found() {
    for gate in Gate::ALL {
        let at = site();
        push(&at, "cosign.key");
        assert_served(&at, gate, &gate.serve(&at, REFERENCE, TRUSTED));
        let place = gate.place();
        let (config, receipt) = (
            format!("{place}/config.json"),
            format!("{place}/.modelctl/receipt.json"),
        );
        let old = stamp(&at, &config);
        let content = std::fs::read_to_string(at.path(&config)).unwrap();
        std::fs::write(at.path(&config), content.replace("Bert", "Evil")).unwrap();
        let text = std::fs::read_to_string(at.path(&receipt)).unwrap();
        let forged = std::iter::zip(old, stamp(&at, &config))
            .fold(text.clone(), |text, (old, new)| text.replace(&old, &new));
        assert_ne!(text, forged, "the receipt has no such stamp");
        at.write(&receipt, forged);
        let shallow = [
            "verify",
            &at.path(place).display().to_string(),
            "--key",
            "cosign.pub",
        ]
        .map(str::to_owned);
        at.run(&shallow.each_ref().map(String::as_str)).ok();
        gate.serve(&at, REFERENCE, TRUSTED)
            .refused(4, "directory-changed");
        assert_eq!(record(&at), None);
    }
}

/// Returns what a receipt says of a file: its times, which are unlike any other's.
fn stamp(at: &Workspace, name: &str) -> [String; 2] {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(at.path(name)).unwrap();
    let time = |seconds: i64, nanoseconds: i64| (seconds * 1_000_000_000 + nanoseconds).to_string();
    [
        time(metadata.mtime(), metadata.mtime_nsec()),
        time(metadata.ctime(), metadata.ctime_nsec()),
    ]
}

#[test]
fn a_model_of_someone_who_is_not_trusted_any_more_is_not_served() {
    for gate in Gate::ALL {
        let at = site();
        push(&at, "cosign.key");
        assert_served(&at, gate, &gate.serve(&at, REFERENCE, TRUSTED));
        let other = [("MODEL_KEY", "other.pub")];
        let outcome = gate.serve(&at, REFERENCE, &other);
        outcome.refused(3, "untrusted-signer");
        assert_eq!(record(&at), None, "a server was started: {outcome:?}");
    }
}

/// A shell starts `vllm serve "$(false)"` all the same, with an empty argument.
#[test]
fn a_substitution_in_an_argument_starts_the_server_but_an_assignment_does_not() {
    let at = site();
    push(&at, "cosign.key");
    let pull = "modelctl pull oci:./store:v1 ./out --verify --key other.pub";
    for (line, starts) in [
        (format!(r#"set -e; vllm serve "$({pull})""#), true),
        (format!(r#"model=$({pull}) && vllm serve "$model""#), false),
    ] {
        let mut command = at.prepared(std::process::Command::new("sh"));
        command.args(["-c", &line]);
        let outcome = crate::site::run(&at, &mut command, &[]);
        assert_eq!(record(&at).is_some(), starts, "{line}: {outcome:?}");
    }
}
