//! Real file systems that are full or cannot be written, in a user namespace of their own.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::registry::{Action, Fault, Gate};
use crate::{LARGE, Outcome, Scene, number};

/// Whether this machine lets a user mount things in a namespace. If not, that is said past the
/// test harness, which keeps what passing tests print to itself.
fn can_mount() -> bool {
    let tried = Command::new("unshare")
        .args(["-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .stderr(Stdio::null())
        .status();
    let can = tried.is_ok_and(|status| status.success());
    if !can {
        let _ = std::io::stderr().write_all(b"SKIPPED: mounts (user namespaces are not allowed)\n");
    }
    can
}

/// Runs `script` where the workspace's directory `mount` is a tmpfs of so many MiB; `$modelctl` and
/// `$reference` stand for what they say.
fn start(scene: &Scene, mebibytes: usize, script: &str) -> std::process::Child {
    std::fs::create_dir_all(scene.at.path("mount")).unwrap();
    let script = format!("set -e; mount -t tmpfs -o size={mebibytes}m tmpfs mount\n{script}");
    let mut command = scene.at.prepared(Command::new("unshare"));
    command
        .args(["-Urm", "sh", "-c", &script])
        .env("modelctl", env!("CARGO_BIN_EXE_modelctl"))
        .env("reference", scene.reference("v1"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn run(scene: &Scene, mebibytes: usize, script: &str) -> Outcome {
    Outcome::of(start(scene, mebibytes, script))
}

/// What a script does at the end: shows what is in the mount, on stdout, and fails as the pull did.
const SHOW: &str = "|| code=$?; find mount -mindepth 1 -not -path '*/.cache*'; exit ${code:-0}";

fn scene() -> Option<Scene> {
    can_mount().then(|| {
        let scene = Scene::new();
        scene.push("v1", 3, &[]);
        scene
    })
}

#[test]
fn a_disk_that_is_too_small_is_known_before_anything_is_fetched() {
    let Some(scene) = scene() else { return };
    for size in [1, 2, 3] {
        for cache in ["--no-cache", "--cache-dir mount/.cache", ""] {
            let pull = format!("$modelctl pull $reference mount/deep/model {cache} {SHOW}");
            let outcome = run(&scene, size, &pull);
            outcome.refused(8, "disk-full");
            assert_eq!(outcome.stdout, "", "{size} {cache}");
        }
    }
    assert_eq!(scene.asked(), 0);
    let pull = "$modelctl pull $reference mount/model --cache-dir mount/.cache";
    assert_eq!(run(&scene, 4, pull).code, 0);
}

#[test]
fn a_disk_that_fills_up_leaves_no_model_and_what_can_be_resumed() {
    let Some(scene) = scene() else { return };
    for cache in ["--no-cache", "--cache-dir mount/.cache"] {
        let gate = Gate::after(LARGE + LARGE / 2);
        let slow = Fault::on("GET", "/blobs/").does(Action::Hold(gate.clone()));
        scene.registry.fault(slow);
        // Somebody else writes the disk full while the second of three files is fetched, and makes
        // room later.
        let script = format!(
            "$modelctl pull $reference mount/model {cache} --concurrency 1 --json >report 2>talk &
             while ! test -e fill; do sleep 0.02; done
             dd if=/dev/zero of=mount/.cache-filler bs=64k 2>/dev/null || true
             touch full; wait $! {SHOW}"
        );
        let pull = start(&scene, 16, &script);
        gate.wait();
        scene.at.write("fill", "");
        while !scene.at.path("full").exists() {
            std::thread::yield_now();
        }
        scene.registry.clear_faults();
        gate.open();
        let outcome = Outcome::of(pull);
        let talk = std::fs::read_to_string(scene.at.path("talk")).unwrap();
        assert_eq!(outcome.code, 8, "{cache}: {talk}");
        assert!(talk.contains("error[disk-full]"), "{cache}: {talk}");
        assert_eq!(outcome.stdout, "", "{cache}");
        for name in ["fill", "full"] {
            std::fs::remove_file(scene.at.path(name)).unwrap();
        }
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_refused_and_a_cache_there_is_still_read() {
    let Some(scene) = scene() else { return };
    let read_only = "mount -o remount,ro mount";
    let pull = format!("{read_only}; $modelctl pull $reference mount/model --no-cache {SHOW}");
    let outcome = run(&scene, 16, &pull);
    outcome.refused(8, "disk");
    assert_eq!(outcome.stdout, "");
    assert_eq!(scene.asked(), 0);

    // One that holds everything, and one that cannot even be begun.
    let cache = "--cache-dir mount/.cache";
    let pull = format!(
        "$modelctl pull $reference mount/model {cache} >&2
         {read_only}; $modelctl pull $reference out {cache} --json"
    );
    let outcome = run(&scene, 16, &pull);
    outcome.ok();
    assert_eq!(number(&outcome.json(), "fetchedBytes"), 0);
    assert_eq!(scene.at.tree("model-v1"), scene.at.tree("out"));
    let pull = format!("{read_only}; $modelctl pull $reference other {cache}");
    let outcome = run(&scene, 16, &pull);
    outcome.ok();
    assert!(
        outcome.stderr.contains("the cache is not used"),
        "{}",
        outcome.stderr
    );
    assert_eq!(scene.at.tree("model-v1"), scene.at.tree("other"));
}

#[test]
fn between_two_file_systems_nothing_is_written_twice() {
    let Some(scene) = scene() else { return };
    // Room for one copy of the model.
    let script = "$modelctl pull $reference mount/model >&2 2>talk
                  $modelctl pull $reference here --json
                  $modelctl pull $reference mount/model --force --json >report";
    let outcome = run(&scene, 8, script);
    outcome.ok();
    let talk = std::fs::read_to_string(scene.at.path("talk")).unwrap();
    assert!(talk.contains("not kept"), "{talk}");
    let size = scene.size("v1");
    assert_eq!(
        number(&outcome.json(), "fetchedBytes"),
        size,
        "the first kept nothing"
    );
    // What is in the cache is copied, wherever to.
    let report = std::fs::read(scene.at.path("report")).unwrap();
    let report = serde_json::from_slice(&report).unwrap();
    assert_eq!(number(&report, "fetchedBytes"), 0);
}

#[test]
fn a_model_that_is_in_the_cache_needs_no_more_room() {
    let Some(scene) = scene() else { return };
    let cache = "--cache-dir mount/.cache";
    let script =
        format!("for n in 1 2 3 4 5; do $modelctl pull $reference mount/model-$n {cache}; done");
    // Room for one and a bit.
    let outcome = run(&scene, 4, &script);
    outcome.ok();
    assert_eq!(scene.asked(), 5);
}
