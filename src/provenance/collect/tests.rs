use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::digest::Digest;
use crate::error::Reason;
use crate::progress::Silent;
use crate::provenance::dependency::{DIGEST_METHOD, DIRECTORY_METHOD};
use crate::provenance::run_file;
use crate::store::layout::{Access, Layout};

fn write(directory: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

async fn collected(directory: &Path, run: &str) -> Result<Vec<Dependency>> {
    let run = run_file::parse(&format!("schema = 1\n{run}"), Path::new("run.toml"))?;
    let open = |location: &Location| -> Result<SharedStore> {
        match location {
            Location::Layout(path) => Ok(Arc::new(Layout::open(path, Access::Read)?)),
            Location::Registry { .. } => panic!("no registry is asked"),
        }
    };
    let sources = Sources {
        directory,
        open: &open,
        sigstore: &|_| panic!("no identity is asked for"),
        memory: None,
        progress: &Silent,
    };
    dependencies(&run, &Facts::default(), sources).await
}

#[tokio::test]
async fn data_is_hashed_or_taken_from_a_list_to_the_same_digest() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    write(at, "data/b/x", "2");
    write(at, "data/a", "1");
    let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
    write(
        at,
        "SUMS",
        format!("{}  ./b/x\n{}  ./a\n", two.hex(), one.hex()),
    );
    let run = "[[data]]\npath = \"data\"\n[[data]]\npath = \"data\"\ndigest_file = \"SUMS\"\n\
               [[data]]\npath = \"data/a\"\nrole = \"evaluation\"\n";
    let found = collected(at, run).await.unwrap();
    let root = Digest::of(&[one.as_bytes().as_slice(), two.as_bytes()].concat());
    assert_eq!(found[0].digest["sha256"], root.hex());
    assert_eq!(found[0].annotations[DIGEST_METHOD], DIRECTORY_METHOD);
    assert_eq!(found[1].digest, found[0].digest);
    assert_eq!(
        (found[2].role, &found[2].digest["sha256"]),
        (Role::EvaluationData, &one.hex())
    );
    assert!(!found[2].annotations.contains_key(DIGEST_METHOD));
}

#[tokio::test]
async fn data_that_is_not_what_was_said_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "data", "1");
    let run = |digest: Digest| format!("[[data]]\npath = \"data\"\ndigest = \"{digest}\"\n");
    collected(directory.path(), &run(Digest::of(b"1")))
        .await
        .unwrap();
    let error = collected(directory.path(), &run(Digest::of(b"2"))).await;
    assert_eq!(error.unwrap_err().reason(), Reason::DigestMismatch);
    let absent = "[[data]]\npath = \"absent\"\n";
    let error = collected(directory.path(), absent).await.unwrap_err();
    assert_eq!(error.reason(), Reason::FileNotFound);
}

#[tokio::test]
async fn an_image_by_digest_is_not_asked_for() {
    let hex = "0".repeat(64);
    let run = format!("[environment]\nimage = \"r.example.com:5000/a/train:v1@sha256:{hex}\"\n");
    let directory: PathBuf = ".".into();
    let found = collected(&directory, &run).await.unwrap();
    assert_eq!(found[0].role, Role::TrainingEnvironment);
    let uri =
        format!("pkg:oci/train@sha256%3A{hex}?repository_url=r.example.com%3A5000/a/train&tag=v1");
    assert_eq!(found[0].uri.as_ref(), Some(&uri));
}

#[tokio::test]
async fn facts_are_found_with_nothing_around() {
    let directory = tempfile::tempdir().unwrap();
    let found = facts(Surroundings {
        directory: directory.path(),
        variables: &BTreeMap::new(),
        search_path: None,
        root: directory.path(),
    })
    .await;
    let host = found.host.clone();
    let nothing = Facts {
        host,
        ..Facts::default()
    };
    assert_eq!(found, nothing);
}

#[cfg(unix)]
#[tokio::test]
async fn programs_are_asked_without_the_environment_and_a_failing_one_is_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let program = |name: &str, body: &str| {
        write(directory.path(), name, format!("#!/bin/sh\n{body}\n"));
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path().join(name), mode).unwrap();
    };
    program(
        "nvidia-smi",
        "echo \"${HOME:-no home}${CARGO_MANIFEST_DIR}, 1.2\"",
    );
    program("python3", "echo 3.12.1; exit 1");
    let search_path = directory.path().as_os_str();
    let found = facts(Surroundings {
        directory: directory.path(),
        variables: &BTreeMap::new(),
        search_path: Some(search_path),
        root: directory.path(),
    })
    .await;
    assert_eq!(found.accelerators[0].name, "no home");
    assert_eq!(found.python, Default::default());
}
