//! Receipts that someone has changed.

use std::fs::{self, File};
use std::path::PathBuf;

use modelctl::error::Reason;
use modelctl::installed::{Depth, Installed};
use modelctl::progress::silent;
use modelctl::receipt::RECEIPT;
use modelctl::unpack::pull;
use modelctl::verify::Verified;
use serde_json::{Value, json};

use crate::installed::{Scene, append, flip, link};
use crate::memory::Memory;
use crate::model::names;
use crate::pull::{including, layer, manifest, options, pull_unchecked, pushed};

#[tokio::test]
async fn a_receipt_that_contradicts_itself_is_refused() {
    type Harm = fn(&Scene);
    let cases: [(&str, Harm, Reason); 23] = [
        (
            "gone",
            |s| fs::remove_file(s.path(RECEIPT)).unwrap(),
            Reason::ReceiptMissing,
        ),
        (
            "all gone",
            |s| fs::remove_dir_all(s.path(".modelctl")).unwrap(),
            Reason::ReceiptMissing,
        ),
        (
            "not JSON",
            |s| fs::write(s.path(RECEIPT), "{").unwrap(),
            Reason::ReceiptInvalid,
        ),
        (
            "endless",
            |s| {
                File::create(s.path(RECEIPT))
                    .unwrap()
                    .set_len(1 << 40)
                    .unwrap()
            },
            Reason::ReceiptInvalid,
        ),
        ("a link", |s| link(&s.path(RECEIPT)), Reason::ReceiptInvalid),
        (
            "behind a link",
            |s| link(&s.path(".modelctl")),
            Reason::ReceiptInvalid,
        ),
        (
            "of another version",
            |s| s.edit(|r| r["schemaVersion"] = json!(2)),
            Reason::ReceiptInvalid,
        ),
        (
            "with a field nobody knows",
            |s| s.edit(|r| r["trust"] = json!("me")),
            Reason::ReceiptInvalid,
        ),
        (
            "a key twice",
            |s| s.edit_text(r#""partial":"#, r#""partial":true,"partial":"#),
            Reason::ReceiptInvalid,
        ),
        (
            "no reference",
            |s| s.edit(|r| r["reference"] = json!("no where")),
            Reason::ReceiptInvalid,
        ),
        (
            "another digest",
            |s| s.edit(|r| r["manifest"]["digest"] = json!(format!("sha256:{}", "0".repeat(64)))),
            Reason::ReceiptInvalid,
        ),
        (
            "another size",
            |s| s.edit(|r| r["manifest"]["size"] = json!(1)),
            Reason::ReceiptInvalid,
        ),
        (
            "another kind",
            |s| {
                s.edit(|r| {
                    r["manifest"]["mediaType"] = json!("application/vnd.oci.image.index.v1+json")
                })
            },
            Reason::ReceiptInvalid,
        ),
        (
            "no files",
            |s| s.edit(|r| r["files"] = json!([])),
            Reason::ReceiptInvalid,
        ),
        (
            "no files, and partial",
            |s| {
                s.edit(|r| {
                    r["files"] = json!([]);
                    r["partial"] = json!(true)
                })
            },
            Reason::ReceiptInvalid,
        ),
        (
            "a file less",
            |s| {
                s.edit(|r| {
                    r["files"].as_array_mut().unwrap().pop();
                })
            },
            Reason::ReceiptInvalid,
        ),
        (
            "a file more",
            |s| {
                s.edit(|r| {
                    let mut f = r["files"][0].clone();
                    f["path"] = json!("evil.py");
                    r["files"].as_array_mut().unwrap().push(f)
                })
            },
            Reason::ReceiptInvalid,
        ),
        (
            "a file twice",
            |s| {
                s.edit(|r| {
                    let f = r["files"][0].clone();
                    r["files"].as_array_mut().unwrap().push(f)
                })
            },
            Reason::ReceiptInvalid,
        ),
        (
            "a path out",
            |s| s.edit(|r| r["files"][0]["path"] = json!("../x")),
            Reason::ReceiptInvalid,
        ),
        (
            "a bundle gone",
            |s| fs::remove_file(s.bundle()).unwrap(),
            Reason::ReceiptInvalid,
        ),
        (
            "a bundle altered",
            |s| append(&s.bundle()),
            Reason::ReceiptInvalid,
        ),
        (
            "the manifest altered",
            |s| append(&s.path(".modelctl/manifest.json")),
            Reason::ReceiptInvalid,
        ),
        (
            "the manifest gone",
            |s| fs::remove_file(s.path(".modelctl/manifest.json")).unwrap(),
            Reason::ReceiptInvalid,
        ),
    ];
    for (what, harm, reason) in cases {
        let scene = Scene::new().await;
        scene.edit(|_| {});
        scene.verify(Depth::Quick).await.unwrap();
        harm(&scene);
        assert_eq!(scene.refusal(Depth::Quick).await, reason, "{what}");
        assert_eq!(scene.refusal(Depth::Deep).await, reason, "{what}");
    }
}

/// An archive's bytes are not the file's that bears its name.
#[tokio::test]
async fn a_receipt_that_lists_an_archive_is_refused() {
    let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
    let mut archive = layer(&store, "docs.tar", b"tar");
    archive.media_type = "application/vnd.cncf.model.doc.v1.tar".to_owned();
    let layers = vec![archive, layer(&store, "a", b"a")];
    let artifact = store.artifact(manifest(layers)).await;
    let target = around.path().join("model");
    pull_unchecked(&store, artifact, &target, &including(&["a"]))
        .await
        .unwrap();
    Installed::open(&target).unwrap();

    let mut receipt: Value =
        serde_json::from_slice(&fs::read(target.join(RECEIPT)).unwrap()).unwrap();
    let mut listed = receipt["files"][0].clone();
    listed["path"] = json!("docs.tar");
    receipt["files"].as_array_mut().unwrap().push(listed);
    fs::write(target.join(RECEIPT), receipt.to_string()).unwrap();
    let error = Installed::open(&target).unwrap_err();
    assert_eq!(error.reason(), Reason::ReceiptInvalid);
}

impl Scene {
    fn bundle(&self) -> PathBuf {
        let bundles = self.path(".modelctl/bundles");
        bundles.join(&names(&bundles)[0])
    }

    fn edit_text(&self, from: &str, to: &str) {
        self.edit(|_| {});
        let text = fs::read_to_string(self.path(RECEIPT)).unwrap();
        assert!(text.contains(from));
        fs::write(self.path(RECEIPT), text.replace(from, to)).unwrap();
    }
}

/// Whoever can write the files can write a receipt that fits them; the signature does not fit.
#[tokio::test]
async fn a_receipt_that_fits_another_model_does_not_help() {
    let scene = Scene::new().await;
    let evil = [
        ("config.json", b"{}".to_vec()),
        ("evil.py", b"import os".to_vec()),
    ];
    let (store, target) = (Memory::default(), scene.around.path().join("evil"));
    let artifact = Verified::unchecked(pushed(&store, &evil).await, "mine");
    pull(&store, &artifact, &target, &options(), silent())
        .await
        .unwrap();
    let signed: Value = serde_json::from_slice(&fs::read(scene.path(RECEIPT)).unwrap()).unwrap();
    fs::copy(
        scene.bundle(),
        target
            .join(".modelctl/bundles")
            .join(&names(scene.bundle().parent().unwrap())[0]),
    )
    .unwrap();
    fs::remove_dir_all(scene.path("")).unwrap();
    fs::rename(&target, scene.path("")).unwrap();
    scene.edit(|receipt| receipt["verification"] = signed["verification"].clone());
    scene
        .open()
        .unwrap()
        .check(Depth::Deep, silent())
        .await
        .unwrap();
    assert_eq!(scene.refusal(Depth::Quick).await, Reason::SubjectMismatch);
}

/// What [`Depth::Quick`] cannot see and [`Depth::Deep`] does: a receipt that was made to fit.
#[tokio::test]
async fn only_a_deep_look_sees_through_a_forged_stamp() {
    use std::os::unix::fs::MetadataExt;
    let scene = Scene::new().await;
    flip(&scene.path("config.json"));
    let changed = fs::metadata(scene.path("config.json")).unwrap();
    assert_eq!(scene.refusal(Depth::Quick).await, Reason::DirectoryChanged);
    scene.edit(|receipt| {
        let files = receipt["files"].as_array_mut().unwrap();
        let file = files
            .iter_mut()
            .find(|file| file["path"] == "config.json")
            .unwrap();
        file["stamp"]["ctimeNs"] = json!(changed.ctime() * 1_000_000_000 + changed.ctime_nsec());
    });
    scene.verify(Depth::Quick).await.unwrap();
    assert_eq!(scene.refusal(Depth::Deep).await, Reason::DirectoryChanged);
}
