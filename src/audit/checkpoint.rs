//! Checkpoints: what a log was when somebody signed it, to be kept where who can write the log
//! cannot write.
//!
//! A checkpoint is an in-toto statement, whose subject is the hash of the log's last record, in a
//! Sigstore bundle: whatever signs and verifies artifacts signs and verifies it. Because each record
//! says the hash of the one before it, a log that still has this record has everything before it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::Findings;
use super::line::Head;
use crate::bundle::Bundle;
use crate::error::{Error, Reason, Result};
use crate::sign::{Signer, sign_statement};
use crate::statement::Statement;
use crate::trust::Authenticated;

/// The predicate type of a checkpoint.
pub const PREDICATE_TYPE: &str = "https://modelctl.dev/audit-checkpoint/v1";

/// What a log was at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// What the log is called; a name proves nothing.
    pub log: String,
    /// Its last record; the number is that of all records.
    pub head: Head,
    /// When this was found, by the signer's clock.
    pub time: Timestamp,
}

impl Checkpoint {
    /// Returns what the log called `name` is now; a broken or empty one has nothing to be signed.
    pub fn of(name: &str, findings: &Findings, time: Timestamp) -> Result<Self> {
        if let Some(broken) = findings.broken(name) {
            return Err(broken);
        }
        let head = findings.head.ok_or_else(|| {
            let message = format!("the audit log `{name}` has no record yet");
            Error::new(Reason::AuditBroken, message)
        })?;
        Ok(Self {
            log: name.to_owned(),
            head,
            time,
        })
    }

    /// Signs it.
    pub async fn sign(&self, signer: &dyn Signer) -> Result<Bundle> {
        let predicate = serde_json::to_value(self).map_err(|error| {
            Error::new(Reason::Internal, "cannot write a checkpoint").because(error)
        })?;
        let statement =
            Statement::attestation(&self.head.hash, &self.log, PREDICATE_TYPE, predicate);
        sign_statement(&statement, signer).await
    }

    /// Reads one whose signature was verified.
    pub fn read(signed: &Authenticated) -> Result<Self> {
        let statement = signed.statement();
        if statement.predicate_type != PREDICATE_TYPE {
            let message = format!(
                "it is no checkpoint of an audit log, but `{}`",
                statement.predicate_type
            );
            return Err(Error::new(Reason::PredicateTypeMismatch, message));
        }
        let checkpoint = Self::deserialize(&statement.predicate).map_err(|error| {
            Error::new(Reason::StatementInvalid, "the checkpoint is malformed").because(error)
        })?;
        match statement.is_about(&checkpoint.head.hash) {
            true => Ok(checkpoint),
            false => Err(Error::new(
                Reason::SubjectMismatch,
                "the checkpoint says one hash and is signed for another",
            )),
        }
    }

    /// Refuses a log that is not what was signed, with more after it. The check that found this out
    /// must have watched the checkpoint's number.
    pub fn check(&self, name: &str, findings: &Findings) -> Result<()> {
        let Head { seq, hash } = self.head;
        let message = match findings.hash_at(seq) {
            Some(found) if found == hash => return Ok(()),
            Some(_) => format!("record {seq} is not the one that was signed: it was written anew"),
            None => {
                let last = findings.head.map_or(0, |head| head.seq);
                format!("it had {seq} records when it was signed, and its last one is now {last}")
            }
        };
        let message = format!("the audit log `{name}` is not what its checkpoint says: {message}");
        Err(Error::new(Reason::AuditBroken, message)
            .hint("records were removed or rewritten; look for a copy"))
    }
}
