//! Chains over several registries, each party in a repository of its own under a policy of its own.

use crate::parties::{key, push, workspace};
use crate::support::command::{Outcome, Workspace};
use crate::support::registry::{Action, Fault, Options, Registry};

/// Two registries: a model is in one, what it was made from in the other.
struct World {
    at: Workspace,
    upstream: Registry,
    ours: Registry,
    model: String,
    base: String,
}

fn world() -> World {
    let at = workspace();
    let upstream = Registry::start(Options::default());
    let ours = Registry::start(Options::default());
    let base = format!("{}/lab/base:v1", upstream.host());
    let model = format!("{}/acme/model:v1", ours.host());
    push(&at, &base, "base", "train", "", &key("base.key"));
    let from = format!("[[base]]\nreference = \"{base}\"\n");
    push(&at, &model, "model", "fine-tune", &from, &key("merged.key"));
    World {
        at,
        upstream,
        ours,
        model,
        base,
    }
}

impl World {
    fn policy(&self, chain: &str) {
        let rule = |name: &str, host: String, key: &str, chain: &str| {
            format!(
                "[[policies]]\nname = \"{name}\"\nscopes = [\"{host}/**\"]\nnames = \
                 \"repository\"\n[[policies.require]]\nkind = \"signature\"\nauthorities = \
                 [\"{key}\"]\n{chain}"
            )
        };
        let policy = format!(
            "version = 1\ndefault = \"allow\"\n[authorities.lab]\nkeys = [\"base.pub\"]\n\
             [authorities.acme]\nkeys = [\"merged.pub\"]\n{}{}",
            rule(
                "ours",
                self.ours.host(),
                "acme",
                &format!("[policies.chain]\n{chain}\n")
            ),
            rule("upstream", self.upstream.host(), "lab", ""),
        );
        self.at.write("policy.toml", policy);
    }

    fn verify(&self) -> Outcome {
        self.at
            .run(&["verify", &self.model, "--policy", "policy.toml"])
    }
}

#[test]
fn each_link_is_judged_by_the_policy_for_its_role_or_place() {
    let world = world();
    world.policy("require_policy = true");
    world.verify().ok();
    world.policy("roles = { base_model = \"upstream\" }");
    world.verify().ok();
    // By the policy of the model itself, which trusts another party.
    world.policy("");
    world.verify().refused(3, "untrusted-signer");
    // Nothing is allowed by default in a chain.
    let policy = std::fs::read_to_string(world.at.path("policy.toml")).unwrap();
    let elsewhere = policy.replace(&format!("{}/**", world.upstream.host()), "other.example/**");
    world.at.write(
        "policy.toml",
        elsewhere.replace(
            "[policies.chain]",
            "[policies.chain]\nrequire_policy = true",
        ),
    );
    let told = world.verify();
    told.refused(3, "no-policy");
    assert!(
        told.stderr
            .contains(&format!("base_model `{}@", world.base)),
        "{told:?}"
    );
}

#[test]
fn a_link_keeps_its_name_wherever_it_is_carried() {
    let world = world();
    world.policy("require_policy = true");
    let place = format!("{}/carried/model:v1", world.ours.host());
    let carry = [
        "copy",
        "--chain",
        &world.model,
        &place,
        "--policy",
        "policy.toml",
    ];
    world.at.run(&carry).ok();
    assert!(world.upstream.remove_tag("lab/base", "v1"));
    for digest in world.upstream.manifests("lab/base") {
        world.upstream.remove_manifest("lab/base", &digest);
    }
    // The base's signatures were made for its own repository; the model's for another than this.
    let verify = ["verify", &place, "--policy", "policy.toml"];
    world.at.run(&verify).refused(3, "name-mismatch");
    let policy = std::fs::read_to_string(world.at.path("policy.toml")).unwrap();
    let remap = format!(
        "remap = {{ \"{0}/carried\" = \"{0}/acme\" }}\n",
        world.ours.host()
    );
    let named = "[[policies.require]]";
    world.at.write(
        "policy.toml",
        policy.replacen(named, &format!("{remap}{named}"), 1),
    );
    world.at.run(&verify).ok();
    world.verify().refused(3, "chain-link-missing");
}

#[test]
fn a_registry_that_fails_is_a_gap_and_never_an_end() {
    let world = world();
    let verify = ["verify", &world.model, "--key", "merged.pub", "--chain"];
    let rules = [
        "--chain-key",
        "base_model=base.pub",
        "--chain-end",
        "base_model",
    ];
    let verify = [&verify[..], &rules].concat();
    world.at.run(&verify).ok();
    for (status, code, reason) in [(403, 6, "forbidden"), (400, 7, "registry-failed")] {
        let action = Action::Status(status, "{}".to_owned());
        world
            .upstream
            .fault(Fault::on("GET", "/manifests/").does(action));
        let told = world.at.run(&verify);
        assert_eq!(told.code, code, "{told:?}");
        assert_eq!(told.reason(), reason, "{told:?}");
        assert!(
            told.stderr
                .contains(&format!("base_model `{}@", world.base)),
            "{told:?}"
        );
        world.upstream.clear_faults();
    }
    world.at.run(&verify).ok();
}

#[test]
fn what_is_carried_along_needs_no_other_registry() {
    let world = world();
    world.policy("require_policy = true");
    let place = "oci:./gap:v1";
    let carry = [
        "copy",
        "--chain",
        &world.model,
        place,
        "--policy",
        "policy.toml",
    ];
    world.at.run(&carry).ok();
    world.upstream.forget_requests();
    let rules = [
        "--key",
        "merged.pub",
        "--chain",
        "--chain-key",
        "base_model=base.pub",
    ];
    world
        .at
        .run(&[&["verify", place][..], &rules].concat())
        .ok();
    assert_eq!(world.upstream.requests().len(), 0);
}

#[test]
fn a_password_for_one_registry_is_not_for_that_of_a_link() {
    let world = world();
    let verify = [
        "verify",
        &world.model,
        "--key",
        "merged.pub",
        "--chain",
        "--chain-key",
        "base_model=base.pub",
        "--username",
        "j0e",
        "--password-stdin",
    ];
    world.at.run_with(&verify, &[], "c4n4ry").ok();
    let told = world.upstream.requests();
    assert!(!told.is_empty());
    let secret = |request: &&crate::support::registry::contents::Seen| {
        request.header("authorization").is_some()
    };
    assert_eq!(told.iter().filter(secret).count(), 0);
}

#[test]
fn a_path_on_this_machine_is_looked_at_only_for_what_is_on_it_too() {
    let at = workspace();
    let registry = Registry::start(Options::default());
    let hosted = format!("{}/acme/model:v1", registry.host());
    let from = "[[base]]\nreference = \"oci:./base:v1\"\n";
    for (place, reason) in [
        ("oci:./here:v1", None),
        (&hosted, Some("chain-link-missing")),
    ] {
        push(&at, place, "model", "fine-tune", from, &key("merged.key"));
        let verify = ["verify", place, "--key", "merged.pub", "--chain"];
        let told = at.run(&[&verify[..], &["--chain-key", "base_model=base.pub"]].concat());
        match reason {
            None => drop(told.ok()),
            Some(reason) => told.refused(3, reason),
        }
    }
}
