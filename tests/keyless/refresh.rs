//! An instance's keys are fetched, kept, refreshed, and never rolled back.

use jiff::{SignedDuration, Timestamp};
use modelctl::error::Reason;
use modelctl::trust::sigstore::{Fetched, Repository as Origin, Settings, Source, fetch};

use crate::repository::Repository;
use crate::workspace::Workspace;
use crate::{REFERENCE, TRUST, fixture, with, workspace};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn trusted_root() -> Vec<u8> {
    std::fs::read(fixture("keyless/cosign.trusted_root.json")).unwrap()
}

fn settings(repository: &Repository, at: &Workspace, now: Timestamp) -> Settings {
    Settings {
        repository: Origin::custom(repository.url(), repository.root()),
        cache: Some(at.path("cache")),
        stale_after: None,
        now,
    }
}

fn said(fetched: &Fetched) -> (Source, Timestamp, bool) {
    (fetched.source, fetched.since, fetched.failure.is_some())
}

#[tokio::test]
async fn what_was_fetched_serves_a_day_and_then_as_long_as_nothing_newer_is_to_be_had() {
    let (at, repository) = (Workspace::new(), Repository::start());
    let start: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    repository.publish(1, &trusted_root(), start);
    let at_hour = |hours| settings(&repository, &at, start + HOUR * hours);

    let first = fetch(&at_hour(0)).await.unwrap();
    assert_eq!(said(&first), (Source::Network, start, false));
    let asked = repository.asked();
    let kept = fetch(&at_hour(23)).await.unwrap();
    assert_eq!(said(&kept), (Source::Cache, start, false));
    assert_eq!(repository.asked(), asked, "nobody needed to be asked");

    let day = start + HOUR * 25;
    repository.publish(2, &trusted_root(), day);
    let newer = fetch(&at_hour(25)).await.unwrap();
    assert_eq!(said(&newer), (Source::Network, day, false));

    // Without a network, what was the newest serves on, long after it has expired.
    repository.break_down(true);
    let old = fetch(&at_hour(24 * 60)).await.unwrap();
    assert_eq!(said(&old), (Source::Cache, day, true));
    let limited = |days| Settings {
        stale_after: Some(HOUR * 24 * days),
        ..at_hour(24 * 60)
    };
    fetch(&limited(90)).await.unwrap();
    let error = fetch(&limited(30)).await.unwrap_err();
    assert_eq!(error.reason(), Reason::TrustRootUnavailable);
    assert!(error.advice().unwrap().contains("--trusted-root"));
}

#[tokio::test]
async fn an_older_version_a_forged_one_and_an_expired_one_are_not_taken() {
    let (at, repository) = (Workspace::new(), Repository::start());
    let start: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let later = start + HOUR * 25;
    let empty = br#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;
    let now = settings(&repository, &at, later);
    repository.publish(2, &trusted_root(), start);
    fetch(&settings(&repository, &at, start)).await.unwrap();

    let impostor = Repository::start();
    impostor.publish(3, empty, later);
    let forged = Settings {
        repository: Origin::custom(impostor.url(), repository.root()),
        ..now.clone()
    };
    let error = fetch(&forged).await.unwrap_err();
    assert_eq!(error.reason(), Reason::TrustRootUnavailable);

    repository.publish(1, empty, later);
    let rolled_back = fetch(&now).await.unwrap();
    assert_eq!(said(&rolled_back), (Source::Cache, start, true));

    repository.publish(3, empty, start - HOUR * 24 * 30);
    let frozen = fetch(&now).await.unwrap();
    assert_eq!(said(&frozen), (Source::Cache, start, true));

    repository.publish(3, &trusted_root(), later);
    let fresh = fetch(&now).await.unwrap();
    assert_eq!(said(&fresh), (Source::Network, later, false));
}

#[tokio::test]
async fn a_cache_that_was_tampered_with_is_not_believed() {
    let (at, repository) = (Workspace::new(), Repository::start());
    let start: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    repository.publish(1, &trusted_root(), start);
    let now = settings(&repository, &at, start);
    fetch(&now).await.unwrap();
    let part = std::fs::read_dir(at.path("cache")).unwrap().next().unwrap();
    let part = part.unwrap().path();
    let mut tampered = 0;
    for entry in std::fs::read_dir(&part).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.file_name().unwrap() != "refreshed-at" {
            std::fs::write(path, b"{}").unwrap();
            tampered += 1;
        }
    }
    assert!(tampered > 3, "the cache was not found");
    let again = fetch(&now).await.unwrap();
    assert_eq!(said(&again), (Source::Network, start, false));
    repository.break_down(true);
    std::fs::remove_dir_all(part).unwrap();
    let error = fetch(&now).await.unwrap_err();
    assert_eq!(error.reason(), Reason::TrustRootUnavailable);
}

#[tokio::test]
async fn the_public_instance_can_always_be_verified_under() {
    let repository = Repository::start();
    repository.break_down(true);
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let settings = Settings {
        repository: Origin::public_good().at(repository.url()),
        cache: None,
        stale_after: None,
        now,
    };
    let embedded = fetch(&settings).await.unwrap();
    assert_eq!(embedded.source, Source::Embedded);
    let since = embedded.since.to_string();
    assert!(
        since.starts_with("2026-") && embedded.since < now,
        "{since}"
    );
    assert!(embedded.failure.is_some());
}

#[test]
fn the_command_fetches_a_private_instances_keys_once() {
    let (at, repository) = (workspace(), Repository::start());
    at.write("tuf-root.json", repository.root());
    repository.publish(1, &trusted_root(), Timestamp::now());
    let tuf = [
        "--tuf-mirror",
        repository.url(),
        "--tuf-root",
        "tuf-root.json",
    ];
    let verify = with(&with(&["verify", REFERENCE], &TRUST[..4]), &tuf);
    at.run(&verify).ok();
    let asked = repository.asked();
    assert!(asked > 0);
    at.run(&verify).ok();
    assert_eq!(repository.asked(), asked);
    let alone = with(
        &["verify", REFERENCE, "--tuf-mirror", "http://x"],
        &TRUST[..4],
    );
    assert_eq!(at.run(&alone).code, 2);
}
