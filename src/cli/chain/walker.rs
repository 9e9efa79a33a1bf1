//! Whoever walks a chain for a command: by what each link is judged, and with which credentials it
//! is fetched.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use modelctl::chain::{self, Chain, Guide, Options, Standard};
use modelctl::error::Result;
use modelctl::policy::Circumstances;
use modelctl::provenance::Role;
use modelctl::reference::{Location, Reference};
use modelctl::store::{SharedStore, Store};
use modelctl::trust::TrustRoot;
use modelctl::verify::Verification;

use super::super::policy::Basis;
use super::super::report::Failure;
use super::super::stores::{Everywhere, MirrorArgs, RegistryArgs, Stores};
use super::super::terminal::Terminal;
use super::super::trust::TrustArgs;
use super::{Walked, drawn};

/// What a walk depends on besides the flags about it.
#[derive(Clone, Copy)]
pub(in super::super) struct Setting<'a> {
    pub(in super::super) trust: &'a TrustArgs,
    pub(in super::super) registry: &'a RegistryArgs,
    pub(in super::super) mirrors: &'a MirrorArgs,
    pub(in super::super) stores: &'a Stores,
    pub(in super::super) terminal: &'a Terminal,
}

/// Whoever walks: who knows where links are, and by what each is judged.
pub(in super::super) struct Walker<'a> {
    pub(super) basis: &'a Basis,
    pub(super) setting: Setting<'a>,
    pub(super) stores: Everywhere<'a>,
    pub(super) roles: BTreeMap<Role, TrustRoot>,
    pub(super) options: Options,
}

impl Walker<'_> {
    /// Walks the chain of the artifact that `root` is about, which is in `store`.
    pub(in super::super) async fn walk(
        &self,
        store: &dyn Store,
        root: &Verification,
    ) -> Result<Chain> {
        let standard = Standard {
            trust: self.basis.trust.clone(),
            policy: self.basis.policy.clone(),
        };
        chain::walk(self, store, root, &standard, &self.options).await
    }

    /// Walks the chain, and fails with the tree if it is broken.
    pub(in super::super) async fn unbroken(
        &self,
        store: &dyn Store,
        root: &Verification,
    ) -> Result<Chain, Failure> {
        let chain = self.walk(store, root).await?;
        match chain.refusal() {
            None => Ok(chain),
            Some(error) => {
                let failure = Failure::from(error).with(&Walked::new(&chain));
                Err(failure.details(drawn(&chain)))
            }
        }
    }

    /// Returns what also asks for those whom a flag names; a flag never asks for less than a policy.
    fn stricter(&self, standard: Standard, own: Option<&TrustRoot>) -> Result<Standard> {
        let Some(own) = own else { return Ok(standard) };
        self.basis.refuse_namesakes(own)?;
        let signed = self.setting.trust.signed_by(own.names())?;
        Ok(Standard {
            policy: standard.policy.and(signed),
            trust: standard.trust.and(own.clone()),
        })
    }
}

#[async_trait]
impl Guide for Walker<'_> {
    fn open(&self, location: &Location) -> Result<SharedStore> {
        self.stores.read(location)
    }

    async fn standard(&self, role: Role, reference: &Reference) -> Result<Standard> {
        let own = self.roles.get(&role);
        let alike = || Standard {
            trust: self.basis.trust.clone(),
            policy: self.basis.policy.clone(),
        };
        if let Some(chain) = &self.basis.chain {
            let terminal = self.setting.terminal;
            let found = chain.standard(role, reference.location(), terminal).await?;
            return self.stricter(found.unwrap_or_else(alike), own);
        }
        if self.basis.applied.is_some() {
            return self.stricter(alike(), own);
        }
        let circumstances = Circumstances {
            now: Some(Timestamp::now()),
            ..Circumstances::default()
        };
        Ok(Standard {
            trust: own.unwrap_or(&self.basis.trust).clone(),
            policy: self.setting.trust.signed()?.under(circumstances),
        })
    }
}
