//! Facts: what the machine knows about a run without being told.

use std::collections::BTreeMap;

use crate::provenance::run::{Accelerator, GitCommit, Run};

/// What was found out. Nothing here overrules what was said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// What the system that started the job says.
    pub pipeline: PipelineFacts,
    /// What the code's working copy says.
    pub git: GitFacts,
    /// What the Python that runs here says.
    pub python: PythonFacts,
    /// The GPUs.
    pub accelerators: Vec<Accelerator>,
    /// The class of machine.
    pub host: Option<String>,
}

/// What the system that started the job says of itself, in the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PipelineFacts {
    /// The platform, a URI.
    pub builder: Option<String>,
    /// The run.
    pub pipeline: Option<String>,
    /// The definition.
    pub workflow: Option<String>,
    /// The repository that the job is of.
    pub repository: Option<String>,
    /// The commit that the job is of.
    pub commit: Option<GitCommit>,
    /// The branch or tag that the job is of.
    pub reference: Option<String>,
    /// The container image that it runs in, with its digest.
    pub image: Option<String>,
    /// The class of machine.
    pub host: Option<String>,
}

/// What a working copy says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitFacts {
    /// Where it was cloned from.
    pub repository: Option<String>,
    /// What is checked out.
    pub commit: Option<GitCommit>,
    /// The branch.
    pub reference: Option<String>,
    /// Whether tracked files differ from the commit; unknown where git cannot be asked.
    pub dirty: Option<bool>,
}

/// What a Python environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PythonFacts {
    /// The version of Python.
    pub version: Option<String>,
    /// The packages, by name, with their versions.
    pub packages: BTreeMap<String, String>,
}

/// The packages that training stands on.
const FRAMEWORKS: [&str; 24] = [
    "accelerate",
    "bitsandbytes",
    "datasets",
    "deepspeed",
    "diffusers",
    "flax",
    "jax",
    "keras",
    "lightning",
    "mlx",
    "numpy",
    "onnx",
    "optimum",
    "peft",
    "pytorch-lightning",
    "safetensors",
    "scikit-learn",
    "sentence-transformers",
    "tensorflow",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
    "xgboost",
];

/// What is remembered as collected when the packages that were found are the run's.
pub(super) const PACKAGES: &str = "environment.packages";

impl PythonFacts {
    /// Returns the packages as a lock file has them: one a line, in the order of names.
    pub fn lock(&self) -> Option<String> {
        let lines = self.packages.iter();
        let lock: String = lines
            .map(|(name, version)| format!("{name}=={version}\n"))
            .collect();
        (!lock.is_empty()).then_some(lock)
    }

    fn frameworks(&self) -> BTreeMap<String, String> {
        let is_framework = |(name, _): &(&String, &String)| FRAMEWORKS.contains(&name.as_str());
        let packages = self.packages.iter().filter(is_framework);
        packages.map(|(n, v)| (n.clone(), v.clone())).collect()
    }
}

impl Run {
    /// Fills in what nobody wrote down, and remembers which fields those are.
    ///
    /// Code is filled in as a whole or not at all: a commit of one repository under the name of
    /// another would be worse than none. What the system that started the job says comes first,
    /// unless another commit is checked out.
    #[must_use]
    pub fn completed(mut self, facts: &Facts) -> Self {
        let pipeline = &facts.pipeline;
        self.fill("run.builder", |run| &mut run.builder, &pipeline.builder);
        self.fill("run.pipeline", |run| &mut run.pipeline, &pipeline.pipeline);
        self.fill("run.workflow", |run| &mut run.workflow, &pipeline.workflow);
        self.complete_code(facts);
        let python = &facts.python.version;
        self.fill(
            "environment.python",
            |run| &mut run.environment.python,
            python,
        );
        // The packages of another Python than the run's say nothing about the run.
        let is_same_python = self.environment.python == facts.python.version;
        let has_packages = self.environment.lock.is_none() && !facts.python.packages.is_empty();
        self.mark(PACKAGES, is_same_python && has_packages);
        let host = pipeline.host.clone().or_else(|| facts.host.clone());
        self.fill("environment.host", |run| &mut run.environment.host, &host);
        let image = pipeline.image.as_ref().and_then(|image| image.parse().ok());
        self.fill(
            "environment.image",
            |run| &mut run.environment.image,
            &image,
        );
        if self.environment.frameworks.is_empty() {
            self.environment.frameworks = facts.python.frameworks();
            self.mark(
                "environment.frameworks",
                !self.environment.frameworks.is_empty(),
            );
        }
        if self.environment.accelerators.is_empty() {
            self.environment
                .accelerators
                .clone_from(&facts.accelerators);
            self.mark("environment.accelerator", !facts.accelerators.is_empty());
        }
        self
    }

    fn complete_code(&mut self, facts: &Facts) {
        let (git, pipeline) = (&facts.git, &facts.pipeline);
        let found = git.commit.clone().or_else(|| pipeline.commit.clone());
        self.fill("code.commit", |run| &mut run.code.commit, &found);
        if self.code.commit.is_none() || self.code.commit != found {
            return;
        }
        let is_pipelines = pipeline.commit == found;
        let said = |of_pipeline: &Option<String>, of_git: &Option<String>| {
            let of_pipeline = of_pipeline.clone().filter(|_| is_pipelines);
            of_pipeline.or_else(|| of_git.clone())
        };
        let repository = said(&pipeline.repository, &git.repository);
        self.fill(
            "code.repository",
            |run| &mut run.code.repository,
            &repository,
        );
        let reference = said(&pipeline.reference, &git.reference);
        self.fill("code.ref", |run| &mut run.code.reference, &reference);
        self.fill("code.dirty", |run| &mut run.code.dirty, &git.dirty);
    }

    fn fill<T: Clone>(
        &mut self,
        field: &'static str,
        of: impl FnOnce(&mut Self) -> &mut Option<T>,
        found: &Option<T>,
    ) {
        let target = of(self);
        if target.is_none() && found.is_some() {
            target.clone_from(found);
            self.collected.insert(field);
        }
    }

    fn mark(&mut self, field: &'static str, collected: bool) {
        if collected {
            self.collected.insert(field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(digit: &str) -> Option<GitCommit> {
        digit.repeat(40).parse().ok()
    }

    fn facts() -> Facts {
        Facts {
            pipeline: PipelineFacts {
                builder: Some("https://ci".to_owned()),
                commit: commit("a"),
                repository: Some("https://ci/repo".to_owned()),
                ..PipelineFacts::default()
            },
            git: GitFacts {
                commit: commit("a"),
                repository: Some("ssh://git/repo".to_owned()),
                dirty: Some(true),
                ..GitFacts::default()
            },
            python: PythonFacts {
                version: Some("3.12.1".to_owned()),
                packages: [("torch", "2.5.1"), ("leftpad", "1")]
                    .map(|(n, v)| (n.to_owned(), v.to_owned()))
                    .into(),
            },
            ..Facts::default()
        }
    }

    #[test]
    fn what_is_absent_is_collected_and_marked() {
        let run = Run::default().completed(&facts());
        assert_eq!(run.builder.as_deref(), Some("https://ci"));
        assert_eq!(run.code.repository.as_deref(), Some("https://ci/repo"));
        assert_eq!(run.code.dirty, Some(true));
        assert_eq!(run.environment.frameworks["torch"], "2.5.1");
        assert_eq!(run.environment.frameworks.len(), 1);
        let collected: Vec<_> = run.collected.into_iter().collect();
        let expected = [
            "code.commit",
            "code.dirty",
            "code.repository",
            "environment.frameworks",
            "environment.packages",
            "environment.python",
            "run.builder",
        ];
        assert_eq!(collected, expected);
    }

    #[test]
    fn what_was_said_is_never_overruled() {
        let mut said = Run {
            builder: Some("https://mine".to_owned()),
            ..Run::default()
        };
        said.code.commit = commit("b");
        said.environment.python = Some("3.9".to_owned());
        let run = said.completed(&facts());
        assert_eq!(run.builder.as_deref(), Some("https://mine"));
        assert_eq!(run.environment.python.as_deref(), Some("3.9"));
        // Another commit: what is known of the one that is checked out says nothing about it.
        assert_eq!((run.code.repository, run.code.dirty), (None, None));
        assert!(!run.collected.contains("run.builder"));
        assert!(!run.collected.contains(PACKAGES));
    }

    #[test]
    fn another_commit_than_the_jobs_is_not_the_jobs() {
        let mut facts = facts();
        facts.git.commit = commit("c");
        let run = Run::default().completed(&facts);
        assert_eq!(run.code.commit, commit("c"));
        assert_eq!(run.code.repository.as_deref(), Some("ssh://git/repo"));
    }
}
