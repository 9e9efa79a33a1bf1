//! Downloads into a content store, given up and taken up again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use modelctl::content_store::{Claim, ContentStore, Ingest};
use modelctl::download::{Downloads, Spread, Start};
use modelctl::error::{Reason, Result};
use modelctl::progress::Silent;
use modelctl::sink::Io;

use crate::support::registry::{Action, Fault, Gate};
use crate::{Counter, Scene, downloads, reason};

const SIZE: usize = 4 << 20;

const SEGMENT: usize = 256 << 10;

/// Holes are known to this many bytes.
const GRAIN: u64 = 64 << 10;

const SPREAD: Spread = Spread {
    helpers: 2,
    helpers_in_all: 2,
    slow: 50_000_000,
    watch: Duration::from_millis(50),
    least: 1 << 20,
    segment: SEGMENT as u64,
};

fn every() -> Fault {
    Fault::on("GET", "/blobs/")
}

fn store(scene: &Scene) -> ContentStore {
    ContentStore::open(&scene.directory.path().join("store")).unwrap()
}

async fn claim(scene: &Scene) -> Ingest {
    match store(scene).claim(&scene.blob).await.unwrap() {
        Claim::Partial(ingest) => ingest,
        claim => panic!("{claim:?}"),
    }
}

async fn fetch(scene: &Scene, downloads: &Downloads) -> Result<()> {
    let fetch = |file, check| {
        let start = Start::After(check);
        let meter = Counter(Arc::clone(&scene.counted));
        downloads.download(&scene.store, &scene.blob, file, start, Box::new(meter))
    };
    claim(scene).await.receive(fetch).await.map(drop)
}

fn stored(scene: &Scene) -> Vec<u8> {
    let hex = scene.blob.digest.hex();
    std::fs::read(scene.directory.path().join("store/blobs/sha256").join(hex)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_helpers_brought_ahead_is_not_mistaken_for_the_beginning() {
    let scene = Scene::new(SIZE);
    // The first connection crawls and then stops within its first segment, its helpers when they
    // are some segments ahead.
    let (front, ahead) = (
        Gate::after(3 * GRAIN as usize + 1),
        Gate::after(5 * SEGMENT + 99),
    );
    let hold = |gate: &Arc<Gate>| Action::Hold(Arc::clone(gate));
    let crawl = every().times(1).does(Action::Throttle(500_000));
    scene.registry.fault(crawl.does(hold(&front)));
    scene.registry.fault(every().does(hold(&ahead)));
    let spread = downloads(SPREAD);
    let counted = Arc::clone(&scene.counted);
    let both_wrote = move || {
        front.wait();
        ahead.wait();
        while counted.load(Ordering::SeqCst) < 2 * GRAIN {
            std::thread::yield_now();
        }
    };
    tokio::select! {
        done = fetch(&scene, &spread) => panic!("it cannot end: {done:?}"),
        _ = tokio::task::spawn_blocking(both_wrote) => {}
    }
    scene.registry.clear_faults();
    scene.registry.forget_requests();
    let ingest = claim(&scene).await;
    let have = ingest.have();
    assert!((1..=3 * GRAIN + 1).contains(&have), "{have}");
    drop(ingest);
    fetch(&scene, &downloads(SPREAD)).await.unwrap();
    assert!(stored(&scene) == scene.bytes);
    let requests = scene.registry.requests();
    assert!(requests[0].header("range").is_some(), "it went on");
    let whole = requests.iter().filter(|r| r.header("range").is_none());
    assert_eq!(whole.count(), 0, "nothing was wrong");
}

#[tokio::test]
async fn a_beginning_goes_on_by_a_range_from_any_registry() {
    let scene = Scene::new(SIZE);
    let broken = every().does(Action::Truncate(SIZE / 2));
    scene.registry.fault(broken.times(3));
    scene.registry.fault(every().does(Action::Close));
    let once = Downloads::new(
        modelctl::download::Retry {
            tries: 1,
            wait: Duration::ZERO,
        },
        Spread::default(),
        Io::Buffered,
        Arc::new(Silent),
    );
    let done = fetch(&scene, &once).await;
    assert_eq!(reason(done), Reason::Connection);

    // The same blob in another registry, whose ranges are right, wrong or none.
    let ranges = |value: &str| Action::Header("content-range".to_owned(), value.to_owned());
    for (action, asked) in [
        (None, (1, 1)),
        (Some(ranges("bytes 0-1/2")), (2, 1)),
        (Some(Action::Status(416, "{}".to_owned())), (2, 1)),
    ] {
        let other = Scene::new(SIZE);
        let from = scene.directory.path().join("store");
        let to = other.directory.path().join("store");
        drop(store(&other));
        let part = format!("ingest/{}.part", scene.blob.digest.hex());
        std::fs::copy(from.join(&part), to.join(&part)).unwrap();
        if let Some(action) = action {
            other.registry.fault(every().times(1).does(action));
        }
        fetch(&other, &downloads(Spread::default())).await.unwrap();
        assert_eq!(other.asked(), asked);
        assert!(stored(&other) == other.bytes);
    }
}
