//! Where threads that each hash one stream meet, so that one of them hashes for two.
//!
//! Two streams at once are hashed almost as fast as one ([`sha256`](crate::sha256)), but streams
//! from a network come to threads of their own, and each when it likes. Here a thread leaves what
//! it has to hash and waits a moment; the next one that comes hashes both. Whoever waits takes no
//! processor time, and whoever waits in vain hashes alone.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::buffer::Buffer;
use crate::digest::Hasher;
use crate::error::{Error, Reason, Result};
use crate::sha256;

/// How long a guest waits for another: about as long as a buffer takes to fill.
const PATIENCE: Duration = Duration::from_millis(4);

/// How often a guest does not wait after it has waited in vain: where the others stall, waiting
/// must not cost the only one that goes on.
const SULKING: u32 = 16;

/// What there is to hash: the first `length` bytes of `buffer`.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) hasher: Hasher,
    pub(super) buffer: Buffer,
    pub(super) length: usize,
}

impl Work {
    fn alone(mut self) -> Self {
        let bytes = self.buffer.get(..self.length).unwrap_or_default();
        self.hasher.update(bytes);
        self
    }

    fn together(&mut self, other: &mut Self) {
        let bytes = self.buffer.get(..self.length).unwrap_or_default();
        let others = other.buffer.get(..other.length).unwrap_or_default();
        Hasher::update_both(&mut self.hasher, bytes, &mut other.hasher, others);
    }
}

/// A place where streams that are hashed at the same time meet.
#[derive(Debug, Default)]
pub struct Meeting {
    room: Mutex<Room>,
}

#[derive(Debug, Default)]
struct Room {
    /// Guests that may come.
    guests: usize,
    waiting: Option<Waiting>,
    tickets: u64,
}

/// A guest that waits, and the way back to it.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    work: Work,
    done: SyncSender<Work>,
}

impl Meeting {
    /// Lets one more stream take part.
    pub(super) fn join(self: &Arc<Self>) -> Result<Guest> {
        self.room()?.guests += 1;
        Ok(Guest {
            meeting: Arc::clone(self),
            sulks: 0,
        })
    }

    fn room(&self) -> Result<MutexGuard<'_, Room>> {
        self.room.lock().map_err(|_| stopped())
    }

    /// Takes back what was left under `ticket`, unless another guest has it by now.
    fn take_back(&self, ticket: u64) -> Result<Option<Work>> {
        let waiting = &mut self.room()?.waiting;
        let own = waiting.take_if(|waiting| waiting.ticket == ticket);
        Ok(own.map(|waiting| waiting.work))
    }
}

fn stopped() -> Error {
    Error::new(Reason::Internal, "another thread stopped")
}

/// One stream that takes part.
#[derive(Debug)]
pub(super) struct Guest {
    meeting: Arc<Meeting>,
    /// How often it still does not wait.
    sulks: u32,
}

/// What a guest finds.
enum Found {
    /// Another one that waits.
    Other(Work, Waiting),
    /// Nobody, and reason to wait.
    Place(u64, Receiver<Work>),
    /// Nobody worth waiting for.
    Nobody(Work),
}

impl Guest {
    /// Does the work, alone or with another guest's.
    pub(super) fn hash(&mut self, work: Work) -> Result<Work> {
        match self.enter(work)? {
            Found::Other(mut own, mut other) => {
                own.together(&mut other.work);
                // Who has gone away meanwhile needs nothing any more.
                let _ = other.done.send(other.work);
                Ok(own)
            }
            Found::Place(ticket, done) => self.wait(ticket, &done),
            Found::Nobody(work) => Ok(work.alone()),
        }
    }

    fn enter(&mut self, work: Work) -> Result<Found> {
        let mut room = self.meeting.room()?;
        if let Some(other) = room.waiting.take() {
            return Ok(Found::Other(work, other));
        }
        if self.sulks > 0 || room.guests < 2 || !sha256::pairs() {
            self.sulks = self.sulks.saturating_sub(1);
            return Ok(Found::Nobody(work));
        }
        room.tickets += 1;
        let ticket = room.tickets;
        let (done, receiver) = sync_channel(1);
        room.waiting = Some(Waiting { ticket, work, done });
        Ok(Found::Place(ticket, receiver))
    }

    fn wait(&mut self, ticket: u64, done: &Receiver<Work>) -> Result<Work> {
        match done.recv_timeout(PATIENCE) {
            Ok(work) => return Ok(work),
            Err(RecvTimeoutError::Disconnected) => return Err(stopped()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        match self.meeting.take_back(ticket)? {
            Some(work) => {
                self.sulks = SULKING;
                Ok(work.alone())
            }
            None => done.recv().map_err(|_| stopped()),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Ok(mut room) = self.meeting.room() {
            room.guests = room.guests.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn work(byte: u8, length: usize) -> Work {
        let mut buffer = Buffer::new(length);
        buffer.fill(byte);
        Work {
            hasher: Hasher::default(),
            buffer,
            length,
        }
    }

    #[test]
    fn streams_of_many_threads_stay_apart() {
        let meeting = Arc::new(Meeting::default());
        std::thread::scope(|scope| {
            for number in 0..5_u8 {
                let mut guest = meeting.join().unwrap();
                scope.spawn(move || {
                    let (rounds, length) = (20 + usize::from(number), 700 + usize::from(number));
                    let mut own = work(number, length);
                    for _ in 0..rounds {
                        own = guest.hash(own).unwrap();
                        assert!(own.buffer.iter().all(|byte| *byte == number));
                    }
                    let expected = Digest::of(&vec![number; rounds * length]);
                    assert_eq!(own.hasher.finish(), expected);
                });
            }
        });
        assert_eq!(meeting.room().unwrap().guests, 0);
    }

    #[test]
    fn whoever_comes_second_hashes_for_both() {
        let meeting = Arc::new(Meeting::default());
        let [mut first, mut second] = [(); 2].map(|()| meeting.join().unwrap());
        if !sha256::pairs() {
            return;
        }
        let Found::Place(ticket, done) = first.enter(work(1, 100)).unwrap() else {
            panic!("the first one waits");
        };
        second.hash(work(2, 200)).unwrap();
        assert!(meeting.take_back(ticket).unwrap().is_none());
        let hashed = first.wait(ticket, &done).unwrap();
        assert_eq!(hashed.hasher.finish(), Digest::of(&[1; 100]));
    }

    #[test]
    fn a_guest_that_waits_in_vain_hashes_alone_and_waits_less_often() {
        let meeting = Arc::new(Meeting::default());
        let [mut guest, _absent] = [(); 2].map(|()| meeting.join().unwrap());
        let mut own = work(3, 50);
        for _ in 0..3 {
            own = guest.hash(own).unwrap();
        }
        assert_eq!(own.hasher.finish(), Digest::of(&[3; 150]));
        assert_eq!(guest.sulks > 0, sha256::pairs());
    }

    #[test]
    fn one_guest_never_waits() {
        let meeting = Arc::new(Meeting::default());
        let mut guest = meeting.join().unwrap();
        assert!(matches!(guest.enter(work(4, 10)), Ok(Found::Nobody(_))));
    }
}
