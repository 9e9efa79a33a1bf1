//! `ImageValidatingPolicy` of Kyverno: attestors, and CEL that counts them.
//!
//! `verifyImageSignatures` takes any bundle of a signer for a signature, an attestation too. So a
//! signature is asked for as an attestation of its predicate type.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::loss::{Losses, Telling};
use super::predicate::cel;
use super::signer::{Name, Party, Signer, may_overlap};
use super::{Source, kubernetes_name, unsaid, yaml};
use crate::error::{Error, Reason, Result};
use crate::policy::file::{Instance, Mode, ScopedPolicy, Uncovered};
use crate::policy::{Demand, Requirement, Rule};

/// Where a pod names images: its containers, and the volumes that models are mounted from.
const IMAGES: [&str; 4] = [
    "containers",
    "initContainers",
    "ephemeralContainers",
    "models",
];

/// The images of volumes, which Kyverno does not look for by itself.
const MODELS: &str = "has(object.spec.volumes) ? object.spec.volumes.filter(volume, \
                      has(volume.image)).map(volume, volume.image.reference) : []";

pub(super) fn text(source: &Source<'_>, losses: &mut Losses) -> Result<String> {
    let mut documents = Vec::new();
    for scoped in &source.policies {
        documents.extend(policy(source, scoped, losses)?);
    }
    if documents.is_empty() {
        let message = "nothing of this policy can be said to Kyverno";
        return Err(Error::new(Reason::Usage, message)
            .hint("a cluster has no layouts on disk: give a policy a scope of registries"));
    }
    match source.default() {
        Some(Uncovered::Deny) => losses
            .of_file()
            .weaker("what no policy covers is let through (`default = \"deny\"`)"),
        Some(Uncovered::Warn) => losses
            .of_file()
            .note("what no policy covers is let through without a warning"),
        Some(Uncovered::Allow) | None => {}
    }
    Ok(yaml::documents(&documents))
}

fn policy(
    source: &Source<'_>,
    scoped: &ScopedPolicy,
    losses: &mut Losses,
) -> Result<Option<Value>> {
    let mut telling = unsaid(source, scoped, losses);
    telling.unbound(scoped);
    let images = globs(scoped, &mut telling);
    if images.is_empty() {
        return Ok(None);
    }
    let mut written = Written::default();
    for rule in scoped.policy.rules() {
        written.rule(source, rule, &mut telling)?;
    }
    if written.conditions.is_empty() {
        telling.stricter("nothing that it asks for can be said: everything is refused");
        written.refuse();
    }
    Ok(Some(json!({
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "ImageValidatingPolicy",
        "metadata": {"name": kubernetes_name(&scoped.name)},
        "spec": spec(scoped.mode, images, written),
    })))
}

fn spec(mode: Mode, images: Vec<Value>, written: Written) -> Value {
    let actions = match mode {
        Mode::Enforce => json!(["Deny"]),
        Mode::Warn => json!(["Warn", "Audit"]),
    };
    let is_enforced = mode == Mode::Enforce;
    let validations = written.conditions.into_iter().flat_map(|condition| {
        IMAGES.map(|list| {
            json!({
                "expression": format!("images.{list}.all(image, {})", condition.holds),
                "message": condition.message,
            })
        })
    });
    let validations: Vec<_> = validations.collect();
    json!({
        "validationActions": actions,
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [{
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["pods", "pods/ephemeralcontainers"],
        }]},
        "matchImageReferences": images,
        "validationConfigurations": {
            "mutateDigest": is_enforced,
            "verifyDigest": is_enforced,
            "required": is_enforced,
        },
        "images": [{"name": "models", "expression": MODELS}],
        "attestors": written.attestors,
        "attestations": written.attestations,
        "validations": validations,
    })
}

/// Returns what matches the images of the policy's repositories. In these globs `*` goes on across
/// components, so that more is matched, and must be admitted.
fn globs(scoped: &ScopedPolicy, telling: &mut Telling<'_>) -> Vec<Value> {
    let mut globs = BTreeSet::new();
    for scope in &scoped.scopes {
        let scope = scope.to_string();
        let inner = scope.trim_end_matches("/**").contains('*');
        if scope.starts_with("oci:") {
            telling.note("a cluster has no layouts on disk: that scope is left out");
            continue;
        }
        if inner {
            telling.stricter(format!("`{scope}` is for deeper repositories as well"));
        }
        match scope.ends_with('*') {
            true => {
                globs.insert(scope.trim_end_matches('*').to_owned() + "*");
            }
            false => globs.extend([":*", "@*"].map(|end| format!("{scope}{end}"))),
        }
    }
    telling.note("where several policies match, all must be met, and not the most specific");
    globs
        .into_iter()
        .map(|glob| json!({"glob": glob}))
        .collect()
}

/// A condition that each image must meet.
struct Condition {
    holds: String,
    message: String,
}

/// What has been written of a policy.
#[derive(Default)]
struct Written {
    attestors: Vec<Value>,
    attestations: Vec<Value>,
    conditions: Vec<Condition>,
}

impl Written {
    fn refuse(&mut self) {
        self.conditions.push(Condition {
            holds: "false".to_owned(),
            message: "this policy cannot be said to Kyverno".to_owned(),
        });
    }

    fn rule(&mut self, source: &Source<'_>, rule: &Rule, telling: &mut Telling<'_>) -> Result<()> {
        match rule.requirement() {
            Requirement::Signature | Requirement::Attestation { .. } => {}
            Requirement::AnySignature => {
                telling.stricter("a model signature is not taken for a signature");
            }
            Requirement::ModelSignature => {
                telling.weaker("model signatures are not asked for");
                return Ok(());
            }
            Requirement::Provenance { level } => telling.level(*level),
        }
        let attestation = self.attestation(rule.requirement().predicate_type());
        let names = rule.authorities().cloned().unwrap_or_default();
        let mut groups = Vec::new();
        let mut parties = Vec::new();
        for party in Party::all(source, &names)? {
            let name = party.name.clone();
            match party.nameable(|signer| can_be_named(source, signer)) {
                Some(party) => {
                    groups.push(self.attestors(source, &party, rule, telling));
                    parties.push(party);
                }
                None => telling.stricter(format!("`{name}` is nobody there")),
            }
        }
        if rule.threshold() > 1 && may_overlap(&parties) {
            telling.weaker("one signer who is several authorities counts for each of them");
        }
        let mut holds = counted(&groups, rule.threshold(), &attestation);
        holds.push_str(&says(rule, &attestation, telling));
        let message = format!("a trusted {} is missing", rule.requirement());
        self.conditions.push(Condition { holds, message });
        Ok(())
    }

    /// Returns the name of the attestation of this type.
    fn attestation(&mut self, predicate_type: &str) -> String {
        let known = |one: &Value| one["intoto"]["type"] == predicate_type;
        let at = self.attestations.iter().position(known);
        let at = at.unwrap_or(self.attestations.len());
        let name = format!("type{}", at + 1);
        if at == self.attestations.len() {
            let written = json!({"name": name, "intoto": {"type": predicate_type}});
            self.attestations.push(written);
        }
        name
    }

    /// Returns the names of the attestors that stand for one authority.
    fn attestors(
        &mut self,
        source: &Source<'_>,
        party: &Party,
        rule: &Rule,
        telling: &mut Telling<'_>,
    ) -> Vec<String> {
        let demands = &rule.conditions().demands;
        if demands.contains(&Demand::Timestamped) {
            telling.weaker("timestamps are not asked for (`demand`)");
        }
        let logged = demands
            .iter()
            .any(|d| matches!(d, Demand::Logged | Demand::Included));
        let signers = party.signers.iter();
        let written = signers.map(|signer| cosign(source, signer, logged));
        let names = written.map(|cosign| {
            let known = self
                .attestors
                .iter()
                .position(|one| one["cosign"] == cosign);
            let at = known.unwrap_or_else(|| {
                // CEL takes a `-` for a minus.
                let name = kubernetes_name(&party.name).replace('-', "_");
                let name = format!("a{}_{name}", self.attestors.len() + 1);
                self.attestors.push(json!({"name": name, "cosign": cosign}));
                self.attestors.len() - 1
            });
            let name = self.attestors.get(at).map(|one| &one["name"]);
            name.and_then(Value::as_str).unwrap_or_default().to_owned()
        });
        names.collect()
    }
}

/// Returns the expression that so many authorities, each by one of its attestors, signed.
fn counted(groups: &[Vec<String>], threshold: usize, attestation: &str) -> String {
    let verified = |names: &[String]| {
        let list: Vec<_> = names
            .iter()
            .map(|name| format!("attestors.{name}"))
            .collect();
        let list = list.join(", ");
        format!("verifyAttestationSignatures(image, attestations.{attestation}, [{list}]) > 0")
    };
    if groups.len() < threshold {
        return "false".to_owned();
    }
    if threshold == 1 {
        return verified(&groups.concat());
    }
    let each = groups
        .iter()
        .map(|group| format!("({} ? 1 : 0)", verified(group)));
    format!("{} >= {threshold}", each.collect::<Vec<_>>().join(" + "))
}

/// Returns the expressions that a predicate says what it must.
fn says(rule: &Rule, attestation: &str, telling: &mut Telling<'_>) -> String {
    let payload = format!("extractPayload(image, attestations.{attestation})");
    let mut all = String::new();
    for constraint in rule.constraints() {
        match cel(constraint, &payload) {
            Some(holds) => all.push_str(&format!(" && {holds}")),
            None => telling.weaker(format!("it is not asked that {constraint}")),
        }
    }
    if rule.threshold() > 1 && !rule.constraints().is_empty() {
        telling.weaker("`where` is asked of one of the attestations, and not of each that counts");
    }
    all
}

/// Whether Kyverno can be told of a signer: for another instance it needs a TUF repository.
fn can_be_named(source: &Source<'_>, signer: &Signer) -> bool {
    match signer {
        Signer::Key(_) => true,
        Signer::Keyless { instance, .. } => {
            !matches!(source.file.instances.get(instance), Some(Instance::File(_)))
        }
        Signer::Certified { .. } | Signer::Pinned => false,
    }
}

fn cosign(source: &Source<'_>, signer: &Signer, logged: bool) -> Value {
    match signer {
        Signer::Key(pem) => match logged {
            true => json!({"key": {"data": pem}}),
            false => json!({"key": {"data": pem}, "ctlog": {"insecureIgnoreTlog": true}}),
        },
        Signer::Keyless {
            issuer,
            subject,
            instance,
        } => {
            let identity = match subject {
                Name::Exact(text) => json!({"issuer": issuer, "subject": text}),
                Name::Pattern(text) => json!({"issuer": issuer, "subjectRegExp": text}),
            };
            let keyless = json!({"identities": [identity]});
            match source.file.instances.get(instance) {
                Some(Instance::Repository { mirror, root }) => {
                    let root = source.files.get(root).map(|bytes| STANDARD.encode(bytes));
                    let tuf = json!({"mirror": mirror, "root": {"data": root}});
                    json!({"keyless": keyless, "tuf": tuf})
                }
                _ => json!({"keyless": keyless, "ctlog": {"url": "https://rekor.sigstore.dev"}}),
            }
        }
        Signer::Certified { .. } | Signer::Pinned => Value::Null,
    }
}
