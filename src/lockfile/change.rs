//! What recording an entry changes.

use std::collections::BTreeSet;
use std::path::Path;

use super::Entry;
use super::signer::Signatory;
use crate::error::{Error, Reason};

/// What becomes of an entry that is of another artifact now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changes {
    /// It stays, and recording the other is refused.
    Refuse,
    /// It is replaced.
    Record,
}

/// What recording an entry changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is the first of its name.
    First,
    /// The same artifact was recorded before.
    Same,
    /// It took this one's place.
    Replaced(Box<Entry>),
}

impl Change {
    /// Returns the code that JSON output carries.
    pub fn code(&self) -> &'static str {
        match self {
            Self::First => "recorded",
            Self::Same => "unchanged",
            Self::Replaced(_) => "replaced",
        }
    }
}

/// Returns the refusal to let `after` take the place of `before`.
pub(super) fn refusal(path: &Path, before: &Entry, after: &Entry) -> Error {
    let message = format!(
        "`{}` is not what `{}` says: {}",
        after.reference,
        path.display(),
        difference(before, after)
    );
    Error::new(Reason::LockMismatch, message)
        .hint("if that is meant, record it with `--update-lock`; `--locked` takes what is recorded")
}

/// Says how `after` differs from `before`, its digest and those who vouch for it.
pub fn difference(before: &Entry, after: &Entry) -> String {
    let mut parts = vec![format!("it was {}, and is {}", before.digest, after.digest)];
    if before.digest == after.digest {
        parts = vec![format!(
            "it was a {:?}, and is a {:?}",
            before.media_type, after.media_type
        )];
    }
    if before.verified && !after.verified {
        parts.push("it was verified, and is not now".to_owned());
        return parts.join("; ");
    }
    let who = |entry: &Entry| -> BTreeSet<Signatory> {
        entry.signers.iter().map(|one| one.who.clone()).collect()
    };
    let (were, are) = (who(before), who(after));
    let lost = were
        .difference(&are)
        .map(|who| format!("no longer by {who}"));
    let gained = are.difference(&were).map(|who| format!("now by {who}"));
    parts.extend(lost.chain(gained));
    parts.join("; ")
}
