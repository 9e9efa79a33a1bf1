//! Ctrl-C and SIGTERM at any moment: the exit code says so, and nothing is left behind.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Scene;
use crate::support::command::Outcome;
use crate::support::registry::{Action, Fault};

/// Lets a request hang, and returns what hears that it came.
fn hang(scene: &Scene, method: &str, path: &str) -> Receiver<()> {
    let (came, heard) = channel();
    let fault = Fault::on(method, path).calls(move |_| came.send(()).unwrap());
    scene
        .registry
        .fault(fault.does(Action::Delay(Duration::from_secs(3600))));
    heard
}

/// Starts the command, and sends it `signal` once it hangs.
fn interrupted(scene: &Scene, arguments: &[&str], hangs: Receiver<()>, signal: Signal) -> Outcome {
    let child = scene.at.start(arguments, &[]);
    hangs.recv_timeout(Duration::from_secs(60)).unwrap();
    kill_process(Pid::from_child(&child), signal).unwrap();
    let signalled = Instant::now();
    let outcome = Outcome::of(child);
    assert!(signalled.elapsed() < Duration::from_secs(10));
    assert_eq!(outcome.stdout, "");
    outcome
}

#[test]
fn a_pull_that_is_told_to_stop_leaves_nothing() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        for path in ["/manifests/v1", "/referrers/", "/blobs/"] {
            let scene = Scene::new();
            let hangs = hang(&scene, "GET", path);
            let pull = [
                "pull",
                &scene.reference,
                "out",
                "--verify",
                "--key",
                "cosign.pub",
            ];
            let stopped = interrupted(&scene, &pull, hangs, signal);
            assert_eq!(stopped.code, code, "{path}: {stopped:?}");
            scene.no_trace(path);
            scene.registry.clear_faults();
            scene.twin_passes();
        }
    }
}

#[test]
fn a_pull_that_is_told_to_stop_leaves_the_old_model() {
    let scene = Scene::new();
    scene.twin_passes();
    let (old, entries) = (scene.at.tree("out"), scene.at.entries());
    scene.at.write("model/README.md", "# New\n");
    let new = scene.reference.replace(":v1", ":v2");
    scene.at.run(&["push", &new, "model"]).ok();
    let hangs = hang(&scene, "GET", &scene.weights);
    let stopped = interrupted(
        &scene,
        // What the cache has is not asked for.
        &["pull", &new, "out", "--force", "--no-cache"],
        hangs,
        Signal::INT,
    );
    assert_eq!(stopped.code, 130);
    assert_eq!((scene.at.tree("out"), scene.at.entries()), (old, entries));
    scene.registry.clear_faults();
    scene.at.run(&["pull", &new, "out", "--force"]).ok();
    assert_eq!(scene.at.tree("out"), scene.at.tree("model"));
}

#[test]
fn a_push_that_is_told_to_stop_sets_no_tag() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let scene = Scene::new();
        scene.at.write("model/README.md", "# New\n");
        let new = scene.reference.replace(":v1", ":v2");
        let hangs = hang(&scene, "PUT", "/uploads/");
        let stopped = interrupted(&scene, &["push", &new, "model"], hangs, signal);
        assert_eq!(stopped.code, code, "{stopped:?}");
        assert_eq!(scene.registry.tags("acme/bert"), ["v1"]);
        scene.registry.clear_faults();
        scene.at.run(&["push", &new, "model"]).ok();
    }
}
