//! What statements say about how a model came to be, field by field, and how much of it is proven.
//!
//! A signature proves who said a thing and not that it is so. Proven are only what is recomputed
//! here (the digest), what the signature itself shows (the signer), and what others who saw it
//! signed (the time). Everything else is that signer's claim.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::digest::Digest;
use crate::predicate::{SLSA_PROVENANCE_V1, TEST_RESULT};
use crate::provenance::dependency::{DIRTY, PYTHON_PACKAGES, REFERENCE, ROLE, Role, VERIFIED_BY};
use crate::provenance::evaluation::METRICS;
use crate::provenance::slsa::{COLLECTED, ENVIRONMENT};
use crate::statement::Statement;
use crate::trust::{SignerIdentity, Witness};

/// What is asked of a model's origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Which model it is.
    ModelHash,
    /// The code that made it.
    TrainingCodeCommit,
    /// The data it learned from.
    TrainingDataHash,
    /// The models it began with.
    BaseModelHash,
    /// Where it was made.
    TrainingEnvironment,
    /// The run that made it.
    TrainingPipelineId,
    /// Who says so.
    SignerIdentity,
    /// When.
    Timestamp,
    /// How it was tested.
    EvaluationResults,
}

impl Field {
    /// Every field, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::ModelHash,
        Self::TrainingCodeCommit,
        Self::TrainingDataHash,
        Self::BaseModelHash,
        Self::TrainingEnvironment,
        Self::TrainingPipelineId,
        Self::SignerIdentity,
        Self::Timestamp,
        Self::EvaluationResults,
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ModelHash => "model_hash",
            Self::TrainingCodeCommit => "training_code_commit",
            Self::TrainingDataHash => "training_data_hash",
            Self::BaseModelHash => "base_model_hash",
            Self::TrainingEnvironment => "training_environment",
            Self::TrainingPipelineId => "training_pipeline_id",
            Self::SignerIdentity => "signer_identity",
            Self::Timestamp => "timestamp",
            Self::EvaluationResults => "evaluation_results",
        }
    }
}

/// How much is known of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// It was verified here.
    Proven,
    /// A verified signer says so.
    Claimed,
    /// A verified signer says that a machine found it out.
    Collected,
    /// It is said, and nobody who is trusted signed it.
    Unverified,
    /// Nobody says anything.
    Unsaid,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proven => "proven",
            Self::Claimed => "claimed",
            Self::Collected => "claimed, collected",
            Self::Unverified => "not verified",
            Self::Unsaid => "not said",
        })
    }
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Row {
    /// What is asked.
    pub field: Field,
    /// How much is known of the answer.
    pub standing: Standing,
    /// The answer.
    pub value: String,
    /// By whom it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A statement about a model, and who signed it as far as that was verified.
#[derive(Debug, Clone)]
pub struct Stated {
    /// The statement.
    pub statement: Statement,
    /// The verified signer.
    pub signer: Option<SignerIdentity>,
    /// The verified witnesses.
    pub witnesses: Vec<Witness>,
}

/// Returns the table of what `stated` says about the artifact with the digest `model`: each field
/// at least once, in their order. Statements about anything else are passed over.
pub fn explain(model: &Digest, stated: &[Stated]) -> Vec<Row> {
    let mut rows = vec![Row {
        field: Field::ModelHash,
        standing: Standing::Proven,
        value: model.to_string(),
        by: Some("recomputed".to_owned()),
    }];
    for stated in stated.iter().filter(|s| s.statement.is_about(model)) {
        rows.extend(stated.witnessed());
        match stated.statement.predicate_type.as_str() {
            SLSA_PROVENANCE_V1 => rows.extend(stated.provenance()),
            TEST_RESULT => rows.extend(stated.evaluation()),
            _ => {}
        }
    }
    let said = |field| rows.iter().any(|row: &Row| row.field == field);
    let unsaid: Vec<_> = Field::ALL.into_iter().filter(|f| !said(*f)).collect();
    rows.extend(unsaid.into_iter().map(|field| Row {
        field,
        standing: Standing::Unsaid,
        value: String::new(),
        by: None,
    }));
    rows.sort();
    rows.dedup();
    rows
}

impl Stated {
    fn signer(&self) -> Option<String> {
        self.signer.as_ref().map(ToString::to_string)
    }

    /// Returns a line of something that is said, which is as good as whoever says it.
    fn row(&self, field: Field, value: String, standing: Standing) -> Row {
        Row {
            field,
            value,
            standing: match self.signer {
                Some(_) => standing,
                None => Standing::Unverified,
            },
            by: self.signer(),
        }
    }

    /// Returns who signed, and when by those who saw it.
    fn witnessed(&self) -> Vec<Row> {
        let Some(signer) = self.signer() else {
            return Vec::new();
        };
        let proven = |field, value, by| Row {
            field,
            standing: Standing::Proven,
            value,
            by,
        };
        let kind = match self.statement.predicate_type.as_str() {
            crate::statement::SIGNATURE => "signature",
            other => other,
        };
        let mut rows = vec![proven(Field::SignerIdentity, signer, Some(kind.to_owned()))];
        for witness in &self.witnesses {
            let (time, who) = match witness {
                Witness::Timestamp { authority, time } => (Some(time), authority),
                Witness::Log { log, time, .. } => (time.as_ref(), log),
            };
            let time = time.map(ToString::to_string);
            rows.extend(time.map(|time| proven(Field::Timestamp, time, Some(who.clone()))));
        }
        rows
    }

    fn provenance(&self) -> Vec<Row> {
        let predicate = &self.statement.predicate;
        let definition = &predicate["buildDefinition"];
        let internal = &definition["internalParameters"];
        let standing = |prefix: &str| {
            let collected = internal[COLLECTED].as_array().into_iter().flatten();
            let mut collected = collected.filter_map(Value::as_str);
            let is_meant = |name: &str| match prefix {
                // The table `[environment]`; images and packages have rows of their own.
                "environment." => ["python", "frameworks", "accelerator", "host"]
                    .iter()
                    .any(|field| name.strip_prefix(prefix) == Some(field)),
                prefix => name.starts_with(prefix),
            };
            match collected.any(is_meant) {
                true => Standing::Collected,
                false => Standing::Claimed,
            }
        };
        let mut rows = Vec::new();
        let dependencies = definition["resolvedDependencies"].as_array();
        for found in dependencies.into_iter().flatten() {
            if let Some((field, prefix)) = field_of(found) {
                rows.push(self.row(field, resource(found), standing(prefix)));
            }
        }
        let environment = environment(&internal[ENVIRONMENT]);
        rows.extend(
            environment
                .map(|value| self.row(Field::TrainingEnvironment, value, standing("environment."))),
        );
        let metadata = &predicate["runDetails"]["metadata"];
        if let Some(id) = metadata["invocationId"].as_str() {
            let standing = standing("run.pipeline");
            rows.push(self.row(Field::TrainingPipelineId, id.to_owned(), standing));
        }
        if let Some(time) = metadata["finishedOn"].as_str() {
            rows.push(self.row(Field::Timestamp, time.to_owned(), Standing::Claimed));
        }
        rows
    }

    fn evaluation(&self) -> Option<Row> {
        let predicate = &self.statement.predicate;
        let result = predicate["result"].as_str()?;
        let metrics = predicate[METRICS].as_object().into_iter().flatten();
        let metrics: Vec<_> = metrics
            .flat_map(|(test, figures)| {
                let figures = figures.as_object().into_iter().flatten();
                figures.map(move |(name, figure)| format!("{test}/{name} {figure}"))
            })
            .collect();
        let tests = ["passedTests", "warnedTests", "failedTests"];
        let tests = tests.iter().flat_map(|list| predicate[*list].as_array());
        let tests: Vec<_> = tests.flatten().filter_map(Value::as_str).collect();
        let detail = match metrics.is_empty() {
            true => tests.join(", "),
            false => metrics.join(", "),
        };
        let value = format!("{result} {detail}").trim_end().to_owned();
        Some(self.row(Field::EvaluationResults, value, Standing::Claimed))
    }
}

/// Returns what a dependency answers, and what its fields begin with where they were collected.
/// Provenance that another tool wrote names no role; a commit is then the code's.
fn field_of(dependency: &Value) -> Option<(Field, &'static str)> {
    let role = dependency["annotations"][ROLE].as_str();
    let role = role.and_then(Role::of_word);
    Some(match role {
        Some(Role::TrainingCode) => (Field::TrainingCodeCommit, "code."),
        None if dependency["digest"]["gitCommit"].is_string() => {
            (Field::TrainingCodeCommit, "code.")
        }
        Some(Role::TrainingData) => (Field::TrainingDataHash, "data."),
        Some(Role::BaseModel | Role::Adapter | Role::Teacher) => (Field::BaseModelHash, "base."),
        Some(Role::TrainingEnvironment) => match dependency["name"] == PYTHON_PACKAGES {
            true => (Field::TrainingEnvironment, "environment.packages"),
            false => (Field::TrainingEnvironment, "environment.image"),
        },
        Some(Role::ValidationData | Role::EvaluationData) | None => return None,
    })
}

/// Returns a dependency for people: its digest, and where it is.
fn resource(dependency: &Value) -> String {
    let digests = dependency["digest"].as_object().into_iter().flatten();
    let digests: Vec<_> = digests
        .filter_map(
            |(algorithm, digest)| match (algorithm.as_str(), digest.as_str()?) {
                ("gitCommit", commit) => Some(commit.to_owned()),
                (algorithm, digest) => Some(format!("{algorithm}:{digest}")),
            },
        )
        .collect();
    let places = [
        &dependency["annotations"][REFERENCE],
        &dependency["uri"],
        &dependency["name"],
    ];
    let place = places.iter().find_map(|place| place.as_str());
    let role = dependency["annotations"][ROLE].as_str();
    let role = role.filter(|role| matches!(*role, "adapter" | "teacher"));
    let changed = dependency["annotations"][DIRTY] == true;
    let checked = dependency["annotations"][VERIFIED_BY].as_str();
    let parts = [
        Some(digests.join(" ")).filter(|digests| !digests.is_empty()),
        place.map(|place| format!("({place})")),
        role.map(str::to_owned),
        changed.then(|| "with changes".to_owned()),
        checked.map(|signer| format!("verified then as signed by {signer}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn environment(found: &Value) -> Option<String> {
    let mut parts = Vec::new();
    let python = found["python"].as_str();
    parts.extend(python.map(|version| format!("python {version}")));
    for (name, version) in found["frameworks"].as_object().into_iter().flatten() {
        parts.extend(version.as_str().map(|version| format!("{name} {version}")));
    }
    for one in found["accelerators"].as_array().into_iter().flatten() {
        let name = one["name"].as_str().unwrap_or_default();
        let driver = one["driver"].as_str();
        let driver = driver.map_or(String::new(), |driver| format!(" (driver {driver})"));
        parts.push(format!("{} × {name}{driver}", one["count"]));
    }
    parts.extend(found["host"].as_str().map(str::to_owned));
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provenance::dependency::Dependency;
    use crate::provenance::{claim, run_file};
    use std::path::Path;

    fn stated(signer: Option<SignerIdentity>) -> Vec<Stated> {
        let text = include_str!("../../examples/run.toml");
        let mut run = run_file::parse(text, Path::new("run.toml")).unwrap();
        run.collected.insert("code.commit");
        let data = Dependency::new(Role::TrainingData, "reviews").hashed(&Digest::of(b"d"));
        let base = Dependency::new(Role::BaseModel, "bert").hashed(&Digest::of(b"b"));
        let claims = claim::all(&run, &[data, base]).unwrap();
        let stated = |claim: claim::Claim| Stated {
            statement: Statement::attestation(
                &Digest::of(b"model"),
                "m",
                claim.predicate_type,
                claim.predicate,
            ),
            signer: signer.clone(),
            witnesses: Vec::new(),
        };
        claims.into_iter().map(stated).collect()
    }

    fn signer() -> Option<SignerIdentity> {
        Some(SignerIdentity::Key {
            name: "release.pub".to_owned(),
            algorithm: "Ed25519".to_owned(),
            fingerprint: Digest::of(b"key"),
        })
    }

    fn standing(rows: &[Row], field: Field) -> Vec<Standing> {
        let rows = rows.iter().filter(|row| row.field == field);
        rows.map(|row| row.standing).collect()
    }

    #[test]
    fn all_nine_fields_have_their_place() {
        let rows = explain(&Digest::of(b"model"), &stated(signer()));
        for field in Field::ALL {
            let expected = match field {
                Field::ModelHash | Field::SignerIdentity => Standing::Proven,
                Field::TrainingCodeCommit => Standing::Collected,
                _ => Standing::Claimed,
            };
            let found = standing(&rows, field);
            assert!(
                !found.is_empty() && found.iter().all(|s| *s == expected),
                "{field:?} {found:?}"
            );
        }
        let told: String = rows.iter().map(|row| format!("{}\n", row.value)).collect();
        for value in [
            &Digest::of(b"d").hex(),
            &Digest::of(b"b").hex(),
            "3f786850e387550fdab836ed7e6dc881de23001b",
            "8 × NVIDIA H100 80GB HBM3 (driver 550.54.15)",
            "https://gitlab.example.com/acme/bert/-/pipelines/4711",
            "2026-01-31T12:17:42Z",
            "PASSED sst2/accuracy 0.931, sst2/loss 0.21",
        ] {
            assert!(told.contains(value), "{value}: {told}");
        }
    }

    #[test]
    fn what_nobody_who_is_trusted_signed_is_not_even_claimed() {
        let rows = explain(&Digest::of(b"model"), &stated(None));
        assert_eq!(standing(&rows, Field::SignerIdentity), [Standing::Unsaid]);
        for field in [
            Field::TrainingCodeCommit,
            Field::EvaluationResults,
            Field::Timestamp,
        ] {
            assert_eq!(standing(&rows, field), [Standing::Unverified], "{field:?}");
        }
    }

    #[test]
    fn statements_about_another_model_say_nothing_about_this_one() {
        let rows = explain(&Digest::of(b"another"), &stated(signer()));
        assert_eq!(standing(&rows, Field::ModelHash), [Standing::Proven]);
        let rest = rows.iter().filter(|row| row.field != Field::ModelHash);
        assert!(rest.clone().all(|row| row.standing == Standing::Unsaid));
        assert_eq!(rest.count(), 8);
    }

    #[test]
    fn a_witness_proves_the_time_that_the_signer_only_claims() {
        let mut stated = stated(signer());
        stated.truncate(1);
        stated[0].witnesses.push(Witness::Timestamp {
            authority: "tsa".to_owned(),
            time: "2026-02-01T00:00:00Z".parse().unwrap(),
        });
        let rows = explain(&Digest::of(b"model"), &stated);
        let found = standing(&rows, Field::Timestamp);
        assert_eq!(found, [Standing::Proven, Standing::Claimed]);
    }
}
