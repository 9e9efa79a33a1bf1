//! Starting again: with what is there, without a network, and with what is newer.

use crate::site::{Gate, REFERENCE, assert_served, push, site};
use crate::support::command::Workspace;

const TRUSTED: &[(&str, &str)] = &[("MODEL_KEY", "cosign.pub")];

/// Returns a workspace in which `gate` has served the model once.
fn served(gate: Gate) -> (Workspace, String) {
    let at = site();
    let pinned = push(&at, "cosign.key");
    assert_served(&at, gate, &gate.serve(&at, REFERENCE, TRUSTED));
    (at, pinned)
}

/// Returns the inode of the weights, which a pull would replace.
fn inode(at: &Workspace, gate: Gate) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let weights = at.path(gate.place()).join("model.safetensors");
    std::fs::metadata(weights).unwrap().ino()
}

#[test]
fn a_restart_fetches_nothing_while_the_tag_stays() {
    for gate in Gate::ALL {
        let (at, _) = served(gate);
        let before = inode(&at, gate);
        assert_served(&at, gate, &gate.serve(&at, REFERENCE, TRUSTED));
        assert_eq!(inode(&at, gate), before);
    }
}

#[test]
fn a_restart_by_digest_needs_no_registry_and_one_by_tag_does() {
    for gate in Gate::ALL {
        let (at, pinned) = served(gate);
        std::fs::remove_dir_all(at.path("store")).unwrap();
        assert_served(&at, gate, &gate.serve(&at, &pinned, TRUSTED));
        gate.serve(&at, REFERENCE, TRUSTED)
            .refused(5, "file-not-found");
    }
}

#[test]
fn a_tag_that_moved_is_followed_if_what_it_means_is_signed() {
    for gate in Gate::ALL {
        let (at, pinned) = served(gate);
        at.write("model/config.json", r#"{"architectures":["NewModel"]}"#);
        at.run(&["push", REFERENCE, "model"]).ok();
        gate.serve(&at, REFERENCE, TRUSTED)
            .refused(3, "signature-missing");
        let old = std::fs::read_to_string(at.path(gate.place()).join("config.json")).unwrap();
        assert!(old.contains("BertModel"), "{gate:?} replaced it: {old}");

        push(&at, "cosign.key");
        assert_served(&at, gate, &gate.serve(&at, REFERENCE, TRUSTED));
        let new = std::fs::read_to_string(at.path(gate.place()).join("config.json")).unwrap();
        assert!(new.contains("NewModel"), "{gate:?} served {new}");

        // And back, to the digest that was pinned.
        assert_served(&at, gate, &gate.serve(&at, &pinned, TRUSTED));
    }
}

#[test]
fn a_new_key_replaces_what_the_old_one_signed() {
    for gate in Gate::ALL {
        let (at, _) = served(gate);
        push(&at, "other.key");
        let other = [("MODEL_KEY", "other.pub")];
        assert_served(&at, gate, &gate.serve(&at, REFERENCE, &other));
    }
}

#[test]
fn an_init_container_brings_the_model_and_starts_nothing() {
    let at = site();
    push(&at, "cosign.key");
    let script =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/deploy/entrypoint");
    let model = at.path("site/model").display().to_string();
    let mut command = at.prepared(std::process::Command::new(script));
    let settings = [
        ("MODEL", REFERENCE),
        ("MODEL_DIR", model.as_str()),
        ("MODEL_KEY", "cosign.pub"),
    ];
    let brought = crate::site::run(&at, &mut command, &settings);
    assert_eq!(brought.ok(), "");
    assert_eq!(at.tree("site/model"), at.tree("model"));
    for (name, value, told) in [
        ("MODEL", "", "MODEL does not say"),
        ("MODEL_DIR", "models", "not an absolute path"),
    ] {
        let refused = crate::site::run(&at, command.env(name, value), &[]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains(told), "{refused:?}");
        command.envs(settings);
    }
}
