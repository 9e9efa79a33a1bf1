//! A pull may be killed at any moment: what stands at the target is nothing, the old model or the
//! new one, and the next pull goes on where this one was.

use std::os::unix::process::ExitStatusExt;
use std::process::Child;

use crate::support::registry::{Action, Fault, Gate};
use crate::{Scene, number};

/// Points at which a pull is killed, evenly over the bytes it fetches, the first before any of
/// them and the last when all have been sent.
const POINTS: u64 = 21;

const SIGKILL: i32 = 9;

fn points(size: u64) -> impl Iterator<Item = u64> {
    (0..POINTS).map(move |point| size * point / (POINTS - 1))
}

/// Starts a pull to `model` that gets so many bytes, and kills it when it has them. Returns whether
/// that ended it.
fn kill_after(scene: &Scene, bytes: u64) -> bool {
    let had = scene.cached();
    let gate = Gate::after(usize::try_from(bytes).unwrap());
    let held = Fault::on("GET", "/blobs/").does(Action::Hold(gate.clone()));
    scene.registry.fault(held);
    let reference = scene.reference("v2");
    let pull = ["pull", &reference, "model", "--force", "--concurrency", "1"];
    let mut pull = scene.at.start(&pull, &[]);
    let asked_before = scene.asked();
    if bytes == 0 {
        wait_until(&mut pull, || scene.asked() > asked_before);
    }
    gate.wait();
    wait_until(&mut pull, || scene.cached() == had + bytes);
    pull.kill().unwrap();
    let status = pull.wait().unwrap();
    scene.registry.clear_faults();
    status.signal() == Some(SIGKILL)
}

/// Waits until something is so, or the pull has ended.
fn wait_until(pull: &mut Child, is_so: impl Fn() -> bool) {
    while !is_so() && pull.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
}

/// Checks what a killed pull left, where `old` is the model that stood there before, if one did.
fn assert_nothing_half(scene: &Scene, old: Option<&str>) {
    let there = scene
        .at
        .path("model")
        .exists()
        .then(|| scene.at.tree("model"));
    let is_old = there == old.map(|old| scene.at.tree(old));
    let is_new = there == Some(scene.at.tree("model-v2"));
    assert!(is_old || is_new);
    let beside = scene.at.entries();
    for name in beside.iter().filter(|name| !name.starts_with("model")) {
        assert!(name.starts_with(".modelctl-staging-"), "{name}");
    }
}

/// Pulls to the end, which must cost no byte that was there before.
fn assert_it_goes_on(scene: &Scene) {
    let (size, had) = (scene.size("v2"), scene.cached());
    let (report, sent) = scene.pull("v2", "model", &["--force", "--concurrency", "1"]);
    assert_eq!(number(&report, "fetchedBytes"), size - had);
    assert!(
        sent <= size - had,
        "{sent} bytes were sent for {}",
        size - had
    );
    let beside = scene.at.entries();
    assert!(
        beside.iter().all(|name| name.starts_with("model")),
        "{beside:?}"
    );
}

fn scene() -> Scene {
    let scene = Scene::new();
    scene.push("v2", 2, &[]);
    scene
}

/// Forgets what is in the cache and at the target.
fn forget(scene: &Scene) {
    let _ = std::fs::remove_dir_all(scene.at.path("home"));
    let _ = std::fs::remove_dir_all(scene.at.path("model"));
}

#[test]
fn a_first_pull() {
    let scene = scene();
    for point in points(scene.size("v2")) {
        forget(&scene);
        let killed = kill_after(&scene, point);
        assert!(killed || point == scene.size("v2"));
        assert_nothing_half(&scene, None);
        assert_it_goes_on(&scene);
    }
}

#[test]
fn a_pull_that_goes_on_after_another_was_killed() {
    let scene = scene();
    let size = scene.size("v2");
    for point in points(size) {
        forget(&scene);
        assert!(kill_after(&scene, point / 2));
        let killed = kill_after(&scene, point - point / 2);
        assert!(killed || point == size);
        assert_nothing_half(&scene, None);
        assert_it_goes_on(&scene);
    }
}

#[test]
fn a_pull_that_replaces_a_model() {
    let scene = scene();
    scene.at.write("model-v1/config.json", "{}");
    scene
        .at
        .write("model-v1/gone.safetensors", crate::safetensors(b"old"));
    let old = scene.reference("v1");
    scene.at.run(&["push", &old, "model-v1"]).ok();
    for point in points(scene.size("v2")) {
        forget(&scene);
        scene.at.run(&["pull", &old, "model", "--no-cache"]).ok();
        let killed = kill_after(&scene, point);
        assert!(killed || point == scene.size("v2"));
        assert_nothing_half(&scene, Some("model-v1"));
        assert_it_goes_on(&scene);
    }
}
