//! Caches that cannot be used, lie, or are taken away: a pull goes on without.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use crate::support::registry::{Action, Fault, Gate};
use crate::{LARGE, Scene, number};

#[test]
fn a_cache_that_cannot_be_used_is_done_without() {
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 6] = [
        ("a file", |cache| std::fs::write(cache, "").unwrap()),
        ("a file above it", |cache| {
            std::fs::remove_dir_all(cache.parent().unwrap()).unwrap();
            std::fs::write(cache.parent().unwrap(), "").unwrap();
        }),
        ("everybody's", |cache| {
            std::fs::create_dir(cache).unwrap();
            std::fs::set_permissions(cache, Permissions::from_mode(0o777)).unwrap();
        }),
        ("another user's", |cache| {
            std::fs::create_dir(cache).unwrap();
            // Only root can give it away; for others it is one more that everybody may write.
            match chown(cache, Some(65_534), None) {
                Ok(()) => {}
                Err(_) => std::fs::set_permissions(cache, Permissions::from_mode(0o777)).unwrap(),
            }
        }),
        ("without its shelves", |cache| {
            std::fs::create_dir(cache).unwrap();
            std::fs::write(cache.join("ingest"), "").unwrap();
        }),
        ("elsewhere below", |cache| {
            std::fs::create_dir(cache).unwrap();
            symlink("/nowhere", cache.join("blobs")).unwrap();
        }),
    ];
    let scene = Scene::new();
    scene.push("v1", 1, &[]);
    for (number, (name, spoil)) in spoils.into_iter().enumerate() {
        let home = scene.at.path("home");
        let _ = std::fs::remove_dir_all(&home);
        std::fs::create_dir_all(scene.cache().parent().unwrap()).unwrap();
        spoil(&scene.cache());
        let target = format!("model-{number}");
        let outcome = scene.try_pull("v1", &target, &[]);
        outcome.ok();
        let notes = outcome.stderr.matches("the cache is not used").count();
        assert_eq!(notes, 1, "{name}: {}", outcome.stderr);
        assert_eq!(scene.at.tree("model-v1"), scene.at.tree(&target), "{name}");
    }
}

#[test]
fn without_a_home_there_is_no_cache_and_a_pull_all_the_same() {
    let scene = Scene::new();
    scene.push("v1", 1, &[]);
    let reference = scene.reference("v1");
    let pull = ["pull", &reference, "model"];
    let outcome = scene.at.run_with(&pull, &[("HOME", "/proc/none")], "");
    outcome.ok();
    assert!(outcome.stderr.contains("the cache is not used"));
}

#[test]
fn damaged_blobs_are_fetched_again_and_said_so() {
    let scene = Scene::new();
    scene.push("v1", 2, &[]);
    scene.pull("v1", "a", &["--concurrency", "1"]);
    std::fs::remove_dir_all(scene.at.path("a")).unwrap();
    for entry in scene.cache().join("blobs/sha256").read_dir().unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[3] ^= 1;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    scene.registry.forget_requests();
    let (report, _) = scene.pull("v1", "b", &[]);
    assert_eq!(number(&report, "reusedBytes"), 0);
    assert_eq!(scene.asked(), 4);
    let (report, _) = scene.pull("v1", "c", &[]);
    assert_eq!(number(&report, "fetchedBytes"), 0);
}

#[test]
fn a_cache_that_is_removed_during_a_pull_does_not_end_it() {
    let scene = Scene::new();
    scene.push("v1", 2, &[]);
    let gate = Gate::after(LARGE / 2);
    let slow = Fault::on("GET", "/blobs/").does(Action::Hold(gate.clone()));
    scene.registry.fault(slow);
    let pull = [
        "pull",
        &scene.reference("v1"),
        "model",
        "--concurrency",
        "1",
    ];
    let pull = scene.at.start(&pull, &[]);
    gate.wait();
    std::fs::remove_dir_all(scene.cache()).unwrap();
    gate.open();
    let outcome = crate::Outcome::of(pull);
    outcome.ok();
    assert_eq!(scene.at.tree("model-v1"), scene.at.tree("model"));
}

#[test]
fn what_is_wrong_at_the_registry_does_not_get_into_the_cache() {
    let scene = Scene::new();
    scene.push("v1", 1, &[]);
    scene
        .registry
        .fault(Fault::on("GET", "/blobs/").does(Action::Corrupt(9)));
    let wrong = scene.try_pull("v1", "model", &["--concurrency", "1"]);
    wrong.refused(4, "digest-mismatch");
    assert!(!scene.at.path("model").exists());
    assert_eq!(scene.cached(), 0);
    scene.registry.clear_faults();
    scene.pull("v1", "model", &[]);
}
