//! Removing, swapping or re-signing any one link is refused, and told of exactly that link.

use crate::parties::{
    MERGED, PROVENANCE, SIGNATURE, attest, blob, detach, digest, remove, ruled, verify, workspace,
};
use crate::support::command::Workspace;

/// What is done to a link.
#[derive(Debug, Clone, Copy)]
enum Tampering {
    Removed,
    Swapped,
    Unsigned,
    SignedByAStranger,
    WithoutProvenance,
    ProvenanceByAStranger,
}

impl Tampering {
    const ALL: [Self; 6] = [
        Self::Removed,
        Self::Swapped,
        Self::Unsigned,
        Self::SignedByAStranger,
        Self::WithoutProvenance,
        Self::ProvenanceByAStranger,
    ];

    fn reason(self) -> &'static str {
        match self {
            Self::Removed | Self::Swapped => "chain-link-missing",
            Self::Unsigned => "signature-missing",
            Self::WithoutProvenance => "attestation-missing",
            Self::SignedByAStranger | Self::ProvenanceByAStranger => "untrusted-signer",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Removed | Self::Swapped => "missing",
            Self::Unsigned | Self::SignedByAStranger => "refused",
            Self::WithoutProvenance | Self::ProvenanceByAStranger => "originUnstated",
        }
    }

    fn apply(self, at: &Workspace, link: &str, digest: &str) {
        let reference = format!("oci:./{link}:v1");
        match self {
            Self::Removed => remove(at, link, digest),
            Self::Swapped => {
                let other = match link {
                    "base" => "tuned",
                    _ => "base",
                };
                let other_digest = crate::parties::digest(at, &format!("oci:./{other}:v1"));
                let bytes = std::fs::read(blob(at, other, &other_digest)).unwrap();
                std::fs::write(blob(at, link, digest), bytes).unwrap();
            }
            Self::Unsigned => assert!(detach(at, link, SIGNATURE)),
            Self::SignedByAStranger => {
                assert!(detach(at, link, SIGNATURE));
                at.run(&["sign", &reference, "--key", "stranger.key"]).ok();
            }
            Self::WithoutProvenance => assert!(detach(at, link, PROVENANCE)),
            Self::ProvenanceByAStranger => {
                assert!(detach(at, link, PROVENANCE));
                attest(at, &reference, serde_json::json!([]), "stranger");
            }
        }
    }
}

#[test]
fn a_chain_of_four_parties_one_of_them_keyless_is_whole() {
    let at = workspace();
    let told = verify(&at);
    let tree = told.ok();
    let lines: Vec<_> = tree.lines().collect();
    assert!(lines[0].starts_with("oci:./merged:v1@sha256:"), "{tree}");
    for (role, link, signer) in [
        ("base_model", "tuned", "key tuned.pub"),
        ("adapter", "adapter", "adapters@example.com (issuer "),
        ("teacher", "base", "key base.pub"),
    ] {
        let start = format!(
            "{role} oci:./{link}:v1@{}",
            digest(&at, &format!("oci:./{link}:v1"))
        );
        let line = lines.iter().find(|line| line.contains(&start));
        let line = line.unwrap_or_else(|| panic!("{start} is not in {tree}"));
        assert!(
            line.contains("verified: ") && line.contains(signer),
            "{line}"
        );
    }
    assert!(!tree.contains("BROKEN") && !tree.contains("GAP"), "{tree}");

    let json = ruled(&at, &["verify", MERGED, "--json"]).json();
    assert_eq!(json["verified"], true);
    assert_eq!(json["chain"]["whole"], true);
    let root = &json["chain"]["root"];
    assert_eq!(root["origin"]["kind"], "stated");
    assert_eq!(root["links"][0]["role"], "base_model");
    assert_eq!(root["links"][0]["links"][0]["role"], "teacher");
    assert_eq!(root["links"][1]["role"], "adapter");
    // The model that the adapter is for was judged before.
    assert_eq!(root["links"][1]["links"][0]["origin"]["kind"], "elsewhere");
    let signer = &root["links"][1]["findings"][0]["metBy"][0]["signer"];
    assert_eq!(signer["kind"], "keyless");
}

#[test]
fn whatever_is_done_to_one_link_is_refused_and_told_of_that_link() {
    for (role, link) in [
        ("base_model", "tuned"),
        ("adapter", "adapter"),
        ("teacher", "base"),
    ] {
        for tampering in Tampering::ALL {
            let at = workspace();
            let digest = digest(&at, &format!("oci:./{link}:v1"));
            tampering.apply(&at, link, &digest);
            let told = verify(&at);
            assert_eq!(told.code, 3, "{link} {tampering:?}: {told:?}");
            assert_eq!(
                told.reason(),
                tampering.reason(),
                "{link} {tampering:?}: {told:?}"
            );
            let named = format!("is broken at the {role} `oci:./{link}:v1@{digest}`");
            assert!(
                told.stderr.contains(&named),
                "{link} {tampering:?}: {told:?}"
            );

            let json = ruled(&at, &["verify", MERGED, "--json"]).json();
            assert_eq!(json["verified"], false);
            let gaps = gaps(&json["chain"]["root"]);
            assert_eq!(
                gaps,
                [(digest, tampering.kind().to_owned())],
                "{link} {tampering:?}"
            );
        }
    }
}

/// Returns every gap in JSON: which link, and of which kind.
fn gaps(link: &serde_json::Value) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let own = link["gaps"].as_array().unwrap().iter();
    let mut found: Vec<_> = own
        .map(|gap| (text(&link["digest"]), text(&gap["kind"])))
        .collect();
    let below = link["links"].as_array().into_iter().flatten();
    found.extend(below.flat_map(gaps));
    found
}

#[test]
fn the_artifact_itself_is_refused_as_without_a_chain() {
    for tampering in [Tampering::Unsigned, Tampering::SignedByAStranger] {
        let at = workspace();
        tampering.apply(&at, "merged", &digest(&at, MERGED));
        verify(&at).refused(3, tampering.reason());
    }
    let at = workspace();
    assert!(detach(&at, "merged", PROVENANCE));
    // It is signed, and that is enough without a chain.
    at.run(&["verify", MERGED, "--key", "merged.pub"]).ok();
    let told = verify(&at);
    told.refused(3, "attestation-missing");
    assert!(told.stderr.contains("broken at its beginning"), "{told:?}");
}

#[test]
fn a_link_by_another_of_the_four_is_by_the_wrong_party() {
    let at = workspace();
    assert!(detach(&at, "tuned", SIGNATURE));
    at.run(&["sign", "oci:./tuned:v1", "--key", "base.key"])
        .ok();
    verify(&at).refused(3, "untrusted-signer");
    at.run(&["sign", "oci:./tuned:v1", "--key", "tuned.key"])
        .ok();
    verify(&at).ok();
}

#[test]
fn a_tag_that_moved_changes_no_chain() {
    let at = workspace();
    at.run(&["push", "oci:./base:v1", "models/tuned"]).ok();
    verify(&at).ok();
}

#[test]
fn what_a_stranger_says_of_an_origin_leads_nowhere() {
    let at = workspace();
    let nowhere =
        "oci:./nowhere@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let resource = serde_json::json!([{
        "name": "x",
        "digest": { "sha256": nowhere.split(':').next_back().unwrap() },
        "annotations": { "modelctl_role": "base_model", "modelctl_reference": nowhere },
    }]);
    attest(&at, "oci:./tuned:v1", resource.clone(), "stranger");
    let told = verify(&at);
    assert!(!told.ok().contains("nowhere"), "{told:?}");
    attest(&at, "oci:./tuned:v1", resource, "tuned");
    let told = verify(&at);
    told.refused(3, "chain-link-missing");
    assert!(told.stderr.contains(nowhere), "{told:?}");
}
