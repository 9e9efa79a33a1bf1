//! Progress for people: bars on a terminal, plain lines elsewhere, nothing with `--quiet`.

use std::io::Write;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use modelctl::progress::{Meter, Progress};

use super::report::size;
use super::terminal::printable;

/// Items smaller than this are done before a bar could be read.
const WORTH_A_BAR: u64 = 4 << 20;

/// Bars that come and go with the work.
pub(super) struct Bars(MultiProgress);

impl Bars {
    pub(super) fn new() -> Self {
        Self(MultiProgress::new())
    }
}

impl Progress for Bars {
    fn begin(&self, action: &'static str, name: &str, total: u64) -> Box<dyn Meter> {
        if total < WORTH_A_BAR {
            return Box::new(Quiet);
        }
        let bar = self.0.add(ProgressBar::new(total));
        let template = "{prefix:>9} {wide_msg} {bytes:>10}/{total_bytes:10} {binary_bytes_per_sec:>12} [{bar:24}] {eta:>4}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(action);
        bar.set_message(printable(name));
        bar.enable_steady_tick(Duration::from_millis(200));
        Box::new(Bar {
            bar,
            bars: self.0.clone(),
        })
    }

    fn note(&self, text: &str) {
        // Without a bar to make room for, `println` would print nothing.
        self.0.suspend(|| Lines.note(text));
    }
}

struct Bar {
    bar: ProgressBar,
    bars: MultiProgress,
}

impl Meter for Bar {
    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn reset(&self) {
        self.bar.reset();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.bars.remove(&self.bar);
    }
}

/// One line for each large item, when its work begins.
pub(super) struct Lines;

impl Progress for Lines {
    fn begin(&self, action: &'static str, name: &str, total: u64) -> Box<dyn Meter> {
        if total >= WORTH_A_BAR {
            self.note(&format!("{action} {name} ({})", size(total)));
        }
        Box::new(Quiet)
    }

    fn note(&self, text: &str) {
        // Talk that cannot be heard is no reason to stop working.
        let _ = writeln!(std::io::stderr().lock(), "{}", printable(text));
    }
}

/// Nothing at all.
pub(super) struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _action: &'static str, _name: &str, _total: u64) -> Box<dyn Meter> {
        Box::new(Self)
    }

    fn note(&self, _text: &str) {}
}

impl Meter for Quiet {
    fn advance(&self, _bytes: u64) {}
}
