use super::*;

#[tokio::test]
async fn finds_again_what_it_received() {
    let bench = Bench::new();
    for content in [content(0), content(1), content(3 * PIECE + 5)] {
        bench.store(&content).await;
        assert_eq!(std::fs::read(bench.blob(&content)).unwrap(), content);
        assert_eq!(mode(&bench.blob(&content)), 0o444);
        assert!(!bench.part(&content).exists());
        let claim = bench.other().claim(&descriptor(&content)).await.unwrap();
        assert!(matches!(claim, Claim::Stored(_)));
    }
}

#[tokio::test]
async fn goes_on_where_a_broken_transfer_stopped() {
    let all = content(3 * PIECE + 5);
    for cut in [1, PIECE - 7, PIECE, 2 * PIECE + 1, all.len() - 1, all.len()] {
        let bench = Bench::new();
        let (first, rest) = all.split_at(cut);
        let ingest = bench.ingest(&all).await;
        let received = receive(ingest, broken(first)).await;
        assert_eq!(reason(received), Reason::Connection);
        assert_eq!(std::fs::read(bench.part(&all)).unwrap(), first);
        assert_eq!(bench.files().len(), 1);

        let mut ingest = bench.ingest(&all).await;
        assert_eq!(ingest.have(), cut as u64);
        if cut % 2 == 0 {
            ingest.resume(Box::new(Silent)).await.unwrap();
        }
        let received = receive(ingest, body(rest)).await;
        received.unwrap();
        assert_eq!(std::fs::read(bench.blob(&all)).unwrap(), all);
    }
}

#[tokio::test]
async fn keeps_what_came_before_an_early_end() {
    let (bench, all) = (Bench::new(), content(100));
    let ingest = bench.ingest(&all).await;
    let received = receive(ingest, body(&all[..60])).await;
    assert_eq!(reason(received), Reason::SizeMismatch);
    assert_eq!(bench.ingest(&all).await.have(), 60);
}

#[tokio::test]
async fn leaves_nothing_of_a_claim_that_received_nothing() {
    let (bench, all) = (Bench::new(), content(100));
    drop(bench.ingest(&all).await);
    assert!(bench.files().is_empty());
    let ingest = bench.ingest(&all).await;
    let received = receive(ingest, broken(b"")).await;
    assert_eq!(reason(received), Reason::Connection);
    assert!(bench.files().is_empty());
}

#[tokio::test]
async fn needs_no_more_bytes_for_a_beginning_that_is_the_whole() {
    let (bench, all) = (Bench::new(), content(PIECE + 1));
    leave_part(&bench, &all, &all);
    let ingest = bench.ingest(&all).await;
    assert_eq!(ingest.have(), all.len() as u64);
    receive(ingest, body(b"")).await.unwrap();
    bench.stored(&all).await;
}

#[tokio::test]
async fn counts_what_it_hashes_again_and_what_it_receives() {
    #[derive(Clone, Default)]
    struct Counter(Arc<AtomicU64>);
    impl Meter for Counter {
        fn advance(&self, bytes: u64) {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
    }
    let (bench, all) = (Bench::new(), content(2 * PIECE));
    leave_part(&bench, &all, &all[..PIECE + 3]);
    let mut ingest = bench.ingest(&all).await;
    let (hashed, received) = (Counter::default(), Counter::default());
    ingest.resume(Box::new(hashed.clone())).await.unwrap();
    let rest = body(&all[PIECE + 3..]);
    let stored = receive_counted(ingest, rest, Box::new(received.clone())).await;
    assert_eq!(hashed.0.load(Ordering::Relaxed), PIECE as u64 + 3);
    assert_eq!(received.0.load(Ordering::Relaxed), PIECE as u64 - 3);
    let made = Counter::default();
    let (path, meter) = (Path::new("f"), Box::new(made.clone()));
    let stored = stored.unwrap();
    let making = stored.materialise(&bench.target, path, Link::Copy, meter);
    making.await.unwrap();
    assert_eq!(made.0.load(Ordering::Relaxed), 2 * PIECE as u64);
}

#[tokio::test]
async fn a_poisoned_beginning_costs_one_download_and_nothing_else() {
    let all = content(2 * PIECE);
    let mut poisoned = all[..PIECE].to_vec();
    poisoned[0] ^= 1;
    let mut wrong = all.clone();
    wrong[2 * PIECE - 1] ^= 1;
    for (left, rest) in [
        (&poisoned[..], &all[PIECE..]),
        (&all[..PIECE], &wrong[PIECE..]),
        (&wrong[..], b""),
        (&[], &wrong[..]),
    ] {
        let bench = Bench::new();
        leave_part(&bench, &all, left);
        let ingest = bench.ingest(&all).await;
        assert_eq!(ingest.have(), left.len() as u64);
        let received = receive(ingest, body(rest)).await;
        assert_eq!(reason(received), Reason::DigestMismatch);
        assert!(bench.files().is_empty());
        bench.store(&all).await;
    }
}

#[tokio::test]
async fn begins_anew_when_too_much_is_there() {
    let (bench, all) = (Bench::new(), content(100));
    leave_part(&bench, &all, &content(101));
    let ingest = bench.ingest(&all).await;
    assert_eq!(ingest.have(), 0);
    receive(ingest, body(&all)).await.unwrap();
    bench.stored(&all).await;
}

#[tokio::test]
async fn what_was_written_ahead_of_the_beginning_is_none_of_it() {
    use std::os::unix::fs::FileExt;
    const GRAIN: usize = 64 << 10;
    let all = content(20 * GRAIN);
    // How much a first connection wrote, and where another one wrote later parts.
    for (first, ahead) in [
        (0, 3),
        (1, 3),
        (GRAIN, 2),
        (5 * GRAIN + 7, 8),
        (9 * GRAIN, 19),
    ] {
        let bench = Bench::new();
        let part = File::create(bench.part(&all)).unwrap();
        part.write_all_at(&all[..first], 0).unwrap();
        let rest = &all[ahead * GRAIN..];
        part.write_all_at(rest, (ahead * GRAIN) as u64).unwrap();
        drop(part);
        let ingest = bench.ingest(&all).await;
        let have = usize::try_from(ingest.have()).unwrap();
        assert!(
            have <= first && have + 2 * GRAIN > first,
            "{have} of {first}"
        );
        receive(ingest, body(&all[have..])).await.unwrap();
        bench.stored(&all).await;
    }
}

#[tokio::test]
async fn stores_nothing_that_was_not_proven() {
    let (bench, all) = (Bench::new(), content(100));
    let mut other = Check::new(&descriptor(b"other"), "other");
    other.update(b"other").unwrap();
    let proven = other.finish().unwrap();
    let ingest = bench.ingest(&all).await;
    let received = ingest.receive(|_, _| async move { Ok(proven) }).await;
    assert_eq!(reason(received), Reason::Internal);
    assert!(bench.files().is_empty());
}

#[tokio::test]
async fn writes_no_byte_beyond_the_declared_size() {
    for (len, sent) in [(10, 11), (10, 4 * PIECE), (PIECE, PIECE + 1), (0, 1)] {
        let (bench, sent) = (Bench::new(), content(sent));
        let all = &sent[..len];
        let ingest = bench.ingest(all).await;
        let more = std::iter::repeat_with(|| Ok(Bytes::from_static(b"more")));
        let endless = Box::pin(body(&sent).chain(futures_util::stream::iter(more)));
        let received = receive(ingest, endless).await;
        assert_eq!(reason(received), Reason::SizeMismatch);
        let written: usize = bench.files().values().map(Vec::len).sum();
        assert!(written <= len, "{written} > {len}");
        assert!(!bench.blob(all).exists());
    }
}

#[tokio::test]
async fn a_dropped_transfer_leaves_a_beginning_and_no_blob() {
    struct Drops(tokio::sync::mpsc::UnboundedSender<u64>);
    impl Meter for Drops {
        fn advance(&self, bytes: u64) {
            let _ = self.0.send(bytes);
        }
    }
    // Even when every byte is there: nobody has said that these are all.
    for sent in [1, PIECE + 9, 2 * PIECE] {
        let (bench, all) = (Bench::new(), content(2 * PIECE));
        let (sender, mut written) = tokio::sync::mpsc::unbounded_channel();
        let ingest = bench.ingest(&all).await;
        let receiving = receive_counted(ingest, stalled(&all[..sent]), Box::new(Drops(sender)));
        let all_written = async {
            let mut left = sent as u64;
            while left > 0 {
                left -= written.recv().await.unwrap();
            }
        };
        tokio::select! {
            _ = receiving => panic!("it ended"),
            () = all_written => {}
        }
        let ingest = bench.ingest(&all).await;
        assert_eq!(ingest.have(), sent as u64);
        assert!(!bench.blob(&all).exists());
        let rest = body(&all[sent..]);
        receive(ingest, rest).await.unwrap();
        assert_eq!(std::fs::read(bench.blob(&all)).unwrap(), all);
    }
}
