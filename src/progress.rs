//! How long work tells how far it is, without the library knowing a terminal.

use std::sync::Arc;

/// Receives what long work does; the command line draws bars from it, tests may count.
pub trait Progress: Send + Sync {
    /// Begins an item of work: `action` is a verb such as `hash` or `upload`, `name` a file or a
    /// digest, `total` its size in bytes.
    fn begin(&self, action: &'static str, name: &str, total: u64) -> Box<dyn Meter>;

    /// Tells a fact worth a line: a blob that is there already, a retry.
    fn note(&self, text: &str);
}

/// One item of work; dropping it ends it.
pub trait Meter: Send + Sync {
    /// Adds `bytes` that are done.
    fn advance(&self, bytes: u64);

    /// Starts again from nothing, after a retry.
    fn reset(&self) {}
}

impl<M: Meter + ?Sized> Meter for Arc<M> {
    fn advance(&self, bytes: u64) {
        (**self).advance(bytes);
    }

    fn reset(&self) {
        (**self).reset();
    }
}

/// Progress that nobody looks at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _action: &'static str, _name: &str, _total: u64) -> Box<dyn Meter> {
        Box::new(Silent)
    }

    fn note(&self, _text: &str) {}
}

impl Meter for Silent {
    fn advance(&self, _bytes: u64) {}
}

/// Returns progress that nobody looks at, shared.
pub fn silent() -> Arc<dyn Progress> {
    Arc::new(Silent)
}
