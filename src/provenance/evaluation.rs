//! An evaluation as in-toto's test result of version 0.1
//! ([spec](https://github.com/in-toto/attestation/blob/v1.1.0/spec/predicates/test-result.md)).

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::predicate::{self, PredicateType, TEST_RESULT};
use crate::provenance::dependency::Dependency;
use crate::provenance::run::{Evaluation, Outcome};

/// The field of our own with the figures: the specification has names of tests only.
pub const METRICS: &str = "modelctl_metrics";

/// Returns the predicate that says what came of `evaluation`, by the data among `dependencies`
/// that it names.
pub fn predicate(evaluation: &Evaluation, dependencies: &[Dependency]) -> Result<Value> {
    let is_dataset = |found: &&Dependency| Some(&found.name) == evaluation.dataset.as_ref();
    let dataset = dependencies.iter().find(is_dataset);
    let suite = evaluation.suite.as_ref().map(|uri| json!({ "uri": uri }));
    let configuration = suite
        .into_iter()
        .chain(dataset.map(Dependency::to_resource));
    let mut predicate = Map::from_iter([
        ("result".to_owned(), evaluation.outcome.word().into()),
        ("configuration".to_owned(), configuration.collect()),
        ("passedTests".to_owned(), passed(evaluation)),
        ("failedTests".to_owned(), failed(evaluation)),
    ]);
    if evaluation.outcome == Outcome::Warned {
        predicate.insert("warnedTests".to_owned(), json!([evaluation.name]));
    }
    if let Some(report) = &evaluation.report {
        predicate.insert("url".to_owned(), report.clone().into());
    }
    if !evaluation.metrics.is_empty() {
        let metrics = json!({ &evaluation.name: evaluation.metrics });
        predicate.insert(METRICS.to_owned(), metrics);
    }
    let predicate = Value::from(predicate);
    let predicate_type: PredicateType = TEST_RESULT.parse()?;
    predicate::check(&predicate_type, &predicate)?;
    Ok(predicate)
}

/// Returns the names of what passed: the metrics with thresholds, or the test as a whole.
fn passed(evaluation: &Evaluation) -> Value {
    match evaluation.outcome {
        Outcome::Passed if evaluation.passed.is_empty() => json!([evaluation.name]),
        _ => names(evaluation, &evaluation.passed),
    }
}

fn failed(evaluation: &Evaluation) -> Value {
    match evaluation.outcome {
        Outcome::Failed if evaluation.failed.is_empty() => json!([evaluation.name]),
        _ => names(evaluation, &evaluation.failed),
    }
}

fn names(evaluation: &Evaluation, metrics: &[String]) -> Value {
    let name = |metric: &String| format!("{}/{metric}", evaluation.name);
    metrics.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provenance::run_file;
    use std::path::Path;

    fn evaluated(evaluation: &str) -> Value {
        let text = format!("schema = 1\n[[evaluation]]\nname = \"e\"\n{evaluation}\n");
        let run = run_file::parse(&text, Path::new("run.toml")).unwrap();
        predicate(&run.evaluations[0], &[]).unwrap()
    }

    #[test]
    fn thresholds_decide_and_every_figure_is_told() {
        let both = "metrics = { a = 0.9, b = 2.0, c = 1 }\n\
                    thresholds = { a = { min = 0.8 }, b = { max = 1.0 } }";
        let found = evaluated(both);
        assert_eq!(found["result"], "FAILED");
        assert_eq!(found["passedTests"], json!(["e/a"]));
        assert_eq!(found["failedTests"], json!(["e/b"]));
        assert_eq!(found[METRICS], json!({"e": {"a": 0.9, "b": 2.0, "c": 1.0}}));
        let met = "metrics = { a = 0.9 }\nthresholds = { a = { min = 0.9, max = 0.9 } }";
        assert_eq!(evaluated(met)["result"], "PASSED");
    }

    #[test]
    fn a_result_that_was_said_stands_for_the_whole() {
        for (said, result, list) in [
            ("passed", "PASSED", "passedTests"),
            ("warned", "WARNED", "warnedTests"),
            ("failed", "FAILED", "failedTests"),
        ] {
            let found = evaluated(&format!("result = \"{said}\""));
            assert_eq!(found["result"], result);
            assert_eq!(found[list], json!(["e"]));
        }
    }
}
