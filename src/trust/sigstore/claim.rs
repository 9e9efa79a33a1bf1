//! Claims: what an identity provider said, beside who, about the build that signed.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! claims {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)+) => {
        /// A claim of a certificate, by its number below the object identifier
        /// [`1.3.6.1.4.1.57264.1`](https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Claim { $($(#[$doc])* $variant = $number,)+ }

        impl Claim {
            /// Every claim.
            pub const ALL: &'static [Claim] = &[$(Claim::$variant,)+];

            /// Returns the name that JSON output and policies have.
            pub const fn name(self) -> &'static str {
                match self { $(Claim::$variant => $name,)+ }
            }

            /// Returns the claim's number.
            pub const fn number(self) -> u32 {
                self as u32
            }
        }
    };
}

claims! {
    /// The event that started a GitHub workflow (deprecated; [`Claim::BuildTrigger`] succeeds it).
    GithubWorkflowTrigger = 2, "githubWorkflowTrigger";
    /// The commit that a GitHub workflow ran on.
    GithubWorkflowSha = 3, "githubWorkflowSha";
    /// A GitHub workflow's name.
    GithubWorkflowName = 4, "githubWorkflowName";
    /// The repository that a GitHub workflow ran for, as `OWNER/NAME`.
    GithubWorkflowRepository = 5, "githubWorkflowRepository";
    /// The ref that a GitHub workflow ran on.
    GithubWorkflowRef = 6, "githubWorkflowRef";
    /// The build instructions that signed, with their ref.
    BuildSignerUri = 9, "buildSignerUri";
    /// The commit of the build instructions that signed.
    BuildSignerDigest = 10, "buildSignerDigest";
    /// Whose machine ran the build: `github-hosted` or `self-hosted`.
    RunnerEnvironment = 11, "runnerEnvironment";
    /// The repository that the build was of.
    SourceRepositoryUri = 12, "sourceRepositoryUri";
    /// The commit that the build was of.
    SourceRepositoryDigest = 13, "sourceRepositoryDigest";
    /// The ref that the build was of.
    SourceRepositoryRef = 14, "sourceRepositoryRef";
    /// The repository, by an identifier that outlives renaming.
    SourceRepositoryIdentifier = 15, "sourceRepositoryIdentifier";
    /// The repository's owner.
    SourceRepositoryOwnerUri = 16, "sourceRepositoryOwnerUri";
    /// The repository's owner, by an identifier that outlives renaming.
    SourceRepositoryOwnerIdentifier = 17, "sourceRepositoryOwnerIdentifier";
    /// The top-level build instructions.
    BuildConfigUri = 18, "buildConfigUri";
    /// The commit of the top-level build instructions.
    BuildConfigDigest = 19, "buildConfigDigest";
    /// The event that started the build.
    BuildTrigger = 20, "buildTrigger";
    /// The one run that signed.
    RunInvocationUri = 21, "runInvocationUri";
    /// Whether the repository was public when the build signed.
    SourceRepositoryVisibility = 22, "sourceRepositoryVisibility";
    /// The deployment environment that the build was for.
    DeploymentEnvironment = 23, "deploymentEnvironment";
    /// The subject of the identity token, unchanged.
    TokenSubject = 24, "tokenSubject";
}

impl Claim {
    /// Returns the claim with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|claim| claim.name() == name)
    }

    /// Whether the value stands in its extension as it is, and not in DER: Fulcio's first seven do.
    pub(super) fn is_bare(self) -> bool {
        self.number() < 8
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Claim {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
