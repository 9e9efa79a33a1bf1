//! Which policy is for which repositories, and what it asks for.

use std::collections::{BTreeMap, BTreeSet};

use super::authorities::Trusted;
use super::builders::{check_reached, of_level, provenance};
use super::chain::{self, ChainRule};
use super::constraints::{constraints, summary};
use super::content::content;
use super::node::{Fields, Node};
use super::{Mode, ScopedPolicy};
use crate::error::Result;
use crate::oms;
use crate::policy::{
    Binding, Conditions, Demand, Downgrade, Policy, Remap, Requirement, Rule, Scope,
};
use crate::predicate::{PredicateType, VERIFICATION_SUMMARY};
use crate::slsa::Builders;
use crate::statement;

type Known = BTreeMap<String, Trusted>;

pub(super) fn policies(
    node: Node<'_>,
    known: &Known,
    builders: &Builders,
) -> Result<Vec<ScopedPolicy>> {
    let mut policies: Vec<ScopedPolicy> = Vec::new();
    let mut scopes: Vec<(Scope, Node<'_>)> = Vec::new();
    let mut uses = Vec::new();
    for node in node.list()? {
        let (policy, own) = policy(node, known, builders, &mut uses)?;
        if policies.iter().any(|other| other.name == policy.name) {
            return Err(node.wrong(&format!("there is another policy `{}`", policy.name)));
        }
        for (scope, node) in own {
            if scopes.iter().any(|(other, _)| other.ties_with(&scope)) {
                let why = format!("`{scope}` stands twice, and it could not be said which counts");
                return Err(node.wrong(&why));
            }
            scopes.push((scope, node));
        }
        policies.push(policy);
    }
    chain::check_uses(&uses, &policies)?;
    for (scope, node) in &scopes {
        let others = || scopes.iter().map(|(other, _)| other);
        if scope.is_hidden_by(others) {
            let why = format!("`{scope}` is never reached: more specific scopes cover all of it");
            return Err(node.wrong(&why));
        }
    }
    Ok(policies)
}

/// Reads a policy, and adds to `uses` where it names others.
fn policy<'a>(
    node: Node<'a>,
    known: &Known,
    builders: &Builders,
    uses: &mut Vec<Node<'a>>,
) -> Result<(ScopedPolicy, Vec<(Scope, Node<'a>)>)> {
    let mut fields = node.table()?;
    let name = fields.need("name")?.text()?.to_owned();
    let mut scopes = Vec::new();
    for node in fields.need("scopes")?.list()? {
        let scope = Scope::new(node.text()?).map_err(|error| node.is_wrong(&error))?;
        scopes.push((scope, node));
    }
    let mode = fields
        .take("mode")
        .map(|node| node.one_of(&[("enforce", Mode::Enforce), ("warn", Mode::Warn)]));
    let downgrade = fields
        .take("downgrade")
        .map(|node| node.one_of(&[("deny", Downgrade::Deny), ("allow", Downgrade::Allow)]));
    let conditions = conditions(&mut fields)?;
    let content = content(fields.take("content"))?;
    let rules = rules(&mut fields, known, builders, &conditions)?;
    let chain = fields.take("chain");
    let chain: Option<ChainRule> = chain.map(|n| chain::rule(n, known, uses)).transpose()?;
    fields.finish()?;
    let downgrade = downgrade.transpose()?.unwrap_or(Downgrade::Allow);
    let policy = ScopedPolicy {
        name,
        scopes: scopes.iter().map(|(scope, _)| scope.clone()).collect(),
        mode: mode.transpose()?.unwrap_or(Mode::Enforce),
        conditions,
        policy: Policy::of_rules(rules)?
            .on_downgrade(downgrade)
            .believing(builders.clone())
            .containing(content),
        chain,
    };
    Ok((policy, scopes))
}

/// Reads what is required: in full, and by `slsa_level` in short.
fn rules(
    fields: &mut Fields<'_>,
    known: &Known,
    builders: &Builders,
    conditions: &Conditions,
) -> Result<Vec<Rule>> {
    let least = fields.take("slsa_level");
    let required = match least {
        Some(_) => fields.take("require"),
        None => Some(fields.need("require")?),
    };
    let mut rules = Vec::new();
    for node in required.map_or(Ok(Vec::new()), |node| node.list())? {
        rules.push(rule(node, known, builders, conditions)?);
    }
    if let Some(node) = least {
        rules.push(of_level(node, &rules, builders)?.provided(conditions.clone()));
    }
    Ok(rules)
}

/// Reads what must hold of each signature that is to count.
fn conditions(fields: &mut Fields<'_>) -> Result<Conditions> {
    let remap = fields.take("remap");
    let remaps = match remap {
        Some(node) => node
            .table()?
            .named()
            .map(one_remap)
            .collect::<Result<_>>()?,
        None => Vec::new(),
    };
    let binding = match fields.take("names") {
        Some(node) => match node.one_of(&[("any", 0), ("repository", 1), ("tag", 2)])? {
            1 => Binding::Repository(remaps),
            2 => Binding::Tag(remaps),
            _ => Binding::Any,
        },
        None => Binding::Any,
    };
    if let (Some(node), Binding::Any) = (remap, &binding) {
        return Err(
            node.wrong("`remap` means nothing without `names = \"repository\"` or `\"tag\"`")
        );
    }
    let max_age = fields.take("max_signature_age").map(|node| node.duration());
    let least = fields.take("min_signature_age");
    let (max_age, min_age) = (
        max_age.transpose()?,
        least.map(|node| node.duration()).transpose()?,
    );
    if let (Some(node), Some(max), Some(min)) = (least, max_age, min_age)
        && min > max
    {
        return Err(
            node.wrong("no signature is older than this and younger than `max_signature_age`")
        );
    }
    Ok(Conditions {
        demands: Vec::new(),
        binding,
        max_age,
        min_age,
    })
}

fn one_remap((asked, node): (&str, Node<'_>)) -> Result<Remap> {
    let whole = |text: &str| !text.is_empty() && !text.ends_with('/') && !text.contains('*');
    let signed = node.text()?;
    if !whole(asked) || !whole(signed) {
        let why = "a name is a host, or a host and whole components of a repository";
        return Err(node.wrong(why));
    }
    Ok(Remap {
        asked: asked.to_owned(),
        signed: signed.to_owned(),
    })
}

#[derive(Clone, Copy)]
enum Kind {
    Signature,
    ModelSignature,
    AnySignature,
    Attestation,
    Provenance,
    Summary,
}

fn rule(
    node: Node<'_>,
    known: &Known,
    builders: &Builders,
    conditions: &Conditions,
) -> Result<Rule> {
    let mut fields = node.table()?;
    let kind = fields.need("kind")?.one_of(&[
        ("signature", Kind::Signature),
        ("model-signature", Kind::ModelSignature),
        ("any-signature", Kind::AnySignature),
        ("attestation", Kind::Attestation),
        ("provenance", Kind::Provenance),
        ("vsa", Kind::Summary),
    ])?;
    let attestation = |predicate_type: &str| Requirement::Attestation {
        predicate_type: predicate_type.to_owned(),
    };
    let (requirement, mut must_say) = match kind {
        Kind::Signature => (Requirement::Signature, Vec::new()),
        Kind::ModelSignature => (Requirement::ModelSignature, Vec::new()),
        Kind::AnySignature => (Requirement::AnySignature, Vec::new()),
        Kind::Attestation => (attestation(&predicate_type(&mut fields)?), Vec::new()),
        Kind::Provenance => (provenance(&mut fields)?, Vec::new()),
        Kind::Summary => (attestation(VERIFICATION_SUMMARY), summary(&mut fields)?),
    };
    match (fields.take("where"), kind) {
        (None, _) => {}
        (Some(node), Kind::Signature | Kind::ModelSignature | Kind::AnySignature) => {
            return Err(node.wrong("a signature says nothing that `where` could be about"));
        }
        (Some(node), _) => must_say.extend(constraints(node, 1)?),
    }
    let mut conditions = conditions.clone();
    if let Some(node) = fields.take("demand") {
        conditions.demands = node.list()?.iter().map(demand).collect::<Result<_>>()?;
    }
    let asked = fields.need("authorities")?;
    let threshold = fields.take("threshold");
    let rule = by(Rule::new(requirement), named(asked, known)?, threshold)?;
    check_reached(asked, &rule, builders)?;
    fields.finish()?;
    Ok(rule.saying(must_say).provided(conditions))
}

fn predicate_type(fields: &mut Fields<'_>) -> Result<String> {
    let node = fields.need("predicate_type")?;
    let text = node.text()?;
    if oms::is_model_signature(text) {
        return Err(node.wrong("that is a model signature: `kind = \"model-signature\"`"));
    }
    if text == statement::SIGNATURE {
        return Err(node.wrong("that is a signature: `kind = \"signature\"`"));
    }
    let parsed = text.parse::<PredicateType>();
    Ok(parsed.map_err(|error| node.is_wrong(&error))?.to_string())
}

fn by(rule: Rule, authorities: BTreeSet<String>, threshold: Option<Node<'_>>) -> Result<Rule> {
    let Some(node) = threshold else {
        return rule.by(authorities, 1);
    };
    // What is negative is as much out of range as what is too large.
    let threshold = usize::try_from(node.integer()?).unwrap_or(usize::MAX);
    let found = rule.by(authorities, threshold);
    found.map_err(|error| node.is_wrong(&error))
}

fn demand(node: &Node<'_>) -> Result<Demand> {
    node.one_of(&[
        ("logged", Demand::Logged),
        ("included", Demand::Included),
        ("timestamped", Demand::Timestamped),
    ])
}

/// Reads names of authorities, each of which must be known and stand there once.
pub(super) fn named(node: Node<'_>, known: &Known) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for node in node.list()? {
        let name = node.text()?;
        if !known.contains_key(name) {
            return Err(node.wrong(&format!("there is no authority `{name}`")));
        }
        if !names.insert(name.to_owned()) {
            return Err(node.wrong(&format!("`{name}` stands here twice")));
        }
    }
    Ok(names)
}
