//! One connection after the other.

use std::time::Duration;

use modelctl::download::Spread;
use modelctl::error::Reason;

use crate::support::registry::{Access, Action, Auth, Bearer, Fault, Options};
use crate::{Scene, downloads, reason};

const SIZE: usize = 3_000_000;

/// What headers may take, all requests together.
const HEADERS: u64 = 20_000;

fn fault() -> Fault {
    Fault::on("GET", "/blobs/")
}

#[tokio::test]
async fn an_unbroken_download_is_one_request() {
    for size in [0, 1, SIZE] {
        let scene = Scene::new(size);
        scene.download(&downloads(Spread::default())).await.unwrap();
        assert_eq!(scene.asked(), (usize::from(size > 0), 0));
    }
}

#[tokio::test]
async fn a_broken_connection_costs_nothing_that_had_come() {
    for cut in [1, SIZE / 2, SIZE - 1] {
        let scene = Scene::new(SIZE);
        let broken = fault().times(1).does(Action::Truncate(cut));
        scene.registry.fault(broken);
        scene.download(&downloads(Spread::default())).await.unwrap();
        assert_eq!(scene.asked(), (2, 1), "{cut}");
        let sent = scene.registry.bytes_sent();
        assert!(sent < SIZE as u64 + HEADERS, "{cut}: {sent}");
    }
}

#[tokio::test]
async fn silence_is_a_broken_connection_too() {
    let stall = Duration::from_millis(500);
    let scene = Scene::with(SIZE, Options::default(), stall);
    let silent = fault().times(1).does(Action::Stall(SIZE / 2));
    scene.registry.fault(silent);
    scene.download(&downloads(Spread::default())).await.unwrap();
    assert_eq!(scene.asked(), (2, 1));
    assert!(scene.registry.bytes_sent() < SIZE as u64 + HEADERS);
}

#[tokio::test]
async fn without_ranges_it_comes_from_the_start_again() {
    let options = Options {
        ranges: false,
        ..Options::default()
    };
    let scene = Scene::with(SIZE, options, Duration::from_secs(10));
    let broken = fault().times(1).does(Action::Truncate(SIZE / 2));
    scene.registry.fault(broken);
    scene.download(&downloads(Spread::default())).await.unwrap();
    assert_eq!(scene.asked(), (2, 1));
    assert!(scene.registry.bytes_sent() > (SIZE + SIZE / 2) as u64);
}

#[tokio::test]
async fn progress_earns_new_tries() {
    let scene = Scene::new(SIZE);
    scene
        .registry
        .fault(fault().does(Action::Truncate(SIZE / 10)));
    scene.download(&downloads(Spread::default())).await.unwrap();
    assert_eq!(scene.asked().0, 10);
}

#[tokio::test]
async fn without_progress_the_tries_run_out() {
    for (action, expected) in [
        (Action::Truncate(10), Reason::Connection),
        (Action::Truncate(0), Reason::Connection),
        (Action::Stall(10), Reason::TimedOut),
    ] {
        let scene = Scene::with(SIZE, Options::default(), Duration::from_millis(500));
        scene.registry.fault(fault().does(action));
        let done = scene.download(&downloads(Spread::default())).await;
        assert_eq!(reason(done), expected);
        assert_eq!(scene.asked().0, 3);
    }
}

#[tokio::test]
async fn wrong_content_is_fetched_once_more_and_no_more() {
    let wrongs: [fn() -> Fault; 3] = [
        || fault().does(Action::Corrupt(SIZE - 1)),
        || fault().does(Action::ExtraBytes(1)),
        || fault().does(Action::Chunked).does(Action::ExtraBytes(5)),
    ];
    let reasons = [
        Reason::DigestMismatch,
        Reason::SizeMismatch,
        Reason::SizeMismatch,
    ];
    for (wrong, expected) in wrongs.into_iter().zip(reasons) {
        let scene = Scene::new(SIZE);
        scene.registry.fault(wrong().times(1));
        scene.download(&downloads(Spread::default())).await.unwrap();
        assert_eq!(scene.asked(), (2, 0));

        let scene = Scene::new(SIZE);
        scene.registry.fault(wrong());
        let done = scene.download(&downloads(Spread::default())).await;
        assert_eq!(reason(done), expected);
        assert_eq!(scene.asked(), (2, 0));
    }
}

#[tokio::test]
async fn damage_before_a_break_costs_the_whole() {
    let scene = Scene::new(SIZE);
    let damaged = fault().times(1).does(Action::Corrupt(7));
    scene
        .registry
        .fault(damaged.does(Action::Truncate(SIZE / 2)));
    scene.download(&downloads(Spread::default())).await.unwrap();
    assert_eq!(scene.asked(), (3, 1));
}

#[tokio::test]
async fn a_download_goes_on_where_an_earlier_one_ended() {
    let scene = Scene::new(SIZE);
    for kept in [1, SIZE / 2, SIZE - 1, SIZE] {
        let prefix = &scene.bytes[..kept];
        scene.registry.forget_requests();
        let sent = scene.registry.bytes_sent();
        let spread = downloads(Spread::default());
        scene.go_on(&spread, prefix).await.unwrap();
        let asked = usize::from(kept < SIZE);
        assert_eq!(scene.asked(), (asked, asked));
        let sent = scene.registry.bytes_sent() - sent;
        assert!(sent < (SIZE - kept) as u64 + HEADERS);
    }
}

#[tokio::test]
async fn what_an_earlier_download_left_may_be_wrong() {
    let scene = Scene::new(SIZE);
    for kept in [SIZE / 2, SIZE] {
        let mut prefix = scene.bytes[..kept].to_vec();
        prefix[7] ^= 1;
        scene.registry.forget_requests();
        let spread = downloads(Spread::default());
        scene.go_on(&spread, &prefix).await.unwrap();
        let ranged = usize::from(kept < SIZE);
        assert_eq!(scene.asked(), (1 + ranged, ranged));
    }
}

#[tokio::test]
async fn a_cache_that_was_wrong_once_is_gone_past() {
    let wrong = || fault().does(Action::Corrupt(SIZE / 2));
    for (times, expected) in [(1, None), (2, Some(Reason::DigestMismatch))] {
        let scene = Scene::new(SIZE);
        scene.registry.fault(wrong().times(times));
        let done = scene.download(&downloads(Spread::default())).await;
        assert_eq!(done.err().map(|error| error.reason()), expected);
        let requests = scene.registry.requests();
        let fresh: Vec<_> = requests.iter().map(|r| r.header("cache-control")).collect();
        assert_eq!(fresh, [None, Some("no-cache")]);
    }
}

#[tokio::test]
async fn a_token_that_expires_before_a_download_goes_on_is_renewed() {
    for (anonymous, expected) in [
        (Access::Pull, None),
        (Access::None, Some(Reason::Unauthorised)),
    ] {
        let bearer = Bearer {
            anonymous,
            uses: Some(1),
            ..Bearer::default()
        };
        let options = Options {
            auth: Auth::Bearer(bearer),
            ..Options::default()
        };
        let scene = Scene::with(SIZE, options, Duration::from_secs(10));
        let broken = fault().times(2).does(Action::Truncate(SIZE / 3));
        scene.registry.fault(broken);
        let done = scene.download(&downloads(Spread::default())).await;
        assert_eq!(done.err().map(|error| error.reason()), expected);
        let served = scene.registry.requests().into_iter();
        let served = served.filter(|r| matches!(r.status, Some(200 | 206)));
        let blobs = served.filter(|r| r.path.contains("/blobs/")).count();
        assert_eq!(blobs, if expected.is_none() { 3 } else { 0 });
    }
}
