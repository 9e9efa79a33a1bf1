//! Networks and registries that fail without malice: tried again, then told, and nothing is left.

use std::time::Duration;

use crate::support::command::Outcome;
use crate::support::registry::{Access, Action, Auth, Bearer, Fault, Options, User};
use crate::{Scene, with_model_and_key};

/// What fails, how often, and what comes of it; `None` is success.
type Case = (
    &'static str,
    &'static str,
    Action,
    usize,
    Option<(i32, &'static str)>,
);

fn status(status: u16) -> Action {
    Action::Status(status, String::new())
}

fn cases() -> Vec<Case> {
    let always = usize::MAX;
    let weights = "/blobs/";
    vec![
        ("GET", weights, status(429), 1, None),
        ("GET", weights, status(503), 2, None),
        ("GET", weights, Action::Close, 1, None),
        ("GET", weights, Action::Truncate(3), 2, None),
        ("GET", "/manifests/", Action::Close, 1, None),
        ("GET", "/manifests/", Action::Truncate(3), 1, None),
        (
            "GET",
            weights,
            status(429),
            always,
            Some((7, "rate-limited")),
        ),
        (
            "GET",
            weights,
            status(500),
            always,
            Some((7, "registry-failed")),
        ),
        (
            "GET",
            weights,
            Action::Close,
            always,
            Some((7, "connection")),
        ),
        (
            "GET",
            weights,
            Action::Truncate(3),
            always,
            Some((7, "connection")),
        ),
        (
            "GET",
            "/manifests/",
            status(502),
            always,
            Some((7, "registry-failed")),
        ),
        (
            "GET",
            "/manifests/",
            Action::Close,
            always,
            Some((7, "connection")),
        ),
    ]
}

/// Runs `check` for each case on a thread of its own: what is tried again waits in between.
fn side_by_side<T: Send>(cases: Vec<T>, check: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| check(case));
        }
    });
}

#[test]
fn a_pull_outlasts_what_passes_and_tells_what_does_not() {
    side_by_side(cases(), |(method, path, action, times, expected)| {
        let scene = Scene::new();
        let fault = Fault::on(method, path).times(times).does(action);
        scene.registry.fault(fault);
        let pulled = scene.pull();
        match expected {
            None => {
                pulled.ok();
                assert!(pulled.stderr.contains("again") || pulled.stderr.contains("go on"));
            }
            Some((code, reason)) => {
                pulled.refused(code, reason);
                scene.no_trace(path);
                scene.registry.clear_faults();
                scene.twin_passes();
            }
        }
    });
}

#[test]
fn a_push_outlasts_what_passes_and_tells_what_does_not() {
    let always = usize::MAX;
    let cases: Vec<Case> = vec![
        ("PUT", "/uploads/", status(503), 1, None),
        ("PUT", "/uploads/", Action::Close, 1, None),
        ("POST", "/uploads/", status(429), 1, None),
        ("PUT", "/manifests/", Action::CloseAfter, 1, None),
        (
            "PUT",
            "/uploads/",
            status(500),
            always,
            Some((7, "registry-failed")),
        ),
        (
            "PUT",
            "/uploads/",
            Action::Close,
            always,
            Some((7, "connection")),
        ),
        (
            "POST",
            "/uploads/",
            status(429),
            always,
            Some((7, "rate-limited")),
        ),
        (
            "PUT",
            "/manifests/",
            status(403),
            always,
            Some((6, "forbidden")),
        ),
    ];
    side_by_side(cases, |(method, path, action, times, expected)| {
        let scene = Scene::new();
        scene.at.write("model/README.md", "# Changed\n");
        let reference = scene.reference.replace(":v1", ":v2");
        let push = || scene.at.run(&["push", &reference, "model"]);
        let fault = Fault::on(method, path).times(times).does(action);
        scene.registry.fault(fault);
        let pushed = push();
        let tag = || scene.registry.tag("acme/bert", "v2");
        match expected {
            None => assert!(pushed.ok().ends_with(&tag().unwrap())),
            Some((code, reason)) => {
                pushed.refused(code, reason);
                // Half a push is no push: nobody finds what is there of it.
                assert_eq!(tag(), None);
                scene.registry.clear_faults();
                push().ok();
            }
        }
    });
}

#[test]
fn nobody_there_is_told_within_seconds() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let reference = format!("{}/acme/bert:v1", closed.local_addr().unwrap());
    drop(closed);
    let at = with_model_and_key();
    let before = at.entries();
    at.run(&["pull", &reference, "out"])
        .refused(7, "connection");
    assert_eq!(at.entries(), before);
}

#[test]
fn tokens_that_expire_on_the_way_are_renewed() {
    let alice = User {
        name: "alice".to_owned(),
        password: "s3cret".to_owned(),
        identity_token: None,
        access: Access::Push,
    };
    let bearer = Bearer {
        users: vec![alice],
        // After any two requests, and so also between two parts of one blob.
        uses: Some(2),
        ..Bearer::default()
    };
    let registry = crate::Registry::start(Options {
        auth: Auth::Bearer(bearer),
        ..Options::default()
    });
    let at = with_model_and_key();
    let reference = format!("{}/acme/bert:v1", registry.host());
    let signed_in = |arguments: &[&str]| -> Outcome {
        let alice = ["--username", "alice", "--password-stdin"];
        at.run_with(&[arguments, &alice].concat(), &[], "s3cret")
    };
    signed_in(&["push", &reference, "model", "--concurrency", "1"]).ok();
    registry.fault(
        Fault::on("GET", "/blobs/")
            .times(2)
            .does(Action::Truncate(5)),
    );
    signed_in(&["pull", &reference, "out", "--concurrency", "1"]).ok();
    assert_eq!(at.tree("model"), at.tree("out"));
    assert!(registry.count("GET", "/token") > 10);

    // Its twin without a password is told to sign in, and leaves nothing.
    at.run(&["pull", &reference, "anonymous"])
        .refused(6, "unauthorised");
    assert!(!at.path("anonymous").exists());
}

#[test]
fn two_processes_that_pull_to_one_place_leave_one_whole_model() {
    for force in [&[][..], &["--force"]] {
        let scene = Scene::new();
        if !force.is_empty() {
            scene.twin_passes();
        }
        // Both are under way before either has everything.
        let slow = Fault::on("GET", &scene.weights);
        scene
            .registry
            .fault(slow.does(Action::Delay(Duration::from_millis(300))));
        let pull = [
            "pull",
            &scene.reference,
            "out",
            "--verify",
            "--key",
            "cosign.pub",
        ];
        let pull = [&pull[..], force].concat();
        let started = [(); 2].map(|()| scene.at.start(&pull, &[]));
        let outcomes = started.map(Outcome::of);
        let mut codes = outcomes.each_ref().map(|outcome| outcome.code);
        codes.sort_unstable();
        match force.is_empty() {
            true => {
                assert_eq!(codes, [0, 2], "{outcomes:?}");
                let refused = outcomes.iter().find(|outcome| outcome.code == 2);
                assert_eq!(refused.unwrap().reason(), "target-exists");
            }
            false => assert_eq!(codes[0], 0, "{outcomes:?}"),
        }
        assert_eq!(scene.at.tree("model"), scene.at.tree("out"));
        let expected = [&scene.before[..], &["out".to_owned()]].concat();
        let mut expected = expected;
        expected.sort();
        assert_eq!(scene.at.entries(), expected);
    }
}
