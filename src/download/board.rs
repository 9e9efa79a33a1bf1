//! Who fetches which segment of a blob.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Segments that helpers may be ahead of the front: what they wrote is still in memory when the
/// front reads it.
const WINDOW: u64 = 32;

/// The segments of one blob, from where it was found to be slow on.
pub(super) struct Board {
    start: u64,
    end: u64,
    segment: u64,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    phase: Phase,
    /// The segment at which the front is.
    front: u64,
    /// The segments that somebody has, from there on.
    had: BTreeMap<u64, Segment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// One helper finds out whether the store serves ranges: if not, each would cost it the whole.
    Probing,
    /// It does.
    Helping,
    /// No further segment is given out.
    Halted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment {
    /// Somebody fetches it.
    Taken,
    /// It is in the file.
    Written,
}

/// What lies ahead of the front.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// Nothing up to this offset: it is the front's own now.
    Nothing(u64),
    /// Content, in the file, up to this offset.
    Content(u64),
    /// What a helper is fetching.
    Helper,
}

impl Board {
    /// Returns a board for the bytes from `position`, where the front is, to `end`. The first
    /// segment is the front's.
    pub(super) fn new(position: u64, end: u64, segment: u64) -> Self {
        let segment = segment.max(1);
        let state = State {
            phase: Phase::Probing,
            front: 0,
            had: BTreeMap::new(),
        };
        Self {
            start: position.saturating_add(segment).min(end),
            end,
            segment,
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    /// Gives out the next segment that nobody has, waiting while helpers are too far ahead; `None`
    /// means that there is nothing to do any more. Until ranges are proven, only the `prober` gets
    /// one.
    pub(super) async fn take(&self, prober: bool) -> Option<(u64, Range<u64>)> {
        loop {
            let changed = self.changed();
            {
                let mut state = self.lock();
                let ready = match state.phase {
                    Phase::Halted => return None,
                    Phase::Probing => prober,
                    Phase::Helping => true,
                };
                if let Some(index) = state.first_free().filter(|_| ready) {
                    let range = self.range(index)?;
                    state.had.insert(index, Segment::Taken);
                    return Some((index, range));
                }
            }
            changed.await;
        }
    }

    /// Notes that a segment is in the file.
    pub(super) fn written(&self, index: u64) {
        self.lock().had.insert(index, Segment::Written);
        self.changed.notify_waiters();
    }

    /// Takes a segment back from who could not fetch it.
    pub(super) fn give_back(&self, index: u64) {
        self.lock().had.remove(&index);
        self.changed.notify_waiters();
    }

    /// Notes that the store serves ranges.
    pub(super) fn prove(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Probing {
            state.phase = Phase::Helping;
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// Gives out no further segments.
    pub(super) fn halt(&self) {
        self.lock().phase = Phase::Halted;
        self.changed.notify_waiters();
    }

    /// Gives out no segments at all, if nobody has found out that the store serves ranges.
    pub(super) fn give_up(&self) {
        if self.lock().phase == Phase::Probing {
            self.halt();
        }
    }

    /// Returns what lies ahead of the front, which is at `position`, the beginning of a segment.
    pub(super) fn ahead(&self, position: u64) -> Ahead {
        let Some(passed) = position.checked_sub(self.start) else {
            return Ahead::Nothing(self.start);
        };
        let index = passed / self.segment;
        let mut state = self.lock();
        // Only a step is a change: whoever looks again because of one must not cause the next.
        if state.front != index {
            state.front = index;
            state.had = state.had.split_off(&index);
            self.changed.notify_waiters();
        }
        let until = self.range(index).map_or(self.end, |range| range.end);
        match state.had.get(&index) {
            Some(Segment::Written) => Ahead::Content(until),
            Some(Segment::Taken) => Ahead::Helper,
            None if state.phase == Phase::Halted => {
                let next = state.had.keys().next();
                let next = next.and_then(|index| self.range(*index));
                Ahead::Nothing(next.map_or(self.end, |range| range.start))
            }
            None => {
                state.had.insert(index, Segment::Taken);
                Ahead::Nothing(until)
            }
        }
    }

    /// Returns the next change, counted from now.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    fn range(&self, index: u64) -> Option<Range<u64>> {
        let start = index.checked_mul(self.segment)?.checked_add(self.start)?;
        let end = start.saturating_add(self.segment).min(self.end);
        (start < end).then_some(start..end)
    }

    /// Each change is whole, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn first_free(&self) -> Option<u64> {
        let window = self.front..self.front.saturating_add(WINDOW);
        window
            .into_iter()
            .find(|index| !self.had.contains_key(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn take(board: &Board, prober: bool) -> Option<Option<(u64, Range<u64>)>> {
        board.take(prober).now_or_never()
    }

    #[test]
    fn segments_go_out_in_order_once_ranges_are_proven() {
        let board = Board::new(5, 48, 10);
        assert_eq!(take(&board, false), None);
        assert_eq!(take(&board, true), Some(Some((0, 15..25))));
        assert_eq!(take(&board, false), None);
        board.prove();
        assert_eq!(take(&board, false), Some(Some((1, 25..35))));
        board.give_back(0);
        assert_eq!(take(&board, false), Some(Some((0, 15..25))));
        assert_eq!(take(&board, false), Some(Some((2, 35..45))));
        assert_eq!(take(&board, false), Some(Some((3, 45..48))));
        assert_eq!(take(&board, false), Some(None));
    }

    #[test]
    fn the_front_reads_waits_or_fetches() {
        let board = Board::new(5, 48, 10);
        assert_eq!(board.ahead(5), Ahead::Nothing(15));
        take(&board, true).unwrap();
        board.prove();
        assert_eq!(board.ahead(15), Ahead::Helper);
        board.written(0);
        assert_eq!(board.ahead(15), Ahead::Content(25));
        assert_eq!(board.ahead(25), Ahead::Nothing(35));
        assert_eq!(take(&board, false), Some(Some((2, 35..45))));
    }

    #[test]
    fn after_a_halt_the_front_goes_as_far_as_it_can() {
        let board = Board::new(0, 100, 10);
        take(&board, true).unwrap();
        board.prove();
        take(&board, false).unwrap();
        take(&board, false).unwrap();
        board.halt();
        assert_eq!(take(&board, true), Some(None));
        board.give_back(0);
        board.give_back(1);
        assert_eq!(board.ahead(10), Ahead::Nothing(30));
        board.written(2);
        assert_eq!(board.ahead(30), Ahead::Content(40));
        assert_eq!(board.ahead(40), Ahead::Nothing(100));
    }

    #[test]
    fn helpers_do_not_run_away() {
        let board = Board::new(0, u64::MAX, 1);
        board.prove();
        for _ in 0..WINDOW {
            take(&board, false).unwrap().unwrap();
        }
        assert_eq!(take(&board, false), None);
        board.written(0);
        assert_eq!(board.ahead(1), Ahead::Content(2));
        assert_eq!(board.ahead(2), Ahead::Helper);
        assert_eq!(take(&board, false).unwrap().unwrap().0, WINDOW);
    }
}
