//! A pulled directory, verified again offline.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use modelctl::attest::sign;
use modelctl::error::{Error, Reason};
use modelctl::installed::{Change, Checked, Depth, Installed};
use modelctl::key::Algorithm;
use modelctl::policy::{Policy, Requirement, Verdict};
use modelctl::progress::silent;
use modelctl::receipt::RECEIPT;
use modelctl::sign::Signer;
use modelctl::sign::key::{KeySigner, PrivateKey};
use modelctl::trust::TrustRoot;
use modelctl::unpack::{PullOptions, pull};
use modelctl::verify::{Verified, verify};
use modelctl::walk::Selection;
use serde_json::{Value, json};

use crate::memory::Memory;
use crate::model::{files, names, snapshot, write};
use crate::pull::{options, pushed};

/// A signed model, pulled and verified; the store is gone.
pub(crate) struct Scene {
    pub(crate) around: tempfile::TempDir,
    signer: KeySigner,
}

fn signer() -> KeySigner {
    KeySigner::new(
        "release.pub",
        PrivateKey::generate(Algorithm::EcdsaP256).unwrap(),
    )
}

fn trust(signer: &KeySigner) -> TrustRoot {
    TrustRoot::new([signer.authority()]).unwrap()
}

fn policy() -> Policy {
    Policy::new([Requirement::Signature]).unwrap()
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(options(), &files()).await
    }

    async fn with(options: PullOptions, files: &[(&str, Vec<u8>)]) -> Self {
        let scene = Self {
            around: tempfile::tempdir().unwrap(),
            signer: signer(),
        };
        scene.pull("model", options, files).await;
        scene
    }

    /// Pulls a signed model with these files as `name`.
    async fn pull(&self, name: &str, options: PullOptions, files: &[(&str, Vec<u8>)]) {
        let store = Memory::default();
        let artifact = pushed(&store, files).await;
        let now = Timestamp::UNIX_EPOCH;
        sign(&store, &artifact, Default::default(), &self.signer, now)
            .await
            .unwrap();
        let trust = trust(&self.signer);
        let verification = verify(&store, artifact, &trust, &policy()).await.unwrap();
        let artifact = verification.admit().unwrap();
        let target = self.around.path().join(name);
        pull(&store, &artifact, &target, &options, silent())
            .await
            .unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.around.path().join("model").join(name)
    }

    pub(crate) fn open(&self) -> Result<Installed, Error> {
        Installed::open(&self.path(""))
    }

    pub(crate) async fn verify(&self, depth: Depth) -> Result<(Verdict, Checked), Error> {
        let (trust, policy) = (trust(&self.signer), policy());
        self.open()?.verify(&trust, &policy, depth, silent()).await
    }

    pub(crate) async fn refusal(&self, depth: Depth) -> Reason {
        self.verify(depth).await.map(drop).unwrap_err().reason()
    }

    /// Rewrites the receipt.
    pub(crate) fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let mut receipt = serde_json::from_slice(&fs::read(self.path(RECEIPT)).unwrap()).unwrap();
        edit(&mut receipt);
        fs::write(self.path(RECEIPT), receipt.to_string()).unwrap();
    }
}

fn total() -> u64 {
    files()
        .iter()
        .map(|(_, content)| content.len() as u64)
        .sum()
}

#[tokio::test]
async fn an_untouched_model_is_verified_without_reading_it_or_by_reading_all() {
    let scene = Scene::new().await;
    let (verdict, checked) = scene.verify(Depth::Quick).await.unwrap();
    assert!(verdict.admits());
    let expected = Checked {
        files: files().len(),
        left_behind: 0,
        hashed_bytes: 0,
    };
    assert_eq!(checked, expected);
    let (_, checked) = scene.verify(Depth::Deep).await.unwrap();
    assert_eq!(checked.hashed_bytes, total());
}

#[tokio::test]
async fn the_receipt_says_what_was_pulled_and_why_it_could_be() {
    let scene = Scene::new().await;
    let installed = scene.open().unwrap();
    let receipt: Value = serde_json::from_slice(&fs::read(scene.path(RECEIPT)).unwrap()).unwrap();
    let digest = installed.digest().to_string();
    assert_eq!(receipt["reference"], format!("memory.test/model@{digest}"));
    assert_eq!(receipt["manifest"]["digest"], digest);
    assert_eq!(receipt["toolVersion"], "1.2.3");
    assert_eq!(receipt["pulledAt"], "2023-11-14T22:13:20Z");
    assert_eq!(receipt["partial"], false);
    assert_eq!(receipt["verification"]["verified"], true);
    let evidence = &receipt["verification"]["evidence"][0];
    assert_eq!(
        evidence["predicateType"],
        "https://sigstore.dev/cosign/sign/v1"
    );
    assert_eq!(evidence["signer"]["name"], "release.pub");
    let bundle = scene
        .path(".modelctl")
        .join(evidence["file"].as_str().unwrap());
    assert!(bundle.is_file());
    assert_eq!(receipt["files"].as_array().unwrap().len(), files().len());
}

#[tokio::test]
async fn every_change_to_the_files_is_found_and_named() {
    type Harm = fn(&Path);
    type Changes = &'static [(&'static str, Change)];
    let cases: [(&str, Harm, Changes); 14] = [
        (
            "a byte, the old time put back",
            |at| flip(&at.join("model.safetensors")),
            &[("model.safetensors", Change::Content)],
        ),
        (
            "replaced by a file of the same size and time",
            |at| swap(&at.join("config.json")),
            &[("config.json", Change::Content)],
        ),
        (
            "longer",
            |at| append(&at.join("README.md")),
            &[("README.md", Change::Size)],
        ),
        (
            "cut",
            |at| fs::write(at.join("README.md"), "").unwrap(),
            &[("README.md", Change::Size)],
        ),
        (
            "gone",
            |at| fs::remove_file(at.join("README.md")).unwrap(),
            &[("README.md", Change::Missing)],
        ),
        (
            "a directory gone",
            |at| fs::remove_dir_all(at.join("tokenizer")).unwrap(),
            &[
                ("tokenizer/empty", Change::Missing),
                ("tokenizer/vocab.txt", Change::Missing),
            ],
        ),
        (
            "added",
            |at| fs::write(at.join("evil.py"), "x").unwrap(),
            &[("evil.py", Change::Added)],
        ),
        (
            "added deep down",
            |at| write(&at.join("x/y"), &[("z.py", vec![1])]),
            &[("x/y/z.py", Change::Added)],
        ),
        (
            "a link added",
            |at| symlink("config.json", at.join("link")).unwrap(),
            &[("link", Change::Added)],
        ),
        (
            "a cache of code added",
            |at| write(at, &[("__pycache__/a.pyc", vec![1])]),
            &[("__pycache__/a.pyc", Change::Added)],
        ),
        (
            "a link to the same bytes",
            |at| link(&at.join("README.md")),
            &[("README.md", Change::NotAFile)],
        ),
        (
            "a directory for a file",
            |at| directory(&at.join("README.md")),
            &[("README.md", Change::NotAFile)],
        ),
        (
            "a link for a directory",
            |at| link(&at.join("tokenizer")),
            &[
                ("tokenizer", Change::Added),
                ("tokenizer/empty", Change::NotAFile),
                ("tokenizer/vocab.txt", Change::NotAFile),
            ],
        ),
        (
            "a name in another case",
            |at| fs::rename(at.join("COPY.md"), at.join("copy.md")).unwrap(),
            &[("COPY.md", Change::Missing), ("copy.md", Change::Added)],
        ),
    ];
    for (what, harm, expected) in cases {
        let scene = Scene::new().await;
        scene.verify(Depth::Quick).await.unwrap();
        harm(&scene.path(""));
        for depth in [Depth::Quick, Depth::Deep] {
            let error = scene.verify(depth).await.map(drop).unwrap_err();
            assert_eq!(error.reason(), Reason::DirectoryChanged, "{what}");
            let (found, _) = scene
                .open()
                .unwrap()
                .compare(depth, silent())
                .await
                .unwrap();
            let found: Vec<_> = found.iter().map(|d| (d.path.as_str(), d.change)).collect();
            assert_eq!(found, expected, "{what}");
            for (path, _) in expected {
                assert!(error.to_string().contains(path), "{what}: {error}");
            }
        }
    }
}

/// Changes a byte in place, and puts the modification time back.
pub(crate) fn flip(path: &Path) {
    let before = fs::metadata(path).unwrap().modified().unwrap();
    let mut content = fs::read(path).unwrap();
    *content.last_mut().unwrap() ^= 1;
    fs::write(path, content).unwrap();
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(before)
        .unwrap();
}

/// Puts another file of the same size and modification time in its place.
fn swap(path: &Path) {
    let before = fs::metadata(path).unwrap();
    let other = path.with_extension("other");
    fs::write(&other, vec![b' '; before.len() as usize]).unwrap();
    let file = File::options().write(true).open(&other).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    fs::rename(other, path).unwrap();
}

pub(crate) fn append(path: &Path) {
    let mut content = fs::read(path).unwrap();
    content.push(b' ');
    fs::write(path, content).unwrap();
}

/// Moves what stands there out of the model and puts a symlink to it in its place.
pub(crate) fn link(path: &Path) {
    let moved = path.parent().unwrap().parent().unwrap().join("moved");
    fs::rename(path, &moved).unwrap();
    symlink(moved, path).unwrap();
}

fn directory(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
}

#[tokio::test]
async fn only_what_looks_different_is_read_again() {
    let scene = Scene::new().await;
    let path = scene.path("config.json");
    let length = fs::metadata(&path).unwrap().len();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    fs::create_dir(scene.path("empty")).unwrap();
    let (_, checked) = scene.verify(Depth::Quick).await.unwrap();
    assert_eq!(checked.hashed_bytes, length);
}

#[tokio::test]
async fn a_model_that_is_moved_or_copied_is_still_the_same() {
    let scene = Scene::new().await;
    let (from, to) = (scene.path(""), scene.around.path().join("moved"));
    fs::rename(&from, &to).unwrap();
    let installed = Installed::open(&to).unwrap();
    let checked = installed.check(Depth::Quick, silent()).await.unwrap();
    assert_eq!(checked.hashed_bytes, 0);

    for (path, content) in snapshot(&to) {
        let copy = from.join(path.strip_prefix(&to).unwrap());
        match content {
            None => fs::create_dir_all(copy).unwrap(),
            Some(content) => {
                fs::create_dir_all(copy.parent().unwrap()).unwrap();
                fs::write(copy, content).unwrap();
            }
        }
    }
    let (_, checked) = scene.verify(Depth::Quick).await.unwrap();
    assert_eq!(checked.hashed_bytes, total());
}

#[tokio::test]
async fn a_subset_is_verified_as_one() {
    let subset = PullOptions {
        selection: Selection {
            include: vec!["*.json".to_owned(), "tokenizer".to_owned()],
            exclude: Vec::new(),
        },
        ..options()
    };
    let scene = Scene::with(subset, &files()).await;
    let (_, checked) = scene.verify(Depth::Deep).await.unwrap();
    assert_eq!((checked.files, checked.left_behind), (3, 3));
    assert!(scene.open().unwrap().receipt().partial);
    fs::remove_file(scene.path("config.json")).unwrap();
    assert_eq!(scene.refusal(Depth::Quick).await, Reason::DirectoryChanged);
    scene.edit(|receipt| receipt["partial"] = json!(false));
    assert_eq!(scene.refusal(Depth::Quick).await, Reason::ReceiptInvalid);
}

#[tokio::test]
async fn the_bundles_are_judged_anew() {
    let scene = Scene::new().await;
    let installed = scene.open().unwrap();
    let other = installed
        .verify(&trust(&signer()), &policy(), Depth::Quick, silent())
        .await;
    assert_eq!(
        other.map(drop).unwrap_err().reason(),
        Reason::UntrustedSigner
    );
    let predicate_type = "https://slsa.dev/provenance/v1".to_owned();
    let more = Policy::new([Requirement::Attestation { predicate_type }]).unwrap();
    let refused = installed
        .verify(&trust(&scene.signer), &more, Depth::Quick, silent())
        .await;
    assert_eq!(
        refused.map(drop).unwrap_err().reason(),
        Reason::AttestationMissing
    );
}

#[tokio::test]
async fn a_model_that_nobody_verified_says_so() {
    let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
    let artifact = Verified::unchecked(pushed(&store, &files()).await, "nobody asked");
    let target = around.path().join("model");
    pull(&store, &artifact, &target, &options(), silent())
        .await
        .unwrap();
    let installed = Installed::open(&target).unwrap();
    let outcome = &installed.receipt().verification;
    assert_eq!(
        (outcome.verified, outcome.why.as_deref()),
        (false, Some("nobody asked"))
    );
    assert!(names(&target.join(".modelctl/bundles")).is_empty());
    installed.check(Depth::Deep, silent()).await.unwrap();
    let trust = trust(&signer());
    let refused = installed
        .verify(&trust, &policy(), Depth::Quick, silent())
        .await;
    assert_eq!(
        refused.map(drop).unwrap_err().reason(),
        Reason::SignatureMissing
    );
}

#[tokio::test]
async fn many_differences_are_counted_and_ten_are_named() {
    let scene = Scene::new().await;
    for number in 10..25 {
        fs::write(scene.path(&format!("extra-{number}\n")), "").unwrap();
    }
    let error = scene
        .verify(Depth::Quick)
        .await
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(error.contains(r"`extra-19\n` was added, 5 more"), "{error}");
    assert!(
        !error.contains("extra-20") && !error.contains('\n'),
        "{error}"
    );
}
