//! A run as SLSA provenance of version 1 ([spec](https://slsa.dev/spec/v1.1/provenance)).
//!
//! Values that were passed in are `externalParameters`, what the platform is stands in
//! `internalParameters`, and every digest is a `resolvedDependencies`. Who signed is never in the
//! payload: only the signature says that. Fields of our own bear our name, as the specification
//! asks of extensions.

use serde_json::{Map, Value, json};

use crate::error::{Error, Reason, Result};
use crate::predicate::{self, PredicateType, SLSA_PROVENANCE_V1};
use crate::provenance::dependency::{DIRTY, Dependency, Role};
use crate::provenance::run::{Base, BaseSource, Data, DataSource, Environment, Kind, Run};

/// The `builder.id` of a run that no known platform started.
pub const SELF_RUN: &str =
    "https://github.com/modelctl/modelctl/blob/main/docs/provenance.md#self-run";

/// The internal parameter that lists the fields that were collected and not written by anybody.
pub const COLLECTED: &str = "modelctl_collected";

/// The internal parameter that says where the run took place.
pub const ENVIRONMENT: &str = "modelctl_environment";

/// Returns the predicate that says how the model came to be from `dependencies`.
///
/// It follows from its arguments alone: without a clock, the same run gives the same statement.
pub fn predicate(run: &Run, dependencies: &[Dependency]) -> Result<Value> {
    let Some(kind) = run.kind else {
        let message = "the run file does not say what was done";
        return Err(Error::new(Reason::RunFileInvalid, message)
            .hint("add `[run]` with `type = \"fine-tune\"`, or whichever it was"));
    };
    let code = code(run);
    let resources = code.iter().chain(dependencies).map(Dependency::to_resource);
    let predicate = json!({
        "buildDefinition": {
            "buildType": kind.build_type(),
            "externalParameters": external_parameters(run, kind),
            "internalParameters": internal_parameters(run),
            "resolvedDependencies": resources.collect::<Vec<_>>(),
        },
        "runDetails": {
            "builder": {
                "id": run.builder.as_deref().unwrap_or(SELF_RUN),
                "version": { "modelctl": env!("CARGO_PKG_VERSION") },
            },
            "metadata": metadata(run),
        },
    });
    let predicate_type: PredicateType = SLSA_PROVENANCE_V1.parse()?;
    predicate::check(&predicate_type, &predicate)?;
    Ok(predicate)
}

/// Returns the code as a dependency; without a commit it is told by nothing.
fn code(run: &Run) -> Option<Dependency> {
    let commit = run.code.commit.as_ref()?;
    let mut code = Dependency::new(Role::TrainingCode, "training-code");
    let git_commit = ("gitCommit".to_owned(), commit.as_str().to_owned());
    code.digest.extend([git_commit]);
    code.uri = run.code.repository.as_ref().map(|repository| {
        let reference = run.code.reference.as_ref();
        let reference = reference.map_or(String::new(), |name| format!("@{name}"));
        match repository.starts_with("git+") {
            true => format!("{repository}{reference}"),
            false => format!("git+{repository}{reference}"),
        }
    });
    Some(match run.code.dirty {
        Some(dirty) => code.annotated(DIRTY, dirty),
        None => code,
    })
}

fn external_parameters(run: &Run, kind: Kind) -> Value {
    let code = said([
        ("repository", run.code.repository.as_deref()),
        ("ref", run.code.reference.as_deref()),
        ("entry", run.code.entry.as_deref()),
    ]);
    let mut parameters = said([
        ("type", Some(kind.name())),
        ("workflow", run.workflow.as_deref()),
    ]);
    let mut add = |name: &str, value: Value| {
        let is_empty = value.as_object().is_some_and(Map::is_empty) || value == json!([]);
        if !is_empty {
            parameters.insert(name.to_owned(), value);
        }
    };
    add("code", code.into());
    add("data", run.data.iter().map(data).collect());
    add("base", run.base.iter().map(base).collect());
    add("parameters", run.parameters.clone().into());
    parameters.into()
}

fn data(data: &Data) -> Value {
    let uri = match &data.source {
        DataSource::Uri { uri, .. } => Some(uri.as_str()),
        DataSource::Listed { uri, .. } => uri.as_deref(),
        DataSource::Path { .. } => None,
    };
    said([
        ("name", Some(data.name.as_str())),
        ("role", Some(Role::from(data.role).word())),
        ("uri", uri),
    ])
    .into()
}

fn base(base: &Base) -> Value {
    let place = match &base.source {
        BaseSource::Artifact { reference, .. } => reference.to_string(),
        BaseSource::Uri { uri, .. } => uri.clone(),
    };
    said([
        ("role", Some(Role::from(base.role).word())),
        ("reference", Some(&place)),
    ])
    .into()
}

fn internal_parameters(run: &Run) -> Value {
    json!({
        ENVIRONMENT: environment(&run.environment),
        COLLECTED: run.collected.iter().collect::<Vec<_>>(),
    })
}

fn environment(environment: &Environment) -> Value {
    let image = environment.image.as_ref().map(ToString::to_string);
    let mut found = said([
        ("image", image.as_deref()),
        ("python", environment.python.as_deref()),
        ("host", environment.host.as_deref()),
    ]);
    if !environment.frameworks.is_empty() {
        found.insert("frameworks".to_owned(), json!(environment.frameworks));
    }
    let accelerators: Vec<_> = environment
        .accelerators
        .iter()
        .map(|accelerator| {
            let driver = accelerator.driver.as_deref();
            let mut one = said([
                ("name", Some(accelerator.name.as_str())),
                ("driver", driver),
            ]);
            one.insert("count".to_owned(), accelerator.count.into());
            Value::from(one)
        })
        .collect();
    if !accelerators.is_empty() {
        found.insert("accelerators".to_owned(), accelerators.into());
    }
    found.into()
}

fn metadata(run: &Run) -> Value {
    let started = run.started.map(|time| time.to_string());
    let finished = run.finished.map(|time| time.to_string());
    said([
        ("invocationId", run.pipeline.as_deref()),
        ("startedOn", started.as_deref()),
        ("finishedOn", finished.as_deref()),
    ])
    .into()
}

/// Returns an object of those fields that something is known of.
fn said<'a>(fields: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Map<String, Value> {
    let known = fields.into_iter();
    let known = known.filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::provenance::run_file;
    use std::path::Path;

    fn run() -> Run {
        let text = include_str!("../../examples/run.toml");
        run_file::parse(text, Path::new("run.toml")).unwrap()
    }

    #[test]
    fn every_digest_is_a_dependency_and_no_parameter() {
        let data = Dependency::new(Role::TrainingData, "reviews").hashed(&Digest::of(b"x"));
        let predicate = predicate(&run(), &[data]).unwrap();
        let dependencies = predicate["buildDefinition"]["resolvedDependencies"].as_array();
        let roles: Vec<_> = dependencies
            .unwrap()
            .iter()
            .map(|found| found["annotations"]["modelctl_role"].as_str().unwrap())
            .collect();
        assert_eq!(roles, ["training_code", "training_data"]);
        let parameters = predicate["buildDefinition"]["externalParameters"].to_string();
        assert!(!parameters.contains(&Digest::of(b"x").hex()));
        assert!(!parameters.contains(run().code.commit.unwrap().as_str()));
        assert_eq!(
            predicate["buildDefinition"]["buildType"],
            Kind::FineTune.build_type()
        );
    }

    #[test]
    fn a_run_says_what_was_done_or_is_refused() {
        let mut run = run();
        predicate(&run, &[]).unwrap();
        run.kind = None;
        let error = predicate(&run, &[]).unwrap_err();
        assert_eq!(error.reason(), Reason::RunFileInvalid);
    }

    #[test]
    fn no_path_of_this_machine_is_told() {
        let text = "schema = 1\nrun.type = \"train\"\n[[data]]\npath = \"/home/j0e/d4ta/set\"\n";
        let run = run_file::parse(text, Path::new("run.toml")).unwrap();
        let said = predicate(&run, &[]).unwrap().to_string();
        assert!(said.contains("\"set\"") && !said.contains("j0e"), "{said}");
    }

    #[test]
    fn every_build_type_leads_to_its_description() {
        let document = include_str!("../../docs/provenance.md");
        for kind in Kind::ALL {
            let uri = kind.build_type();
            let (_, anchor) = uri.split_once('#').unwrap();
            assert!(document.contains(&format!("\n### {anchor}\n")), "{anchor}");
        }
        assert!(document.contains("\n### self-run\n"));
    }
}
