//! The content store between processes: a killed download gives way, and loses nothing.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use modelctl::blob::{Blob, ByteStream};
use modelctl::content_store::{Claim, ContentStore};
use modelctl::limits::PIECE;
use modelctl::manifest::Descriptor;
use modelctl::progress::{Meter, Silent};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Bytes that the process receives before it is killed.
const RECEIVED: usize = 3 * PIECE + 5;

/// What the process says when it has written them.
const READY: &str = "it has written them";

fn content() -> Vec<u8> {
    (0..5 * PIECE).map(|i| (i ^ (i >> 8)) as u8).collect()
}

fn body(content: &[u8]) -> ByteStream {
    let pieces = content.chunks(PIECE - 7).map(Bytes::copy_from_slice);
    let pieces: Vec<_> = pieces.map(Ok).collect();
    Box::pin(futures_util::stream::iter(pieces))
}

struct Announcer(AtomicUsize);

impl Meter for Announcer {
    fn advance(&self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap();
        if self.0.fetch_add(bytes, Ordering::Relaxed) + bytes == RECEIVED {
            println!("\n{READY}");
        }
    }
}

/// Not a test of its own: what the process below does. It learns on its standard input which store
/// to use.
#[tokio::test]
#[ignore = "the process that another test starts and kills"]
async fn receives_until_it_is_killed() {
    let mut path = String::new();
    std::io::stdin().read_line(&mut path).unwrap();
    if path.is_empty() {
        return;
    }
    let store = ContentStore::open(Path::new(path.trim_end())).unwrap();
    let claim = store.claim(&Descriptor::of("x", &content())).await.unwrap();
    let Claim::Partial(ingest) = claim else {
        panic!("it is stored");
    };
    let stalled = body(&content()[..RECEIVED]).chain(futures_util::stream::pending());
    let meter = Box::new(Announcer(AtomicUsize::new(0)));
    let receive = |part, check| Blob::continued(check, Box::pin(stalled)).into_file(part, meter);
    let _ = ingest.receive(receive).await;
}

/// Starts a process that downloads into the store at `path`, and waits until it is half done.
fn start_download(path: &Path) -> Child {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "receives_until_it_is_killed"])
        .args(["--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    writeln!(input, "{}", path.display()).unwrap();
    let output = BufReader::new(process.stdout.take().unwrap());
    let ready = output.lines().any(|line| line.unwrap() == READY);
    assert!(ready, "the process ended early");
    process
}

#[tokio::test]
async fn a_killed_process_loses_its_claim_but_not_its_bytes() {
    let around = tempfile::tempdir().unwrap();
    let path = around.path().join("store");
    let (all, store) = (content(), ContentStore::open(&path).unwrap());
    let descriptor = Descriptor::of("x", &all);
    let mut process = start_download(&path);
    let part = path.join(format!("ingest/{}.part", descriptor.digest.hex()));
    assert_eq!(std::fs::read(&part).unwrap(), all[..RECEIVED]);
    assert!(
        path.join("blobs/sha256")
            .read_dir()
            .unwrap()
            .next()
            .is_none()
    );

    let lock = flock(
        File::open(&part).unwrap(),
        FlockOperation::NonBlockingLockExclusive,
    );
    assert_eq!(lock, Err(Errno::WOULDBLOCK), "others wait");
    process.kill().unwrap();
    process.wait().unwrap();
    let Claim::Partial(ingest) = store.claim(&descriptor).await.unwrap() else {
        panic!("half of it cannot be stored");
    };
    assert_eq!(ingest.have(), RECEIVED as u64);
    let rest = body(&all[RECEIVED..]);
    let receive = |part, check| Blob::continued(check, rest).into_file(part, Box::new(Silent));
    ingest.receive(receive).await.unwrap();
    let blob = path.join("blobs/sha256").join(descriptor.digest.hex());
    assert_eq!(std::fs::read(blob).unwrap(), all);
    assert!(!part.exists());
}
