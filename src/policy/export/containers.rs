//! `policy.json` of Podman, Buildah, Skopeo and CRI-O.
//!
//! They read cosign's older signatures, by keys, and no attestations. All requirements of a scope
//! must be met, and each by any of its keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::loss::{Losses, Telling};
use super::signer::{Party, Signer, may_overlap};
use super::{Source, quorum, unsaid};
use crate::error::{Error, Reason, Result};
use crate::policy::file::{Mode, ScopedPolicy, Uncovered};
use crate::policy::{Binding, Remap, Requirement, Rule};

pub(super) fn text(source: &Source<'_>, losses: &mut Losses) -> Result<String> {
    let mut scopes = Map::new();
    for scoped in &source.policies {
        policy(source, scoped, losses, &mut scopes)?;
    }
    let mut telling = losses.of_file();
    telling.note("only cosign's older signatures are read: sign with `--compat legacy`");
    telling.note("`registries.d` must say `use-sigstore-attachments: true`");
    let default = match source.default() {
        Some(Uncovered::Allow | Uncovered::Warn) => accept(),
        Some(Uncovered::Deny) => reject(),
        None => {
            telling.note("what this policy does not cover is refused");
            reject()
        }
    };
    let policy = json!({"default": default, "transports": {"docker": scopes}});
    let text = serde_json::to_string_pretty(&policy);
    let text = text.map_err(|e| Error::new(Reason::Internal, "cannot write JSON").because(e))?;
    Ok(text + "\n")
}

fn accept() -> Value {
    json!([{"type": "insecureAcceptAnything"}])
}

fn reject() -> Value {
    json!([{"type": "reject"}])
}

fn policy(
    source: &Source<'_>,
    scoped: &ScopedPolicy,
    losses: &mut Losses,
    scopes: &mut Map<String, Value>,
) -> Result<()> {
    let mut telling = unsaid(source, scoped, losses);
    let mut keys = Vec::new();
    for rule in scoped.policy.rules() {
        keys.extend(requirements(source, rule, &mut telling)?);
    }
    if keys.is_empty() {
        telling.stricter("nothing that it asks for can be said: everything is refused");
    }
    for scope in &scoped.scopes {
        let Some(name) = prefix(&scope.to_string(), &mut telling) else {
            continue;
        };
        let requirements = match (scoped.mode, keys.is_empty()) {
            (Mode::Warn, _) => accept(),
            (Mode::Enforce, true) => reject(),
            (Mode::Enforce, false) => signed_by(&keys, &name, scoped, &mut telling),
        };
        scopes.insert(name, requirements);
    }
    Ok(())
}

/// Returns the name of a scope, which covers everything below it, too.
fn prefix(scope: &str, telling: &mut Telling<'_>) -> Option<String> {
    let whole = scope.trim_end_matches("/**");
    if scope.starts_with("oci:") || whole.trim_end_matches("/*").contains('*') {
        telling.weaker(format!(
            "`{scope}` cannot be said: what else is there decides"
        ));
        return None;
    }
    if whole.len() == scope.len() {
        telling.weaker(format!("`{scope}` is for repositories below it as well"));
    }
    Some(whole.trim_end_matches("/*").to_owned())
}

/// Returns, for each requirement that a rule becomes, the keys any of which is enough.
fn requirements(
    source: &Source<'_>,
    rule: &Rule,
    telling: &mut Telling<'_>,
) -> Result<Vec<Vec<String>>> {
    match rule.requirement() {
        Requirement::Signature => {}
        Requirement::AnySignature => {
            telling.stricter("a model signature is not taken for a signature");
        }
        other @ (Requirement::ModelSignature
        | Requirement::Attestation { .. }
        | Requirement::Provenance { .. }) => {
            telling.weaker(format!("it is not asked for: {other}"));
            return Ok(Vec::new());
        }
    }
    if !rule.conditions().demands.is_empty() {
        telling.weaker("neither logs nor timestamps are asked for (`demand`)");
    }
    let names = rule.authorities().cloned().unwrap_or_default();
    let mut parties = Vec::new();
    for party in Party::all(source, &names)? {
        let name = party.name.clone();
        match party.nameable(|signer| matches!(signer, Signer::Key(_))) {
            Some(party) => parties.push(party),
            None => telling.stricter(format!("`{name}`, who has no key, is nobody there")),
        }
    }
    if rule.threshold() > 1 && may_overlap(&parties) {
        telling.weaker("one signer who is several authorities counts for each of them");
    }
    // Where so many cannot be asked for, an empty group refuses everything.
    let groups = quorum::groups(&parties, rule.threshold()).unwrap_or_else(|| vec![Vec::new()]);
    let keys = |group: Vec<Party>| {
        let signers = group.into_iter().flat_map(|party| party.signers);
        let keys = signers.filter_map(|signer| match signer {
            Signer::Key(pem) => Some(STANDARD.encode(pem)),
            _ => None,
        });
        keys.collect()
    };
    Ok(groups.into_iter().map(keys).collect())
}

fn signed_by(
    keys: &[Vec<String>],
    name: &str,
    scoped: &ScopedPolicy,
    telling: &mut Telling<'_>,
) -> Value {
    let identity = identity(name, scoped, telling);
    let one = |keys: &Vec<String>| match keys.as_slice() {
        [] => json!({"type": "reject"}),
        [key] => json!({"type": "sigstoreSigned", "keyData": key, "signedIdentity": identity}),
        keys => json!({"type": "sigstoreSigned", "keyDatas": keys, "signedIdentity": identity}),
    };
    keys.iter().map(one).collect()
}

/// Returns for which name a signature must have been made.
fn identity(name: &str, scoped: &ScopedPolicy, telling: &mut Telling<'_>) -> Value {
    let rules = scoped.policy.rules();
    let binding = rules.first().map(|rule| &rule.conditions().binding);
    let (remaps, matching) = match binding {
        None | Some(Binding::Any) => {
            telling.stricter("signatures must have been made for the repository");
            return json!({"type": "matchRepository"});
        }
        Some(Binding::Repository(remaps)) => (remaps, "matchRepository"),
        Some(Binding::Tag(remaps)) => (remaps, "matchRepoDigestOrExact"),
    };
    match nearest(remaps, name) {
        Some(remap) => json!({
            "type": "remapIdentity",
            "prefix": remap.asked,
            "signedPrefix": remap.signed,
        }),
        None => json!({"type": matching}),
    }
}

/// Returns the longest name that is remapped and has `name` below it.
fn nearest<'a>(remaps: &'a [Remap], name: &str) -> Option<&'a Remap> {
    let is_below = |remap: &&Remap| {
        let rest = name.strip_prefix(remap.asked.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let remaps = remaps.iter().filter(is_below);
    remaps.max_by_key(|remap| remap.asked.len())
}
