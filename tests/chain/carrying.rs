//! A chain that is carried along is whole where nothing else is to be had.

use crate::parties::{MERGED, PROVENANCE, detach, digest, ruled, workspace};
use crate::support::command::Workspace;
use crate::support::registry::{Options, Registry};

fn forget_sources(at: &Workspace) {
    for source in ["base", "tuned", "adapter", "merged"] {
        std::fs::remove_dir_all(at.path(source)).unwrap();
    }
}

#[test]
fn a_carried_chain_is_verified_with_its_sources_gone() {
    let at = workspace();
    let registry = Registry::start(Options::default());
    let hosted = format!("{}/air/gap:v1", registry.host());
    let references: Vec<_> = ["base", "tuned", "adapter", "merged"]
        .map(|link| digest(&at, &format!("oci:./{link}:v1")))
        .to_vec();
    let carried = ruled(&at, &["copy", MERGED, "oci:./gap:v1", "--json"]).json();
    assert_eq!(carried["links"], 3);
    // What links have in common travels once.
    assert!(carried["blobsSkipped"].as_u64().unwrap() >= 3, "{carried}");
    ruled(&at, &["copy", MERGED, &hosted]).ok();
    at.run(&["copy", MERGED, "oci:./alone:v1"]).ok();
    forget_sources(&at);
    for place in ["oci:./gap:v1", &hosted] {
        let told = ruled(&at, &["verify", place]);
        told.ok();
        for digest in &references {
            assert!(told.stdout.contains(digest), "{digest} is not in {told:?}");
        }
        ruled(&at, &["pull", place, "./out", "--force", "--verify"]).ok();
    }
    ruled(&at, &["verify", "oci:./alone:v1"]).refused(3, "chain-link-missing");
    // From the gap to the next.
    let carried = ruled(&at, &["copy", "oci:./gap:v1", "oci:./next:v1", "--json"]).json();
    assert_eq!(carried["links"], 3);
    std::fs::remove_dir_all(at.path("gap")).unwrap();
    ruled(&at, &["verify", "oci:./next:v1"]).ok();
    // What is there already does not travel again.
    let again = ruled(&at, &["copy", &hosted, "oci:./next:v1", "--json"]).json();
    assert_eq!(again["blobsCopied"], 0);
}

#[test]
fn what_is_not_whole_is_not_carried() {
    let at = workspace();
    assert!(detach(&at, "base", PROVENANCE));
    let told = ruled(&at, &["copy", MERGED, "oci:./gap:v1"]);
    told.refused(3, "attestation-missing");
    assert!(!at.path("gap").exists());
    ruled(
        &at,
        &["copy", MERGED, "oci:./gap:v1", "--chain-end", "teacher"],
    )
    .ok();
}

#[test]
fn a_chain_is_carried_only_for_whom_it_can_be_verified() {
    let at = workspace();
    let copy = |more: &[&str]| at.run(&[&["copy", MERGED, "oci:./gap:v1"][..], more].concat());
    copy(&["--chain"]).refused(2, "nothing-to-verify-against");
    copy(&["--key", "merged.pub"]).refused(2, "usage");
    copy(&["--key", "base.pub", "--chain"]).refused(3, "untrusted-signer");
    assert!(!at.path("gap").exists());
    copy(&[]).ok();
}
