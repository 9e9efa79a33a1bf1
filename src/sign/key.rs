//! Private keys.
