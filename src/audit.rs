//! The audit log: what was decided about which artifact, when and on what grounds, in lines that
//! hang together.
//!
//! A log is a file of JSON lines. Each is one record, says the digest of the one before it, and ends
//! with its own: who edits, removes or reorders lines breaks the chain, which [`chain::Chain`]
//! finds. Who can write the file can still cut its end off or write it anew from the beginning; that
//! shows only against a [`checkpoint::Checkpoint`], a signed head that was kept elsewhere.
//!
//! - [`record`] is what is written down, [`mod@line`] how;
//! - [`chain`] checks the lines of a log, and [`checkpoint`] what was signed of it;
//! - [`log`] is the file, which is appended to by one process at a time and fsynced each time.

pub mod chain;
pub mod checkpoint;
pub mod line;
pub mod log;
pub mod record;
#[cfg(test)]
mod tests;
