//! Reads a run file (`run.toml`), strictly: what is not understood is an error that names file,
//! line and field, because a line that was passed over would be missing from what is signed.

mod tables;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Reason, Result};
use crate::position::Position;
use crate::provenance::run::{
    Accelerator, Base, BaseRole, BaseSigner, BaseSource, Code, Data, DataRole, DataSource,
    Environment, Evaluation, ModelNotes, Outcome, Output, Pin, Run,
};
use crate::provenance::secrecy::secret_in;
use tables::{
    BaseTable, CodeTable, DataTable, Document, EnvironmentTable, EvaluationTable, ModelTable,
};

/// The version of the format that this reads.
pub const SCHEMA: u32 = 1;

/// A run file with nothing but explanations filled in: what `attest --init` writes.
pub const TEMPLATE: &str = include_str!("run_file/template.toml");

/// Reads the run file `text`, called `path` in errors. Nothing else is read.
pub fn parse(text: &str, path: &Path) -> Result<Run> {
    Reader { path, text }.run()
}

/// A file on its way to being understood.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn run(&self) -> Result<Run> {
        self.refuse_secrets()?;
        let document: Document = toml::from_str(self.text)
            .map_err(|error| self.wrong(error.span().unwrap_or_default(), error.message()))?;
        if *document.schema.get_ref() != SCHEMA {
            let why = format!("this version reads run files of `schema = {SCHEMA}`");
            return Err(self.wrong(document.schema.span(), &why));
        }
        let data = each(document.data, |table| self.data(table))?;
        let evaluations = each(document.evaluation, |table| self.evaluation(table, &data))?;
        let run = document.run.unwrap_or_default();
        Ok(Run {
            kind: run.kind.map(|kind| kind.0),
            builder: run.builder.map(|uri| uri.0.0),
            pipeline: run.pipeline,
            workflow: run.workflow,
            started: run.started.map(|moment| moment.0),
            finished: run.finished.map(|moment| moment.0),
            code: document.code.map(code).unwrap_or_default(),
            data,
            base: each(document.base, |table| self.base(table))?,
            environment: document.environment.map(environment).unwrap_or_default(),
            parameters: self.parameters(document.parameters)?,
            outputs: document.output.into_iter().map(output).collect(),
            evaluations,
            model: document.model.map(model).unwrap_or_default(),
            ..Run::default()
        })
    }

    /// Refuses a file in which a secret stands, wherever: it would be signed and published.
    fn refuse_secrets(&self) -> Result<()> {
        let table = DeTable::parse(self.text)
            .map_err(|error| self.wrong(error.span().unwrap_or_default(), error.message()))?;
        let found = table.get_ref().iter().find_map(|(_, value)| secret(value));
        found.map_or(Ok(()), |(at, what)| {
            let why = format!("this looks like {what}, and statements are public");
            Err(self
                .wrong(at, &why)
                .hint("leave it out; if it is none, write it differently"))
        })
    }

    fn data(&self, table: Spanned<DataTable>) -> Result<Data> {
        let at = table.span();
        let table = table.into_inner();
        let uri = table.uri.map(|uri| uri.0.0);
        let digest = table.digest.map(|digest| digest.0);
        let revision = table.revision.map(|revision| revision.0);
        let place = table.path.as_deref().or(uri.as_deref()).unwrap_or_default();
        let name = table.name.unwrap_or_else(|| last_component(place));
        let source = match (table.path, uri, table.digest_file, digest, revision) {
            (Some(path), None, None, expected, None) => DataSource::Path {
                path: path.into(),
                expected,
            },
            (Some(_), None, Some(list), None, None) => DataSource::Listed {
                uri: None,
                list: list.into(),
            },
            (None, Some(uri), Some(list), None, None) => DataSource::Listed {
                uri: Some(uri),
                list: list.into(),
            },
            (None, Some(uri), None, Some(digest), None) => DataSource::Uri {
                uri,
                pin: Pin::Digest(digest),
            },
            (None, Some(uri), None, None, Some(commit)) => DataSource::Uri {
                uri,
                pin: Pin::Revision(commit),
            },
            _ => {
                let why = "data has a `path`, with `digest` or `digest_file` at most, or a `uri` \
                           with one of `digest`, `revision` and `digest_file`";
                return Err(self.wrong(at, why));
            }
        };
        Ok(Data {
            name,
            role: table.role.map_or(DataRole::Training, |role| role.0),
            source,
            license: table.license,
        })
    }

    fn base(&self, table: Spanned<BaseTable>) -> Result<Base> {
        let at = table.span();
        let table = table.into_inner();
        let signer = self.base_signer(&table, at.clone())?;
        let digest = table.digest.map(|digest| Pin::Digest(digest.0));
        let revision = table.revision.map(|revision| Pin::Revision(revision.0));
        let source = match (table.reference, table.uri, digest, revision) {
            (Some(reference), None, None, None) => BaseSource::Artifact {
                reference: Box::new(reference.0),
                signer,
            },
            (None, Some(uri), Some(pin), None) | (None, Some(uri), None, Some(pin))
                if signer.is_none() =>
            {
                BaseSource::Uri { uri: uri.0.0, pin }
            }
            _ => {
                let why = "a base model has a `reference`, and its signer if there is one, or a \
                           `uri` with one of `digest` and `revision`";
                return Err(self.wrong(at, why));
            }
        };
        Ok(Base {
            role: table.role.map_or(BaseRole::Base, |role| role.0),
            source,
        })
    }

    fn base_signer(&self, table: &BaseTable, at: Range<usize>) -> Result<Option<BaseSigner>> {
        let trusted_root = table.trusted_root.as_ref().map(PathBuf::from);
        match (&table.key, &table.identity, &table.issuer, trusted_root) {
            (None, None, None, None) => Ok(None),
            (Some(key), None, None, None) => Ok(Some(BaseSigner::Key(key.into()))),
            (None, Some(identity), Some(issuer), trusted_root) => Ok(Some(BaseSigner::Keyless {
                identity: identity.clone(),
                issuer: issuer.clone(),
                trusted_root,
            })),
            _ => {
                let why = "a base model's signer is a `key`, or an `identity` with its `issuer` \
                           (and a `trusted_root`, unless it is the public Sigstore's)";
                Err(self.wrong(at, why))
            }
        }
    }

    fn evaluation(&self, table: Spanned<EvaluationTable>, data: &[Data]) -> Result<Evaluation> {
        let at = table.span();
        let table = table.into_inner();
        let is_dataset = |name: &String| data.iter().any(|data| data.name == *name);
        if let Some(unknown) = table.dataset.as_ref().filter(|name| !is_dataset(name)) {
            let why = format!("`dataset` names no `[[data]]` called {unknown:?}");
            return Err(self.wrong(at, &why));
        }
        if table.metrics.values().any(|value| !value.is_finite()) {
            return Err(self.wrong(at, "a metric is not a number"));
        }
        let (mut passed, mut failed) = (Vec::new(), Vec::new());
        for (name, threshold) in &table.thresholds {
            let Some(value) = table.metrics.get(name) else {
                let why = format!("there is a threshold for {name:?}, and no such metric");
                return Err(self.wrong(at, &why));
            };
            let met = threshold.min.is_none_or(|min| *value >= min)
                && threshold.max.is_none_or(|max| *value <= max);
            if met { &mut passed } else { &mut failed }.push(name.clone());
        }
        let said = table.result.map(|result| result.0);
        let outcome = match (said, passed.is_empty(), failed.is_empty()) {
            (Some(Outcome::Passed), _, false) => {
                return Err(self.wrong(at, "`result` says passed, and a threshold is not met"));
            }
            (Some(said), ..) => said,
            (None, _, false) => Outcome::Failed,
            (None, false, true) => Outcome::Passed,
            (None, true, true) => {
                return Err(self.wrong(at, "an evaluation has `thresholds` or a `result`"));
            }
        };
        Ok(Evaluation {
            name: table.name,
            outcome,
            dataset: table.dataset,
            suite: table.suite.map(|uri| uri.0.0),
            report: table.report.map(|uri| uri.0.0),
            metrics: table.metrics,
            passed,
            failed,
        })
    }

    fn parameters(&self, table: Option<Spanned<toml::Table>>) -> Result<Map<String, Value>> {
        let Some(table) = table else {
            return Ok(Map::new());
        };
        let at = table.span();
        let entries = table.into_inner().into_iter();
        let converted = entries.map(|(key, value)| match json_of(value) {
            Some(value) => Ok((key, value)),
            None => {
                let why = format!("the parameter {key:?} holds a number that JSON cannot");
                Err(self.wrong(at.clone(), &why))
            }
        });
        converted.collect()
    }

    fn wrong(&self, at: Range<usize>, why: &str) -> Error {
        let position = Position::of(self.text, at.start);
        let message = format!("`{}`, {position}: {why}", self.path.display());
        Error::new(Reason::RunFileInvalid, message)
            .hint("`modelctl attest --init` writes a run file that explains every field")
    }
}

fn each<T, U>(tables: Vec<Spanned<T>>, read: impl Fn(Spanned<T>) -> Result<U>) -> Result<Vec<U>> {
    tables.into_iter().map(read).collect()
}

/// Finds a string that holds a secret, and where it stands.
fn secret(value: &Spanned<DeValue<'_>>) -> Option<(Range<usize>, &'static str)> {
    match value.get_ref() {
        DeValue::String(text) => secret_in(text).map(|what| (value.span(), what)),
        DeValue::Array(values) => values.iter().find_map(secret),
        DeValue::Table(table) => table.iter().find_map(|(_, value)| secret(value)),
        _ => None,
    }
}

/// Returns what a path or URI ends with, for a name.
fn last_component(place: &str) -> String {
    let place = place.trim_end_matches('/');
    place.rsplit('/').next().unwrap_or(place).to_owned()
}

fn code(table: CodeTable) -> Code {
    Code {
        repository: table.repository.map(|uri| uri.0.0),
        commit: table.commit.map(|commit| commit.0),
        reference: table.reference,
        entry: table.entry,
        dirty: table.dirty,
    }
}

fn environment(table: EnvironmentTable) -> Environment {
    let accelerators = table.accelerator.into_iter().map(|table| Accelerator {
        name: table.name,
        count: table.count.unwrap_or(1),
        driver: table.driver,
    });
    Environment {
        image: table.image.map(|image| image.0),
        lock: table.lock.map(Into::into),
        python: table.python,
        frameworks: table.frameworks,
        accelerators: accelerators.collect(),
        host: table.host,
    }
}

fn output(table: tables::OutputTable) -> Output {
    Output {
        path: table.path.0,
        digest: table.digest.map(|digest| digest.0),
    }
}

fn model(table: ModelTable) -> ModelNotes {
    ModelNotes {
        name: table.name,
        version: table.version,
        license: table.license,
        description: table.description,
        task: table.task,
        approach: table.approach.map(|approach| approach.0),
        limitations: table.limitations,
    }
}

/// Returns a parameter as JSON, unless it is a number that JSON does not have.
fn json_of(value: toml::Value) -> Option<Value> {
    Some(match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(number)?.into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values
            .into_iter()
            .map(json_of)
            .collect::<Option<Vec<_>>>()?
            .into(),
        toml::Value::Table(table) => {
            let entries = table.into_iter();
            let entries = entries.map(|(key, value)| Some((key, json_of(value)?)));
            Value::Object(entries.collect::<Option<_>>()?)
        }
    })
}
