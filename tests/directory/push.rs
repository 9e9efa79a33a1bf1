//! Packing and pushing.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use modelctl::digest::Digest;
use modelctl::digest_cache::DigestCache;
use modelctl::error::{Error, Reason};
use modelctl::limits;
use modelctl::manifest::{Document, annotation};
use modelctl::pack::{self, PackOptions, Plan, pack};
use modelctl::progress::{Meter, Progress, Silent, silent};
use modelctl::push::{PushOptions, Pushed, push};
use modelctl::reference::Selector;
use modelctl::store::Store;
use modelctl::walk::Selection;

use crate::memory::Memory;
use crate::model::{files, safetensors, write};

async fn push_to(store: &Memory, directory: &Path) -> Result<Pushed, Error> {
    let options = options(3);
    let plan = Plan::read(directory, &options.pack).await?;
    push(store, &plan, &options, silent()).await
}

fn options(concurrency: usize) -> PushOptions {
    PushOptions {
        pack: PackOptions::default(),
        concurrency,
        memory: None,
        gate: None,
        tag: None,
    }
}

fn model() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &files());
    directory
}

#[tokio::test]
async fn every_file_becomes_a_raw_layer_and_the_manifest_has_no_tag_yet() {
    let (store, model) = (Memory::default(), model());
    let pushed = push_to(&store, model.path()).await.unwrap();

    let order: Vec<_> = pushed.files.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(
        order,
        [
            "config.json",
            "tokenizer/empty",
            "tokenizer/vocab.txt",
            "model.safetensors",
            "COPY.md",
            "README.md",
        ]
    );
    for (path, content) in files() {
        let file = pushed
            .files
            .iter()
            .find(|f| f.path.as_str() == path)
            .unwrap();
        assert_eq!(file.descriptor.digest, Digest::of(&content), "{path}");
        let stored = store.blob(&file.descriptor).await.unwrap();
        assert_eq!(stored.into_bytes(1 << 20).await.unwrap(), content, "{path}");
    }
    let stored = store
        .manifest(&Selector::Digest(*pushed.document.digest()))
        .await
        .unwrap();
    assert_eq!(stored.bytes(), pushed.document.bytes());
    assert!(store.tags().await.unwrap().is_empty());
    let Document::Manifest(manifest) = stored.document() else {
        panic!("it is an index");
    };
    assert!(manifest.annotations.is_empty());
    assert!(store.has_blob(&manifest.config).await.unwrap());
}

#[tokio::test]
async fn what_is_there_is_not_sent_again() {
    let (store, model) = (Memory::default(), model());
    let first = push_to(&store, model.path()).await.unwrap();
    let total: usize = files().iter().map(|(_, content)| content.len()).sum();
    assert_eq!(first.total_bytes, total as u64);
    // Two files are equal: one of them is sent, and the config.
    assert_eq!(first.reused_bytes, b"# A model\n".len() as u64);
    assert_eq!(first.uploaded_bytes + first.reused_bytes, first.total_bytes);
    assert_eq!(store.writes().len(), files().len());

    let again = push_to(&store, model.path()).await.unwrap();
    assert_eq!(
        (again.uploaded_bytes, again.reused_bytes),
        (0, total as u64)
    );
    assert_eq!(store.writes().len(), files().len());

    std::fs::write(model.path().join("README.md"), "# Another\n").unwrap();
    let delta = push_to(&store, model.path()).await.unwrap();
    assert_eq!(delta.uploaded_bytes, b"# Another\n".len() as u64);
    assert_ne!(delta.document.digest(), first.document.digest());
}

#[tokio::test]
async fn the_same_files_give_the_same_digest_anywhere() {
    use std::os::unix::fs::PermissionsExt;
    let (store, one) = (Memory::default(), model());
    let other = tempfile::tempdir().unwrap();
    let other = other.path().join("another name");
    let mut reversed = files();
    reversed.reverse();
    write(&other, &reversed);
    std::fs::create_dir(other.join("empty")).unwrap();
    for (path, _) in files() {
        let file = std::fs::File::open(other.join(path)).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        file.set_modified(time).unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o755))
            .unwrap();
    }
    std::fs::rename(other.join("COPY.md"), other.join("config.d")).unwrap();
    std::os::unix::fs::symlink("README.md", other.join("COPY.md")).unwrap();
    std::fs::remove_file(other.join("config.d")).unwrap();

    let first = push_to(&store, one.path()).await.unwrap();
    let second = push_to(&store, &other).await.unwrap();
    assert_eq!(first.document.bytes(), second.document.bytes());
    let packed = pack(&other, &PackOptions::default(), silent())
        .await
        .unwrap();
    assert_eq!(packed.document.digest(), first.document.digest());

    std::fs::write(other.join("tokenizer/empty"), "x").unwrap();
    let changed = pack(&other, &PackOptions::default(), silent())
        .await
        .unwrap();
    assert_ne!(changed.document.digest(), first.document.digest());
}

#[tokio::test]
async fn only_what_the_user_says_is_said_about_it() {
    let model = model();
    let said = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let created = Timestamp::from_second(1_700_000_000).unwrap();
    let options = |annotations: &[(String, String)]| PackOptions {
        annotations: annotations.iter().cloned().collect(),
        created: Some(created),
        ..PackOptions::default()
    };
    let licence = said("org.opencontainers.image.licenses", "MIT");
    let packed = pack(
        model.path(),
        &options(std::slice::from_ref(&licence)),
        silent(),
    )
    .await
    .unwrap();
    let Document::Manifest(manifest) = packed.document.document() else {
        panic!("it is an index");
    };
    let expected = [said(annotation::CREATED, "2023-11-14T22:13:20Z"), licence];
    assert_eq!(manifest.annotations, expected.into());
    let config = String::from_utf8(packed.config_bytes.to_vec()).unwrap();
    assert!(
        config.contains(r#""createdAt":"2023-11-14T22:13:20Z","licenses":["MIT"]"#),
        "{config}"
    );

    let own = said(annotation::CREATED, "2020-01-01T00:00:00Z");
    let packed = pack(model.path(), &options(std::slice::from_ref(&own)), silent())
        .await
        .unwrap();
    let Document::Manifest(manifest) = packed.document.document() else {
        panic!("it is an index");
    };
    assert_eq!(manifest.annotations, [own].into());
}

#[tokio::test]
async fn the_headers_tell_what_the_model_is() {
    let model = model();
    let plan = Plan::read(model.path(), &PackOptions::default())
        .await
        .unwrap();
    assert_eq!(plan.summary().format.as_deref(), Some("safetensors"));
    assert_eq!(plan.summary().architecture.as_deref(), Some("bert"));
    assert_eq!(plan.summary().tensors, 1);
}

#[tokio::test]
async fn weights_that_no_loader_could_read_are_refused_before_anything_is_sent() {
    let index = |shard: &str| format!(r#"{{"metadata":{{}},"weight_map":{{"w":"{shard}"}}}}"#);
    let cut = safetensors(10)[..20].to_vec();
    let long = [safetensors(10), b"more".to_vec()].concat();
    let mut cases: Vec<(&str, Vec<u8>, Reason)> = vec![
        ("a.safetensors", cut, Reason::HeaderInvalid),
        ("a.SafeTensors", long, Reason::HeaderInvalid),
        ("a.safetensors", Vec::new(), Reason::HeaderInvalid),
        ("sub/a.gguf", b"GGML....".to_vec(), Reason::HeaderInvalid),
        (
            "m.safetensors.index.json",
            b"{".to_vec(),
            Reason::JsonInvalid,
        ),
        (
            "m.safetensors.index.json",
            index("gone.safetensors").into(),
            Reason::ModelUnsuitable,
        ),
        (
            "m.safetensors.index.json",
            index("../x").into(),
            Reason::PathUnsafe,
        ),
        (
            "sub/m.safetensors.index.json",
            index("model.safetensors").into(),
            Reason::ModelUnsuitable,
        ),
    ];
    for (path, content, reason) in cases.drain(..) {
        let (store, model) = (Memory::default(), model());
        write(model.path(), &[(path, content)]);
        let error = push_to(&store, model.path()).await.map(drop).unwrap_err();
        assert_eq!(error.reason(), reason, "{path}: {error}");
        assert!(error.to_string().contains(path), "{error}");
        assert!(store.writes().is_empty() && store.documents() == 0);
    }
    let (store, model) = (Memory::default(), model());
    let fine = [
        ("a.safetensors", safetensors(10)),
        (
            "m.safetensors.index.json",
            index("model.safetensors").into(),
        ),
        (
            "sub/m.safetensors.index.json",
            index("n.safetensors").into(),
        ),
        ("sub/n.safetensors", safetensors(3)),
    ];
    write(model.path(), &fine);
    push_to(&store, model.path()).await.unwrap();
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_is_never_in_a_manifest() {
    // Many more pieces than are read ahead.
    let (before, after) = (
        safetensors(limits::PIECE * 20),
        safetensors(limits::PIECE * 20 + 1),
    );
    for changed_after in [0, 1, 5] {
        let model = model();
        let path = model.path().join("model.safetensors");
        std::fs::write(&path, &before).unwrap();
        let (length, after) = (before.len() as u64, after.clone());
        let store = Memory::default().receiving(move |descriptor, piece| {
            if descriptor.size == length && piece == changed_after {
                std::fs::write(&path, &after).unwrap();
            }
            Ok(())
        });
        let error = push_to(&store, model.path()).await.map(drop).unwrap_err();
        assert_eq!(
            error.reason(),
            Reason::FileChanged,
            "after {changed_after}: {error}"
        );
        assert_eq!(store.documents(), 0);
    }
}

#[tokio::test]
async fn a_store_that_fails_leaves_no_manifest_and_the_file_is_named() {
    let model = model();
    let store = Memory::default().receiving(|descriptor, piece| match (descriptor.size, piece) {
        (4, 1) => Err(Error::new(Reason::RegistryFailed, "the registry is out")),
        _ => Ok(()),
    });
    let error = push_to(&store, model.path()).await.map(drop).unwrap_err();
    assert_eq!(error.reason(), Reason::RegistryFailed);
    assert!(error.to_string().contains("tokenizer/vocab.txt"), "{error}");
    assert_eq!(store.documents(), 0);
}

#[tokio::test]
async fn no_more_files_are_on_their_way_than_was_asked_for() {
    let model = tempfile::tempdir().unwrap();
    for number in 0..20 {
        write(
            model.path(),
            &[(&format!("{number}.txt"), vec![number; 300_000])],
        );
    }
    for concurrency in [0, 1, 2, 20] {
        let open: &'static Mutex<(usize, usize)> = Box::leak(Box::default());
        let store = Memory::default().receiving(move |descriptor, piece| {
            let mut open = open.lock().unwrap();
            match piece {
                0 => open.0 += 1,
                3 if descriptor.size == 300_000 => open.0 -= 1,
                _ => {}
            }
            open.1 = open.1.max(open.0);
            Ok(())
        });
        let mut options = options(concurrency);
        options.pack.selection = Selection {
            include: vec!["*.txt".to_owned()],
            exclude: Vec::new(),
        };
        let plan = Plan::read(model.path(), &options.pack).await.unwrap();
        push(&store, &plan, &options, silent()).await.unwrap();
        let most = open.lock().unwrap().1;
        assert!(
            (1..=concurrency.max(1)).contains(&most),
            "{most} of {concurrency}"
        );
    }
}

#[tokio::test]
async fn more_files_than_a_manifest_can_name_are_refused_before_anything_is_sent() {
    let (store, model) = (Memory::default(), tempfile::tempdir().unwrap());
    let name = "n".repeat(200);
    for number in 0..4500 {
        std::fs::write(model.path().join(format!("{name}{number}")), "").unwrap();
    }
    let error = push_to(&store, model.path()).await.map(drop).unwrap_err();
    assert_eq!(error.reason(), Reason::ModelUnsuitable, "{error}");
    assert!(store.writes().is_empty());
}

/// Returns what a push may remember, in `directory`, by a clock that is an hour ahead, so that files
/// made a moment ago count as left alone.
fn remembering(directory: &Path) -> pack::Memory {
    let cache = DigestCache::open(&directory.join("cache/digests"));
    assert_eq!(cache.note(), None);
    pack::Memory {
        cache: Arc::new(cache),
        clock: || Timestamp::now() + SignedDuration::from_hours(1),
    }
}

/// Counts the files that are hashed.
#[derive(Default)]
struct Hashed(AtomicUsize);

impl Progress for Hashed {
    fn begin(&self, action: &'static str, _: &str, _: u64) -> Box<dyn Meter> {
        let hashes = action == "hash";
        self.0.fetch_add(usize::from(hashes), Ordering::Relaxed);
        Box::new(Silent)
    }

    fn note(&self, _: &str) {}
}

#[tokio::test]
async fn what_has_not_changed_is_neither_read_nor_looked_for_again() {
    let (store, model, work) = (Memory::default(), model(), tempfile::tempdir().unwrap());
    let push_again = async || {
        let mut options = options(3);
        options.memory = Some(remembering(work.path()));
        let hashed = Arc::new(Hashed::default());
        let plan = Plan::read(model.path(), &options.pack).await.unwrap();
        let progress: Arc<dyn Progress> = hashed.clone();
        let pushed = push(&store, &plan, &options, progress).await.unwrap();
        options.memory.unwrap().cache.save().unwrap();
        (pushed, hashed.0.load(Ordering::Relaxed))
    };
    let (first, hashed) = push_again().await;
    assert!(first.uploaded_bytes > 0);
    assert_eq!(hashed, files().len());

    // Another run, by what the first one wrote down.
    let written = store.writes().len();
    let (again, hashed) = push_again().await;
    assert_eq!(again.document.digest(), first.document.digest());
    assert_eq!((again.reused_bytes, hashed), (first.total_bytes, 0));
    assert_eq!(store.writes().len(), written);

    std::fs::write(model.path().join("config.json"), "{ }").unwrap();
    let (changed, hashed) = push_again().await;
    assert_ne!(changed.document.digest(), first.document.digest());
    assert_eq!((changed.uploaded_bytes, hashed), (3, 1));
}
