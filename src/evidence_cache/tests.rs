use bytes::Bytes;

use super::*;
use crate::referrer::RawBundle;

const HERE: &str = "localhost:5000/acme/bert";

fn record(location: &str, content: &str) -> Record {
    let bundle = |text: String| RawBundle::new(Bytes::from(text));
    Record {
        location: location.to_owned(),
        digest: Digest::of(b"artifact"),
        collected: "2026-11-21T12:00:00Z".parse().unwrap(),
        bundles: vec![
            bundle(format!("{{\"one\":\"{content}\"}}\n")),
            bundle("{\"two\":2}".to_owned()),
        ],
    }
}

fn cache() -> (tempfile::TempDir, EvidenceCache) {
    let around = tempfile::tempdir().unwrap();
    let cache = EvidenceCache::open(&around.path().join("evidence")).unwrap();
    (around, cache)
}

#[test]
fn a_record_is_read_as_it_was_written_and_for_its_artifact_alone() {
    let (_around, cache) = cache();
    let written = record(HERE, "x");
    cache.write(&written).unwrap();
    let found = cache.read(HERE, &written.digest).unwrap();
    assert_eq!(found, Some(written.clone()));
    let there = "localhost:5000/acme/gpt";
    assert!(cache.read(there, &written.digest).is_err());
    assert!(cache.read(HERE, &Digest::of(b"other")).is_err());
    // Under the other's name it is no record either.
    let (from, to) = (name(HERE, &written.digest), name(there, &written.digest));
    std::fs::copy(cache.path().join(from), cache.path().join(to)).unwrap();
    assert_eq!(cache.read(there, &written.digest).unwrap(), None);
}

#[test]
fn a_record_that_is_not_whole_and_right_is_none() {
    let written = record(HERE, "x");
    let bytes = written.to_bytes().unwrap();
    let parse = |bytes: Vec<u8>| Record::parse(bytes, HERE, &written.digest);
    assert_eq!(parse(bytes.clone()), Some(written.clone()));
    let start = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    for at in start..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        assert_eq!(parse(wrong), None, "byte {at}");
    }
    for end in 0..bytes.len() {
        assert_eq!(parse(bytes[..end].to_vec()), None, "{end} bytes");
    }
    assert_eq!(parse([&bytes[..], b"x"].concat()), None);
    let text = String::from_utf8(bytes).unwrap();
    for (from, to) in [
        ("\"version\":1", "\"version\":2"),
        ("\"version\":1", "\"version\":1,\"version\":1"),
        ("\"version\":1", "\"version\":1,\"verdict\":\"admitted\""),
        ("acme/bert", "acme/gpt"),
        ("\"size\":9", "\"size\":99999999999999999"),
    ] {
        let wrong = text.replacen(from, to, 1);
        assert_ne!(wrong, text);
        assert_eq!(parse(wrong.into_bytes()), None, "{to}");
    }
}

#[test]
fn the_oldest_records_make_room() {
    let (_around, cache) = cache();
    let mut sizes = Vec::new();
    for (number, location) in ["a.test/x", "b.test/x", "c.test/x"].into_iter().enumerate() {
        let written = record(location, "x");
        cache.write(&written).unwrap();
        let path = cache.path().join(name(location, &written.digest));
        let time =
            std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number as u64);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
        sizes.push(written.to_bytes().unwrap().len() as u64);
    }
    let all = EvidenceUsage {
        records: 3,
        bytes: sizes.iter().sum(),
    };
    assert_eq!(usage(&cache.files().unwrap()), all);
    assert_eq!(cache.shrink(all.bytes).unwrap(), EvidenceUsage::default());
    assert_eq!(cache.shrink(all.bytes - 1).unwrap().records, 1);
    let digest = record("", "").digest;
    assert!(cache.read("a.test/x", &digest).is_err());
    assert!(cache.read("b.test/x", &digest).unwrap().is_some());
    assert_eq!(cache.shrink(0).unwrap().records, 2);
    assert_eq!(usage(&cache.files().unwrap()), EvidenceUsage::default());
}

#[test]
fn what_others_may_write_is_no_cache() {
    use std::os::unix::fs::PermissionsExt;
    let (_around, cache) = cache();
    let written = record(HERE, "x");
    cache.write(&written).unwrap();
    let file = cache.path().join(name(HERE, &written.digest));
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&file, 0o666);
    assert!(cache.read(HERE, &written.digest).is_err());
    open(&file, 0o600);
    assert!(cache.read(HERE, &written.digest).unwrap().is_some());
    let path = cache.path().to_owned();
    open(&path, 0o777);
    assert!(EvidenceCache::open(&path).is_err());
    open(&path, 0o700);
    assert!(EvidenceCache::open(&path).is_ok());
}
