//! Runs a target on inputs without end, within a budget, and says what it did wrong.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

use modelctl::digest::Digest;

use crate::corpus::{self, Corpus};
use crate::coverage::Coverage;
use crate::memory;
use crate::mutation::{LARGEST, mutated};
use crate::random::Random;
use crate::targets::Target;

/// What an input may take in a run that is for a time. Plain tests do not look at the clock.
const LONGEST: Duration = Duration::from_secs(1);

/// Inputs that reached new code and are not larger may be kept.
const KEPT_BYTES: usize = 2048;

/// Inputs of a target that one run adds to those that are kept.
const KEPT: usize = 12;

/// How long a target is run.
#[derive(Clone, Copy)]
pub(crate) enum Budget {
    /// For this many mutations, the same ones each time.
    Iterations(u64),
    /// For a time, led by coverage if there is any.
    Time(Duration),
}

/// What a run without a finding did.
pub(crate) struct Report {
    target: &'static str,
    runs: u64,
    places: Option<usize>,
    found: usize,
    peak: i64,
    sum: i64,
    longest: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, runs, .. } = self;
        write!(
            f,
            "{target:18} {runs:9} inputs, at most {:6} KiB held",
            self.peak >> 10
        )?;
        write!(
            f,
            " of {:6} KiB, {:4} ms",
            self.sum >> 10,
            self.longest.as_millis()
        )?;
        match self.places {
            Some(places) => write!(f, ", {places} places, {} new inputs", self.found),
            None => Ok(()),
        }
    }
}

/// An input that a target does not survive.
#[derive(Debug)]
pub(crate) struct Finding {
    target: &'static str,
    pub(crate) what: String,
    file: PathBuf,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} (`{}`)",
            self.target,
            self.what,
            self.file.display()
        )
    }
}

/// Runs `target` on its corpus and then on mutations of it.
pub(crate) fn drive(target: &Target, budget: Budget) -> Result<Report, Finding> {
    let mut run = Run::new(target, budget);
    let mut corpus = Corpus::of(target);
    for input in corpus.inputs().to_vec() {
        run.one(&input)?;
    }
    let mut random = Random::new(run.seed());
    let kept = run.report.runs;
    while run.goes_on(kept) {
        let input = mutated(&corpus, &mut random);
        if run.one(&input)? {
            run.report.found += 1;
            run.found.push(input.clone());
            corpus.add(input);
        }
    }
    if std::env::var_os("MODELCTL_FUZZ_KEEP").is_some_and(|set| !set.is_empty()) {
        run.keep();
    }
    Ok(run.report())
}

/// A target being run.
struct Run<'a> {
    target: &'a Target,
    budget: Budget,
    began: Instant,
    coverage: Option<Coverage>,
    /// Has the input that is being run: a stack that overflows takes the process with it, and an
    /// endless loop this run.
    last: Option<File>,
    report: Report,
    found: Vec<Vec<u8>>,
}

impl<'a> Run<'a> {
    fn new(target: &'a Target, budget: Budget) -> Self {
        quiet_panics();
        let (coverage, last) = match budget {
            Budget::Iterations(_) => (None, None),
            Budget::Time(_) => (
                Coverage::new(),
                Some(File::create(place(target, "last")).unwrap()),
            ),
        };
        let report = Report {
            target: target.name,
            runs: 0,
            places: None,
            found: 0,
            peak: 0,
            sum: 0,
            longest: Duration::ZERO,
        };
        Self {
            target,
            budget,
            began: Instant::now(),
            coverage,
            last,
            report,
            found: Vec::new(),
        }
    }

    /// Returns where random numbers begin: in plain tests always at the same place.
    fn seed(&self) -> u64 {
        match self.budget {
            Budget::Iterations(_) => 0,
            Budget::Time(_) => std::env::var("MODELCTL_FUZZ_SEED")
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(1),
        }
    }

    /// Whether there is more to do, after `kept` runs of what is kept.
    fn goes_on(&self, kept: u64) -> bool {
        match self.budget {
            Budget::Iterations(count) => self.report.runs < kept + count,
            Budget::Time(time) => self.began.elapsed() < time,
        }
    }

    /// Runs the target on one input; returns whether that reached new code.
    fn one(&mut self, input: &[u8]) -> Result<bool, Finding> {
        if let Some(last) = &self.last {
            last.write_all_at(input, 0).unwrap();
            last.set_len(input.len() as u64).unwrap();
        }
        if let Some(coverage) = &mut self.coverage {
            coverage.reset();
        }
        let began = Instant::now();
        let (result, usage) = memory::measure(|| survive(self.target, input));
        let took = began.elapsed();
        self.report.runs += 1;
        self.report.peak = self.report.peak.max(usage.peak);
        self.report.sum = self.report.sum.max(usage.sum);
        self.report.longest = self.report.longest.max(took);
        result.map_err(|what| self.finding(what, input))?;
        if usage.peak > self.target.peak {
            return Err(self.finding(format!("it holds {} KiB", usage.peak >> 10), input));
        }
        if usage.sum > self.target.sum {
            return Err(self.finding(format!("it asks for {} KiB", usage.sum >> 10), input));
        }
        if took > LONGEST && matches!(self.budget, Budget::Time(_)) {
            return Err(self.finding(format!("it takes {} ms", took.as_millis()), input));
        }
        Ok(self.coverage.as_mut().is_some_and(Coverage::is_new))
    }

    fn finding(&self, what: String, input: &[u8]) -> Finding {
        let name = &Digest::of(input).hex()[..16];
        let file = place(self.target, name);
        std::fs::write(&file, input).unwrap();
        Finding {
            target: self.target.name,
            what,
            file,
        }
    }

    fn report(self) -> Report {
        Report {
            places: self.coverage.as_ref().map(Coverage::places),
            ..self.report
        }
    }

    fn places(&self) -> usize {
        self.coverage.as_ref().map_or(0, Coverage::places)
    }

    /// Writes small inputs that together reach most of what the corpus does not.
    fn keep(&mut self) {
        self.coverage = Coverage::new();
        for input in Corpus::of(self.target).inputs() {
            self.one(input).unwrap();
        }
        let mut found = std::mem::take(&mut self.found);
        found.retain(|input| input.len() <= KEPT_BYTES);
        found.sort_by_key(Vec::len);
        let mut gains = Vec::new();
        for input in found {
            let before = self.places();
            self.one(&input).unwrap();
            if before < self.places() {
                gains.push((before.abs_diff(self.places()), input));
            }
        }
        gains.sort_by_key(|(gain, _)| std::cmp::Reverse(*gain));
        let directory = corpus::directory(self.target);
        std::fs::create_dir_all(&directory).unwrap();
        for (_, input) in gains.into_iter().take(KEPT) {
            let name = &Digest::of(&input).hex()[..16];
            std::fs::write(directory.join(name), input).unwrap();
        }
    }
}

/// Returns the file for something about `target`.
fn place(target: &Target, name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&directory).unwrap();
    directory.join(format!("{}.{name}", target.name))
}

thread_local! {
    /// What the panic on this thread said, while a target runs on it.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps panics of targets from being printed, one for each time that one is looked at.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let is_targets = SAID.with_borrow_mut(|said| match said {
                Some(said) => {
                    *said = info.to_string();
                    true
                }
                None => false,
            });
            if !is_targets {
                usual(info);
            }
        }));
    });
}

fn survive(target: &Target, input: &[u8]) -> Result<(), String> {
    SAID.set(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let said = SAID.take().unwrap_or_default();
    result.map_err(|_| said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(target: &Target) -> Option<String> {
        let result = drive(target, Budget::Iterations(20_000));
        result.err().map(|finding| finding.what)
    }

    #[test]
    fn what_is_planted_is_found() {
        let good = Target::new("good", |_| {}).seeds(&[b"length=5;"]);
        assert_eq!(found(&good), None);

        let panics = |input: &[u8]| assert!(!input.ends_with(b"=-1;"), "it is negative");
        let bad = Target::new("panics", panics).seeds(&[b"length=5;"]);
        let what = found(&bad).unwrap();
        assert!(what.contains("it is negative"), "{what}");

        let holds = |input: &[u8]| drop(vec![0_u8; (16 << 10) * input.len()]);
        let bad = Target::new("holds", holds)
            .seeds(&[b"length=5;"])
            .peak(64 << 20);
        let what = found(&bad).unwrap();
        assert!(what.contains("it holds"), "{what}");

        let works = |input: &[u8]| {
            for _ in input {
                drop(input.to_vec());
            }
        };
        let bad = Target::new("works", works).seeds(&[b"length=5;"]);
        let what = found(&bad).unwrap();
        assert!(what.contains("it asks for"), "{what}");
    }

    #[test]
    fn what_is_large_stays_in_bounds() {
        let target = Target::new("large", |input| assert!(input.len() <= LARGEST));
        assert_eq!(found(&target.seeds(&[b"a"])), None);
    }

    #[test]
    fn mutations_are_the_same_each_time() {
        let target = Target::new("same", |_| {}).seeds(&[b"{\"a\": [1, 2]}", b"YWJjZGVmZ2g="]);
        let all = || {
            let (corpus, mut random) = (Corpus::of(&target), Random::new(7));
            let inputs = (0..1000).map(|_| mutated(&corpus, &mut random));
            inputs.collect::<Vec<_>>()
        };
        assert_eq!(all(), all());
        assert!(
            all()
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len()
                > 500
        );
    }
}
