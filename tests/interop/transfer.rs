//! Bytes: what modelctl pushes others pull, what others push or copy modelctl pulls.

use modelctl::digest::Digest;

use crate::keys;
use crate::lab::{Lab, assert_same_files, digest};
use crate::registry::Registry;

#[test]
fn oras_pulls_the_files_that_modelctl_pushed() {
    let Some(lab) = Lab::with(["oras"]) else {
        return;
    };
    for (round, registry) in lab.registries().iter().enumerate() {
        let model = registry.reference("acme/bert:v1");
        lab.push(&model, "");
        lab.run(format!("oras pull --plain-http -o by-oras-{round} {model}"))
            .succeeds();
        assert_same_files(&lab.path("model"), &lab.path(&format!("by-oras-{round}")));
    }
}

#[test]
fn crane_agrees_on_digest_manifest_and_tags() {
    let Some(lab) = Lab::with(["crane"]) else {
        return;
    };
    for registry in lab.registries() {
        let model = registry.reference("acme/bert:v1");
        let pinned = lab.push(&model, "");
        let seen = lab.run(format!("crane digest {model}")).succeeds();
        assert_eq!(seen.stdout.trim(), digest(&pinned));
        let manifest = lab.run(format!("crane manifest {model}")).succeeds();
        assert_eq!(
            Digest::of(manifest.stdout.as_bytes()).to_string(),
            digest(&pinned)
        );
        let tags = lab
            .run(format!("crane ls {}", registry.reference("acme/bert")))
            .succeeds();
        assert_eq!(tags.stdout.trim(), "v1");
    }
}

#[test]
fn pull_gives_back_what_push_took() {
    let Some(lab) = Lab::with([]) else { return };
    for (round, registry) in lab.registries().iter().enumerate() {
        let pinned = lab.push(&registry.reference("acme/bert:v1"), "");
        let again = lab.push(&registry.reference("acme/bert:v2"), "");
        assert_eq!(digest(&pinned), digest(&again));
        let pulled = lab
            .run(format!("modelctl pull {pinned} pulled-{round}"))
            .succeeds();
        assert_eq!(
            lab.path(&format!("pulled-{round}")),
            lab.path(pulled.stdout.trim())
        );
        assert!(pulled.stderr.contains("UNVERIFIED"), "{pulled}");
        assert_same_files(&lab.path("model"), &lab.path(&format!("pulled-{round}")));
    }
}

#[test]
fn oras_pulls_from_the_layout_that_modelctl_wrote() {
    let Some(lab) = Lab::with(["oras"]) else {
        return;
    };
    lab.push("oci:./store:v1", "");
    lab.run("oras pull --oci-layout store:v1 -o by-oras")
        .succeeds();
    assert_same_files(&lab.path("model"), &lab.path("by-oras"));
}

#[test]
fn skopeo_reads_the_layout_that_modelctl_wrote() {
    let Some(lab) = Lab::with(["skopeo"]) else {
        return;
    };
    let pinned = lab.push("oci:./store:v1", "");
    let manifest = lab.run("skopeo inspect --raw oci:store:v1").succeeds();
    assert_eq!(
        Digest::of(manifest.stdout.as_bytes()).to_string(),
        digest(&pinned)
    );
}

/// Asserts that the model in the lab is what a pull gives.
fn assert_pulls(lab: &Lab, reference: &str) {
    lab.run(format!("modelctl pull {reference} ./pulled"))
        .succeeds();
    assert_same_files(&lab.path("model"), &lab.path("pulled"));
}

#[test]
fn skopeo_copies_a_layout_into_a_registry() {
    let Some(lab) = Lab::with(["skopeo"]) else {
        return;
    };
    let Some(registry) = Registry::open() else {
        return;
    };
    let pinned = lab.push("oci:./store:v1", "");
    let target = registry.reference("acme/copied:v1");
    lab.run(format!(
        "skopeo copy --preserve-digests --dest-tls-verify=false oci:store:v1 docker://{target}"
    ))
    .succeeds();
    assert_pulls(&lab, &format!("{target}@{}", digest(&pinned)));
}

#[test]
fn crane_pushes_the_layout_that_modelctl_wrote() {
    let Some(lab) = Lab::with(["crane"]) else {
        return;
    };
    let Some(registry) = Registry::open() else {
        return;
    };
    let pinned = lab.push("oci:./store:v1", "");
    let target = registry.reference("acme/copied:v1");
    lab.run(format!("crane push store {target}")).succeeds();
    assert_pulls(&lab, &format!("{target}@{}", digest(&pinned)));
}

#[test]
fn modelctl_pulls_plain_files_that_oras_pushed() {
    let Some(lab) = Lab::with(["oras"]) else {
        return;
    };
    lab.write("notes.txt", "notes");
    lab.write("weights.bin", [7; 4096]);
    lab.run("oras push --oci-layout plain:v1 notes.txt weights.bin")
        .succeeds();
    lab.run("modelctl pull oci:./plain:v1 ./pulled").succeeds();
    for name in ["notes.txt", "weights.bin"] {
        let (sent, came) = (lab.path(name), lab.path("pulled").join(name));
        assert_eq!(std::fs::read(sent).unwrap(), std::fs::read(came).unwrap());
    }
}

#[test]
fn evidence_survives_oras_cp_between_registry_and_layout() {
    let Some(lab) = Lab::with(["oras", "cosign"]) else {
        return;
    };
    keys::write_pair(&lab, "release");
    for (round, registry) in lab.registries().iter().enumerate() {
        let model = registry.reference("acme/bert:v1");
        let pinned = lab.push(&model, "--sign --key release.key");
        let layout = format!("copied-{round}");
        lab.run(format!(
            "oras cp -r --from-plain-http {model} --to-oci-layout {layout}:v1"
        ))
        .succeeds();
        lab.run(format!(
            "modelctl verify oci:./{layout}:v1 --key release.pub"
        ))
        .succeeds();

        let back = registry.reference("acme/back");
        lab.run(format!(
            "oras cp -r --from-oci-layout {layout}:v1 --to-plain-http {back}:v1"
        ))
        .succeeds();
        let back = format!("{back}@{}", digest(&pinned));
        lab.run(format!("modelctl verify {back} --key release.pub"))
            .succeeds();
        lab.run(format!(
            "cosign verify --key release.pub --insecure-ignore-tlog {back}"
        ))
        .succeeds();
    }
}

#[test]
fn cosign_verifies_what_modelctl_copied_from_registry_to_registry() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    let (Some(source), Some(target)) = (Registry::open(), Registry::with_referrers_api()) else {
        return;
    };
    keys::write_pair(&lab, "release");
    let first = source.reference("acme/bert:v1");
    let pinned = lab.push(&first, "--sign --key release.key");
    let second = target.reference("mirror/bert:v1");
    lab.run(format!("modelctl copy {first} {second}"))
        .succeeds();
    let third = source.reference("back/bert:v1");
    lab.run(format!("modelctl copy {second} {third}"))
        .succeeds();
    for copy in [second, third] {
        let copy = format!("{}@{}", copy.trim_end_matches(":v1"), digest(&pinned));
        lab.run(format!(
            "cosign verify --key release.pub --insecure-ignore-tlog {copy}"
        ))
        .succeeds();
        lab.run(format!("modelctl verify {copy} --key release.pub"))
            .succeeds();
    }
}
