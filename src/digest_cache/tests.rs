use super::*;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Long after every time in [`key`].
const LATER: i64 = 1_000_000;

fn key(inode: u64) -> Key {
    Key {
        device: 1,
        inode,
        size: 3,
        mtime_ns: 4,
        ctime_ns: 5,
    }
}

fn digest(number: u64) -> Digest {
    Digest::of(&number.to_le_bytes())
}

fn later() -> Timestamp {
    Timestamp::from_second(LATER).unwrap()
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let around = tempfile::tempdir().unwrap();
    let path = around.path().join("cache/digests");
    (around, path)
}

/// Writes a cache that knows the files 1 to `count`.
fn fill(path: &Path, count: u64) {
    let cache = DigestCache::open(path);
    for inode in 1..=count {
        cache.record(key(inode), digest(inode), later());
    }
    cache.save().unwrap();
}

#[test]
fn remembers_a_file_until_anything_about_it_changes() {
    let (_around, path) = place();
    fill(&path, 2);
    let cache = DigestCache::open(&path);
    assert_eq!(cache.note(), None);
    assert_eq!(cache.lookup(&key(1)), Some(digest(1)));
    assert_eq!(cache.lookup(&key(2)), Some(digest(2)));
    let others = [
        Key {
            device: 2,
            ..key(1)
        },
        Key { inode: 3, ..key(1) },
        Key { size: 4, ..key(1) },
        Key {
            mtime_ns: 3,
            ..key(1)
        },
        Key {
            ctime_ns: 6,
            ..key(1)
        },
    ];
    for other in others {
        assert_eq!(cache.lookup(&other), None, "{other:?}");
    }
}

#[test]
fn tells_a_file_again_and_notices_an_edit_that_restores_the_modification_time() {
    let around = tempfile::tempdir().unwrap();
    let place = around.path().join("file");
    std::fs::write(&place, "before").unwrap();
    let before = std::fs::metadata(&place).unwrap();
    let file = File::open(&place).unwrap();
    let stamp = Stamp::of(&file, &place).unwrap();
    assert_eq!(Key::of(&before), Key::new(before.dev(), &stamp));
    // Until the kernel's clock has ticked.
    let mut after = Key::of(&before);
    while after.ctime_ns == Key::of(&before).ctime_ns {
        std::fs::write(&place, "edited").unwrap();
        let file = File::options().write(true).open(&place).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
        after = Key::of(&std::fs::metadata(&place).unwrap());
    }
    let (mtime_ns, size) = (Key::of(&before).mtime_ns, before.len());
    assert_eq!((after.mtime_ns, after.size), (mtime_ns, size));
    let cache = DigestCache::open(&around.path().join("cache/digests"));
    cache.record(Key::of(&before), digest(1), later_than_now());
    assert_eq!(cache.lookup(&Key::of(&before)), Some(digest(1)));
    assert_eq!(cache.lookup(&after), None);
}

fn later_than_now() -> Timestamp {
    Timestamp::now() + jiff::SignedDuration::from_secs(60)
}

#[test]
fn does_not_remember_a_file_that_changed_just_before_its_hashing_ended() {
    let (_around, path) = place();
    let cache = DigestCache::open(&path);
    let end = LATER * 1_000_000_000;
    let second = 1_000_000_000;
    for (inode, mtime_ns, ctime_ns, remembered) in [
        (1, end - 2 * second, end - 2 * second, true),
        (2, 0, end - 2 * second + 1, false),
        (3, end - 2 * second + 1, 0, false),
        (4, end, end, false),
        (5, end + 60 * second, 0, false),
        (6, i64::MAX, i64::MAX, false),
        (7, i64::MIN, i64::MIN, true),
    ] {
        let key = Key {
            mtime_ns,
            ctime_ns,
            ..key(inode)
        };
        cache.record(key, digest(inode), later());
        let expected = remembered.then(|| digest(inode));
        assert_eq!(cache.lookup(&key), expected, "{key:?}");
    }
}

#[test]
fn is_kept_where_only_the_user_can_look() {
    let (_around, path) = place();
    fill(&path, 1);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

#[test]
fn takes_what_is_damaged_for_empty_and_replaces_it() {
    let (_around, path) = place();
    fill(&path, 3);
    let good = std::fs::read(&path).unwrap();
    let mut damages: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"modelctl digests 2\n".to_vec(),
        vec![0; 4096],
        vec![7; MAGIC.len() + CAPACITY * ENTRY + CHECKSUM + 1],
        good[..good.len() - 1].to_vec(),
        good[..good.len() - ENTRY].to_vec(),
        [&good[..], b"x"].concat(),
    ];
    for bit in (0..good.len() * 8).step_by(61) {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        damages.push(flipped);
    }
    // Whole by its checksum, but not a whole number of entries.
    let mut odd = [MAGIC, &[0; ENTRY + 1]].concat();
    odd.extend_from_slice(Digest::of(&odd).as_bytes());
    damages.push(odd);
    for (number, damage) in damages.iter().enumerate() {
        std::fs::write(&path, damage).unwrap();
        let cache = DigestCache::open(&path);
        assert_eq!(cache.lookup(&key(1)), None, "{number}");
        assert_eq!(cache.note(), None);
        cache.record(key(9), digest(9), later());
        cache.save().unwrap();
        let again = DigestCache::open(&path);
        assert_eq!(again.lookup(&key(9)), Some(digest(9)), "{number}");
        assert_eq!(again.lookup(&key(1)), None, "{number}");
    }
}

#[test]
fn leaves_alone_a_directory_that_others_may_write() {
    let (_around, path) = place();
    fill(&path, 1);
    let directory = path.parent().unwrap();
    for (mode, trusted) in [(0o755, true), (0o770, false), (0o707, false)] {
        std::fs::set_permissions(directory, Permissions::from_mode(mode)).unwrap();
        let before = std::fs::read(&path).unwrap();
        let cache = DigestCache::open(&path);
        assert_eq!(cache.note().is_none(), trusted, "{mode:o}");
        assert_eq!(cache.lookup(&key(1)).is_some(), trusted, "{mode:o}");
        cache.record(key(2), digest(2), later());
        assert_eq!(cache.lookup(&key(2)), Some(digest(2)));
        cache.save().unwrap();
        let written = std::fs::read(&path).unwrap() != before;
        assert_eq!(written, trusted, "{mode:o}");
    }
}

#[test]
fn believes_no_file_that_others_may_write_and_replaces_it() {
    let (_around, path) = place();
    fill(&path, 1);
    std::fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
    let cache = DigestCache::open(&path);
    assert!(cache.note().unwrap().contains("written by other users"));
    assert_eq!(cache.lookup(&key(1)), None);
    cache.record(key(2), digest(2), later());
    cache.save().unwrap();
    let cache = DigestCache::open(&path);
    assert_eq!(cache.note(), None);
    assert_eq!(cache.lookup(&key(2)), Some(digest(2)));
    assert_eq!(cache.lookup(&key(1)), None);
}

#[test]
fn follows_no_symlink_and_waits_for_no_fifo() {
    let (around, path) = place();
    fill(&path, 1);
    let elsewhere = around.path().join("elsewhere");
    std::fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    let cache = DigestCache::open(&path);
    assert!(cache.note().is_some());
    assert_eq!(cache.lookup(&key(1)), None);
    let before = std::fs::read(&elsewhere).unwrap();
    cache.record(key(2), digest(2), later());
    cache.save().unwrap();
    assert_eq!(std::fs::read(&elsewhere).unwrap(), before);
    assert!(path.symlink_metadata().unwrap().is_file());

    std::fs::remove_file(&path).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
    assert!(DigestCache::open(&path).note().is_some());
}

#[test]
fn never_stops_a_push_whatever_the_path() {
    let around = tempfile::tempdir().unwrap();
    std::fs::write(around.path().join("file"), "").unwrap();
    for path in ["/", "..", "/dev/null/digests"].map(Path::new) {
        let cache = DigestCache::open(path);
        assert!(cache.note().is_some(), "{path:?}");
        cache.record(key(1), digest(1), later());
        assert_eq!(cache.lookup(&key(1)), Some(digest(1)));
        cache.save().unwrap();
    }
    let below_a_file = around.path().join("file/digests");
    assert!(DigestCache::open(&below_a_file).note().is_some());
}

#[test]
fn keeps_what_several_processes_write() {
    let (_around, path) = place();
    fill(&path, 2);
    let caches: Vec<_> = (0..4).map(|_| DigestCache::open(&path)).collect();
    for (number, cache) in (10..).zip(&caches) {
        cache.record(key(number), digest(number), later());
    }
    std::thread::scope(|scope| {
        for cache in &caches {
            scope.spawn(|| cache.save().unwrap());
        }
    });
    let cache = DigestCache::open(&path);
    for number in [1, 2, 10, 11, 12, 13] {
        assert_eq!(cache.lookup(&key(number)), Some(digest(number)), "{number}");
    }
}

#[test]
fn keeps_one_entry_for_a_file_that_changes() {
    let (_around, path) = place();
    fill(&path, 1);
    let changed = Key { size: 77, ..key(1) };
    let cache = DigestCache::open(&path);
    cache.record(changed, digest(77), later());
    assert_eq!(cache.lookup(&key(1)), None);
    cache.save().unwrap();
    let cache = DigestCache::open(&path);
    assert_eq!(cache.lookup(&changed), Some(digest(77)));
    assert_eq!(cache.lookup(&key(1)), None);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len(), MAGIC.len() + ENTRY + CHECKSUM);
}

#[test]
fn is_shared_between_threads() {
    let (_around, path) = place();
    let cache = DigestCache::open(&path);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let cache = &cache;
            scope.spawn(move || {
                for inode in (thread * 100)..(thread * 100 + 100) {
                    cache.record(key(inode), digest(inode), later());
                    assert_eq!(cache.lookup(&key(inode)), Some(digest(inode)));
                }
                cache.save().unwrap();
            });
        }
    });
    let cache = DigestCache::open(&path);
    for inode in 0..400 {
        assert_eq!(cache.lookup(&key(inode)), Some(digest(inode)));
    }
}

#[test]
fn survives_what_a_killed_process_left() {
    let (_around, path) = place();
    fill(&path, 1);
    std::fs::write(path.with_file_name("digests.new"), "half").unwrap();
    std::fs::write(path.with_file_name("digests.lock"), "").unwrap();
    fill(&path, 2);
    let cache = DigestCache::open(&path);
    assert_eq!(cache.lookup(&key(2)), Some(digest(2)));
    assert!(!path.with_file_name("digests.new").exists());
}

#[test]
fn drops_what_was_not_used_for_longest() {
    let entry = |inode| Entry {
        key: key(inode),
        digest: digest(1),
    };
    let stored: Vec<_> = (0..CAPACITY as u64).map(entry).collect();
    let last = CAPACITY as u64 - 1;
    let merged = merge(vec![entry(last), entry(1 << 40)], stored.into_iter());
    assert_eq!(merged.len(), CAPACITY);
    assert_eq!(
        merged[..3],
        [entry(last), entry(1 << 40), entry(0)],
        "what was used is first"
    );
    assert_eq!(merged[CAPACITY - 1], entry(last - 2));
}

#[test]
fn writes_down_mere_use_only_when_room_gets_scarce() {
    let (_around, path) = place();
    for (count, written) in [(8, false), (CROWDED as u64 + 1, true)] {
        let home = Home::open(&path).unwrap();
        let entries: Vec<_> = (1..=count)
            .map(|inode| Entry {
                key: key(inode),
                digest: digest(inode),
            })
            .collect();
        home.write(&entries).unwrap();
        let cache = DigestCache::open(&path);
        assert!(cache.lookup(&key(count)).is_some());
        cache.save().unwrap();
        let first = home.read().unwrap().entries().next().unwrap().key.inode;
        assert_eq!(first == count, written);
    }
}
