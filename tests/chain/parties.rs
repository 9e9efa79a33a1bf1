//! Four parties, each with a model: a teacher, a model that learned from it, an adapter for that,
//! and what came of both.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::command::{Outcome, Workspace};
use crate::support::sigstore::{Claims, Server, Version};

/// Who signs adapters, without a key.
pub(crate) const IDENTITY: &str = "adapters@example.com";

/// What is at the end of the chain.
pub(crate) const MERGED: &str = "oci:./merged:v1";

/// Who must have signed what.
pub(crate) const RULES: [&str; 10] = [
    "--key",
    "merged.pub",
    "--chain",
    "--chain-key",
    "base_model=tuned.pub",
    "--chain-key",
    "teacher=base.pub",
    "--chain-identity",
    "adapter=adapters@example.com",
    "--trusted-root=root.json",
];

const SERVICES: [&str; 6] = [
    "--identity-token",
    "token",
    "--signing-config",
    "services.json",
    "--trusted-root",
    "root.json",
];

/// What was made once: a workspace to copy from, and the issuer of its identities.
struct Made {
    workspace: Workspace,
    issuer: String,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let server = Server::start();
        let at = Workspace::new();
        for key in ["base", "tuned", "merged", "stranger"] {
            at.run(&["generate-key-pair", "--output-key-prefix", key])
                .ok();
        }
        let token = server.provider.mint(&Claims::email(IDENTITY));
        at.write("token", token);
        at.write(
            "services.json",
            server.signing_config(&[Version::V1]).to_string(),
        );
        at.write("root.json", server.trusted_root().to_string());
        push(&at, "oci:./base:v1", "base", "train", "", &key("base.key"));
        let from = "[[base]]\nrole = \"teacher\"\nreference = \"oci:./base:v1\"\n";
        push(
            &at,
            "oci:./tuned:v1",
            "tuned",
            "fine-tune",
            from,
            &key("tuned.key"),
        );
        let from = "[[base]]\nreference = \"oci:./tuned:v1\"\n";
        push(
            &at,
            "oci:./adapter:v1",
            "adapter",
            "adapter",
            from,
            &SERVICES,
        );
        let from =
            format!("{from}[[base]]\nrole = \"adapter\"\nreference = \"oci:./adapter:v1\"\n");
        push(&at, MERGED, "merged", "merge", &from, &key("merged.key"));
        let issuer = server.url.clone();
        Made {
            workspace: at,
            issuer,
        }
    })
}

/// Returns the flags that sign with a key.
pub(crate) fn key(file: &str) -> [&str; 2] {
    ["--key", file]
}

/// Writes a model of its own, pushes it, signs it and says how it came to be.
pub(crate) fn push(at: &Workspace, to: &str, name: &str, kind: &str, from: &str, signer: &[&str]) {
    let directory = format!("models/{name}");
    at.model(&directory);
    at.write(&format!("{directory}/README.md"), format!("# {name}\n"));
    let run =
        format!("schema = 1\n[run]\ntype = \"{kind}\"\n[environment]\npython = \"3\"\n{from}");
    at.write("run.toml", run);
    let push = [
        "push",
        to,
        &directory,
        "--sign",
        "--training-run",
        "run.toml",
    ];
    at.run(&[&push[..], signer].concat()).ok();
}

/// Returns a workspace in which all four have signed.
pub(crate) fn workspace() -> Workspace {
    let at = Workspace::new();
    copy(&made().workspace.path("."), &at.path("."));
    at
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Runs a command under the rules that all four keep.
pub(crate) fn ruled(at: &Workspace, words: &[&str]) -> Outcome {
    let issuer = format!("adapter={}", made().issuer);
    at.run(&[words, &RULES, &["--chain-issuer", &issuer]].concat())
}

/// Verifies the whole chain of what is at the end of it.
pub(crate) fn verify(at: &Workspace) -> Outcome {
    ruled(at, &["verify", MERGED])
}

/// Returns what `reference` is pinned to.
pub(crate) fn digest(at: &Workspace, reference: &str) -> String {
    let inspected = at.run(&["inspect", reference, "--json"]).json();
    inspected["digest"].as_str().unwrap().to_owned()
}

/// Returns the path of a blob of the layout `layout`.
pub(crate) fn blob(at: &Workspace, layout: &str, digest: &str) -> std::path::PathBuf {
    let hex = digest.strip_prefix("sha256:").unwrap();
    at.path(&format!("{layout}/blobs/sha256/{hex}"))
}

/// Removes the document with this digest from the layout: nobody lists it any more.
pub(crate) fn remove(at: &Workspace, layout: &str, digest: &str) {
    let path = at.path(&format!("{layout}/index.json"));
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let manifests = index["manifests"].as_array_mut().unwrap();
    manifests.retain(|manifest| manifest["digest"] != digest);
    std::fs::write(path, index.to_string()).unwrap();
    std::fs::remove_file(blob(at, layout, digest)).unwrap();
}

/// Removes what is attached to `v1` of the layout and has the predicate type, and says whether
/// there was any.
pub(crate) fn detach(at: &Workspace, layout: &str, predicate_type: &str) -> bool {
    let reference = format!("oci:./{layout}:v1");
    let tree = at.run(&["tree", &reference, "--json"]).json();
    let found = tree["referrers"].as_array().unwrap().iter();
    let found: Vec<_> = found
        .filter(|node| node["predicateType"] == predicate_type)
        .map(|node| node["digest"].as_str().unwrap().to_owned())
        .collect();
    found.iter().for_each(|digest| remove(at, layout, digest));
    !found.is_empty()
}

/// The predicate type of signatures.
pub(crate) const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";

/// The predicate type of provenance.
pub(crate) const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// Attests, with the key `key`, that `reference` was made from `dependencies`.
pub(crate) fn attest(at: &Workspace, reference: &str, dependencies: Value, key: &str) {
    let predicate = serde_json::json!({
        "buildDefinition": {
            "buildType": "https://example.com/build/v1",
            "externalParameters": {},
            "resolvedDependencies": dependencies,
        },
        "runDetails": { "builder": { "id": "https://example.com/builder" } },
    });
    attest_type(at, reference, "slsaprovenance1", predicate, key);
}

/// Attests `predicate` of `reference` with the key `key`.
pub(crate) fn attest_type(
    at: &Workspace,
    reference: &str,
    kind: &str,
    predicate: Value,
    key: &str,
) {
    at.write("predicate.json", predicate.to_string());
    let key = format!("{key}.key");
    let attest = [
        "attest",
        reference,
        "--type",
        kind,
        "--predicate",
        "predicate.json",
    ];
    at.run(&[&attest[..], &["--key", &key]].concat()).ok();
}
