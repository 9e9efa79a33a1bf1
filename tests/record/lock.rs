//! The lock file: the same model everywhere, and a change that is seen.

use modelctl::lockfile::LOCK_FILE;

use crate::support::command::Outcome;
use crate::{Scene, policy};

const KEY: [&str; 3] = ["--verify", "--key", "a.pub"];

impl Scene {
    fn pull(&self, more: &[&str]) -> Outcome {
        let pull = ["pull", &self.reference, "./out", "--force", "--no-cache"];
        self.at.run(&[&pull[..], more].concat())
    }

    fn digest(&self) -> String {
        self.registry.tag("acme/bert", "v1").unwrap()
    }

    /// Lets the tag name another model, signed by the key `name`.
    fn move_tag(&self, name: &str) -> String {
        self.at
            .write("model/config.json", format!("{{\"moved\": \"{name}\"}}"));
        let key = format!("{name}.key");
        let push = ["push", &self.reference, "model", "--sign", "--key", &key];
        self.at.run(&push).ok();
        self.digest()
    }

    fn lock_file(&self) -> String {
        std::fs::read_to_string(self.at.path(LOCK_FILE)).unwrap()
    }
}

fn and<'a>(one: &[&'a str], other: &[&'a str]) -> Vec<&'a str> {
    [one, other].concat()
}

#[test]
fn the_first_use_is_recorded_and_a_change_must_be_asked_for() {
    let scene = Scene::new();
    let first = scene.digest();
    let done = scene.pull(&and(&KEY, &["--lock", "--json"]));
    assert_eq!(done.json()["lock"]["change"], "recorded");
    let locked = scene.lock_file();
    assert!(
        locked.contains(&format!("digest = \"{first}\"")),
        "{locked}"
    );
    assert!(locked.contains("cosign/sign/v1"), "{locked}");
    scene.pull(&and(&KEY, &["--lock"])).ok();
    assert_eq!(scene.lock_file(), locked);

    let second = scene.move_tag("b");
    std::fs::remove_dir_all(scene.at.path("out")).unwrap();
    let both = ["--verify", "--key", "a.pub", "--key", "b.pub"];
    let refused = scene.pull(&and(&both, &["--lock"]));
    refused.refused(3, "lock-mismatch");
    for part in [
        &first,
        &second,
        "no longer by the key",
        "now by the key",
        "--update-lock",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert!(!scene.at.path("out").exists());
    assert_eq!(scene.lock_file(), locked);

    let done = scene.pull(&and(&both, &["--update-lock", "--json"]));
    assert_eq!(done.json()["lock"]["change"], "replaced");
    assert!(done.stderr.contains(&second), "{}", done.stderr);
    assert!(scene.lock_file().contains(&second));
    assert!(!scene.lock_file().contains(&first));
}

#[test]
fn what_is_locked_is_pulled_wherever_the_tag_points_and_the_tag_is_not_asked_for() {
    let scene = Scene::new();
    scene
        .pull(&and(&KEY, &["--locked"]))
        .refused(3, "not-locked");
    let first = scene.digest();
    scene.pull(&and(&KEY, &["--lock"])).ok();
    let second = scene.move_tag("a");
    scene.registry.forget_requests();
    let done = scene.pull(&and(&KEY, &["--locked", "--json"]));
    assert_eq!(done.json()["digest"], first.as_str());
    assert_eq!(done.json()["lock"]["change"], "obeyed");
    assert_eq!(scene.registry.count("*", "/manifests/v1"), 0);
    // The twin: without the lock, the tag decides.
    assert_eq!(
        scene.pull(&and(&KEY, &["--json"])).json()["digest"],
        second.as_str()
    );

    let other = format!("{}@{second}", scene.reference);
    let pull = ["pull", &other, "./other", "--locked"];
    scene.at.run(&and(&pull, &KEY)).refused(3, "lock-mismatch");
    let same = format!("{}@{first}", scene.reference);
    let pull = ["pull", &same, "./other", "--locked"];
    scene.at.run(&and(&pull, &KEY)).ok();
}

#[test]
fn a_lock_makes_nothing_trusted() {
    let scene = Scene::new();
    scene.pull(&and(&KEY, &["--lock"])).ok();
    let unverified = scene.pull(&["--locked", "--json"]);
    assert_eq!(unverified.json()["verified"], false);
    assert!(unverified.stderr.contains("UNVERIFIED"));
    let other = ["--verify", "--key", "b.pub", "--locked"];
    scene.pull(&other).refused(3, "untrusted-signer");
    scene.pull(&and(&KEY, &["--locked"])).ok();
}

#[test]
fn a_model_that_is_not_newer_takes_no_locked_ones_place() {
    let scene = Scene::new();
    let of = |epoch| {
        scene
            .at
            .write("model/config.json", format!("{{\"of\": {epoch}}}"));
        let epoch = ("SOURCE_DATE_EPOCH", epoch);
        let push = [
            "push",
            &scene.reference,
            "model",
            "--sign",
            "--key",
            "a.key",
        ];
        scene.at.run_with(&push, &[epoch], "").ok();
    };
    let scope = format!("{}/**", scene.registry.host());
    let text = policy("", "enforce", "a.pub").replace("oci:**", &scope);
    let text = text.replace("mode =", "downgrade = \"deny\"\nmode =");
    scene.at.write("policy.toml", text);
    let locking = ["--policy", "policy.toml", "--update-lock"];
    let pull = |more: &[&str]| {
        let _ = std::fs::remove_dir_all(scene.at.path("out"));
        scene.pull(more)
    };
    of("2000");
    pull(&locking).ok();
    assert!(
        scene.lock_file().contains("name = \"it\""),
        "{}",
        scene.lock_file()
    );
    of("1000");
    pull(&locking).refused(3, "downgrade");
    // Nothing but the lock file remembers.
    pull(&["--policy", "policy.toml"]).ok();
    of("3000");
    pull(&locking).ok();
}

#[test]
fn a_directory_is_compared_with_the_lock_file_too() {
    let scene = Scene::new();
    scene.pull(&and(&KEY, &["--lock"])).ok();
    let verify = |target: &str, more: &[&str]| {
        scene
            .at
            .run(&and(&["verify", target, "--key", "a.pub"], more))
    };
    verify("./out", &["--locked"]).ok();
    verify(&scene.reference, &["--locked"]).ok();
    let second = scene.move_tag("a");
    scene.registry.forget_requests();
    verify(&scene.reference, &["--locked"]).ok();
    assert_eq!(scene.registry.count("*", "/manifests/v1"), 0);

    let pull = ["pull", &scene.reference, "./newer", "--update-lock"];
    scene.at.run(&and(&pull, &KEY)).ok();
    verify("./out", &[]).ok();
    let refused = verify("./out", &["--locked"]);
    refused.refused(3, "lock-mismatch");
    assert!(refused.stderr.contains(&second), "{}", refused.stderr);
    verify("./newer", &["--locked"]).ok();
    let signature = ["--signature", "./out/.modelctl/model.sig", "--locked"];
    verify("./out", &signature).refused(2, "usage");
}

#[test]
fn what_is_locked_is_copied() {
    let scene = Scene::new();
    let copy = ["copy", &scene.reference, "oci:./copy:v1", "--locked"];
    scene.at.run(&copy).refused(3, "not-locked");
    let first = scene.digest();
    scene.pull(&and(&KEY, &["--lock"])).ok();
    scene.move_tag("a");
    let copied = scene.at.run(&copy);
    assert!(copied.ok().ends_with(&first), "{}", copied.stdout);
}

#[test]
fn a_lock_file_that_cannot_be_read_is_an_error_and_stays_as_it_is() {
    let scene = Scene::new();
    let other = ["--lock", "--lock-file", "other.lock"];
    scene.at.write("other.lock", "version = 9\n");
    scene
        .pull(&and(&KEY, &other))
        .refused(2, "lock-file-invalid");
    assert!(!scene.at.path("out").exists());
    assert_eq!(
        std::fs::read(scene.at.path("other.lock")).unwrap(),
        b"version = 9\n"
    );
    std::fs::remove_file(scene.at.path("other.lock")).unwrap();
    scene.pull(&and(&KEY, &other)).ok();
    assert!(scene.at.path("other.lock").is_file());
    assert!(!scene.at.path(LOCK_FILE).exists());
    scene
        .pull(&and(&KEY, &["--lock-file", "other.lock"]))
        .refused(2, "usage");
}
