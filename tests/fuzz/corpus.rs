//! The inputs that others are made of: fixtures, what is kept in `fixtures/fuzz/`, and what a run
//! finds to reach new code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::mutation::{LARGEST, is_of_word};
use crate::random::Random;
use crate::targets::Target;

/// Bytes of all words of a corpus.
const WORDS: usize = 64 << 10;

/// Inputs, and the words in them.
pub(crate) struct Corpus {
    inputs: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Corpus {
    /// Returns what is kept for `target`: never nothing.
    pub(crate) fn of(target: &Target) -> Self {
        let mut inputs: Vec<_> = kept(target).into_iter().map(|path| read(&path)).collect();
        inputs.extend(target.fixtures.iter().map(|name| read(&root().join(name))));
        inputs.extend(target.seeds.iter().map(|seed| seed.to_vec()));
        assert!(
            !inputs.is_empty(),
            "{} has no input to begin with",
            target.name
        );
        let mut corpus = Self {
            inputs: Vec::new(),
            words: Vec::new(),
        };
        for mut input in inputs {
            input.truncate(LARGEST);
            corpus.learn_words(&input);
            corpus.add(input);
        }
        corpus
    }

    /// Adds an input.
    pub(crate) fn add(&mut self, input: Vec<u8>) {
        self.inputs.push(input);
    }

    fn learn_words(&mut self, input: &[u8]) {
        let mut known: BTreeSet<_> = self.words.iter().cloned().collect();
        let mut room = WORDS.saturating_sub(self.words.iter().map(Vec::len).sum());
        for word in input.split(|byte| !is_of_word(*byte)) {
            if (2..80).contains(&word.len()) && word.len() <= room && known.insert(word.to_vec()) {
                room -= word.len();
                self.words.push(word.to_vec());
            }
        }
    }

    /// Returns every input.
    pub(crate) fn inputs(&self) -> &[Vec<u8>] {
        &self.inputs
    }

    /// Returns one of the inputs, half of the time of the newest.
    pub(crate) fn input(&self, random: &mut Random) -> &[u8] {
        let newest = self.inputs.len().saturating_sub(8);
        match random.below(2) {
            0 => random.pick::<Vec<u8>>(&self.inputs[newest..]),
            _ => random.pick::<Vec<u8>>(&self.inputs),
        }
    }

    /// Returns one of the words.
    pub(crate) fn word(&self, random: &mut Random) -> &[u8] {
        match self.words.is_empty() {
            true => b"a",
            false => random.pick::<Vec<u8>>(&self.words),
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Returns where the target's inputs are kept.
pub(crate) fn directory(target: &Target) -> PathBuf {
    root().join("fuzz").join(target.name)
}

fn kept(target: &Target) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory(target)) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn everything_that_is_kept_is_of_a_target_and_it_is_little() {
    let mut size = 0;
    for entry in std::fs::read_dir(root().join("fuzz")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let target = crate::targets::TARGETS.iter();
        let target = target.clone().find(|target| name == *target.name);
        let target = target.unwrap_or_else(|| panic!("there is no target {name:?}"));
        let inputs = kept(target);
        size += inputs.iter().map(|path| read(path).len()).sum::<usize>();
    }
    assert!(size > 0, "nothing is kept");
    assert!(size < 1 << 20, "{size} bytes are kept");
}
