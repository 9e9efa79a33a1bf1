use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::provenance::run::Kind;

const EXAMPLE: &str = include_str!("../../../examples/run.toml");

fn read(text: &str) -> Result<Run> {
    parse(text, Path::new("run.toml"))
}

fn refusal(text: &str) -> String {
    let error = read(text).expect_err(text);
    assert_eq!(error.reason(), Reason::RunFileInvalid, "{text}");
    error.message().to_owned()
}

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../docs/run.schema.json")).unwrap()
}

#[test]
fn the_example_says_all_of_it() {
    let run = read(EXAMPLE).unwrap();
    assert_eq!(run.kind, Some(Kind::FineTune));
    assert_eq!(run.data.len(), 3);
    assert_eq!(run.base.len(), 2);
    assert_eq!(run.environment.accelerators[0].count, 8);
    assert_eq!(run.parameters["lora"]["targets"], json!(["query", "value"]));
    assert_eq!(run.parameters["learning_rate"], json!(2e-5));
    assert_eq!(run.evaluations[0].outcome, Outcome::Passed);
    assert_eq!(run.started.unwrap().to_string(), "2026-01-31T09:00:00Z");
    assert!(run.collected.is_empty());
}

#[test]
fn the_template_is_a_run_file_with_every_field() {
    assert_eq!(read(TEMPLATE).unwrap().kind, Some(Kind::FineTune));
    let mut missing = fields(&schema(), &schema());
    missing.retain(|name| !TEMPLATE.contains(name.rsplit('.').next().unwrap()));
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_is_not_understood_is_named_with_its_line() {
    let hex = "0".repeat(64);
    for (text, line, said) in [
        (
            "schema = 1\n\n[run]\ntyp = \"train\"\n",
            4,
            "unknown field `typ`",
        ),
        ("schema = 1\n[runs]\n", 2, "unknown field `runs`"),
        (
            "schema = 1\n[run]\ntype = \"training\"\n",
            3,
            "no kind of run",
        ),
        ("schema = 2\n", 1, "schema = 1"),
        ("\nschema = 1\nschema = 1\n", 3, "duplicate"),
        ("schema = 1\n[code]\ncommit = \"HEAD\"\n", 3, "no commit"),
        ("schema = 1\n[run]\nbuilder = \"ci\"\n", 3, "no URI"),
        ("schema = 1\n[run]\nstarted = 2026-01-31\n", 3, "no time"),
        ("schema = 1\n[run]\nstarted = 5\n", 3, "no time"),
        (
            "schema = 1\n[[data]]\nname = \"x\"\n",
            2,
            "data has a `path`",
        ),
        (
            "schema = 1\n[[data]]\npath = \"a\"\n[[data]]\nuri = \"s3://b/c\"\n",
            4,
            "data has",
        ),
        (
            "schema = 1\n[[data]]\nuri = \"s3://b/c\"\ndigest = \"sha256:00\"\n",
            4,
            "digest",
        ),
        (
            &format!(
                "schema = 1\n[[base]]\nreference = \"r.example.com/a:v1\"\ndigest = \"sha256:{hex}\"\n"
            ),
            2,
            "a base model has",
        ),
        (
            "schema = 1\n[[base]]\nreference = \"bert\"\n",
            3,
            "not a reference",
        ),
        (
            "schema = 1\n[[base]]\nrole = \"parent\"\n",
            3,
            "no role of a model",
        ),
        (
            "schema = 1\n[[data]]\npath = \"a\"\nrole = \"test\"\n",
            4,
            "no role of data",
        ),
        ("schema = 1\n[[output]]\npath = \"../x\"\n", 3, "file name"),
        ("schema = 1\n[parameters]\nx = nan\n", 2, "JSON cannot"),
        (
            "schema = 1\n[[evaluation]]\nname = \"e\"\n",
            2,
            "`thresholds` or a `result`",
        ),
        (
            "schema = 1\n[[evaluation]]\nname = \"e\"\nresult = \"passed\"\ndataset = \"d\"\n",
            2,
            "names no",
        ),
        (
            "schema = 1\n[[evaluation]]\nname = \"e\"\nthresholds = { a = { min = 1 } }\n",
            2,
            "no such metric",
        ),
        (
            "schema = 1\n[[evaluation]]\nname = \"e\"\nresult = \"passed\"\nmetrics = { a = 1 }\nthresholds = { a = { min = 2 } }\n",
            2,
            "not met",
        ),
        (
            "schema = 1\n[[evaluation]]\nname = \"e\"\nresult = \"passed\"\nmetrics = { a = inf }\n",
            2,
            "not a number",
        ),
        ("schema = 1\n[run\n", 2, ""),
        (
            "schema = 1\n[parameters]\na = 1\nkey = \"-----BEGIN PRIVATE KEY-----\"\n",
            4,
            "a private key",
        ),
        (
            "schema = 1\n[[data]]\nuri = \"https://u:p@e.com/x\"\n",
            3,
            "a URL with a password",
        ),
    ] {
        let message = refusal(text);
        let place = format!("`run.toml`, line {line}, ");
        assert!(
            message.starts_with(&place) && message.contains(said),
            "{text}: {message}"
        );
    }
}

#[test]
fn the_schema_and_the_reader_know_the_same_fields() {
    let schema = schema();
    let known = known_fields();
    let listed = fields(&schema, &schema);
    assert_eq!(known, listed);
    assert!(listed.contains("evaluation.thresholds.*.min"), "{listed:?}");
}

#[test]
fn the_example_is_valid_by_the_schema_and_its_damage_is_not() {
    let schema = schema();
    let example = json_of(toml::from_str(EXAMPLE).unwrap()).unwrap();
    validate(&example, &schema, &schema).unwrap();
    for (pointer, value) in [
        ("/schema", json!(2)),
        ("/run/type", json!("training")),
        ("/data/0/role", json!("x")),
        ("/data/0/digest", json!("sha256:00")),
        ("/code/commit", json!("main")),
        ("/environment/accelerator/0/count", json!("8")),
        ("/evaluation/0/thresholds/accuracy", json!(1)),
        ("/output/0", json!({"paths": "x"})),
        ("/output/0", json!({})),
    ] {
        let mut damaged = example.clone();
        *damaged.pointer_mut(pointer).unwrap() = value;
        validate(&damaged, &schema, &schema).expect_err(pointer);
    }
}

/// Returns every field that a schema names, by its path; `*` is any name.
fn fields(node: &Value, root: &Value) -> BTreeSet<String> {
    let node = resolved(node, root);
    let mut found = BTreeSet::new();
    let mut below = |name: &str, child: &Value| {
        let inner = fields(child, root);
        found.extend(inner.iter().map(|path| format!("{name}.{path}")));
        if name != "*" {
            found.insert(name.to_owned());
        }
    };
    for (name, child) in node["properties"].as_object().into_iter().flatten() {
        below(name, child);
    }
    if node["additionalProperties"].is_object() {
        below("*", &node["additionalProperties"]);
    }
    if node["items"].is_object() {
        return fields(&node["items"], root);
    }
    found
}

fn resolved<'a>(node: &'a Value, root: &'a Value) -> &'a Value {
    match node["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => node,
    }
}

/// Returns every field that the reader knows: it says which when it meets one that it does not.
fn known_fields() -> BTreeSet<String> {
    let tables = [
        ("", "zz = 1"),
        ("run", "[run]\nzz = 1"),
        ("model", "[model]\nzz = 1"),
        ("code", "[code]\nzz = 1"),
        ("data", "[[data]]\nzz = 1"),
        ("base", "[[base]]\nzz = 1"),
        ("environment", "[environment]\nzz = 1"),
        (
            "environment.accelerator",
            "[[environment.accelerator]]\nzz = 1",
        ),
        ("output", "[[output]]\nzz = 1"),
        ("evaluation", "[[evaluation]]\nzz = 1"),
        (
            "evaluation.thresholds.*",
            "[[evaluation]]\nname = \"e\"\nthresholds = { a = { zz = 1 } }",
        ),
    ];
    let mut known = BTreeSet::new();
    for (table, text) in tables {
        let message = refusal(&format!("schema = 1\n{text}\n"));
        let (_, listed) = message.split_once("expected").expect(&message);
        for name in listed.split('`').skip(1).step_by(2) {
            known.insert(match table {
                "" => name.to_owned(),
                table => format!("{table}.{name}"),
            });
        }
    }
    known
}

/// Checks the part of JSON Schema that ours uses.
fn validate(value: &Value, node: &Value, root: &Value) -> Result<(), String> {
    let node = resolved(node, root);
    let fits = match node["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    let is_listed = node["enum"]
        .as_array()
        .is_none_or(|all| all.contains(value));
    let is_constant = node.get("const").is_none_or(|only| only == value);
    let matches = node["pattern"].as_str().is_none_or(|pattern| {
        let pattern = regex::Regex::new(pattern).unwrap();
        pattern.is_match(value.as_str().unwrap_or_default())
    });
    if !(fits && is_listed && is_constant && matches) {
        return Err(format!("{value} is not {node}"));
    }
    for item in value.as_array().into_iter().flatten() {
        validate(item, &node["items"], root)?;
    }
    let empty = serde_json::Map::new();
    let object = value.as_object().unwrap_or(&empty);
    for name in node["required"].as_array().into_iter().flatten() {
        if !object.contains_key(name.as_str().unwrap()) {
            return Err(format!("{value} lacks {name}"));
        }
    }
    for (name, value) in object {
        match (&node["properties"][name], &node["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => return Err(format!("{name} is not known")),
            (Value::Null, rest) => validate(value, rest, root)?,
            (property, _) => validate(value, property, root)?,
        }
    }
    Ok(())
}
