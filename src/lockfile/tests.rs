use std::collections::BTreeSet;

use super::*;
use crate::digest::Digest;
use crate::policy::file::PolicyName;

fn digest(of: &str) -> Digest {
    Digest::of(of.as_bytes())
}

fn entry(reference: &str, content: &str, signers: &[Signatory]) -> Entry {
    let states = BTreeSet::from(["https://sigstore.dev/cosign/sign/v1".to_owned()]);
    let signers = signers.iter().map(|who| LockedSigner {
        who: who.clone(),
        states: states.clone(),
    });
    Entry {
        reference: reference.parse().unwrap(),
        digest: digest(content),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        created: None,
        locked: "2026-11-21T12:00:00Z".parse().unwrap(),
        verified: true,
        policy: None,
        signers: signers.collect(),
    }
}

fn key(of: &str) -> Signatory {
    Signatory::Key(digest(of))
}

fn everyone() -> [Signatory; 3] {
    let identity = Signatory::Identity {
        identity: "ci@example.com".to_owned(),
        issuer: "https://accounts.example.com".to_owned(),
    };
    let certificate = Signatory::Certificate {
        subject: "CN=release,O=Acme".to_owned(),
        anchor: digest("root"),
    };
    [key("a"), identity, certificate]
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(LOCK_FILE);
    (directory, path)
}

fn record(path: &Path, entry: Entry) -> Result<Change> {
    Lockfile::record(path, entry, Changes::Refuse)
}

#[test]
fn the_text_is_for_people_and_reads_back() {
    let (_directory, path) = place();
    let one = Entry {
        created: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        policy: Some(PolicyName {
            name: "acme".to_owned(),
            digest: digest("policy"),
        }),
        ..entry("registry.example.com/acme/bert:v1", "one", &everyone())
    };
    let two = Entry {
        verified: false,
        ..entry("oci:./store:v1", "two", &[])
    };
    // Not in this order: the file is sorted.
    assert_eq!(record(&path, one.clone()).unwrap(), Change::First);
    assert_eq!(record(&path, two.clone()).unwrap(), Change::First);
    let text = std::fs::read_to_string(&path).unwrap();
    let expected = format!(
        r#"version = 1

[[artifact]]
reference = "oci:./store:v1"
digest = "{two}"
media_type = "application/vnd.oci.image.manifest.v1+json"
locked = "2026-11-21T12:00:00Z"
verified = false

[[artifact]]
reference = "registry.example.com/acme/bert:v1"
digest = "{one}"
media_type = "application/vnd.oci.image.manifest.v1+json"
created = "2026-01-02T03:04:05Z"
locked = "2026-11-21T12:00:00Z"
verified = true

[artifact.policy]
name = "acme"
digest = "{policy}"

[[artifact.signer]]
key = "{a}"
states = ["https://sigstore.dev/cosign/sign/v1"]

[[artifact.signer]]
identity = "ci@example.com"
issuer = "https://accounts.example.com"
states = ["https://sigstore.dev/cosign/sign/v1"]

[[artifact.signer]]
certificate = "CN=release,O=Acme"
anchor = "{root}"
states = ["https://sigstore.dev/cosign/sign/v1"]
"#,
        one = digest("one"),
        two = digest("two"),
        policy = digest("policy"),
        a = digest("a"),
        root = digest("root"),
    );
    assert_eq!(text.strip_prefix(HEADER), Some(expected.as_str()));
    let read = Lockfile::read(&path).unwrap();
    for written in [one, two] {
        assert_eq!(read.entry(&written.reference), Some(&written));
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let good = format!(
        "version = 1\n[[artifact]]\nreference = \"localhost:5000/a:v1\"\ndigest = \"{}\"\n\
         media_type = \"x/y\"\nlocked = \"2026-11-21T12:00:00Z\"\nverified = true\n\
         [[artifact.signer]]\nkey = \"{}\"\nstates = [\"s\"]\n",
        digest("one"),
        digest("a")
    );
    let parse = |text: &str| Lockfile::parse(text.as_bytes(), Path::new(LOCK_FILE));
    assert_eq!(parse(&good).unwrap().entries.len(), 1);
    assert!(parse("").unwrap().entries.is_empty());
    let twice = format!("{good}{}", good.replace("version = 1\n", ""));
    let pinned = format!("a:v1@{}", digest("one"));
    for (what, text) in [
        ("no version", good.replace("version = 1\n", "")),
        (
            "another version",
            good.replace("version = 1", "version = 2"),
        ),
        (
            "an unknown field",
            good.replace("verified", "trusted = true\nverified"),
        ),
        ("an unknown table", format!("{good}[other]\n")),
        (
            "a field twice",
            good.replace("version = 1", "version = 1\nversion = 1"),
        ),
        ("no reference", good.replace("localhost:5000/a:v1", "a")),
        ("a pinned tag", good.replace("a:v1", &pinned)),
        (
            "no digest",
            good.replace(&digest("one").to_string(), "sha256:00"),
        ),
        ("no time", good.replace("2026-11-21T12", "today")),
        (
            "a signer that is two",
            good.replace("states", "identity = \"x\"\nissuer = \"y\"\nstates"),
        ),
        (
            "a signer that is nobody",
            good.replace("key = ", "issuer = "),
        ),
        ("an entry twice", twice),
        ("not TOML", "{}".to_owned()),
    ] {
        assert_ne!(text, good, "{what}");
        let error = parse(&text).map(drop).expect_err(what);
        assert_eq!(error.reason(), Reason::LockFileInvalid, "{what}: {error}");
    }
    let error = Lockfile::parse(b"version = 1\n\xff", Path::new(LOCK_FILE)).unwrap_err();
    assert_eq!(error.reason(), Reason::LockFileInvalid);
}

#[test]
fn another_artifact_takes_an_entry_only_when_that_is_wanted() {
    let (_directory, path) = place();
    let name = "localhost:5000/acme/bert:v1";
    let (before, after) = (
        entry(name, "one", &[key("a")]),
        entry(name, "two", &[key("b")]),
    );
    record(&path, before.clone()).unwrap();
    let error = record(&path, after.clone()).unwrap_err();
    assert_eq!(error.reason(), Reason::LockMismatch);
    for part in [
        format!("it was {}, and is {}", digest("one"), digest("two")),
        format!("no longer by the key {}", digest("a")),
        format!("now by the key {}", digest("b")),
    ] {
        assert!(error.message().contains(&part), "{error}");
    }
    assert_eq!(
        Lockfile::read(&path).unwrap().entry(&before.reference),
        Some(&before)
    );

    let changed = Lockfile::record(&path, after.clone(), Changes::Record).unwrap();
    assert_eq!(changed, Change::Replaced(Box::new(before)));
    assert_eq!(
        Lockfile::read(&path).unwrap().entry(&after.reference),
        Some(&after)
    );
    let served_otherwise = Entry {
        media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
        ..after
    };
    let error = record(&path, served_otherwise).unwrap_err();
    assert_eq!(error.reason(), Reason::LockMismatch);
}

#[test]
fn what_is_learned_later_of_the_same_artifact_is_added_and_nothing_lost() {
    let (_directory, path) = place();
    let name = "localhost:5000/acme/bert:v1";
    let mut more = entry(name, "one", &[key("a"), key("b")]);
    record(&path, entry(name, "one", &[key("a")])).unwrap();
    more.locked = "2030-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(record(&path, more.clone()).unwrap(), Change::Same);
    let unverified = Entry {
        verified: false,
        ..entry(name, "one", &[])
    };
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(record(&path, unverified).unwrap(), Change::Same);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let kept = Lockfile::read(&path).unwrap();
    let kept = kept.entry(&more.reference).unwrap();
    assert_eq!(kept.signers, more.signers);
    assert!(kept.verified);
    assert_eq!(kept.locked, "2026-11-21T12:00:00Z".parse().unwrap());
}

#[test]
fn a_reference_is_pinned_to_what_is_recorded_or_refused() {
    let (_directory, path) = place();
    record(&path, entry("localhost:5000/acme/bert:v1", "one", &[])).unwrap();
    let bare = format!("localhost:5000/acme/bert@{}", digest("bare"));
    record(&path, entry(&bare, "bare", &[])).unwrap();
    let lockfile = Lockfile::read(&path).unwrap();
    let pinned = |text: &str| {
        let pinned = lockfile.pinned(&text.parse().unwrap());
        pinned
            .map(|pinned| pinned.to_string())
            .map_err(|error| error.reason())
    };
    let whole = format!("localhost:5000/acme/bert:v1@{}", digest("one"));
    let other = format!("localhost:5000/acme/bert:v1@{}", digest("two"));
    for (asked, expected) in [
        ("localhost:5000/acme/bert:v1", Ok(whole.clone())),
        (&whole, Ok(whole.clone())),
        (&bare, Ok(bare.clone())),
        (&other, Err(Reason::LockMismatch)),
        ("localhost:5000/acme/bert:v2", Err(Reason::NotLocked)),
        ("localhost:5000/acme/gpt:v1", Err(Reason::NotLocked)),
        ("localhost:5000/acme/bert", Err(Reason::NotLocked)),
    ] {
        assert_eq!(pinned(asked), expected, "{asked}");
    }
}

#[test]
fn those_who_write_at_once_lose_nothing() {
    let (directory, path) = place();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let name = format!("localhost:5000/acme/m{number}:v1");
                record(path, entry(&name, &name, &[])).unwrap();
            });
        }
    });
    assert_eq!(Lockfile::read(&path).unwrap().entries.len(), 8);
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 1, "something stayed beside the lock file");
}

#[test]
fn a_lock_file_is_a_file_and_what_a_killed_process_left_is_in_nobodys_way() {
    let (directory, path) = place();
    std::fs::write(directory.path().join(".modelctl.lock.new"), "half").unwrap();
    record(&path, entry("oci:./a:v1", "a", &[])).unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);

    let link = directory.path().join("link.lock");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(record(&link, entry("oci:./b:v1", "b", &[])).is_err());
    assert_eq!(
        Lockfile::read(&link).unwrap_err().reason(),
        Reason::FileKindUnsafe
    );
    assert_eq!(Lockfile::read(&path).unwrap().entries.len(), 1);
}
