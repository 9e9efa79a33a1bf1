//! `modelctl policy test`.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::policy::file::{PolicyFile, Uncovered};
use modelctl::policy::{Circumstances, Pin, Pins, Verdict};
use modelctl::reference::Reference;
use modelctl::referrer::RawBundle;
use modelctl::store::RawDocument;
use modelctl::trust::TrustRoot;
use modelctl::verify::judge;
use serde::{Deserialize, Serialize};

use super::super::report::{Failure, Report, count};
use super::super::stores::read;
use super::super::terminal::Terminal;
use super::place::load;
use super::{revocations, roots};

/// Judge kept evidence by a policy and compare with what is expected: a policy's own tests, for CI.
///
/// FILE lists cases, each with a manifest, the bundles that are attached to it, and what is expected:
/// `admit`, or the reason's code. Nothing is fetched but what instances the policy names. The exit
/// code is 1 when a case comes out otherwise.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl policy test cases.toml --policy policy.toml

A case:
  [[case]]
  name = \"a release is admitted\"
  reference = \"registry.example.com/acme/bert:v1\"
  manifest = \"manifest.json\"
  bundles = [\"release.sigstore.json\"]
  expect = \"admit\"")]
pub(super) struct TestArgs {
    /// The cases.
    #[arg(value_name = "FILE")]
    cases: PathBuf,
    /// The policy file.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    case: Vec<Case>,
}

/// A case; names of files are relative to where it stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    reference: String,
    manifest: PathBuf,
    #[serde(default)]
    bundles: Vec<PathBuf>,
    /// Otherwise it is now.
    now: Option<toml::value::Datetime>,
    /// The manifest that was accepted before under this reference.
    accepted_before: Option<PathBuf>,
    /// The bundle with a list of revocations; without one, nothing is revoked.
    revocations: Option<PathBuf>,
    expect: String,
}

#[derive(Serialize)]
struct Outcome {
    name: String,
    expected: String,
    found: String,
    passed: bool,
}

pub(super) async fn run(args: TestArgs, terminal: &Terminal) -> Result<Report, Failure> {
    let policy = load(&args.policy)?;
    let directory = args.cases.parent().unwrap_or(Path::new(""));
    let mut outcomes = Vec::new();
    for case in cases(&args.cases)? {
        let runner = Runner {
            policy: &policy,
            directory,
            case: &case,
        };
        let found = runner.run(terminal).await;
        let found = found.map_err(|error| error.at(format_args!("case `{}`", case.name)))?;
        outcomes.push(Outcome {
            passed: found == case.expect,
            name: case.name,
            expected: case.expect,
            found,
        });
    }
    report(&outcomes)
}

fn cases(path: &Path) -> Result<Vec<Case>> {
    let invalid = |why: String| {
        let message = format!("`{}` is no list of cases", path.display());
        Error::new(Reason::PolicyInvalid, message).because(why)
    };
    let bytes = read(path, limits::POLICY_FILE).map_err(|error| invalid(error.to_string()))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| invalid(error.to_string()))?;
    let document: Document = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let known = |word: &str| word == "admit" || Reason::ALL.iter().any(|r| r.code() == word);
    match document.case.iter().find(|case| !known(&case.expect)) {
        Some(case) => Err(invalid(format!(
            "case `{}` expects {:?}, which is neither `admit` nor a reason's code",
            case.name, case.expect
        ))),
        None => Ok(document.case),
    }
}

fn report(outcomes: &[Outcome]) -> Result<Report, Failure> {
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    let line = |outcome: &Outcome| match outcome.passed {
        true => format!("ok  {}", outcome.name),
        false => format!(
            "no  {}: expected {}, found {}",
            outcome.name, outcome.expected, outcome.found
        ),
    };
    let data = serde_json::json!({ "cases": outcomes });
    if failed > 0 {
        let message = format!(
            "{} of {} came out otherwise",
            failed,
            count(outcomes.len(), "case")
        );
        let error = Error::new(Reason::PolicyTestFailed, message)
            .hint("correct the policy, or what is expected of it");
        return Err(Failure::from(error)
            .with(&data)
            .details(outcomes.iter().map(line).collect()));
    }
    let report = Report::of(&data)?;
    let report = outcomes.iter().map(line).fold(report, Report::line);
    Ok(report.say(format!("{} as expected", count(outcomes.len(), "case"))))
}

/// A case that is judged.
struct Runner<'a> {
    policy: &'a PolicyFile,
    directory: &'a Path,
    case: &'a Case,
}

impl Runner<'_> {
    /// Returns what comes out, in a word.
    async fn run(&self, terminal: &Terminal) -> Result<String> {
        let reference: Reference = self.case.reference.parse()?;
        let Some(scoped) = self.policy.covering(reference.location()) else {
            return Ok(match self.policy.default {
                Uncovered::Deny => Reason::NoPolicy.code().to_owned(),
                Uncovered::Warn | Uncovered::Allow => "admit".to_owned(),
            });
        };
        let trust = roots::root(self.policy, &scoped.authorities(), terminal).await?;
        let circumstances = self.circumstances(&reference, terminal).await?;
        let verdict = judge(
            &self.manifest(&self.case.manifest)?,
            Some(&reference),
            &self.bundles()?,
            &trust,
            &scoped.policy.clone().under(circumstances),
        );
        Ok(word(&verdict).to_owned())
    }

    async fn circumstances(
        &self,
        reference: &Reference,
        terminal: &Terminal,
    ) -> Result<Circumstances> {
        let now = match &self.case.now {
            Some(now) => now.to_string().parse().map_err(|error| {
                let message = format!("`{now}` is not a time with its offset");
                Error::new(Reason::PolicyInvalid, message).because(error)
            })?,
            None => Timestamp::now(),
        };
        let pins: Pins = match &self.case.accepted_before {
            Some(path) => [Pin::of(&self.manifest(path)?, reference.clone())]
                .into_iter()
                .collect(),
            None => Pins::default(),
        };
        let revocations = match (&self.case.revocations, &self.policy.revocations) {
            (Some(path), Some(source)) => {
                let names = source.authorities.iter().map(String::as_str).collect();
                let trust: TrustRoot = roots::root(self.policy, &names, terminal).await?;
                Some(revocations::from_file(
                    &self.directory.join(path),
                    source,
                    &trust,
                )?)
            }
            _ => None,
        };
        Ok(Circumstances {
            now: Some(now),
            pins,
            revocations,
        })
    }

    fn manifest(&self, path: &Path) -> Result<RawDocument> {
        let place = self.directory.join(path);
        let bytes = read(&place, limits::MANIFEST)?;
        let kind: Kind = modelctl::json::parse(&bytes, &place.display().to_string())?;
        RawDocument::read(
            bytes.into(),
            &kind.media_type,
            None,
            &place.display().to_string(),
        )
    }

    fn bundles(&self) -> Result<Vec<RawBundle>> {
        let read_one = |path: &PathBuf| {
            let bytes = read(self.directory.join(path), limits::BUNDLE)?;
            Ok(RawBundle::new(bytes.into()))
        };
        self.case.bundles.iter().map(read_one).collect()
    }
}

/// What a manifest says that it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    media_type: String,
}

fn word(verdict: &Verdict) -> &'static str {
    let objection = verdict.objections.first().map(|objection| objection.reason);
    let unmet = verdict.first_unmet().map(|(_, reason)| reason);
    objection.or(unmet).map_or("admit", Reason::code)
}
