//! `trustpolicy.json` of notation.
//!
//! Notation verifies signatures of its own, by certificates: an export is for publishers who sign
//! with the same certificates there. It refuses what no policy covers, and so what is left out.

use serde_json::{Value, json};

use super::loss::{Losses, Telling};
use super::signer::{Party, Signer};
use super::{Source, kubernetes_name, unsaid};
use crate::error::{Error, Reason, Result};
use crate::policy::file::{Mode, ScopedPolicy};
use crate::policy::{Requirement, Rule};

/// What notation demands of every subject that it is told
/// ([trust policy](https://github.com/notaryproject/specifications/blob/main/specs/trust-store-trust-policy.md#trusted-identities-constraints)).
const DEMANDED: [&str; 3] = ["C=", "ST=", "O="];

pub(super) fn text(source: &Source<'_>, losses: &mut Losses) -> Result<String> {
    let mut policies = Vec::new();
    for scoped in &source.policies {
        policies.extend(policy(source, scoped, losses)?);
    }
    if policies.is_empty() {
        let message = "nothing of this policy can be said to notation";
        return Err(Error::new(Reason::Usage, message).hint(
            "notation knows certificates with a subject of `C`, `ST` and `O`, and whole names of \
             repositories; `--format containers` knows keys and prefixes",
        ));
    }
    losses
        .of_file()
        .note("notation verifies signatures that `notation sign` made, and none of modelctl's");
    let policy = json!({"version": "1.0", "trustPolicies": policies});
    let text = serde_json::to_string_pretty(&policy);
    let text = text.map_err(|e| Error::new(Reason::Internal, "cannot write JSON").because(e))?;
    Ok(text + "\n")
}

fn policy(
    source: &Source<'_>,
    scoped: &ScopedPolicy,
    losses: &mut Losses,
) -> Result<Option<Value>> {
    let mut telling = unsaid(source, scoped, losses);
    telling.unbound(scoped);
    let scopes = repositories(scoped, &mut telling);
    let Some(rule) = signature(scoped, &mut telling) else {
        telling.stricter("nothing that it asks for can be said: everything is refused");
        return Ok(None);
    };
    let (stores, subjects) = trusted(source, rule, &mut telling)?;
    if scopes.is_empty() || subjects.is_empty() {
        telling.stricter("it cannot be said: everything that it covers is refused");
        return Ok(None);
    }
    Ok(Some(json!({
        "name": kubernetes_name(&scoped.name),
        "registryScopes": scopes,
        "signatureVerification": {"level": match scoped.mode {
            Mode::Enforce => "strict",
            Mode::Warn => "audit",
        }},
        "trustStores": stores,
        "trustedIdentities": subjects,
    })))
}

/// Returns the scopes that are one repository.
fn repositories(scoped: &ScopedPolicy, telling: &mut Telling<'_>) -> Vec<String> {
    let (whole, others): (Vec<_>, Vec<_>) = scoped
        .scopes
        .iter()
        .map(ToString::to_string)
        .partition(|scope| !scope.contains('*'));
    for scope in others {
        telling.stricter(format!("`{scope}` cannot be said, and is refused"));
    }
    whole
}

/// Returns the first rule that asks for a signature: there is room for one.
fn signature<'a>(scoped: &'a ScopedPolicy, telling: &mut Telling<'_>) -> Option<&'a Rule> {
    let mut found = None;
    for rule in scoped.policy.rules() {
        match rule.requirement() {
            Requirement::Signature | Requirement::AnySignature if found.is_none() => {
                found = Some(rule);
            }
            other => telling.weaker(format!("it is not asked for: {other}")),
        }
    }
    let rule = found?;
    if rule.threshold() > 1 {
        telling.weaker("one signer is enough (`threshold`)");
    }
    if !rule.conditions().demands.is_empty() {
        telling.weaker("neither logs nor timestamps are asked for (`demand`)");
    }
    Some(rule)
}

/// Returns the trust stores, and the subjects in them who are trusted.
fn trusted(
    source: &Source<'_>,
    rule: &Rule,
    telling: &mut Telling<'_>,
) -> Result<(Vec<String>, Vec<String>)> {
    let names = rule.authorities().cloned().unwrap_or_default();
    let (mut stores, mut subjects) = (Vec::new(), Vec::new());
    for party in Party::all(source, &names)? {
        let found = party.signers.iter().find_map(subject);
        let Some(subject) = found else {
            let name = &party.name;
            telling.stricter(format!(
                "`{name}`, who has no such subject, is nobody there"
            ));
            continue;
        };
        let store = kubernetes_name(&party.name);
        telling.weaker(format!(
            "`{}` is any subject that has these attributes, and others",
            party.name
        ));
        telling.note(format!(
            "put the roots of `{}` into the trust store `x509/ca/{store}`",
            party.name
        ));
        stores.push(format!("ca:{store}"));
        subjects.push(format!("x509.subject: {subject}"));
    }
    if stores.len() > 1 {
        telling.weaker("each subject is trusted under every root");
    }
    Ok((stores, subjects))
}

/// Returns the subject of a signer, if it is all that there is to know and notation takes it.
fn subject(signer: &Signer) -> Option<String> {
    let Signer::Certified {
        subject: Some(subject),
        identity: None,
    } = signer
    else {
        return None;
    };
    let text = subject.to_string();
    let has = |wanted: &str| text.split(',').any(|part| part.starts_with(wanted));
    let is_whole = DEMANDED.iter().all(|wanted| has(wanted));
    is_whole.then_some(text)
}
