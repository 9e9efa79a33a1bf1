//! What the systems that start jobs say in the environment, by the variables they document or set:
//! [GitHub](https://docs.github.com/en/actions/reference/workflows-and-actions/variables),
//! [GitLab](https://docs.gitlab.com/ci/variables/predefined_variables/),
//! [Jenkins](https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables),
//! SageMaker (`TRAINING_JOB_NAME` in
//! [its toolkit](https://github.com/aws/sagemaker-training-toolkit/blob/master/src/sagemaker_training/params.py),
//! `TRAINING_JOB_ARN` and `SM_CURRENT_INSTANCE_TYPE` in
//! [its SDK](https://github.com/aws/sagemaker-python-sdk)), Argo Workflows, which puts the names of
//! workflow and node into
//! [every container](https://github.com/argoproj/argo-workflows/blob/main/workflow/controller/workflowpod.go),
//! and Kubeflow, which runs on it and adds
//! [the pod's name](https://github.com/kubeflow/pipelines/blob/master/backend/src/v2/compiler/argocompiler/common.go),
//! but not the run's: that is there if the pipeline passes it on, under the name that
//! [Kubeflow's own example](https://github.com/kubeflow/pipelines/blob/master/kubernetes_platform/python/test/snapshot/data/field_path_as_env.py)
//! gives it.
//!
//! The list is closed: a variable that is not on it is never read, so a token cannot get into a
//! statement by a new name.

use std::collections::BTreeMap;

use crate::provenance::facts::PipelineFacts;
use crate::provenance::secrecy::{public_url, secret_in};

/// Every variable that is read. None of them is documented to hold a secret; not on the list are,
/// among others, `CI_REPOSITORY_URL`, which holds a token, and `ARGO_TEMPLATE` and
/// `SM_TRAINING_ENV`, which hold whatever the job was given.
pub const VARIABLES: &[&str] = &[
    "ARGO_NODE_ID",
    "ARGO_WORKFLOW_NAME",
    "BUILD_TAG",
    "BUILD_URL",
    "CI_COMMIT_REF_NAME",
    "CI_COMMIT_SHA",
    "CI_CONFIG_PATH",
    "CI_JOB_IMAGE",
    "CI_JOB_URL",
    "CI_PROJECT_URL",
    "CI_RUNNER_ID",
    "GITHUB_ACTIONS",
    "GITHUB_REF",
    "GITHUB_REPOSITORY",
    "GITHUB_RUN_ATTEMPT",
    "GITHUB_RUN_ID",
    "GITHUB_SERVER_URL",
    "GITHUB_SHA",
    "GITHUB_WORKFLOW_REF",
    "GITLAB_CI",
    "GIT_BRANCH",
    "GIT_COMMIT",
    "GIT_URL",
    "JENKINS_URL",
    "JOB_NAME",
    "KFP_POD_NAME",
    "KFP_RUN_NAME",
    "MODELCTL_IMAGE",
    "RUNNER_ENVIRONMENT",
    "SM_CURRENT_INSTANCE_TYPE",
    "TRAINING_JOB_ARN",
    "TRAINING_JOB_NAME",
];

/// Returns what the first system that is recognised says.
///
/// A system inside another, such as a script of GitLab that Jenkins started, cannot be told; the
/// order is that of how sure the mark is.
pub(super) fn facts(variables: &BTreeMap<String, String>) -> PipelineFacts {
    let variables = Variables(variables);
    let systems = [github, gitlab, jenkins, sagemaker, argo];
    let mut found = systems.into_iter().find_map(|system| system(variables));
    let found = found.take().unwrap_or_default();
    PipelineFacts {
        image: found.image.or_else(|| variables.image("MODELCTL_IMAGE")),
        ..found
    }
}

/// Variables, of which only those on the list are seen.
#[derive(Clone, Copy)]
struct Variables<'a>(&'a BTreeMap<String, String>);

impl Variables<'_> {
    /// Returns a variable that is set, and holds nothing that looks like a secret.
    fn text(self, name: &str) -> Option<String> {
        if !VARIABLES.contains(&name) {
            return None;
        }
        let value = self.0.get(name)?;
        (!value.is_empty() && secret_in(value).is_none()).then(|| value.clone())
    }

    /// Returns a URL, without the user, password or query in it.
    fn url(self, name: &str) -> Option<String> {
        let value = self.0.get(name).filter(|_| VARIABLES.contains(&name))?;
        let url = public_url(value)?;
        secret_in(&url).is_none().then_some(url)
    }

    /// Returns an image, if it is named by its digest: a tag may mean another one by now.
    fn image(self, name: &str) -> Option<String> {
        self.text(name).filter(|image| image.contains("@sha256:"))
    }
}

fn github(variables: Variables<'_>) -> Option<PipelineFacts> {
    variables.text("GITHUB_ACTIONS").filter(|on| on == "true")?;
    let server = variables.url("GITHUB_SERVER_URL")?;
    let server = server.trim_end_matches('/');
    let repository = variables.text("GITHUB_REPOSITORY")?;
    let repository = format!("{server}/{repository}");
    let pipeline = variables.text("GITHUB_RUN_ID").map(|run| {
        let attempt = variables.text("GITHUB_RUN_ATTEMPT");
        let attempt = attempt.map_or(String::new(), |attempt| format!("/attempts/{attempt}"));
        format!("{repository}/actions/runs/{run}{attempt}")
    });
    let runner = variables.text("RUNNER_ENVIRONMENT");
    Some(PipelineFacts {
        builder: runner.map(|kind| format!("{server}/actions/runner/{kind}")),
        pipeline,
        workflow: variables.text("GITHUB_WORKFLOW_REF"),
        repository: Some(repository),
        commit: commit(variables, "GITHUB_SHA"),
        reference: variables.text("GITHUB_REF"),
        ..PipelineFacts::default()
    })
}

fn gitlab(variables: Variables<'_>) -> Option<PipelineFacts> {
    variables.text("GITLAB_CI")?;
    let project = variables.url("CI_PROJECT_URL")?;
    let runner = variables.text("CI_RUNNER_ID");
    Some(PipelineFacts {
        builder: runner.map(|runner| format!("{project}/-/runners/{runner}")),
        pipeline: variables.url("CI_JOB_URL"),
        workflow: variables.text("CI_CONFIG_PATH"),
        commit: commit(variables, "CI_COMMIT_SHA"),
        reference: variables.text("CI_COMMIT_REF_NAME"),
        repository: Some(project),
        image: variables.image("CI_JOB_IMAGE"),
        ..PipelineFacts::default()
    })
}

fn jenkins(variables: Variables<'_>) -> Option<PipelineFacts> {
    let builder = variables.url("JENKINS_URL")?;
    let run = variables.url("BUILD_URL");
    Some(PipelineFacts {
        builder: Some(builder),
        pipeline: run.or_else(|| variables.text("BUILD_TAG")),
        workflow: variables.text("JOB_NAME"),
        repository: variables.url("GIT_URL"),
        commit: commit(variables, "GIT_COMMIT"),
        reference: variables.text("GIT_BRANCH"),
        ..PipelineFacts::default()
    })
}

fn sagemaker(variables: Variables<'_>) -> Option<PipelineFacts> {
    let job = variables.text("TRAINING_JOB_ARN");
    let job = job.or_else(|| variables.text("TRAINING_JOB_NAME"))?;
    Some(PipelineFacts {
        builder: Some("https://aws.amazon.com/sagemaker".to_owned()),
        pipeline: Some(job),
        host: variables.text("SM_CURRENT_INSTANCE_TYPE"),
        ..PipelineFacts::default()
    })
}

fn argo(variables: Variables<'_>) -> Option<PipelineFacts> {
    // From what names the whole run to what names one step of it.
    let names = [
        "KFP_RUN_NAME",
        "ARGO_WORKFLOW_NAME",
        "KFP_POD_NAME",
        "ARGO_NODE_ID",
    ];
    let pipeline = names.into_iter().find_map(|name| variables.text(name))?;
    Some(PipelineFacts {
        pipeline: Some(pipeline),
        ..PipelineFacts::default()
    })
}

fn commit(variables: Variables<'_>, name: &str) -> Option<crate::provenance::run::GitCommit> {
    variables.text(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> PipelineFacts {
        let owned = variables
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        facts(&owned.collect())
    }

    const SHA: &str = "3f786850e387550fdab836ed7e6dc881de23001b";

    #[test]
    fn every_system_is_recognised_by_what_it_documents() {
        let github = found(&[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "acme/train"),
            ("GITHUB_RUN_ID", "42"),
            ("GITHUB_RUN_ATTEMPT", "2"),
            ("GITHUB_SHA", SHA),
            ("GITHUB_REF", "refs/heads/main"),
            (
                "GITHUB_WORKFLOW_REF",
                "acme/train/.github/workflows/t.yml@refs/heads/main",
            ),
            ("RUNNER_ENVIRONMENT", "github-hosted"),
        ]);
        assert_eq!(
            github.repository.as_deref(),
            Some("https://github.com/acme/train")
        );
        assert_eq!(
            github.pipeline.as_deref(),
            Some("https://github.com/acme/train/actions/runs/42/attempts/2")
        );
        assert_eq!(
            github.builder.as_deref(),
            Some("https://github.com/actions/runner/github-hosted")
        );
        assert_eq!(github.commit.unwrap().as_str(), SHA);

        let digest = format!("r.example.com/i@sha256:{}", "0".repeat(64));
        let gitlab = found(&[
            ("GITLAB_CI", "true"),
            ("CI_PROJECT_URL", "https://gitlab.com/acme/train"),
            ("CI_RUNNER_ID", "7"),
            ("CI_JOB_URL", "https://gitlab.com/acme/train/-/jobs/1"),
            ("CI_JOB_IMAGE", &digest),
        ]);
        let runner = "https://gitlab.com/acme/train/-/runners/7";
        assert_eq!(gitlab.builder.as_deref(), Some(runner));
        assert_eq!(gitlab.image, Some(digest));

        let jenkins = found(&[
            ("JENKINS_URL", "https://ci.example.com/"),
            ("BUILD_URL", "https://ci.example.com/job/t/3/"),
            ("JOB_NAME", "t"),
        ]);
        assert_eq!(jenkins.workflow.as_deref(), Some("t"));

        let sagemaker = found(&[
            ("TRAINING_JOB_NAME", "bert-1"),
            ("SM_CURRENT_INSTANCE_TYPE", "ml.p4d.24xlarge"),
        ]);
        assert_eq!(sagemaker.host.as_deref(), Some("ml.p4d.24xlarge"));

        let argo = found(&[("ARGO_NODE_ID", "w-1"), ("ARGO_WORKFLOW_NAME", "w")]);
        assert_eq!(argo.pipeline.as_deref(), Some("w"));
        let kubeflow = found(&[("ARGO_WORKFLOW_NAME", "w"), ("KFP_RUN_NAME", "r")]);
        assert_eq!(kubeflow.pipeline.as_deref(), Some("r"));
        let kubeflow = found(&[("ARGO_NODE_ID", "w-1"), ("KFP_POD_NAME", "p")]);
        assert_eq!(kubeflow.pipeline.as_deref(), Some("p"));
        assert_eq!(found(&[]), PipelineFacts::default());
    }

    #[test]
    fn secrets_in_variables_never_come_out() {
        let canary = "c4n4ry";
        let token = format!("ghp_{canary}{}", "0".repeat(30));
        let url = format!("https://user:{canary}@ci.example.com/x?private_token={canary}");
        for mark in [
            "GITHUB_ACTIONS",
            "GITLAB_CI",
            "JENKINS_URL",
            "TRAINING_JOB_NAME",
            "KFP_RUN_NAME",
        ] {
            for value in [&token, &url] {
                let mut variables: BTreeMap<_, _> = VARIABLES
                    .iter()
                    .chain(&["CI_JOB_TOKEN", "GITHUB_TOKEN", "CI_REPOSITORY_URL"])
                    .map(|name| ((*name).to_owned(), value.clone()))
                    .collect();
                variables.insert(mark.to_owned(), "true".to_owned());
                let said = format!("{:?}", facts(&variables));
                assert!(!said.contains(canary), "{mark}: {said}");
            }
        }
    }

    #[test]
    fn an_image_by_tag_proves_nothing_and_is_left_out() {
        assert_eq!(
            found(&[("MODELCTL_IMAGE", "r.example.com/i:v1")]).image,
            None
        );
    }
}
