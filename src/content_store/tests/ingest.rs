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
        let received = ingest.receive(broken(first), Box::new(Silent)).await;
        assert_eq!(reason(received), Reason::Connection);
        assert_eq!(std::fs::read(bench.part(&all)).unwrap(), first);
        assert_eq!(bench.files().len(), 1);

        let mut ingest = bench.ingest(&all).await;
        assert_eq!(ingest.have(), cut as u64);
        if cut % 2 == 0 {
            ingest.resume(Box::new(Silent)).await.unwrap();
        }
        let received = ingest.receive(body(rest), Box::new(Silent)).await;
        received.unwrap();
        assert_eq!(std::fs::read(bench.blob(&all)).unwrap(), all);
    }
}

#[tokio::test]
async fn keeps_what_came_before_an_early_end() {
    let (bench, all) = (Bench::new(), content(100));
    let ingest = bench.ingest(&all).await;
    let received = ingest.receive(body(&all[..60]), Box::new(Silent)).await;
    assert_eq!(reason(received), Reason::SizeMismatch);
    assert_eq!(bench.ingest(&all).await.have(), 60);
}

#[tokio::test]
async fn leaves_nothing_of_a_claim_that_received_nothing() {
    let (bench, all) = (Bench::new(), content(100));
    drop(bench.ingest(&all).await);
    assert!(bench.files().is_empty());
    let ingest = bench.ingest(&all).await;
    let received = ingest.receive(broken(b""), Box::new(Silent)).await;
    assert_eq!(reason(received), Reason::Connection);
    assert!(bench.files().is_empty());
}

#[tokio::test]
async fn needs_no_more_bytes_for_a_beginning_that_is_the_whole() {
    let (bench, all) = (Bench::new(), content(PIECE + 1));
    leave_part(&bench, &all, &all);
    let ingest = bench.ingest(&all).await;
    assert_eq!(ingest.have(), all.len() as u64);
    ingest.receive(body(b""), Box::new(Silent)).await.unwrap();
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
    let stored = ingest.receive(rest, Box::new(received.clone())).await;
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
        let received = ingest.receive(body(rest), Box::new(Silent)).await;
        assert_eq!(reason(received), Reason::DigestMismatch);
        assert!(bench.files().is_empty());
        bench.store(&all).await;
    }
}

#[tokio::test]
async fn begins_anew_when_asked_or_when_too_much_is_there() {
    let (bench, all) = (Bench::new(), content(100));
    leave_part(&bench, &all, &content(101));
    assert_eq!(bench.ingest(&all).await.have(), 0);

    leave_part(&bench, &all, b"wrong");
    let mut ingest = bench.ingest(&all).await;
    ingest.resume(Box::new(Silent)).await.unwrap();
    ingest.restart().await.unwrap();
    assert_eq!(ingest.have(), 0);
    ingest.receive(body(&all), Box::new(Silent)).await.unwrap();
    bench.stored(&all).await;
}

#[tokio::test]
async fn writes_no_byte_beyond_the_declared_size() {
    for (len, sent) in [(10, 11), (10, 4 * PIECE), (PIECE, PIECE + 1), (0, 1)] {
        let (bench, sent) = (Bench::new(), content(sent));
        let all = &sent[..len];
        let ingest = bench.ingest(all).await;
        let more = std::iter::repeat_with(|| Ok(Bytes::from_static(b"more")));
        let endless = Box::pin(body(&sent).chain(futures_util::stream::iter(more)));
        let received = ingest.receive(endless, Box::new(Silent)).await;
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
        let receiving = ingest.receive(stalled(&all[..sent]), Box::new(Drops(sender)));
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
        ingest.receive(rest, Box::new(Silent)).await.unwrap();
        assert_eq!(std::fs::read(bench.blob(&all)).unwrap(), all);
    }
}
