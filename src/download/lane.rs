//! Helpers: connections that put later segments of a slow blob into its file.
//!
//! Nothing depends on them. A helper that fails gives its segment back, and the front fetches what
//! nobody has.

use std::convert::Infallible;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, join_all, select};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::board::Board;
use super::front::Front;
use super::tries::Tries;
use super::{PIECES_IN_FLIGHT, Transfer};
use crate::blob::{ByteStream, join};
use crate::error::{Error, Reason, Result};
use crate::store::Part;

/// Held by every thread that writes; when the last one is dropped, nobody does.
type Alive = Sender<Infallible>;

/// Lets the front go to the end, with so many helpers. When this returns, none of them writes.
pub(super) async fn help(
    transfer: &Transfer<'_>,
    front: &mut Front<'_, '_>,
    helpers: usize,
    segment: u64,
) -> Result<()> {
    let board = Board::new(front.position(), transfer.blob.size, segment);
    let (alive, mut ended) = mpsc::channel(1);
    let result = {
        let helping = (0..helpers).map(|number| run(transfer, &board, number == 0, alive.clone()));
        let helping = pin!(join_all(helping));
        let following = pin!(front.follow(&board));
        match select(following, helping).await {
            Either::Left((result, _)) => result,
            Either::Right((_, following)) => following.await,
        }
    };
    drop(alive);
    let _: Option<Infallible> = ended.recv().await;
    result
}

/// Fetches segments as long as there are some.
async fn run(transfer: &Transfer<'_>, board: &Board, prober: bool, alive: Alive) {
    let mut tries = Tries::new(transfer.retry, 0);
    let mut fetched = 0;
    while let Some((index, range)) = board.take(prober).await {
        let length = range.end - range.start;
        match fetch(transfer, board, range, &alive).await {
            Ok(()) => {
                board.written(index);
                fetched += length;
            }
            Err(error) => {
                board.give_back(index);
                tracing::debug!(blob = %transfer.what, %error, "a helper failed");
                if error.reason() == Reason::RegistryProtocol {
                    board.halt();
                }
                let Ok((wait, _)) = tries.after(error, fetched) else {
                    break;
                };
                tokio::time::sleep(wait).await;
            }
        }
    }
    if prober {
        board.give_up();
    }
}

/// Fetches one segment into the file.
async fn fetch(
    transfer: &Transfer<'_>,
    board: &Board,
    range: Range<u64>,
    alive: &Alive,
) -> Result<()> {
    let part = transfer.store.blob_part(transfer.blob, range.clone());
    let Part::Range(body) = part.await? else {
        let message = "the store serves no ranges";
        return Err(Error::new(Reason::RegistryProtocol, message));
    };
    board.prove();
    let (sender, pieces) = mpsc::channel(PIECES_IN_FLIGHT);
    let (file, what, alive) = (
        Arc::clone(&transfer.file),
        transfer.what.clone(),
        alive.clone(),
    );
    let writer = tokio::task::spawn_blocking(move || {
        let written = write(&file, range, pieces, &what);
        drop(alive);
        written
    });
    let poured = pour(body, sender).await;
    let written = join(writer).await;
    poured?;
    written
}

async fn pour(mut body: ByteStream, pieces: Sender<Bytes>) -> Result<()> {
    while let Some(piece) = body.next().await {
        // A closed channel means that the writer failed, and it will say why.
        if pieces.send(piece?).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Writes what comes into `range`, which it must fill and not leave.
fn write(file: &File, range: Range<u64>, mut pieces: Receiver<Bytes>, what: &str) -> Result<()> {
    let mut offset = range.start;
    while let Some(piece) = pieces.blocking_recv() {
        let end = offset.saturating_add(piece.len() as u64);
        if end > range.end {
            let message = format!("a part of {what} is longer than was asked for");
            return Err(Error::new(Reason::RegistryProtocol, message));
        }
        file.write_all_at(&piece, offset)
            .map_err(|error| Error::io("write", what, error))?;
        offset = end;
    }
    match offset == range.end {
        true => Ok(()),
        false => Err(Error::new(
            Reason::Connection,
            format!("a part of {what} ends early"),
        )),
    }
}
