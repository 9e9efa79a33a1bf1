//! What predicates must say.

use serde_json::Value;

use super::node::{Fields, Node};
use crate::error::Result;
use crate::policy::constraint::{Constraint, DEPTH, Glob, Operator, Pattern};
use crate::slsa::Level;
use crate::trust::sigstore::Claim;

pub(super) fn constraints(node: Node<'_>, depth: usize) -> Result<Vec<Constraint>> {
    if depth > DEPTH {
        return Err(node.wrong("`each` is nested too deeply"));
    }
    let nodes = node.list()?.into_iter();
    nodes.map(|node| constraint(node, depth)).collect()
}

fn constraint(node: Node<'_>, depth: usize) -> Result<Constraint> {
    let mut fields = node.table()?;
    let path = fields.need("path")?;
    let mut operators = Vec::new();
    for name in OPERATORS {
        if let Some(node) = fields.take(name) {
            operators.push(operator(name, node, depth)?);
        }
    }
    fields.finish()?;
    let count = operators.len();
    match operators.pop() {
        Some(operator) if count == 1 => {
            // The whole predicate is at the empty pointer, which `text` would refuse.
            let pointer = match path.scalar()?.as_str() {
                Some("") => "",
                _ => path.text()?,
            };
            Constraint::new(pointer, operator).map_err(|error| path.is_wrong(&error))
        }
        _ => Err(node.wrong(&format!("it needs one of {}", OPERATORS.join(", ")))),
    }
}

const OPERATORS: [&str; 14] = [
    "exists",
    "absent",
    "equals",
    "equals_claim",
    "one_of",
    "glob",
    "regexp",
    "below",
    "contains",
    "min",
    "max",
    "max_age",
    "min_age",
    "each",
];

fn operator(name: &str, node: Node<'_>, depth: usize) -> Result<Operator> {
    Ok(match name {
        "exists" => flag(node, Operator::Exists)?,
        "absent" => flag(node, Operator::Absent)?,
        "equals" => Operator::Equals(node.scalar()?),
        "equals_claim" => Operator::EqualsClaim(claim(node)?),
        "one_of" => {
            let values = node.list()?.into_iter().map(|node| node.scalar());
            Operator::OneOf(values.collect::<Result<_>>()?)
        }
        "glob" => Operator::Glob(Glob::new(node.text()?).map_err(|e| node.is_wrong(&e))?),
        "regexp" => Operator::Pattern(Pattern::new(node.text()?).map_err(|e| node.is_wrong(&e))?),
        "below" => Operator::Below(node.text()?.to_owned()),
        "contains" => Operator::Contains(node.scalar()?),
        "min" => Operator::Min(node.number()?),
        "max" => Operator::Max(node.number()?),
        "max_age" => Operator::MaxAge(node.duration()?),
        "min_age" => Operator::MinAge(node.duration()?),
        _ => Operator::Each(constraints(node, depth + 1)?),
    })
}

/// Reads `exists = true`; `exists = false` would read as the opposite, which it is not.
fn flag(node: Node<'_>, operator: Operator) -> Result<Operator> {
    match node.boolean()? {
        true => Ok(operator),
        false => Err(node.wrong("this can only be true; the opposite is `absent` or `exists`")),
    }
}

fn claim(node: Node<'_>) -> Result<Claim> {
    let name = node.text()?;
    Claim::named(name).ok_or_else(|| node.wrong(&format!("there is no claim `{name}`")))
}

/// The fields of a requirement that say what a verification summary must say.
pub(super) fn summary(fields: &mut Fields<'_>) -> Result<Vec<Constraint>> {
    let mut constraints = vec![Constraint::new(
        "/verificationResult",
        Operator::Equals("PASSED".into()),
    )?];
    let verifier = fields.need("verifier")?.text()?;
    constraints.push(Constraint::new(
        "/verifier/id",
        Operator::Equals(verifier.into()),
    )?);
    if let Some(levels) = fields.take("levels") {
        for level in levels.list()? {
            let has = Operator::ContainsOneOf(implying(level.text()?));
            constraints.push(Constraint::new("/verifiedLevels", has)?);
        }
    }
    Ok(constraints)
}

/// Returns the levels of which each implies `level`: a summary names the highest only, as
/// [SLSA](https://slsa.dev/spec/v1.2/verification_summary) asks.
fn implying(level: &str) -> Vec<Value> {
    let found = Level::ALL.iter().position(|known| known.name() == level);
    match found.and_then(|at| Level::ALL.get(at..)) {
        Some(levels) => levels.iter().map(|known| known.name().into()).collect(),
        None => vec![level.into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_implied_by_those_above_it_and_by_no_other() {
        let two = ["SLSA_BUILD_LEVEL_2", "SLSA_BUILD_LEVEL_3"];
        assert_eq!(implying("SLSA_BUILD_LEVEL_2"), two);
        assert_eq!(implying("SLSA_BUILD_LEVEL_3"), two[1..]);
        for other in ["SLSA_SOURCE_LEVEL_2", "SLSA_BUILD_LEVEL_4", "ACME_REVIEWED"] {
            assert_eq!(implying(other), [other]);
        }
    }
}
