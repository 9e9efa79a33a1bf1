//! Registries.

pub mod auth;
pub mod credentials;
