//! What a pull takes from the cache, and what it shares with it.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use crate::support::registry::{Action, Fault, Gate};
use crate::{LARGE, Scene, at_once, inode, number};

#[test]
fn what_was_pulled_once_is_not_fetched_again() {
    let scene = Scene::new();
    scene.push("v1", 2, &[]);
    let size = scene.size("v1");
    let (first, _) = scene.pull("v1", "a", &[]);
    assert_eq!(
        (
            number(&first, "fetchedBytes"),
            number(&first, "reusedBytes")
        ),
        (size, 0)
    );
    scene.registry.forget_requests();
    for (target, more) in [("b", &[][..]), ("a", &["--force"])] {
        let (again, _) = scene.pull("v1", target, more);
        assert_eq!(number(&again, "fetchedBytes"), 0);
        assert_eq!(number(&again, "reusedBytes"), size);
        assert_eq!(number(&again, "reusedFiles"), 4);
    }
    assert_eq!(scene.asked(), 0);
    // Without the cache everything is fetched, and with another one too.
    for more in [
        &["--no-cache", "--force"][..],
        &["--cache-dir", "other", "--force"],
    ] {
        let (fetched, _) = scene.pull("v1", "a", more);
        assert_eq!(number(&fetched, "fetchedBytes"), size);
    }
    let variable = [("MODELCTL_CACHE", "other")];
    let pull = ["pull", &scene.reference("v1"), "c", "--json"];
    let found = scene.at.run_with(&pull, &variable, "").json();
    assert_eq!(number(&found, "fetchedBytes"), 0);
}

#[test]
fn of_a_new_version_only_what_changed_is_fetched() {
    let scene = Scene::new();
    scene.push("v1", 8, &[]);
    scene.push("v2", 8, &[5]);
    scene.pull("v1", "model", &[]);
    scene.registry.forget_requests();
    let (report, sent) = scene.pull("v2", "model", &["--force"]);
    let file = scene
        .at
        .path("model-v2/5.safetensors")
        .metadata()
        .unwrap()
        .len();
    assert_eq!(number(&report, "fetchedBytes"), file);
    assert_eq!(scene.asked(), 1);
    assert!(sent <= file, "{sent}");
}

#[test]
fn pulls_of_one_model_at_once_fetch_each_blob_once() {
    let scene = Scene::new();
    scene.push("v1", 3, &[]);
    at_once(["a", "b", "c"], |target| {
        drop(scene.pull("v1", target, &[]))
    });
    assert_eq!(scene.asked(), 5);
}

#[test]
fn equal_files_of_a_model_are_fetched_once() {
    let scene = Scene::new();
    for name in ["1", "2", "3"] {
        let weights = crate::safetensors(&crate::noise(LARGE, 7));
        scene
            .at
            .write(&format!("model-v1/{name}.safetensors"), weights);
    }
    scene.push("v1", 0, &[]);
    scene.pull("v1", "model", &[]);
    assert_eq!(scene.asked(), 3);
}

#[test]
fn another_pull_waits_for_a_slow_one_and_goes_on_when_that_dies() {
    let scene = Scene::new();
    scene.push("v1", 1, &[]);
    let (gate, size) = (Gate::after(LARGE / 2), scene.size("v1"));
    let slow = Fault::on("GET", "/blobs/").does(Action::Hold(gate.clone()));
    scene.registry.fault(slow);
    let reference = scene.reference("v1");
    let mut first = scene
        .at
        .start(&["pull", &reference, "a", "--concurrency", "1"], &[]);
    gate.wait();
    while scene.cached() < LARGE as u64 / 2 {
        std::thread::yield_now();
    }
    scene.registry.clear_faults();
    scene.registry.forget_requests();
    let second = scene.at.start(
        &["pull", &reference, "b", "--json", "--concurrency", "1"],
        &[],
    );
    // It has the manifest, and must wait.
    while scene.registry.count("GET", "/manifests/") == 0 {
        std::thread::yield_now();
    }
    assert_eq!(scene.asked(), 0);
    first.kill().unwrap();
    first.wait().unwrap();
    let second = crate::Outcome::of(second);
    second.ok();
    assert_eq!(
        number(&second.json(), "fetchedBytes"),
        size - LARGE as u64 / 2
    );
    assert_eq!(scene.at.tree("model-v1"), scene.at.tree("b"));
}

#[test]
fn files_are_shared_with_the_cache_and_edits_of_them_are_noticed() {
    let scene = Scene::new();
    scene.push("v1", 1, &[]);
    scene.pull("v1", "a", &[]);
    scene.pull("v1", "b", &[]);
    let (a, b) = (
        scene.at.path("a/0.safetensors"),
        scene.at.path("b/0.safetensors"),
    );
    let is_linked = inode(&a) == inode(&b);
    let mode = a.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & 0o222 == 0, is_linked, "{mode:o}");
    let (config, other) = (
        scene.at.path("a/config.json"),
        scene.at.path("b/config.json"),
    );
    assert_ne!(
        inode(&config),
        inode(&other),
        "what people edit is their own"
    );
    std::fs::write(&config, "{}").unwrap();

    // As its owner can, whatever its mode.
    std::fs::set_permissions(&a, Permissions::from_mode(0o644)).unwrap();
    let mut file = File::options().append(true).open(&a).unwrap();
    file.write_all(b"x").unwrap();
    drop(file);
    scene.registry.forget_requests();
    scene.pull("v1", "c", &[]);
    assert_eq!(scene.asked(), usize::from(is_linked));
    let verify = |directory: &str| {
        scene
            .at
            .run(&["verify", directory, "--key", "cosign.pub"])
            .code
    };
    scene.at.run(&["generate-key-pair"]).ok();
    for (directory, expected) in [("./a", 3), ("./c", 3)] {
        // Nobody signed it, which is said first.
        assert_eq!(verify(directory), expected);
    }
}

#[test]
fn later_pulls_and_removals_do_not_make_an_earlier_model_changed() {
    let scene = Scene::new();
    scene.push("v1", 2, &[]);
    scene.at.run(&["generate-key-pair"]).ok();
    scene
        .at
        .run(&["sign", &scene.reference("v1"), "--key", "cosign.key"])
        .ok();
    let verified = ["--verify", "--key", "cosign.pub"];
    scene.pull("v1", "a", &verified);
    let hashed = |more: &[&str]| {
        let verify = ["verify", "./a", "--key", "cosign.pub", "--json"];
        let outcome = scene.at.run(&[&verify[..], more].concat());
        outcome.ok();
        number(&outcome.json(), "hashedBytes")
    };
    assert_eq!(hashed(&[]), 0);
    scene.pull("v1", "b", &verified);
    assert_eq!(hashed(&[]), 0, "a link more");
    std::fs::remove_dir_all(scene.at.path("b")).unwrap();
    scene.at.run(&["cache", "prune"]).ok();
    assert_eq!(hashed(&[]), 0, "two links less");
    assert_eq!(hashed(&["--deep"]), scene.size("v1"));

    let weights = scene.at.path("a/1.safetensors");
    std::fs::set_permissions(&weights, Permissions::from_mode(0o644)).unwrap();
    let mut bytes = std::fs::read(&weights).unwrap();
    bytes[LARGE / 2] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let verify = scene.at.run(&["verify", "./a", "--key", "cosign.pub"]);
    verify.refused(4, "directory-changed");
}

#[test]
fn the_cache_tells_what_is_in_it_and_can_be_emptied() {
    let scene = Scene::new();
    scene.push("v1", 2, &[]);
    let info = || scene.at.run(&["cache", "info", "--json"]).json();
    assert_eq!(number(&info(), "blobs"), 0);
    scene.pull("v1", "model", &[]);
    let full = info();
    assert_eq!(full["schema"], "modelctl.cache-info/v1");
    assert_eq!(number(&full, "blobs"), 4);
    assert_eq!(number(&full, "blobBytes"), scene.size("v1"));
    assert_eq!(number(&full, "partials"), 0);
    assert!(scene.at.run(&["cache", "info"]).ok().contains("4 files"));

    let prune = |more: &[&str]| {
        let prune = ["cache", "prune", "--json"];
        scene.at.run(&[&prune[..], more].concat()).json()
    };
    assert_eq!(number(&prune(&["--max-size", "1GiB"]), "removed"), 0);
    let left = number(&prune(&["--max-size", "2MB"]), "leftBytes");
    assert!((1..=2_000_000).contains(&left), "{left}");
    assert_eq!(number(&prune(&[]), "leftBytes"), 0);
    assert_eq!(scene.at.tree("model-v1"), scene.at.tree("model"));
    let wrong = scene.at.run(&["cache", "prune", "--max-size", "much"]);
    assert_eq!(wrong.code, 2);
}
