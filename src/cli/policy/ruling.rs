//! By what an artifact is judged: flags, a policy file, both, or nothing.

use std::collections::BTreeSet;

use jiff::Timestamp;
use modelctl::digest::Digest;
use modelctl::error::{Error, Reason, Result};
use modelctl::policy::file::{Mode, PolicyFile, PolicyName, ScopedPolicy, Uncovered};
use modelctl::policy::{Circumstances, Pins, Policy, Requirement, Rule};
use modelctl::reference::Location;
use modelctl::slsa::Level;
use modelctl::trust::TrustRoot;
use serde::Serialize;

use super::super::stores::Stores;
use super::super::terminal::Terminal;
use super::super::trust::TrustArgs;
use super::links::ChainPolicy;
use super::place::PolicyArgs;
use super::{revocations, roots};

/// What becomes of an artifact.
pub(in super::super) enum Ruling {
    /// It is used only if it is admitted.
    Enforce(Basis),
    /// It is judged, and used all the same.
    Warn(Basis),
    /// It is used unverified; why.
    Unchecked(String),
}

/// Who is trusted, and what for.
pub(in super::super) struct Basis {
    pub(in super::super) trust: TrustRoot,
    pub(in super::super) policy: Policy,
    /// The policy file that it comes from, or that flags add to.
    pub(in super::super) applied: Option<Applied>,
    /// What the policy file asks of chains.
    pub(in super::super) chain: Option<ChainPolicy>,
    /// The names of everyone whom the policy file knows.
    authorities: BTreeSet<String>,
}

impl Basis {
    /// Refuses flags that call somebody what the policy file calls somebody: a policy goes by names.
    pub(in super::super) fn refuse_namesakes(&self, own: &TrustRoot) -> Result<()> {
        refuse_namesakes(own, |name| self.authorities.contains(name))
    }
}

fn refuse_namesakes(own: &TrustRoot, is_known: impl Fn(&str) -> bool) -> Result<()> {
    let Some(name) = own.names().find(|name| is_known(name)) else {
        return Ok(());
    };
    let message = format!("`{name}` is also the name of an authority of the policy");
    Err(Error::new(Reason::Usage, message).hint(format!("write it differently: `./{name}`")))
}

/// Which policy of which file was applied, in JSON.
#[derive(Debug, Clone, Serialize)]
pub(in super::super) struct Applied {
    pub(in super::super) file: String,
    pub(in super::super) digest: Digest,
    pub(in super::super) name: String,
    mode: Mode,
}

impl Applied {
    /// Returns which policy it is, as records name it.
    pub(in super::super) fn name(&self) -> PolicyName {
        PolicyName {
            name: self.name.clone(),
            digest: self.digest,
        }
    }

    /// Returns which policy it is, in words.
    pub(in super::super) fn place(&self) -> String {
        format!("the policy `{}` of `{}`", self.name, self.file)
    }
}

impl std::fmt::Display for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} asks for:", self.place())
    }
}

/// What is asked of a policy.
pub(in super::super) struct Asked<'a> {
    /// Where the artifact is.
    pub(in super::super) location: &'a Location,
    /// Whether nothing but a verified artifact will do.
    pub(in super::super) verify: bool,
    /// What was accepted before.
    pub(in super::super) pins: Pins,
}

impl Ruling {
    /// Returns by what to judge, whatever is done with the verdict.
    pub(in super::super) fn basis(self) -> Result<Basis> {
        match self {
            Self::Enforce(basis) | Self::Warn(basis) => Ok(basis),
            Self::Unchecked(_) => Err(TrustArgs::nobody()),
        }
    }
}

impl PolicyArgs {
    /// Returns by what an artifact is judged. Trust flags never loosen a policy file: both have to
    /// admit.
    pub(in super::super) async fn ruling(
        &self,
        trust: &TrustArgs,
        asked: Asked<'_>,
        stores: &Stores,
        terminal: &Terminal,
    ) -> Result<Ruling> {
        let Some(file) = self.file()? else {
            return match asked.verify {
                true => flags(trust, asked.pins, terminal)
                    .await
                    .map(Ruling::Enforce),
                false => Ok(Ruling::Unchecked("`--verify` was not asked for".to_owned())),
            };
        };
        let Some(scoped) = file.covering(asked.location) else {
            return uncovered(&file, trust, asked, terminal).await;
        };
        match scoped.mode {
            Mode::Warn if asked.verify && trust.is_empty() => Err(only_warns(scoped)),
            Mode::Warn if asked.verify => flags(trust, asked.pins, terminal)
                .await
                .map(Ruling::Enforce),
            Mode::Warn => {
                let basis = covered(&file, scoped, None, asked.pins, stores, terminal);
                basis.await.map(Ruling::Warn)
            }
            Mode::Enforce => {
                let more = Some(trust);
                let basis = covered(&file, scoped, more, asked.pins, stores, terminal);
                basis.await.map(Ruling::Enforce)
            }
        }
    }
}

impl PolicyArgs {
    /// Returns what the named policy file believes of provenance of what is at `location`, and whom
    /// it trusts for that: nothing is demanded by it.
    pub(in super::super) async fn beliefs(
        &self,
        location: &Location,
        stores: &Stores,
        terminal: &Terminal,
    ) -> Result<Option<Basis>> {
        let Some(file) = self.file()?.filter(|_| self.is_given()) else {
            return Ok(None);
        };
        let Some(scoped) = file.covering(location) else {
            let why = format!("no policy in `{}` covers `{location}`", file.path.display());
            return Err(Error::new(Reason::NoPolicy, why).hint("add a policy with a scope for it"));
        };
        let mut names = scoped.authorities();
        names.extend(file.builders.authorities_reaching(Level::One));
        let provenance = Rule::new(Requirement::Provenance { level: Level::One });
        let circumstances = Circumstances {
            now: Some(Timestamp::now()),
            pins: Pins::default(),
            revocations: revocations::load(&file, stores, terminal).await?,
        };
        Ok(Some(Basis {
            trust: roots::root(&file, &names, terminal).await?,
            policy: Policy::of_rules([provenance.provided(scoped.conditions.clone())])?
                .believing(file.builders.clone())
                .under(circumstances),
            applied: Some(applied(&file, scoped)),
            chain: None,
            authorities: file.authorities.keys().cloned().collect(),
        }))
    }
}

fn applied(file: &PolicyFile, scoped: &ScopedPolicy) -> Applied {
    Applied {
        file: file.path.display().to_string(),
        digest: file.digest,
        name: scoped.name.clone(),
        mode: scoped.mode,
    }
}

/// Returns what flags alone ask for.
async fn flags(trust: &TrustArgs, pins: Pins, terminal: &Terminal) -> Result<Basis> {
    let circumstances = Circumstances {
        now: Some(Timestamp::now()),
        pins,
        revocations: None,
    };
    Ok(Basis {
        trust: trust.root(terminal).await?,
        policy: trust.policy()?.under(circumstances),
        applied: None,
        chain: None,
        authorities: BTreeSet::new(),
    })
}

/// Returns what a policy of a file asks for, and flags besides.
async fn covered(
    file: &PolicyFile,
    scoped: &ScopedPolicy,
    flags: Option<&TrustArgs>,
    pins: Pins,
    stores: &Stores,
    terminal: &Terminal,
) -> Result<Basis> {
    let mut names = scoped.authorities();
    let additions = flags.map(|flags| flags.additions(scoped)).transpose()?;
    if flags.is_some_and(TrustArgs::asks_for_level) {
        names.extend(file.builders.authorities_reaching(Level::One));
    }
    let mut trust = roots::root(file, &names, terminal).await?;
    let mut policy = scoped.policy.clone();
    if let Some(additions) = additions.filter(|additions| !additions.is_empty()) {
        policy = policy.and(Policy::of_rules(additions)?);
    }
    if let Some(flags) = flags.filter(|flags| !flags.is_empty()) {
        let own = flags.root(terminal).await?;
        refuse_namesakes(&own, |name| file.authorities.contains_key(name))?;
        policy = policy.and(flags.policy_of(own.names())?);
        trust = trust.and(own);
    }
    let circumstances = Circumstances {
        now: Some(Timestamp::now()),
        pins,
        revocations: revocations::load(file, stores, terminal).await?,
    };
    Ok(Basis {
        chain: ChainPolicy::of(file, scoped, &circumstances),
        authorities: file.authorities.keys().cloned().collect(),
        trust,
        policy: policy.under(circumstances),
        applied: Some(applied(file, scoped)),
    })
}

async fn uncovered(
    file: &PolicyFile,
    trust: &TrustArgs,
    asked: Asked<'_>,
    terminal: &Terminal,
) -> Result<Ruling> {
    let place = file.path.display();
    let why = format!("no policy in `{place}` covers `{}`", asked.location);
    match file.default {
        Uncovered::Deny => Err(Error::new(Reason::NoPolicy, why).hint(
            "add a policy with a scope for it, or name another file with `--policy`; flags do not \
             loosen a policy",
        )),
        _ if asked.verify => flags(trust, asked.pins, terminal)
            .await
            .map(Ruling::Enforce),
        Uncovered::Warn | Uncovered::Allow => Ok(Ruling::Unchecked(why)),
    }
}

fn only_warns(scoped: &ScopedPolicy) -> Error {
    let message = format!(
        "there is nothing to verify against: the policy `{}` only warns",
        scoped.name
    );
    Error::new(Reason::NothingToVerifyAgainst, message)
        .hint("name who is trusted (`--key release.pub`), or let the policy `mode = \"enforce\"`")
}
