//! Evidence of time and log: which must be there, and which was verified.

use jiff::Timestamp;

use super::root::SigstoreRoot;
use crate::bundle::{LogEntry, Version};
use crate::error::{Error, Reason, Result};
use crate::trust::signed::Signed;
use crate::trust::{LogProof, Witness};

/// Rekor v2's only kind of entry: it is proven by a checkpoint, and dated by others.
fn is_v2(entry: &LogEntry) -> bool {
    entry.kind_version.kind == "hashedrekord" && entry.kind_version.version == "0.0.2"
}

/// Returns when a log says that it took `entry` in, if it signs that: only a promise covers the
/// time, and only Rekor v1 makes promises.
fn promised_time(entry: &LogEntry) -> Option<Timestamp> {
    let seconds = i64::try_from(entry.integrated_time)
        .ok()
        .filter(|s| *s > 0)?;
    let is_signed = entry.inclusion_promise.is_some() && !is_v2(entry);
    is_signed.then(|| Timestamp::from_second(seconds).ok())?
}

/// Returns the first promised time that `now` has not reached: the clock is behind, or somebody
/// lies.
pub(super) fn time_to_come(signed: &Signed<'_>, now: Timestamp) -> Option<Timestamp> {
    let mut times = signed
        .material
        .tlog_entries
        .iter()
        .filter_map(promised_time);
    times.find(|time| *time > now)
}

/// Whether the signature's log entries need somebody else to date them.
pub(super) fn needs_timestamp(signed: &Signed<'_>) -> bool {
    signed.material.tlog_entries.iter().any(is_v2)
}

/// Refuses a log entry that nothing proves: from version 0.2 on the proof of inclusion must be
/// there, before that the log's promise ([`sigstore_bundle.proto`], `VerificationMaterial`). The
/// library that verifies asks that of one entry, and passes over others.
///
/// [`sigstore_bundle.proto`]: https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_bundle.proto
pub(super) fn check_entries(signed: &Signed<'_>) -> Result<()> {
    let version = signed.bundle.version();
    for entry in &signed.material.tlog_entries {
        let (is_there, what) = match version {
            Version::V01 => (entry.inclusion_promise.is_some(), "promise of inclusion"),
            Version::V02 | Version::V03 => (is_included(entry), "proof of inclusion"),
        };
        if !is_there {
            let message =
                format!("a log entry has no {what}, as a bundle of version {version} must");
            return Err(Error::new(Reason::LogEntryInvalid, message));
        }
    }
    Ok(())
}

/// Whether there is a Merkle proof up to a signed root.
fn is_included(entry: &LogEntry) -> bool {
    let proof = entry.inclusion_proof.as_ref();
    proof.is_some_and(|proof| !proof.checkpoint_text().is_empty())
}

impl SigstoreRoot {
    /// Returns who saw the signature, of which every log entry and timestamp was verified before.
    pub(super) fn witnesses(&self, signed: &Signed<'_>) -> Result<Vec<Witness>> {
        let logs = signed.material.tlog_entries.iter();
        let logs = logs.map(|entry| Ok(self.log_witness(entry)));
        let timestamps = signed.material.timestamps().iter();
        let timestamps = timestamps.map(|timestamp| {
            let (authority, time) = self.dated_by(&timestamp.signed_timestamp, signed.signature)?;
            Ok(Witness::Timestamp { authority, time })
        });
        logs.chain(timestamps).collect()
    }

    /// Says only what a signature of the log covers. The entry's own index is covered by Rekor
    /// v1's promise and is Rekor v2's leaf; otherwise the proof's index is, within its tree.
    fn log_witness(&self, entry: &LogEntry) -> Witness {
        let proof = entry
            .inclusion_proof
            .as_ref()
            .filter(|_| is_included(entry));
        let is_covered = entry.inclusion_promise.is_some() || is_v2(entry);
        let origin = proof.and_then(|proof| proof.checkpoint_text().lines().next());
        Witness::Log {
            log: match origin {
                Some(origin) => origin.to_owned(),
                None => self.log_name(&entry.log_id.key_id),
            },
            index: match proof {
                Some(proof) if !is_covered => proof.log_index,
                _ => entry.log_index,
            },
            proof: match proof {
                Some(_) => LogProof::Inclusion,
                None => LogProof::Promise,
            },
            time: promised_time(entry),
        }
    }
}
