//! SLSA Build levels, according to a policy: nothing in the bytes says of which level they are.
//!
//! Provenance names its builder, and its signature proves a signer. Which level that pair reaches is
//! known to whoever looked at the platform, so [`Builders`] is a map of the operator's words, as
//! [SLSA's verification] asks for: from signer and `builder.id` to the most that is believed of them.
//! What no entry lists is of level 1 at most, whatever it claims; without trusted provenance there
//! is no level at all. An [`Assessment`] says which entry decided, and [`Reached`] what was looked
//! at and what was not, because a level is no statement about data or dependencies.
//!
//! [SLSA's verification]: https://slsa.dev/spec/v1.2/verifying-artifacts

mod assessment;
mod builders;
mod level;
mod reached;
#[cfg(test)]
mod tests;

pub use assessment::{Assessment, Ground};
pub use builders::{Builder, Builders};
pub use level::Level;
pub use reached::{Aspect, Check, Reached};
