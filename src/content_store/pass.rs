//! Reading a file from one end to the other, for hashing and copying.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Weak};

use crate::blob::blocking;
use crate::buffer::Buffer;
use crate::error::{Error, Reason, Result};
use crate::limits;

/// Whoever waits for the result of work on another thread.
#[derive(Debug)]
pub(super) struct Waiter(Weak<()>);

impl Waiter {
    /// Whether the result is still wanted.
    pub(super) fn is_waiting(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// Runs `work` on a blocking thread. When the future is dropped (Ctrl-C), the passes over files in
/// it stop, instead of reading a large file to its end.
pub(super) async fn while_waiting<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(&Waiter) -> Result<T> + Send + 'static,
{
    let waiting = Arc::new(());
    let waiter = Waiter(Arc::downgrade(&waiting));
    let result = blocking(move || work(&waiter)).await;
    drop(waiting);
    result
}

/// Reads `file`, which should have `size` bytes, from its first byte to its end, whatever its
/// position is, and gives `take` the pieces; `place` names it in errors.
pub(super) fn over(
    file: &File,
    size: u64,
    place: &Path,
    waiter: &Waiter,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    // Small files need no large buffer.
    let size = usize::try_from(size).unwrap_or(limits::PIECE);
    let mut piece = Buffer::new(size.clamp(1, limits::PIECE));
    let mut position = 0;
    while waiter.is_waiting() {
        let count = match file.read_at(&mut piece, position) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("read", place, error)),
        };
        take(piece.get(..count).unwrap_or_default())?;
        position = position.saturating_add(count as u64);
    }
    let message = format!("nobody waits for `{}` any more", place.display());
    Err(Error::new(Reason::Internal, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(bytes: usize) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; bytes]).unwrap();
        file
    }

    #[test]
    fn reads_the_whole_in_pieces_wherever_the_position_is() {
        let waiting = Arc::new(());
        let waiter = Waiter(Arc::downgrade(&waiting));
        for bytes in [0, 1, limits::PIECE, 2 * limits::PIECE + 3] {
            let (mut count, mut pieces) = (0, 0);
            over(
                &file(bytes),
                bytes as u64,
                Path::new("f"),
                &waiter,
                |piece| {
                    assert!(piece.iter().all(|byte| *byte == 7));
                    count += piece.len();
                    pieces += 1;
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(count, bytes);
            assert_eq!(pieces, bytes.div_ceil(limits::PIECE));
        }
    }

    #[test]
    fn stops_when_nobody_waits() {
        let waiting = Arc::new(());
        let waiter = Waiter(Arc::downgrade(&waiting));
        let (mut waiting, mut pieces) = (Some(waiting), 0);
        let read = over(
            &file(limits::PIECE * 8),
            u64::MAX,
            Path::new("f"),
            &waiter,
            |_| {
                pieces += 1;
                if pieces == 2 {
                    waiting = None;
                }
                Ok(())
            },
        );
        assert!(read.is_err() && waiting.is_none());
        assert_eq!(pieces, 2);
    }
}
