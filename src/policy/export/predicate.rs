//! What predicates must say, in the languages of other tools: Rego and CEL.
//!
//! What is missing or of another type must not pass there, either. Rego leaves a rule undefined for
//! it, CEL fails, and both refuse then; where only a type would tell, it is asked for.

use serde_json::Value;

use crate::policy::constraint::{Constraint, Operator};

/// Returns a Rego module by which policy-controller judges one attestation, and what it does not
/// ask. Its input is the statement.
pub(super) fn rego(constraints: &[Constraint]) -> (String, Vec<&Constraint>) {
    let mut lines = Vec::new();
    let mut left = Vec::new();
    for constraint in constraints {
        match place(constraint.pointer(), "input.predicate")
            .and_then(|place| rego_lines(constraint.operator(), &place))
        {
            Some(more) => lines.extend(more),
            None => left.push(constraint),
        }
    }
    let mut module = "package sigstore\nimport rego.v1\ndefault isCompliant := false\n".to_owned();
    module.push_str("isCompliant if {\n");
    if lines.is_empty() {
        lines.push("input.predicateType".to_owned());
    }
    for line in lines {
        module.push_str(&format!("  {line}\n"));
    }
    module.push_str("}\n");
    (module, left)
}

fn rego_lines(operator: &Operator, place: &str) -> Option<Vec<String>> {
    let age = |holds: &str| {
        vec![format!(
            "time.now_ns() - time.parse_rfc3339_ns({place}) {holds}"
        )]
    };
    let like = |pattern: &str| {
        let pattern = text(&whole(pattern));
        vec![
            format!("is_string({place})"),
            format!("regex.match({pattern}, {place})"),
        ]
    };
    let number = |compared: String| vec![format!("is_number({place})"), compared];
    Some(match operator {
        // An element is undefined, and not false, where nothing is there.
        Operator::Exists => vec![format!("count([{place}]) == 1")],
        Operator::Equals(value) => vec![format!("{place} == {value}")],
        Operator::OneOf(values) => vec![format!("{place} in {}", list(values))],
        Operator::Glob(glob) => like(&glob.to_regexp()),
        Operator::Pattern(pattern) => like(pattern.as_str()),
        Operator::Below(prefix) => vec![format!(
            "startswith(concat(\"\", [{place}, \"/\"]), {})",
            text(&format!("{prefix}/"))
        )],
        Operator::Contains(value) => {
            vec![format!("is_array({place})"), format!("{value} in {place}")]
        }
        Operator::ContainsOneOf(values) => vec![
            format!("is_array({place})"),
            format!(
                "count([found | some found in {place}; found in {}]) > 0",
                list(values)
            ),
        ],
        Operator::Min(limit) => number(format!("{place} >= {limit}")),
        Operator::Max(limit) => number(format!("{place} <= {limit}")),
        Operator::MaxAge(limit) => {
            let mut lines = age(&format!("<= {}", limit.as_nanos()));
            lines.extend(age(">= 0"));
            lines
        }
        Operator::MinAge(limit) => age(&format!(">= {}", limit.as_nanos())),
        Operator::Absent | Operator::EqualsClaim(_) | Operator::Each(_) => return None,
    })
}

/// Returns a CEL expression by which Kyverno judges the payload of an attestation, if it can be
/// asked that.
pub(super) fn cel(constraint: &Constraint, payload: &str) -> Option<String> {
    let place = place(constraint.pointer(), &format!("{payload}.predicate"))?;
    let like = |pattern: &str| {
        let pattern = text(&whole(pattern));
        format!("(type({place}) == string && {place}.matches({pattern}))")
    };
    // Texts of digits could be converted, too.
    let number = |holds: String| format!("(type({place}) != string && double({place}) {holds})");
    Some(match constraint.operator() {
        Operator::Exists => format!("[{place}].size() == 1"),
        Operator::Equals(value) => format!("{place} == {value}"),
        Operator::OneOf(values) => format!("{place} in {}", list(values)),
        Operator::Glob(glob) => like(&glob.to_regexp()),
        Operator::Pattern(pattern) => like(pattern.as_str()),
        Operator::Below(prefix) => {
            let prefix = text(&format!("{prefix}/"));
            format!("({place} + \"/\").startsWith({prefix})")
        }
        Operator::Contains(value) => format!("{place}.exists(element, element == {value})"),
        Operator::ContainsOneOf(values) => {
            format!("{place}.exists(element, element in {})", list(values))
        }
        Operator::Min(limit) => number(format!(">= double({limit})")),
        Operator::Max(limit) => number(format!("<= double({limit})")),
        Operator::Absent
        | Operator::EqualsClaim(_)
        | Operator::MaxAge(_)
        | Operator::MinAge(_)
        | Operator::Each(_) => return None,
    })
}

/// Returns the place that a JSON Pointer means below `root`. A number can be a position in a list
/// or a name, which a pointer leaves open and these languages do not.
fn place(pointer: &str, root: &str) -> Option<String> {
    let mut place = root.to_owned();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        if !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        place.push_str(&format!("[{}]", text(&token)));
    }
    Some(place)
}

/// Returns a regular expression that matches from beginning to end, in Go's syntax.
fn whole(pattern: &str) -> String {
    format!("^(?:{pattern})$")
}

/// Returns a text as JSON quotes it, which both languages read the same.
fn text(text: &str) -> String {
    Value::from(text).to_string()
}

fn list(values: &[Value]) -> String {
    Value::from(values.to_vec()).to_string()
}
