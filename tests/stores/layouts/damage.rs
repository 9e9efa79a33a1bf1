//! Damaged layouts: refused, and never read as "nothing there".

use std::fs;
use std::path::Path;

use bytes::Bytes;
use modelctl::blob::InMemory;
use modelctl::digest::Digest;
use modelctl::error::Reason;
use modelctl::limits;
use modelctl::manifest::{Descriptor, media_type};
use modelctl::progress::Silent;
use modelctl::reference::Selector;
use modelctl::store::Store;
use modelctl::store::layout::{Access, Layout};

use super::{Foreign, entry, index_of, named, snapshot};
use crate::artifact::{LAYER, by_digest, by_tag, fetch, manifest, put, put_blob, tag, tags};

#[tokio::test]
async fn a_listed_manifest_that_cannot_be_read_is_never_no_referrers() {
    let (model, other) = (manifest("model", None), manifest("other", None));
    let whole = index_of(&[named(&model, "v1"), entry(&other, "")]);
    let foreign = Foreign::new(&[&model, &other], &whole);
    let layout = foreign.open();
    let ask = async || {
        layout
            .referrers(model.descriptor())
            .await
            .map_err(|e| e.reason())
    };
    assert_eq!(ask().await, Ok(Vec::new()));

    let path = foreign.blob(other.digest());
    let good = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(ask().await, Err(Reason::LayoutInvalid));
    let mut changed = good.clone();
    changed[20] ^= 1;
    fs::write(&path, &changed).unwrap();
    assert_eq!(ask().await, Err(Reason::DigestMismatch));
    fs::write(&path, &good[1..]).unwrap();
    assert_eq!(ask().await, Err(Reason::SizeMismatch));
    fs::write(&path, &good).unwrap();
    assert_eq!(ask().await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_digest_need_not_be_listed() {
    let (model, child) = (manifest("model", None), manifest("child", None));
    let foreign = Foreign::new(&[&model, &child], &index_of(&[named(&model, "v1")]));
    let layout = foreign.open();
    let found = layout.manifest(&by_digest(&child)).await.unwrap();
    assert!(found.descriptor().same_content(child.descriptor()));
    for (bytes, reason) in [
        (&b"model"[..], Reason::JsonInvalid),
        (b"{}", Reason::ManifestInvalid),
        (&vec![b' '; limits::MANIFEST as usize + 1], Reason::TooLarge),
    ] {
        foreign.add(bytes);
        let selector = Selector::Digest(Digest::of(bytes));
        assert_eq!(
            layout.manifest(&selector).await.unwrap_err().reason(),
            reason
        );
    }
}

#[tokio::test]
async fn a_damaged_layout_is_refused_when_opened() {
    type Damage = fn(&Path);
    let marker = |text: &'static str| move |root: &Path| fs::write(root.join("oci-layout"), text);
    let cases: [(&str, Damage); 6] = [
        ("no oci-layout", |root| {
            fs::remove_file(root.join("oci-layout")).unwrap()
        }),
        ("a marker that is a directory", |root| {
            fs::remove_file(root.join("oci-layout")).unwrap();
            fs::create_dir(root.join("oci-layout")).unwrap();
        }),
        ("a marker that is a symlink", |root| {
            fs::rename(root.join("oci-layout"), root.join("elsewhere")).unwrap();
            std::os::unix::fs::symlink("elsewhere", root.join("oci-layout")).unwrap();
        }),
        ("blobs that are a symlink", |root| {
            fs::rename(root.join("blobs"), root.join("elsewhere")).unwrap();
            std::os::unix::fs::symlink("elsewhere", root.join("blobs")).unwrap();
        }),
        ("blobs/sha256 that is a symlink", |root| {
            fs::rename(root.join("blobs/sha256"), root.join("elsewhere")).unwrap();
            std::os::unix::fs::symlink("../elsewhere", root.join("blobs/sha256")).unwrap();
        }),
        ("blobs that are a file", |root| {
            fs::remove_dir_all(root.join("blobs")).unwrap();
            fs::write(root.join("blobs"), "").unwrap();
        }),
    ];
    for (what, damage) in cases {
        refused(what, damage);
    }
    for text in [
        "",
        "1.0.0",
        "{}",
        r#"{"imageLayoutVersion":"2.0.0"}"#,
        r#"{"imageLayoutVersion":"10.0.0"}"#,
        r#"{"imageLayoutVersion":""}"#,
        r#"{"imageLayoutVersion":1}"#,
        r#"{"imageLayoutVersion":"1.0.0","imageLayoutVersion":"1.0.0"}"#,
    ] {
        refused(text, |root| marker(text)(root).unwrap());
    }
    let model = manifest("model", None);
    let later = Foreign::new(&[&model], &index_of(&[]));
    marker(r#"{"imageLayoutVersion":"1.1.0","new":true}"#)(later.path()).unwrap();
    later.open();
}

/// Damages a layout, and sees that it is refused and left as it is.
fn refused(what: &str, damage: impl Fn(&Path)) {
    let model = manifest("model", None);
    let foreign = Foreign::new(&[&model], &index_of(&[named(&model, "v1")]));
    foreign.open();
    damage(foreign.path());
    let before = snapshot(foreign.path());
    for access in [Access::Read, Access::ReadOrCreate] {
        let error = Layout::open(foreign.path(), access).expect_err(what);
        assert_eq!(error.reason(), Reason::LayoutInvalid, "{what}: {error}");
    }
    assert_eq!(snapshot(foreign.path()), before, "{what}");
}

#[tokio::test]
async fn a_malformed_index_is_refused_when_read() {
    let version = "\"schemaVersion\":2";
    for (find, put) in [
        (version, "\"schemaVersion\":1"),
        (version, "\"schemaVersion\":\"2\""),
        (version, "\"x\":2"),
        (version, "\"schemaVersion\":2,\"schemaVersion\":2"),
        (version, "\"schemaVersion\":2,\"layers\":[]"),
        (version, "\"schemaVersion\":2,\"config\":null"),
        (media_type::INDEX, media_type::MANIFEST),
        ("\"manifests\"", "\"manifest\""),
        ("\"digest\"", "\"digest\":\"x\",\"digest\""),
        ("\"size\":", "\"size\":-"),
        ("\"v1\"", "1"),
    ] {
        index_refused(|good, _| good.replace(find, put), Reason::LayoutInvalid).await;
    }
    for garbage in ["", "[]", "garbage", "null"] {
        index_refused(|_, _| garbage.to_owned(), Reason::LayoutInvalid).await;
    }
    index_refused(|good, _| good.to_owned() + "{}", Reason::LayoutInvalid).await;
    let deep = "[".repeat(100_000);
    let damage = |_: &str, _: &str| format!("{{\"schemaVersion\":2,\"manifests\":{deep}}}");
    index_refused(damage, Reason::LayoutInvalid).await;
    let room = " ".repeat(limits::MANIFEST as usize);
    index_refused(|good, _| good.to_owned() + &room, Reason::TooLarge).await;
}

#[tokio::test]
async fn a_digest_that_is_none_never_becomes_a_path() {
    let bad: [fn(&str) -> String; 11] = [
        |_| "sha256:../../../../etc/passwd".to_owned(),
        |hex| format!("sha256:../sha256/{hex}"),
        |hex| format!("sha256:{}", hex.to_uppercase()),
        |hex| format!("sha256:{hex}/"),
        |hex| format!("sha256:{hex}%00"),
        |hex| format!("sha256:{hex}\\u0000"),
        |hex| format!("sha512:{hex}{hex}"),
        |hex| format!("sha256-{hex}"),
        |hex| format!("sha256:{}", &hex[1..]),
        str::to_owned,
        |_| String::new(),
    ];
    for bad in bad {
        let damage = |good: &str, hex: &str| good.replace(&format!("sha256:{hex}"), &bad(hex));
        index_refused(damage, Reason::LayoutInvalid).await;
    }
}

/// Damages an index, given its text and the digits of the digest in it, and sees that it is
/// refused by everything that reads it, and not written over.
async fn index_refused(damage: impl Fn(&str, &str) -> String, reason: Reason) {
    let model = manifest("model", None);
    let good = index_of(&[named(&model, "v1")]);
    let foreign = Foreign::new(&[&model], &good);
    let layout = foreign.open();
    layout.manifest(&by_tag("v1")).await.unwrap();

    let damaged = damage(&good, &model.digest().hex());
    assert_ne!(damaged, good);
    fs::write(foreign.path().join("index.json"), &damaged).unwrap();
    let new = tag("v2");
    for error in [
        layout.manifest(&by_tag("v1")).await.unwrap_err(),
        layout.referrers(model.descriptor()).await.unwrap_err(),
        layout.tags().await.unwrap_err(),
        layout.put_manifest(&model, Some(&new)).await.unwrap_err(),
    ] {
        let shown: String = damaged.chars().take(200).collect();
        assert_eq!(error.reason(), reason, "{shown}: {error}");
    }
    assert_eq!(foreign.index(), damaged);
}

#[tokio::test]
async fn blobs_without_an_index_are_not_a_new_layout() {
    let model = manifest("model", None);
    let foreign = Foreign::new(&[&model], &index_of(&[named(&model, "v1")]));
    let layout = foreign.open();
    fs::remove_file(foreign.path().join("index.json")).unwrap();
    let error = layout.referrers(model.descriptor()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::LayoutInvalid);
    let error = Layout::open(foreign.path(), Access::ReadOrCreate).unwrap_err();
    assert_eq!(error.reason(), Reason::LayoutInvalid);

    // Without blobs it is one whose making was interrupted.
    fs::remove_dir_all(foreign.path().join("blobs")).unwrap();
    let layout = Layout::open(foreign.path(), Access::ReadOrCreate).unwrap();
    assert!(tags(&layout).await.is_empty());
}

#[tokio::test]
async fn only_a_regular_file_is_a_blob() {
    type Damage = fn(&Path);
    let mut cases: Vec<(&str, Damage)> = vec![
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("symlink", |path| {
            let elsewhere = path.with_extension("elsewhere");
            fs::write(&elsewhere, "model").unwrap();
            std::os::unix::fs::symlink(elsewhere, path).unwrap();
        }),
        ("dangling symlink", |path| {
            std::os::unix::fs::symlink("nowhere", path).unwrap()
        }),
        ("socket", |path| {
            // A path of a socket must be short, so it is made beside and moved.
            let short = path.parent().unwrap().join("s");
            drop(std::os::unix::net::UnixListener::bind(&short).unwrap());
            fs::rename(short, path).unwrap();
        }),
    ];
    #[cfg(target_os = "linux")]
    cases.push(("FIFO", |path| {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }));
    for (what, damage) in cases {
        let model = manifest("model", None);
        let foreign = Foreign::new(&[&model], &index_of(&[named(&model, "v1")]));
        let layout = foreign.open();
        let layer = Descriptor::of(LAYER, b"model");
        fetch(&layout, &layer).await.unwrap();
        layout.manifest(&by_tag("v1")).await.unwrap();
        for digest in [&layer.digest, model.digest()] {
            fs::remove_file(foreign.blob(digest)).unwrap();
            damage(&foreign.blob(digest));
        }
        let content = InMemory(Bytes::from_static(b"model"));
        for error in [
            fetch(&layout, &layer).await.unwrap_err(),
            layout.has_blob(&layer).await.unwrap_err(),
            layout
                .put_blob(&layer, &content, &Silent)
                .await
                .unwrap_err(),
            layout.manifest(&by_tag("v1")).await.unwrap_err(),
            layout.manifest(&by_digest(&model)).await.unwrap_err(),
        ] {
            assert_eq!(error.reason(), Reason::LayoutInvalid, "{what}: {error}");
        }
    }
}

#[tokio::test]
async fn storing_a_damaged_blob_again_repairs_it() {
    let model = manifest("model", None);
    let foreign = Foreign::new(&[&model], &index_of(&[named(&model, "v1")]));
    let layout = foreign.open();
    let layer = Descriptor::of(LAYER, b"model");
    for damaged in ["modeL", "mode", ""] {
        fs::write(foreign.blob(&layer.digest), damaged).unwrap();
        fs::write(foreign.blob(model.digest()), damaged).unwrap();
        fetch(&layout, &layer).await.unwrap_err();
        layout.manifest(&by_tag("v1")).await.unwrap_err();
        put_blob(&layout, b"model").await;
        layout.put_manifest(&model, None).await.unwrap();
        fetch(&layout, &layer).await.unwrap();
        layout.manifest(&by_tag("v1")).await.unwrap();
    }
}

#[tokio::test]
async fn a_flood_of_referrers_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(directory.path(), Access::ReadOrCreate).unwrap();
    let model = put(&layout, "model", Some("v1")).await;
    let mut entries = vec![named(&model, "v1")];
    let blobs = directory.path().join("blobs/sha256");
    for number in 0..=limits::REFERRERS {
        let referrer = manifest(&format!("r{number}"), Some(&model));
        fs::write(blobs.join(referrer.digest().hex()), referrer.bytes()).unwrap();
        entries.push(entry(&referrer, ""));
    }
    let index = directory.path().join("index.json");
    fs::write(&index, index_of(&entries)).unwrap();
    let error = layout.referrers(model.descriptor()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::TooManyReferrers);
    entries.pop();
    fs::write(&index, index_of(&entries)).unwrap();
    let listed = layout.referrers(model.descriptor()).await.unwrap();
    assert_eq!(listed.len(), limits::REFERRERS);
}
