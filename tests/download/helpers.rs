//! Several connections at once, where one is slow.

use std::time::Duration;

use futures_util::future::join_all;
use modelctl::download::Spread;
use modelctl::error::Reason;

use crate::support::registry::{Action, Fault, Options};
use crate::{Scene, downloads, reason};

const SIZE: usize = 800_000;

const SEGMENT: usize = 64 << 10;

const SPREAD: Spread = Spread {
    helpers: 4,
    helpers_in_all: 4,
    slow: 2_000_000,
    watch: Duration::from_millis(50),
    least: 256 << 10,
    segment: SEGMENT as u64,
};

/// Slow enough to be helped.
fn crawl(fault: Fault) -> Fault {
    fault.does(Action::Throttle(500_000))
}

fn every() -> Fault {
    Fault::on("GET", "/blobs/")
}

#[tokio::test]
async fn a_fast_connection_gets_no_help() {
    // On a busy machine, a short wait may be no fault of the connection.
    let patient = Spread {
        watch: Duration::from_secs(1),
        ..SPREAD
    };
    for (fast, helped) in [(true, false), (false, true)] {
        let scene = Scene::new(SIZE);
        if !fast {
            scene.registry.fault(crawl(every()));
        }
        scene.download(&downloads(patient)).await.unwrap();
        assert_eq!(scene.asked().1 > 0, helped);
        assert_eq!(scene.asked().0 == 1, !helped);
    }
}

#[tokio::test]
async fn a_slow_connection_is_helped() {
    let scene = Scene::new(SIZE);
    scene.registry.fault(crawl(every()));
    scene.download(&downloads(SPREAD)).await.unwrap();
    let (all, ranged) = scene.asked();
    assert_eq!(all, ranged + 1);
    // All but what the first connection brought before it was found to be slow, and its segment.
    assert!((5..=SIZE / SEGMENT).contains(&ranged), "{ranged}");
}

#[tokio::test]
async fn nobody_helps_where_it_is_not_allowed_or_not_worth_it() {
    let spreads = [
        Spread {
            helpers: 0,
            ..SPREAD
        },
        Spread {
            helpers_in_all: 0,
            ..SPREAD
        },
        Spread {
            least: SIZE as u64,
            ..SPREAD
        },
    ];
    let alone = spreads.map(|spread| async move {
        let scene = Scene::new(SIZE);
        scene.registry.fault(crawl(every()));
        scene.download(&downloads(spread)).await.unwrap();
        assert_eq!(scene.asked(), (1, 0));
    });
    join_all(alone).await;
}

#[tokio::test]
async fn where_no_ranges_are_served_one_helper_finds_out() {
    let options = Options {
        ranges: false,
        ..Options::default()
    };
    let scene = Scene::with(SIZE, options, Duration::from_secs(10));
    scene.registry.fault(crawl(every()));
    scene.download(&downloads(SPREAD)).await.unwrap();
    assert_eq!(scene.asked(), (2, 1));
}

#[tokio::test]
async fn helpers_that_fail_cost_nothing_but_time() {
    // Whoever answers with another part than was asked for is asked for no further ones.
    let another = Action::Header("content-range".to_owned(), "bytes 0-1/2".to_owned());
    let failures = [
        (Action::Truncate(100), 5),
        (Action::Truncate(0), 5),
        (Action::Status(404, "{}".to_owned()), 5),
        (another, 1),
    ];
    let cases = failures.map(|failure| [1, 3].map(|skip| (failure.clone(), skip)));
    let helped = cases.into_iter().flatten();
    let helped = helped.map(|((failure, least), skip)| async move {
        let scene = Scene::new(SIZE);
        let fails = every().after(skip).times(2).does(failure);
        scene.registry.fault(fails);
        scene.registry.fault(crawl(every()));
        scene.download(&downloads(SPREAD)).await.unwrap();
        assert!(scene.asked().1 >= least);
    });
    join_all(helped).await;
}

#[tokio::test]
async fn the_first_connection_may_break_while_it_is_helped() {
    let scene = Scene::new(SIZE);
    let broken = crawl(every().times(1).does(Action::Truncate(SEGMENT)));
    scene.registry.fault(broken);
    scene.registry.fault(crawl(every()));
    scene.download(&downloads(SPREAD)).await.unwrap();
}

#[tokio::test]
async fn what_helpers_bring_is_checked_like_the_rest() {
    for (times, expected) in [(Some(1), None), (None, Some(Reason::DigestMismatch))] {
        let scene = Scene::new(SIZE);
        let damage = Fault {
            times,
            ..every().after(3).does(Action::Corrupt(5))
        };
        scene.registry.fault(crawl(damage));
        scene.registry.fault(crawl(every()));
        let done = scene.download(&downloads(SPREAD)).await;
        match expected {
            None => done.unwrap(),
            Some(expected) => assert_eq!(reason(done), expected),
        }
    }
}

#[tokio::test]
async fn several_downloads_share_the_helpers() {
    let scenes = [Scene::new(SIZE), Scene::new(SIZE), Scene::new(SIZE)];
    let all = downloads(SPREAD);
    for scene in &scenes {
        scene.registry.fault(crawl(every()));
    }
    let done = scenes.each_ref().map(|scene| scene.download(&all));
    for done in join_all(done).await {
        done.unwrap();
    }
    assert!(scenes.iter().any(|scene| scene.asked().1 > 4));
}
