//! `--chain`: the models that a model was made from, verified as it is.

mod drawing;
mod walker;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use modelctl::chain::{Chain, Options, Voucher};
use modelctl::error::{Error, Reason, Result};
use modelctl::identity::Match;
use modelctl::policy::Circumstances;
use modelctl::provenance::Role;
use modelctl::reference::Location;
use modelctl::store::Store;
use modelctl::trust::sigstore::{Identity, Keyless};
use modelctl::trust::{Authority, TrustRoot};
use modelctl::verify::Verification;

pub(super) use self::drawing::{Walked, drawn};
pub(super) use self::walker::{Setting, Walker};
use super::policy::Basis;
use super::report::Failure;
use super::stores::Everywhere;
use super::terminal::Terminal;
use super::{keys, parse};

/// Whether, and by whom, the models must be signed that a model was made from.
#[derive(Args, Clone)]
#[command(next_help_heading = "Chain")]
pub(super) struct ChainArgs {
    /// Verify, too, the models that this one was made from, and those that they were made from, as
    /// the provenance of each says (docs/chains.md). Each must be signed, and say how it came to be.
    /// Who must sign them is who must sign the artifact, unless `--chain-key` names others.
    #[arg(long)]
    chain: bool,
    /// Models taken in as ROLE (base_model, adapter, teacher) must be signed by KEY; any one of
    /// several for a role is enough (repeatable).
    #[arg(long, value_name = "ROLE=KEY", requires = "chain", value_parser = parse::<OfRole>)]
    chain_key: Vec<OfRole>,
    /// The same by an identity; needs `--chain-issuer` for that role (repeatable).
    #[arg(long, value_name = "ROLE=IDENTITY", requires = "chain", value_parser = parse::<OfRole>)]
    chain_identity: Vec<OfRole>,
    /// Who must have certified the identities of a role (one for each role).
    #[arg(long, value_name = "ROLE=URL", requires = "chain_identity", value_parser = parse::<OfRole>)]
    chain_issuer: Vec<OfRole>,
    /// The chain may end at models of ROLE: they need not say how they came to be, or be an
    /// artifact (repeatable).
    #[arg(long, value_name = "ROLE", requires = "chain", value_parser = parse::<ModelRole>)]
    chain_end: Vec<ModelRole>,
    /// Walk no farther below a model of which the verifier VERIFIER says in a summary (VSA) that
    /// signed with KEY that it passed (repeatable).
    #[arg(long, value_name = "VERIFIER=KEY", requires = "chain", value_parser = parse::<Accepted>)]
    accept_vsa: Vec<Accepted>,
}

/// The role of a model.
#[derive(Debug, Clone, Copy)]
struct ModelRole(Role);

/// Something that is said of a role.
#[derive(Debug, Clone)]
struct OfRole {
    role: Role,
    value: String,
}

/// A verifier, and the key that it signs with.
#[derive(Debug, Clone)]
struct Accepted {
    verifier: String,
    key: String,
}

impl FromStr for ModelRole {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let role = Role::of_word(text).filter(|role| role.is_model());
        role.map(Self).ok_or_else(|| {
            let words = Role::MODELS.map(Role::word).join(", ");
            let message = format!("{text:?} is no role of a model");
            Error::new(Reason::Usage, message).hint(format!("the roles are {words}"))
        })
    }
}

impl FromStr for OfRole {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((role, value)) = text.split_once('=').filter(|(_, value)| !value.is_empty())
        else {
            return Err(Error::new(Reason::Usage, "a role and a value are needed")
                .hint("write both: `base_model=upstream.pub`"));
        };
        let ModelRole(role) = role.parse()?;
        let value = value.to_owned();
        Ok(Self { role, value })
    }
}

impl FromStr for Accepted {
    type Err = Error;

    /// Reads `VERIFIER=KEY`. A verifier is a URI without `=`; a key's name may have one (`pkcs11:`).
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((verifier, key)) if !verifier.is_empty() && !key.is_empty() => Ok(Self {
                verifier: verifier.to_owned(),
                key: key.to_owned(),
            }),
            _ => Err(
                Error::new(Reason::Usage, "a verifier and its key are needed")
                    .hint("write both: `https://acme.example/verifier=verifier.pub`"),
            ),
        }
    }
}

impl ChainArgs {
    /// Whether it is asked for.
    pub(super) fn is_given(&self) -> bool {
        self.chain
    }

    /// Whether a flag or the policy asks for the chain.
    pub(super) fn is_walked(&self, basis: &Basis) -> bool {
        let required = basis.chain.as_ref().is_some_and(|c| c.rule().required);
        self.chain || required
    }

    /// Walks the chain of what was verified in `store`, if a flag or the policy asks for that; one
    /// that is broken is a failure.
    pub(super) async fn walk(
        &self,
        store: &dyn Store,
        verification: &Verification,
        basis: &Basis,
        setting: Setting<'_>,
    ) -> Result<Option<Chain>, Failure> {
        // What is not admitted itself is refused for that.
        if !verification.verdict().admits() {
            return Ok(None);
        }
        let location = verification.artifact().reference().location();
        let Some(walker) = self.walker(location, basis, setting).await? else {
            return Ok(None);
        };
        walker.unbroken(store, verification).await.map(Some)
    }

    /// Returns who walks the chain of an artifact at `location` that is judged by `basis`; nobody,
    /// if neither a flag nor the policy asks for it.
    pub(super) async fn walker<'a>(
        &self,
        location: &Location,
        basis: &'a Basis,
        setting: Setting<'a>,
    ) -> Result<Option<Walker<'a>>> {
        if !self.is_walked(basis) {
            return Ok(None);
        }
        if let (Some(flag), Some(_)) = (self.loosens(), &basis.chain) {
            let message = format!("`{flag}` would ask for less than the policy's `chain`");
            return Err(Error::new(Reason::Usage, message)
                .hint("leave it out, or say so in the policy: `ends`, `vsa`"));
        }
        let others = setting.registry.elsewhere().stores(setting.terminal)?;
        let stores = Everywhere {
            named: setting.stores,
            location: location.clone(),
            others: others.through(setting.mirrors)?,
        };
        Ok(Some(Walker {
            stores,
            roles: self.roles(setting).await?,
            options: self.options(basis, setting.terminal).await?,
            basis,
            setting,
        }))
    }

    /// Returns a flag that is given and asks for less.
    fn loosens(&self) -> Option<&'static str> {
        match (self.chain_end.is_empty(), self.accept_vsa.is_empty()) {
            (false, _) => Some("--chain-end"),
            (true, false) => Some("--accept-vsa"),
            (true, true) => None,
        }
    }

    async fn options(&self, basis: &Basis, terminal: &Terminal) -> Result<Options> {
        if let Some(chain) = &basis.chain {
            return Ok(Options {
                max_depth: chain.rule().max_depth,
                max_links: chain.rule().max_nodes,
                ends: chain.rule().ends.clone(),
                vouchers: chain.vouchers(terminal).await?,
            });
        }
        let vouchers = self.accept_vsa.iter().map(Accepted::voucher);
        Ok(Options {
            ends: self.chain_end.iter().map(|end| end.0).collect(),
            vouchers: vouchers.collect::<Result<_>>()?,
            ..Options::default()
        })
    }

    /// Returns who must have signed models of those roles for which flags say it.
    async fn roles(&self, setting: Setting<'_>) -> Result<BTreeMap<Role, TrustRoot>> {
        let flags = [&self.chain_key, &self.chain_identity, &self.chain_issuer];
        let roles: BTreeSet<Role> = flags.into_iter().flatten().map(|of| of.role).collect();
        let mut found = BTreeMap::new();
        for role in roles {
            let keys = of(&self.chain_key, role).map(keys::authority);
            let mut authorities: Vec<_> = keys.collect::<Result<_>>()?;
            authorities.extend(self.certified(role, setting).await?);
            let root = TrustRoot::new(authorities)?;
            let root = match setting.trust.witnesses()? {
                Some(instance) => root.with_witnesses(instance),
                None => root,
            };
            found.insert(role, root);
        }
        Ok(found)
    }

    async fn certified(&self, role: Role, setting: Setting<'_>) -> Result<Vec<Authority>> {
        let identities: Vec<_> = of(&self.chain_identity, role).collect();
        let issuers: Vec<_> = of(&self.chain_issuer, role).collect();
        let issuer = match (identities.as_slice(), issuers.as_slice()) {
            ([], []) => return Ok(Vec::new()),
            ([_, ..], [issuer]) => Match::exact(*issuer)?,
            _ => {
                let message = format!("identities of a {role} need one issuer, and it needs them");
                return Err(Error::new(Reason::Usage, message).hint(format!(
                    "name both: `--chain-identity {role}=ci@example.com --chain-issuer \
                     {role}=https://accounts.example.com`"
                )));
            }
        };
        let root = setting.trust.instance(setting.terminal).await?;
        let authority = |identity: &str| {
            let identity = Identity::new(Match::exact(identity)?, issuer.clone());
            let root = Arc::clone(&root);
            Ok(Authority::keyless(
                identity.to_string(),
                Keyless { root, identity },
            ))
        };
        identities.into_iter().map(authority).collect()
    }
}

fn of(flags: &[OfRole], role: Role) -> impl Iterator<Item = &str> {
    let flags = flags.iter().filter(move |flag| flag.role == role);
    flags.map(|flag| flag.value.as_str())
}

impl Accepted {
    fn voucher(&self) -> Result<Voucher> {
        Ok(Voucher {
            verifier: self.verifier.clone(),
            trust: TrustRoot::new([keys::authority(&self.key)?])?,
            circumstances: Circumstances {
                now: Some(Timestamp::now()),
                ..Circumstances::default()
            },
        })
    }
}
