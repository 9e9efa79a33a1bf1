//! By what the links of a chain are judged, where a policy file says so.

use std::collections::BTreeMap;

use modelctl::chain::{Standard, Voucher};
use modelctl::error::{Error, Reason, Result};
use modelctl::policy::file::{ChainRule, Mode, Others, PolicyFile, ScopedPolicy};
use modelctl::policy::{Circumstances, Pins};
use modelctl::provenance::Role;
use modelctl::reference::Location;
use tokio::sync::Mutex;

use super::super::terminal::Terminal;
use super::roots;

/// What a policy asks of chains, with the file in which it stands.
pub(in super::super) struct ChainPolicy {
    file: PolicyFile,
    rule: ChainRule,
    circumstances: Circumstances,
    /// What was asked for before, by the policy's name: keys and roots are read, and fetched, once.
    known: Mutex<BTreeMap<String, Standard>>,
}

impl ChainPolicy {
    /// Returns what `scoped`, a policy of `file`, asks of chains, if it says anything of them.
    pub(super) fn of(
        file: &PolicyFile,
        scoped: &ScopedPolicy,
        circumstances: &Circumstances,
    ) -> Option<Self> {
        Some(Self {
            file: file.clone(),
            rule: scoped.chain.clone()?,
            circumstances: Circumstances {
                // What was accepted before was accepted as the model itself.
                pins: Pins::default(),
                ..circumstances.clone()
            },
            known: Mutex::default(),
        })
    }

    /// Returns what is asked.
    pub(in super::super) fn rule(&self) -> &ChainRule {
        &self.rule
    }

    /// Returns by what a model at `location` is judged that was taken in as `role`; nothing if as
    /// the model itself is.
    pub(in super::super) async fn standard(
        &self,
        role: Role,
        location: &Location,
        terminal: &Terminal,
    ) -> Result<Option<Standard>> {
        let scoped = match (self.rule.roles.get(&role), self.rule.others) {
            (Some(name), _) => self.file.named(name),
            (None, Others::Alike) => return Ok(None),
            (None, Others::Covered) => self.file.covering(location),
        };
        // A policy that only warns admits everything, which would be no rule.
        let Some(scoped) = scoped.filter(|scoped| scoped.mode == Mode::Enforce) else {
            let place = self.file.path.display();
            let message = format!("no policy in `{place}` that enforces covers `{location}`");
            return Err(Error::new(Reason::NoPolicy, message));
        };
        let mut known = self.known.lock().await;
        if let Some(standard) = known.get(&scoped.name) {
            return Ok(Some(standard.clone()));
        }
        let standard = Standard {
            trust: roots::root(&self.file, &scoped.authorities(), terminal).await?,
            policy: scoped.policy.clone().under(self.circumstances.clone()),
        };
        known.insert(scoped.name.clone(), standard.clone());
        Ok(Some(standard))
    }

    /// Returns whose word stands in for a part of the chain.
    pub(in super::super) async fn vouchers(&self, terminal: &Terminal) -> Result<Vec<Voucher>> {
        let mut vouchers = Vec::new();
        for one in &self.rule.vouchers {
            let names = one.authorities.iter().map(String::as_str).collect();
            vouchers.push(Voucher {
                verifier: one.verifier.clone(),
                trust: roots::root(&self.file, &names, terminal).await?,
                circumstances: self.circumstances.clone(),
            });
        }
        Ok(vouchers)
    }
}
