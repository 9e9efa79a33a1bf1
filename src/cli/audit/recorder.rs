//! What a command decided, on its way to the audit log.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use jiff::Timestamp;
use modelctl::audit::line::Head;
use modelctl::audit::log::AuditLog;
use modelctl::audit::record::{AppliedPolicy, Decision, Event, Origin, Signing};
use modelctl::blob::blocking;
use modelctl::digest::Digest;
use modelctl::error::{Class, Error, Reason, Result};
use modelctl::pack::Packed;
use modelctl::policy::Verdict;
use modelctl::push::Gate;
use modelctl::sign::Signer;
use modelctl::trust::TrustRoot;
use modelctl::verify::Artifact;
use serde::Serialize;

use super::super::environment;
use super::super::policy::{Applied, Basis};
use super::super::report::{Failure, Report};

/// Where decisions are recorded.
#[derive(Args, Clone)]
#[command(next_help_heading = "Audit")]
pub(in super::super) struct AuditArgs {
    /// Append what is decided to this audit log, or to the one that MODELCTL_AUDIT_LOG names; if
    /// that is not possible, do nothing (docs/audit.md).
    #[arg(long, value_name = "FILE")]
    audit_log: Option<PathBuf>,
}

impl AuditArgs {
    /// Returns what records the decisions of `command` about `target`: nothing if no log is named.
    /// A log that cannot be written shows before anything is asked for.
    pub(in super::super) async fn recorder(
        &self,
        command: &'static str,
        target: impl Display,
    ) -> Result<Recorder> {
        let path = self.audit_log.clone().or_else(environment::audit_log);
        let log = match path {
            Some(path) => Some(blocking(move || AuditLog::open(&path, origin())).await?),
            None => None,
        };
        Ok(Recorder {
            log,
            command,
            target: target.to_string(),
            said: Mutex::default(),
        })
    }
}

fn origin() -> Origin {
    Origin {
        tool: concat!("modelctl/", env!("CARGO_PKG_VERSION")).to_owned(),
        host: None,
        user: None,
    }
}

/// What records the decisions of one run of a command.
#[derive(Debug)]
pub(in super::super) struct Recorder {
    log: Option<AuditLog>,
    command: &'static str,
    target: String,
    said: Mutex<Said>,
}

/// What was recorded so far.
#[derive(Debug, Default)]
struct Said {
    digest: Option<Digest>,
    last: Option<Head>,
    refused: bool,
}

/// By whom and what something is judged.
pub(in super::super) struct Grounds<'a> {
    pub(in super::super) trust: &'a TrustRoot,
    pub(in super::super) applied: Option<&'a Applied>,
}

impl<'a> From<&'a Basis> for Grounds<'a> {
    fn from(basis: &'a Basis) -> Self {
        Self {
            trust: &basis.trust,
            applied: basis.applied.as_ref(),
        }
    }
}

impl Grounds<'_> {
    fn policy(&self) -> Option<AppliedPolicy> {
        self.applied.map(|applied| AppliedPolicy {
            file: applied.file.clone(),
            name: applied.name.clone(),
            digest: applied.digest,
        })
    }
}

/// Where a record is, in JSON.
#[derive(Serialize)]
struct Recorded {
    audit: Place,
}

#[derive(Serialize)]
struct Place {
    log: PathBuf,
    #[serde(flatten)]
    head: Head,
}

impl Recorder {
    /// Says what is being judged, for the record of a refusal that comes before the verdict.
    pub(in super::super) fn about(&self, digest: &Digest) {
        self.said(|said| said.digest = Some(*digest));
    }

    /// Records a verdict, before anything follows from it.
    pub(in super::super) async fn judged(
        &self,
        grounds: Grounds<'_>,
        digest: Option<&Digest>,
        verdict: &Verdict,
    ) -> Result<()> {
        let decision = Decision::judged(self.command, verdict);
        self.decided(decision.under(grounds.trust, grounds.policy()), digest)
            .await
    }

    /// Records a verdict that changes nothing, and why.
    pub(in super::super) async fn warned(
        &self,
        grounds: Grounds<'_>,
        digest: &Digest,
        verdict: &Verdict,
        why: &str,
    ) -> Result<()> {
        let decision = Decision::judged(self.command, verdict).despite(why);
        let decision = decision.under(grounds.trust, grounds.policy());
        self.decided(decision, Some(digest)).await
    }

    /// Records that an artifact is used unverified, and why.
    pub(in super::super) async fn unverified(&self, digest: &Digest, why: &str) -> Result<()> {
        let decision = Decision::unverified(self.command, why);
        self.decided(decision, Some(digest)).await
    }

    /// Records that `signer` is about to sign a statement of this type about `artifact`.
    pub(in super::super) async fn signing(
        &self,
        artifact: &Artifact,
        signer: &dyn Signer,
        predicate_type: &str,
    ) -> Result<()> {
        let digest = Some(*artifact.digest());
        self.append(self.signing_of(digest, signer, predicate_type))
            .await
    }

    /// Records that `signer` is about to sign the list of a directory's files.
    pub(in super::super) async fn signing_directory(
        &self,
        signer: &dyn Signer,
        predicate_type: &str,
    ) -> Result<()> {
        self.append(self.signing_of(None, signer, predicate_type))
            .await
    }

    fn signing_of(&self, digest: Option<Digest>, by: &dyn Signer, predicate_type: &str) -> Event {
        let signing = Signing::new(self.command, by.authority().name(), predicate_type);
        Event::Signing(signing.about(&self.target, digest))
    }

    /// Returns `gate`, which records what it admits; a refusal ends the command, which records it.
    pub(in super::super) fn watch(self: &Arc<Self>, gate: Arc<dyn Gate>) -> Arc<dyn Gate> {
        let recorder = Arc::clone(self);
        Arc::new(Watched { gate, recorder })
    }

    /// Records how the command ended, if that is a refusal that is not recorded yet, and says in its
    /// output where in the log it is.
    pub(in super::super) async fn finish(
        &self,
        outcome: Result<Report, Failure>,
    ) -> Result<Report, Failure> {
        match outcome {
            Ok(report) => match self.recorded() {
                Some(recorded) => Ok(report.with(&recorded)?),
                None => Ok(report),
            },
            Err(failure) => {
                let failure = match self.refuse(&failure.error).await {
                    Ok(()) => failure,
                    Err(error) => failure.details(vec![format!("it is not recorded: {error}")]),
                };
                Err(match self.recorded() {
                    Some(recorded) => failure.with(&recorded),
                    None => failure,
                })
            }
        }
    }

    /// Records a refusal, once.
    async fn refuse(&self, error: &Error) -> Result<()> {
        let is_refusal = matches!(error.reason().class(), Class::NotVerified | Class::Content)
            && error.reason() != Reason::AuditBroken;
        if !is_refusal || self.said(|said| said.refused) {
            return Ok(());
        }
        let digest = self.said(|said| said.digest);
        let decision = Decision::refused(self.command, error.reason());
        self.decided(decision, digest.as_ref()).await
    }

    async fn decided(&self, decision: Decision, digest: Option<&Digest>) -> Result<()> {
        let decision = decision.about(&self.target, digest.copied());
        self.said(|said| {
            said.digest = digest.copied();
            said.refused |= decision.refuses();
        });
        self.append(Event::Decision(Box::new(decision))).await
    }

    async fn append(&self, event: Event) -> Result<()> {
        let Some(log) = self.log.clone() else {
            return Ok(());
        };
        let head = blocking(move || log.append(&event, Timestamp::now())).await?;
        self.said(|said| said.last = Some(head));
        Ok(())
    }

    fn said<T>(&self, with: impl FnOnce(&mut Said) -> T) -> T {
        // Every change is a single step, so a panic elsewhere leaves nothing half done.
        with(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn recorded(&self) -> Option<Recorded> {
        let log = self.log.as_ref()?.path().to_owned();
        let head = self.said(|said| said.last)?;
        let audit = Place { log, head };
        Some(Recorded { audit })
    }
}

/// A gate whose admissions are recorded before anything is stored.
#[derive(Debug)]
struct Watched {
    gate: Arc<dyn Gate>,
    recorder: Arc<Recorder>,
}

impl Gate for Watched {
    fn admit(&self, packed: &Packed) -> Result<()> {
        self.gate.admit(packed)?;
        let recorder = &self.recorder;
        let Some(log) = &recorder.log else {
            return Ok(());
        };
        let digest = Some(*packed.document.digest());
        let decision = Decision::admitted(recorder.command).about(&recorder.target, digest);
        let event = Event::Decision(Box::new(decision));
        let head = log.append(&event, Timestamp::now())?;
        recorder.said(|said| {
            said.digest = digest;
            said.last = Some(head);
        });
        Ok(())
    }
}
