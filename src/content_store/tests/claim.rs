use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn many_claims_of_one_blob_download_it_once() {
    let bench = Bench::new();
    let downloads = Arc::new(AtomicU64::new(0));
    // One blob with many claims, and many blobs with some.
    let sizes = (0..64).map(|_| PIECE).chain((0..800).map(|i| i / 8));
    let claims = sizes.map(|size| {
        let (store, downloads) = (bench.other(), Arc::clone(&downloads));
        tokio::spawn(async move {
            let all = content(size);
            match store.claim(&descriptor(&all)).await.unwrap() {
                Claim::Stored(_) => {}
                Claim::Stuck => panic!("each of them gets on"),
                Claim::Partial(ingest) => {
                    downloads.fetch_add(1, Ordering::Relaxed);
                    receive(ingest, body(&all)).await.unwrap();
                }
            }
        })
    });
    for claim in claims.collect::<Vec<_>>() {
        claim.await.unwrap();
    }
    assert_eq!(downloads.load(Ordering::Relaxed), 101);
}

#[tokio::test]
async fn finds_what_was_stored_while_it_took_the_lock() {
    let (bench, all) = (Bench::new(), content(10));
    drop(bench.store(&all).await);
    let claim = take(&bench.store.shelves, descriptor(&all)).unwrap();
    let Attempt::Claimed(claim) = claim else {
        panic!("nobody else has it");
    };
    assert!(matches!(*claim, Claim::Stored(_)));
    assert!(!bench.part(&all).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_download_breaks_the_next_goes_on() {
    let (bench, all) = (Bench::new(), Arc::new(content(8)));
    let offsets = Arc::new(Mutex::new(Vec::new()));
    let claims = (0..8).map(|_| {
        let (store, all, offsets) = (bench.other(), Arc::clone(&all), Arc::clone(&offsets));
        tokio::spawn(async move {
            let claim = store.claim(&descriptor(&all)).await.unwrap();
            let Claim::Partial(ingest) = claim else {
                panic!("each brings one byte, and the last one ends it");
            };
            let have = usize::try_from(ingest.have()).unwrap();
            offsets.lock().unwrap().push(have);
            let rest = match have + 1 == all.len() {
                true => body(&all[have..]),
                false => broken(&all[have..=have]),
            };
            receive(ingest, rest).await.is_ok()
        })
    });
    let mut stored = 0;
    for claim in claims.collect::<Vec<_>>() {
        stored += usize::from(claim.await.unwrap());
    }
    assert_eq!(stored, 1);
    assert_eq!(*offsets.lock().unwrap(), (0..8).collect::<Vec<_>>());
}

#[tokio::test]
async fn nobody_waits_for_a_download_that_does_not_get_on() {
    let (bench, all) = (Bench::new(), content(10));
    let held = bench.ingest(&all).await;
    let patient = bench.other().with_patience(Duration::from_secs(60));
    let hurried = bench.other().with_patience(Duration::ZERO);
    let wanted = descriptor(&all);
    let claim = hurried.claim(&wanted).await.unwrap();
    assert!(matches!(claim, Claim::Stuck));
    // One that gets on is waited for.
    let stored = async { receive(held, body(&all)).await.unwrap() };
    let (claim, _) = tokio::join!(patient.claim(&wanted), stored);
    assert!(matches!(claim.unwrap(), Claim::Stored(_)));
}

#[tokio::test]
async fn claims_of_different_blobs_do_not_wait_for_each_other() {
    let bench = Bench::new();
    let mut held = Vec::new();
    for len in 1..200 {
        held.push(bench.ingest(&content(len)).await);
    }
    bench.store(&content(200)).await;
}

#[tokio::test]
async fn heals_whatever_a_killed_process_left() {
    type Kill = fn(&Bench, &[u8]);
    let kills: [(&str, Kill); 6] = [
        ("a whole part", |bench, all| {
            std::fs::rename(bench.blob(all), bench.part(all)).unwrap();
            let _ = std::fs::remove_file(bench.voucher(all));
            let mode = Permissions::from_mode(0o600);
            std::fs::set_permissions(bench.part(all), mode).unwrap();
        }),
        ("a part beside the blob", |bench, all| {
            std::fs::write(bench.part(all), &all[..5]).unwrap();
        }),
        ("a blob with its old mode and no voucher", |bench, all| {
            let _ = std::fs::remove_file(bench.voucher(all));
            let mode = Permissions::from_mode(0o600);
            std::fs::set_permissions(bench.blob(all), mode).unwrap();
        }),
        ("half a voucher", |bench, all| {
            let _ = std::fs::remove_file(bench.voucher(all));
            let new = bench.voucher(all).with_extension("new");
            std::fs::write(new, "{").unwrap();
        }),
        ("a voucher without blob", |bench, all| {
            std::fs::remove_file(bench.blob(all)).unwrap();
        }),
        ("an empty blob", |bench, all| {
            // What a power failure leaves where the order of writes is not kept.
            edit(&bench.blob(all), Vec::clear);
        }),
    ];
    for (name, kill) in kills {
        for (size, link) in [
            (PIECE, Link::Copy),
            (PIECE, Link::HardLink),
            (LARGE, Link::Copy),
            (LARGE, Link::HardLink),
        ] {
            let (bench, all) = (Bench::new(), content(size));
            bench.store(&all).await;
            kill(&bench, &all);
            if let Claim::Partial(ingest) = bench.store.claim(&descriptor(&all)).await.unwrap() {
                let have = usize::try_from(ingest.have()).unwrap();
                let rest = body(&all[have..]);
                receive(ingest, rest).await.unwrap();
            }
            bench.install(&all, "f", link).await.unwrap();
            assert_eq!(std::fs::read(bench.installed("f")).unwrap(), all, "{name}");
            assert_eq!(mode(&bench.blob(&all)), 0o444, "{name}");
            assert_eq!(bench.voucher(&all).exists(), size == LARGE, "{name}");
        }
    }
}

#[tokio::test]
async fn a_blob_of_another_size_than_declared_is_not_it() {
    let (bench, all) = (Bench::new(), content(100));
    bench.store(&all).await;
    let mut wanted = descriptor(&all);
    wanted.size = 99;
    let Claim::Partial(ingest) = bench.store.claim(&wanted).await.unwrap() else {
        panic!("it cannot be stored");
    };
    let received = receive(ingest, body(&all)).await;
    assert_eq!(reason(received), Reason::SizeMismatch);
    bench.stored(&all).await;
}

#[test]
fn refuses_a_store_that_others_may_write() {
    for shelf in ["", "blobs", "blobs/sha256", "ingest", "stamps"] {
        for (mode, refused) in [(0o755, false), (0o770, true), (0o1777, true)] {
            let around = tempfile::tempdir().unwrap();
            let path = around.path().join("store");
            ContentStore::open(&path).unwrap();
            let mode = Permissions::from_mode(mode);
            std::fs::set_permissions(path.join(shelf), mode).unwrap();
            match (ContentStore::open(&path), refused) {
                (Ok(_), false) => {}
                (Err(error), true) => {
                    assert_eq!(error.reason(), Reason::Disk, "{shelf}");
                    assert!(error.advice().unwrap().contains("chmod"), "{shelf}");
                }
                (result, _) => panic!("{shelf}: {result:?}"),
            }
        }
    }
}

#[tokio::test]
async fn follows_no_symlink_in_the_store() {
    let (bench, all) = (Bench::new(), content(10));
    let outside = bench.around.path().join("outside");
    std::fs::write(&outside, &all).unwrap();
    for link in [bench.blob(&all), bench.part(&all)] {
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        assert!(bench.store.claim(&descriptor(&all)).await.is_err());
        std::fs::remove_file(&link).unwrap();
    }
    assert_eq!(std::fs::read(&outside).unwrap(), all);
    bench.store(&all).await;
}
