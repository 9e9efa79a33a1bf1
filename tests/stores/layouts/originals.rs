//! Files that a layout takes in without anybody having hashed them.

use std::fs;
use std::path::Path;

use modelctl::digest::Digest;
use modelctl::directory::Stamp;
use modelctl::error::Reason;
use modelctl::manifest::Descriptor;
use modelctl::progress::{Meter, Silent};
use modelctl::sink::Original;
use modelctl::store::layout::{Access, Layout};
use modelctl::store::{Put, Store};

/// So large that a second reading is worth avoiding.
const LARGE: usize = 17 << 20;

fn original(path: &Path) -> Original {
    let file = fs::File::open(path).unwrap();
    let stamp = Stamp::of(&file, path).unwrap();
    let place = path.to_owned();
    Original { file, stamp, place }
}

fn silent() -> Box<dyn Meter> {
    Box::new(Silent)
}

fn blobs(layout: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        names.push(entry.unwrap().file_name().into_string().unwrap());
    }
    names
}

#[tokio::test]
async fn a_large_file_gets_the_name_of_what_it_is_and_one_like_it_is_hashed_first() {
    let directory = tempfile::tempdir().unwrap();
    let (root, file) = (
        directory.path().join("layout"),
        directory.path().join("file"),
    );
    let layout = Layout::open(&root, Access::ReadOrCreate).unwrap();
    let content = b"seventeen".repeat(LARGE / 9 + 1);
    fs::write(&file, &content).unwrap();

    let put = layout.put_file(original(&file), &silent).await.unwrap();
    let Put::Stored(digest) = put else {
        panic!("a new layout has nothing like it");
    };
    assert_eq!(digest, Digest::of(&content));
    assert_eq!(blobs(&root), [digest.hex()]);
    assert_eq!(
        fs::read(root.join("blobs/sha256").join(digest.hex())).unwrap(),
        content
    );
    let descriptor = Descriptor::of("x", &content);
    assert!(layout.has_blob(&descriptor).await.unwrap());

    let again = layout.put_file(original(&file), &silent).await.unwrap();
    assert!(matches!(again, Put::HashFirst(_)));
}

#[tokio::test]
async fn small_files_are_hashed_first() {
    let directory = tempfile::tempdir().unwrap();
    let (root, file) = (
        directory.path().join("layout"),
        directory.path().join("file"),
    );
    let layout = Layout::open(&root, Access::ReadOrCreate).unwrap();
    fs::write(&file, "small").unwrap();
    let put = layout.put_file(original(&file), &silent).await.unwrap();
    assert!(matches!(put, Put::HashFirst(_)));
    assert!(blobs(&root).is_empty());
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (root, file) = (
        directory.path().join("layout"),
        directory.path().join("file"),
    );
    let layout = Layout::open(&root, Access::ReadOrCreate).unwrap();
    fs::write(&file, vec![7; LARGE]).unwrap();
    let before = original(&file);
    fs::write(&file, vec![8; LARGE + 1]).unwrap();
    let error = layout.put_file(before, &silent).await.unwrap_err();
    assert_eq!(error.reason(), Reason::FileChanged);
    assert!(blobs(&root).is_empty());
    let left = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        !left
            .into_iter()
            .any(|name| name.to_string_lossy().starts_with(".ingest"))
    );
}
