//! Of which level one provenance is, and on what that rests.

use std::fmt;

use serde::Serialize;

use super::level::Level;
use crate::provenance::slsa::SELF_RUN;

/// Of which level one provenance is, by whose signature and which builder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Assessment {
    /// The level.
    pub level: Level,
    /// The name of the authority that signed.
    pub authority: String,
    /// The `builder.id` that it names.
    pub builder: String,
    /// The `buildType` that it names.
    pub build_type: String,
    /// Why it is no other level.
    pub ground: Ground,
}

/// On what a level rests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Ground {
    /// The policy lists the signer with the builder.
    Listed {
        /// The builder, as the policy writes it.
        id: String,
        /// The build types for which it does; for any, if there are none.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        build_types: Vec<String>,
    },
    /// The policy lists them, but for other types of builds.
    OtherBuildType,
    /// The policy lists others.
    Unlisted,
    /// Nothing is listed at all.
    NoBuilders,
}

impl Assessment {
    /// Returns what to do for provenance like this to count as `wanted`, quoted as it would stand in
    /// a policy file, with what it would mean.
    pub fn way_out(&self, wanted: Level) -> String {
        let level = wanted.number();
        if self.builder == SELF_RUN {
            // It cannot be listed for more, so nothing that its verifier writes is a way out.
            return format!(
                "nobody but its maker says how it was made; level {level} asks for a platform that \
                 makes and signs the provenance, see docs/levels.md"
            );
        }
        let (authority, builder) = (quoted(&self.authority), quoted(&self.builder));
        let entry = format!(
            "`[[builders]]` with `authority = {authority}`, `id = {builder}`, `level = {level}`"
        );
        let means = format!(
            "that is your word that this signer signs for this builder alone and that the builder \
             is of level {level}, see docs/levels.md"
        );
        match &self.ground {
            Ground::Listed { id, .. } => format!(
                "if the builder is of level {level}, raise `level` of the entry `{id}` in \
                 `[[builders]]`; {means}"
            ),
            Ground::OtherBuildType => format!(
                "if builds of this type are as good, add {} to the entry's `build_types`; {means}",
                quoted(&self.build_type)
            ),
            Ground::Unlisted => format!("whoever keeps the policy can add {entry}; {means}"),
            Ground::NoBuilders => format!(
                "whoever verifies can write {entry} into a policy file (`modelctl policy init` \
                 makes one), the authority being what that file calls this signer; {means}"
            ),
        }
    }
}

impl fmt::Display for Assessment {
    /// Says on what the level rests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            level,
            authority,
            builder,
            build_type,
            ..
        } = self;
        let level = level.number();
        let (authority, builder) = (quoted(authority), quoted(builder));
        match &self.ground {
            Ground::Listed { .. } => write!(
                f,
                "the policy lists the signer {authority} with the builder {builder} as level {level}"
            ),
            Ground::OtherBuildType => write!(
                f,
                "the policy lists the signer {authority} with the builder {builder} for other types \
                 of builds than {}, so it is level {level} at most",
                quoted(build_type)
            ),
            Ground::Unlisted => write!(
                f,
                "the policy does not list the signer {authority} with the builder {builder}, so it \
                 is level {level} at most"
            ),
            Ground::NoBuilders => write!(
                f,
                "nothing lists the signer {authority} with the builder {builder}: without \
                 `[[builders]]` in a policy file, nothing is more than level {level}"
            ),
        }
    }
}

/// Returns a text from outside, short enough for a line, as TOML writes strings.
fn quoted(text: &str) -> String {
    let quoted = format!("{text:?}");
    match quoted.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", quoted.get(..end).unwrap_or_default()),
        None => quoted,
    }
}
