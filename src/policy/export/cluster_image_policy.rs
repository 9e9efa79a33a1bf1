//! `ClusterImagePolicy` of Sigstore's policy-controller.
//!
//! An image must meet every policy that matches it, by any one authority of each. So each
//! requirement becomes a policy, or several where a threshold asks for more than one signer
//! ([`quorum`](super::quorum)). In its `bundle` format the controller reads attestations of keyless
//! signers only, so there a signature is an attestation of cosign's sign predicate; what keys signed
//! it reads in cosign's older form.

use serde_json::{Map, Value, json};

use super::loss::{Losses, Telling};
use super::predicate::rego;
use super::signer::{Name, Party, Signer, may_overlap};
use super::{Source, kubernetes_name, quorum, unsaid, yaml};
use crate::error::Result;
use crate::policy::constraint::Constraint;
use crate::policy::file::{Mode, ScopedPolicy, Uncovered};
use crate::policy::{Demand, Requirement, Rule};

/// The instance that the controller knows without being told.
const PUBLIC_GOOD: &str = "public-good";

const REKOR: &str = "https://rekor.sigstore.dev";
const FULCIO: &str = "https://fulcio.sigstore.dev";

pub(super) fn text(source: &Source<'_>, losses: &mut Losses) -> Result<String> {
    let mut documents = Vec::new();
    for scoped in &source.policies {
        documents.extend(policies(source, scoped, losses)?);
    }
    if let Some(default) = source.default() {
        documents.push(default_for_all(default));
        losses.of_file().note(
            "`no-match-policy` is for every image of the namespaces that policy-controller looks \
             at, and not for models only",
        );
    }
    Ok(yaml::documents(&documents))
}

/// Returns the setting for images that no policy matches.
fn default_for_all(default: Uncovered) -> Value {
    let action = match default {
        Uncovered::Deny => "deny",
        Uncovered::Warn => "warn",
        Uncovered::Allow => "allow",
    };
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "config-policy-controller", "namespace": "cosign-system"},
        "data": {"no-match-policy": action},
    })
}

fn policies(source: &Source<'_>, scoped: &ScopedPolicy, losses: &mut Losses) -> Result<Vec<Value>> {
    let mut telling = unsaid(source, scoped, losses);
    telling.unbound(scoped);
    let images = globs(scoped, &mut telling);
    if images.is_empty() {
        return Ok(Vec::new());
    }
    let mut specs = Vec::new();
    for rule in scoped.policy.rules() {
        specs.extend(authorities(source, rule, &mut telling)?);
    }
    if specs.is_empty() {
        telling.stricter("nothing that it asks for can be said: everything is refused");
        specs.push(nobody());
    }
    let name = kubernetes_name(&scoped.name);
    let numbered = specs.into_iter().enumerate().map(|(at, authorities)| {
        json!({
            "apiVersion": "policy.sigstore.dev/v1beta1",
            "kind": "ClusterImagePolicy",
            "metadata": {"name": format!("{name}-{}", at + 1)},
            "spec": {
                "mode": match scoped.mode {
                    Mode::Enforce => "enforce",
                    Mode::Warn => "warn",
                },
                "images": images,
                "authorities": authorities,
            },
        })
    });
    Ok(numbered.collect())
}

/// Returns what matches the images of the policy's repositories, with any tag or digest. In these
/// globs, too, `*` stays within a component.
fn globs(scoped: &ScopedPolicy, telling: &mut Telling<'_>) -> Vec<Value> {
    let mut globs = Vec::new();
    for scope in &scoped.scopes {
        let scope = scope.to_string();
        if scope.starts_with("oci:") {
            telling.note("a cluster has no layouts on disk: that scope is left out");
        } else if scope.ends_with('*') {
            globs.push(json!({"glob": scope}));
        } else {
            globs.extend([":*", "@*"].map(|end| json!({"glob": format!("{scope}{end}")})));
        }
    }
    if globs.len() > 1 || scoped.scopes.len() > 1 {
        telling.note("where several policies match, all must be met, and not the most specific");
    }
    globs
}

/// Returns the authorities of each policy that a rule becomes.
fn authorities(source: &Source<'_>, rule: &Rule, telling: &mut Telling<'_>) -> Result<Vec<Value>> {
    let Some(predicate_type) = predicate_type(rule.requirement(), telling) else {
        return Ok(Vec::new());
    };
    let names = rule.authorities().cloned().unwrap_or_default();
    let mut parties = Vec::new();
    for party in Party::all(source, &names)? {
        let name = party.name.clone();
        match party.nameable(|s| matches!(s, Signer::Key(_) | Signer::Keyless { .. })) {
            Some(party) => parties.push(party),
            None => telling.stricter(format!("`{name}`, by certificates, is nobody there")),
        }
    }
    if rule.threshold() > 1 && may_overlap(&parties) {
        telling.weaker("one signer who is several authorities counts for each of them");
    }
    let attestation = attestation(rule, predicate_type, telling);
    let Some(groups) = quorum::groups(&parties, rule.threshold()) else {
        let (threshold, there) = (rule.threshold(), parties.len());
        telling.stricter(format!(
            "{threshold} of {there} authorities cannot be asked for: everything is refused"
        ));
        return Ok(vec![nobody()]);
    };
    let mut write = |group: &Vec<Party>| {
        let all = group.iter().flat_map(|party| {
            let signers = party.signers.iter().enumerate();
            signers.map(move |(at, signer)| (format!("{}-{}", party.name, at + 1), signer))
        });
        let written =
            all.map(|(name, signer)| authority(&name, signer, rule, &attestation, telling));
        Value::from(written.collect::<Vec<_>>())
    };
    Ok(groups.iter().map(&mut write).collect())
}

/// Returns authorities that nothing passes.
fn nobody() -> Value {
    let message = "this policy cannot be said to policy-controller";
    json!([{"name": "nobody", "static": {"action": "fail", "message": message}}])
}

fn predicate_type<'a>(requirement: &'a Requirement, telling: &mut Telling<'_>) -> Option<&'a str> {
    match requirement {
        Requirement::Signature | Requirement::Attestation { .. } => {
            Some(requirement.predicate_type())
        }
        Requirement::AnySignature => {
            telling.stricter("a model signature is not taken for a signature");
            Some(requirement.predicate_type())
        }
        Requirement::ModelSignature => {
            telling.weaker("model signatures are not asked for");
            None
        }
        Requirement::Provenance { level } => {
            telling.level(*level);
            Some(requirement.predicate_type())
        }
    }
}

fn attestation(rule: &Rule, predicate_type: &str, telling: &mut Telling<'_>) -> Value {
    let mut attestation = json!({"name": "required", "predicateType": predicate_type});
    if rule.constraints().is_empty() {
        return attestation;
    }
    let (module, left) = rego(rule.constraints());
    left_out(&left, telling);
    if let Some(fields) = attestation.as_object_mut() {
        let policy = json!({"type": "rego", "data": module});
        fields.insert("policy".to_owned(), policy);
    }
    attestation
}

fn left_out(constraints: &[&Constraint], telling: &mut Telling<'_>) {
    for constraint in constraints {
        telling.weaker(format!("it is not asked that {constraint}"));
    }
}

fn authority(
    name: &str,
    signer: &Signer,
    rule: &Rule,
    attestation: &Value,
    telling: &mut Telling<'_>,
) -> Value {
    let mut fields = Map::new();
    fields.insert("name".to_owned(), kubernetes_name(name).into());
    let demands = &rule.conditions().demands;
    if demands.contains(&Demand::Timestamped) {
        telling.weaker("timestamps are not asked for (`demand`)");
    }
    let is_logged = demands
        .iter()
        .any(|d| matches!(d, Demand::Logged | Demand::Included));
    match signer {
        Signer::Keyless {
            issuer,
            subject,
            instance,
        } => {
            let identity = identity(issuer, subject);
            fields.insert("signatureFormat".to_owned(), "bundle".into());
            fields.insert("attestations".to_owned(), json!([attestation]));
            fields.insert("keyless".to_owned(), keyless(instance, identity, telling));
            fields.insert("ctlog".to_owned(), log(instance));
        }
        Signer::Key(pem) => {
            telling.note("what keys signed is read in cosign's older form: `--compat legacy`");
            fields.insert("signatureFormat".to_owned(), "legacy".into());
            fields.insert("key".to_owned(), json!({"data": pem}));
            if matches!(rule.requirement(), Requirement::Attestation { .. }) {
                fields.insert("attestations".to_owned(), json!([attestation]));
            }
            if is_logged {
                fields.insert("ctlog".to_owned(), log(PUBLIC_GOOD));
            }
        }
        Signer::Certified { .. } | Signer::Pinned => {}
    }
    Value::Object(fields)
}

fn identity(issuer: &str, subject: &Name) -> Value {
    match subject {
        Name::Exact(text) => json!({"issuer": issuer, "subject": text}),
        Name::Pattern(text) => json!({"issuer": issuer, "subjectRegExp": text}),
    }
}

fn keyless(instance: &str, identity: Value, telling: &mut Telling<'_>) -> Value {
    if instance == PUBLIC_GOOD {
        return json!({"url": FULCIO, "identities": [identity]});
    }
    telling.note(format!(
        "there must be a `TrustRoot` called `{}` in the cluster",
        kubernetes_name(instance)
    ));
    json!({"trustRootRef": kubernetes_name(instance), "identities": [identity]})
}

fn log(instance: &str) -> Value {
    match instance {
        PUBLIC_GOOD => json!({"url": REKOR}),
        other => json!({"trustRootRef": kubernetes_name(other)}),
    }
}
