//! Provenance: how a model came to be, as its maker tells it.
//!
//! A run file (`run.toml`) says what a training run took in and what came out of it
//! ([`run_file`] reads it into a [`Run`]). What it leaves out and the machine knows is collected
//! ([`collect`]) and marked as such, never mixed up with what was said. The run then becomes
//! statements: SLSA provenance ([`slsa`]), test results ([`evaluation`]), and an ML-BOM
//! ([`ml_bom`]), each signed and attached on its own.
//!
//! All of it is a claim of whoever signs. What of it is proven is [`explanation`]'s to say.

pub mod claim;
pub mod collect;
pub mod dependency;
pub mod evaluation;
pub mod explanation;
pub mod facts;
pub mod ml_bom;
pub mod run;
pub mod run_file;
pub mod secrecy;
pub mod slsa;

pub use dependency::{Dependency, Role};
pub use facts::Facts;
pub use run::Run;
