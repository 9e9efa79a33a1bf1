use super::*;

/// Makes the blob look as if it was used then.
fn used_at(bench: &Bench, content: &[u8], seconds: u64) {
    let path = match content.len() < LARGE {
        true => bench.blob(content),
        false => bench.voucher(content),
    };
    let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(path).unwrap().set_modified(time).unwrap();
}

/// Returns how much of the disk a file takes.
fn room(path: &Path) -> u64 {
    let status = path.metadata().unwrap();
    status.len().max(status.blocks() * 512)
}

#[tokio::test]
async fn removes_what_was_not_used_for_longest() {
    let bench = Bench::new();
    let large = LARGE as u64;
    let blobs: Vec<_> = [100, LARGE, 300].map(content).into();
    for (blob, seconds) in blobs.iter().zip([2, 1, 3]) {
        bench.store(blob).await;
        used_at(&bench, blob, seconds);
    }
    let now = Timestamp::from_second(4).unwrap();
    let usage = bench.store.usage().await.unwrap();
    assert_eq!((usage.blobs, usage.blob_bytes), (3, large + 400));

    for (max, removed, left) in [
        (large + 400, 0, large + 400),
        (large + 399, large, 400),
        (300, 100, 300),
        (0, 300, 0),
    ] {
        let collected = bench.store.collect(max, now).await.unwrap();
        assert_eq!(collected.removed_bytes, removed, "{max}");
        assert_eq!(collected.left_bytes, left, "{max}");
        assert_eq!(bench.store.usage().await.unwrap().blob_bytes, left);
    }
    assert!(bench.files().is_empty());
}

#[tokio::test]
async fn counts_what_installed_models_share_and_what_is_missing() {
    let bench = Bench::new();
    let (small, large) = (content(100), content(LARGE));
    for blob in [&small, &large] {
        drop(bench.store(blob).await);
    }
    leave_part(&bench, &content(LARGE + 8192), &content(8192));
    let wanted: Vec<_> = [100, LARGE, LARGE + 8192, LARGE + 1]
        .map(|size| descriptor(&content(size)))
        .into();
    for (link, missing) in [
        (Link::Copy, 100 + 3 * LARGE + 8193),
        (Link::Reflink, 2 * LARGE + 1),
        (Link::HardLink, 100 + 2 * LARGE + 1),
    ] {
        let counted = bench.store.missing(wanted.clone(), link).await.unwrap();
        assert_eq!(counted, missing as u64, "{link:?}");
    }
    assert_eq!(bench.store.usage().await.unwrap().linked_bytes, 0);
    for (blob, name) in [(&small, "small"), (&large, "large")] {
        bench.install(blob, name, Link::HardLink).await.unwrap();
    }
    let linked = bench.store.usage().await.unwrap().linked_bytes;
    assert_eq!(linked, LARGE as u64);
}

#[tokio::test]
async fn a_claim_counts_as_use() {
    let bench = Bench::new();
    let (a, b) = (content(LARGE), content(LARGE + 1));
    for (blob, seconds) in [(&a, 1), (&b, 2)] {
        bench.store(blob).await;
        used_at(&bench, blob, seconds);
    }
    drop(bench.stored(&a).await);
    let now = Timestamp::now();
    let max = LARGE as u64;
    assert_eq!(bench.store.collect(max, now).await.unwrap().left_bytes, max);
    bench.stored(&a).await;
}

#[tokio::test]
async fn removes_nothing_that_is_in_use() {
    let bench = Bench::new();
    let (held, idle, coming) = (content(100), content(200), content(300));
    drop(bench.store(&held).await);
    let stored = bench.stored(&held).await;
    drop(bench.store(&idle).await);
    leave_part(&bench, &coming, &coming[..50]);
    let ingest = bench.ingest(&coming).await;
    let now = Timestamp::now() + jiff::SignedDuration::from_hours(48);
    let collected = bench.other().collect(0, now).await.unwrap();
    assert_eq!((collected.removed, collected.removed_bytes), (1, 200));
    assert_eq!(collected.left_bytes, 100 + room(&bench.part(&coming)));
    drop((stored, ingest));
    let collected = bench.other().collect(0, now).await.unwrap();
    assert_eq!((collected.removed, collected.left_bytes), (2, 0));
    assert!(bench.files().is_empty());
}

#[tokio::test]
async fn removes_beginnings_that_nobody_came_back_for() {
    let (bench, all) = (Bench::new(), content(100));
    leave_part(&bench, &all, &all[..50]);
    let made = Timestamp::try_from(bench.part(&all).metadata().unwrap().modified().unwrap());
    let made = made.unwrap();
    let hours = jiff::SignedDuration::from_hours;
    let usage = bench.store.usage().await.unwrap();
    let expected = (1, room(&bench.part(&all)));
    assert_eq!((usage.partials, usage.partial_bytes), expected);
    for (now, removed) in [(made + hours(23), 0), (made + hours(25), 1)] {
        let collected = bench.store.collect(u64::MAX, now).await.unwrap();
        assert_eq!(collected.removed, removed);
    }
    assert!(bench.files().is_empty());
}

#[tokio::test]
async fn removes_what_vouches_for_nothing() {
    let (bench, all) = (Bench::new(), content(LARGE));
    drop(bench.store(&all).await);
    std::fs::remove_file(bench.blob(&all)).unwrap();
    std::fs::write(bench.voucher(&all).with_extension("new"), "{").unwrap();
    std::fs::write(bench.part(&all).with_file_name("0123.probe"), "").unwrap();
    drop(bench.store(&content(LARGE + 1)).await);
    let now = Timestamp::now();
    bench.store.collect(u64::MAX, now).await.unwrap();
    assert_eq!(bench.files().len(), 2, "a blob and its voucher");
}

#[tokio::test]
async fn leaves_files_alone_that_are_not_the_stores() {
    let (bench, all) = (Bench::new(), content(100));
    bench.store(&all).await;
    let foreign = [
        bench.blob(&all).with_file_name("README"),
        bench.part(&all).with_file_name("x.part"),
    ];
    for path in &foreign {
        std::fs::write(path, "theirs").unwrap();
    }
    let now = Timestamp::now();
    assert_eq!(bench.store.collect(0, now).await.unwrap().removed, 1);
    assert_eq!(bench.store.usage().await.unwrap(), Usage::default());
    assert!(foreign.iter().all(|path| path.exists()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_and_collections_do_not_disturb_each_other() {
    let bench = Bench::new();
    let pulls = (0..8).map(|pull| {
        let (store, target) = (bench.other(), Arc::clone(&bench.target));
        tokio::spawn(async move {
            for round in 0..20 {
                let all = content(1000 + round % 3);
                let link = [Link::Copy, Link::Reflink, Link::HardLink][round % 3];
                let stored = match store.claim(&descriptor(&all)).await.unwrap() {
                    Claim::Stored(stored) => stored,
                    Claim::Stuck => panic!("each of them gets on"),
                    Claim::Partial(ingest) => {
                        let have = usize::try_from(ingest.have()).unwrap();
                        let rest = body(&all[have..]);
                        receive(ingest, rest).await.unwrap()
                    }
                };
                let name = format!("{pull}-{round}");
                let (path, meter) = (Path::new(&name), Box::new(Silent));
                let made = stored.materialise(&target, path, link, meter).await;
                made.unwrap();
            }
        })
    });
    let pulls: Vec<_> = pulls.collect();
    let collecting = bench.other();
    let collector = tokio::spawn(async move {
        loop {
            collecting.collect(0, Timestamp::now()).await.unwrap();
        }
    });
    for pull in pulls {
        pull.await.unwrap();
    }
    collector.abort();
    for pull in 0..8 {
        for round in 0..20 {
            let made = std::fs::read(bench.installed(&format!("{pull}-{round}"))).unwrap();
            assert_eq!(made, content(1000 + round % 3));
        }
    }
}
