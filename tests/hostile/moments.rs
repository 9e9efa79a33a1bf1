//! Answers that change from one moment to the next.

use serde_json::Value;

use crate::Scene;
use crate::support::registry::Fault;

/// Pushes and signs another model under the tag `other`, and returns its digest.
fn another(scene: &Scene) -> String {
    let other = scene.reference.replace(":v1", ":other");
    scene.at.model("another");
    scene.at.write("another/README.md", "# Another model\n");
    let push = [
        "push",
        &other,
        "another",
        "--sign",
        "--key",
        "cosign.key",
        "--json",
    ];
    let pushed: Value = scene.at.run(&push).json();
    pushed["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_tag_that_moves_is_looked_up_once() {
    for moved_at in ["/manifests/sha256-", "/referrers/", "/blobs/"] {
        let scene = Scene::new();
        let other = another(&scene);
        scene.registry.forget_requests();
        let moved = other.clone();
        let mover = Fault::on("GET", moved_at).times(1);
        let mover = mover.calls(move |state| state.put_tag("acme/bert", "v1", &moved));
        scene.registry.fault(mover);
        scene.twin_passes();
        assert_eq!(scene.registry.tag("acme/bert", "v1"), Some(other));
        assert_eq!(scene.registry.count("*", "/manifests/v1"), 1, "{moved_at}");

        // Who asks anew gets what is there now, and that is signed too.
        let again = [
            "pull",
            &scene.reference,
            "again",
            "--verify",
            "--key",
            "cosign.pub",
        ];
        scene.at.run(&again).ok();
        assert_eq!(scene.at.tree("another"), scene.at.tree("again"));
    }
}

#[test]
fn a_digest_beats_the_tag_beside_it() {
    let scene = Scene::new();
    let other = another(&scene);
    scene.registry.put_tag("acme/bert", "v1", &other);
    let both = format!("{}@{}", scene.reference, scene.digest);
    scene
        .at
        .run(&["pull", &both, "out", "--verify", "--key", "cosign.pub"])
        .ok();
    assert_eq!(scene.at.tree("model"), scene.at.tree("out"));
}

#[test]
fn a_signature_that_is_taken_away_is_missed() {
    let scene = Scene::with_tag_schema();
    let list = format!("sha256-{}", &scene.digest["sha256:".len()..]);
    let kept = scene.registry.tag("acme/bert", &list).unwrap();
    scene.registry.remove_tag("acme/bert", &list);
    scene.pull().refused(3, "signature-missing");
    scene.no_trace("stripped");
    scene.registry.put_tag("acme/bert", &list, &kept);
    scene.twin_passes();
}

#[test]
fn a_pulled_model_outlives_the_signatures_in_the_registry() {
    let scene = Scene::new();
    scene.twin_passes();
    for digest in scene.registry.manifests("acme/bert") {
        scene.registry.remove_manifest("acme/bert", &digest);
    }
    let again = ["pull", &scene.reference, "again"];
    scene.at.run(&again).refused(5, "reference-not-found");
    let verify = ["verify", "./out", "--key", "cosign.pub", "--deep"];
    scene.at.run(&verify).ok();
    scene.at.write("out/README.md", "# Altered\n");
    scene.at.run(&verify).refused(4, "directory-changed");
}

#[test]
fn anothers_signature_is_not_the_models() {
    let scene = Scene::with_tag_schema();
    let other = another(&scene);
    let list = |digest: &str| format!("sha256-{}", &digest["sha256:".len()..]);
    let others = scene.registry.tag("acme/bert", &list(&other)).unwrap();
    let own = scene
        .registry
        .tag("acme/bert", &list(&scene.digest))
        .unwrap();
    scene
        .registry
        .put_tag("acme/bert", &list(&scene.digest), &others);
    scene.pull().refused(3, "signature-missing");
    assert!(!scene.at.path("out").exists());
    scene
        .registry
        .put_tag("acme/bert", &list(&scene.digest), &own);
    scene.twin_passes();
}
