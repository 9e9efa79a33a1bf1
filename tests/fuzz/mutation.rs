//! How one input is made of another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::corpus::Corpus;
use crate::random::Random;

/// No input is larger.
pub(crate) const LARGEST: usize = 64 << 10;

/// Bytes that parsers care about.
const BYTES: &[u8] = b"\0\x01\x7f\x80\xff\n\r\t \"\\/{}[]()<>,;:=.-+*'%@#$";

/// Texts that parsers care about.
const TEXTS: &[&str] = &[
    "../",
    "..",
    "//",
    "%00",
    "\\u0000",
    "\\ud800",
    "\u{202e}",
    "\u{feff}",
    "e\u{301}",
    "-1",
    "0",
    "1e999",
    "1.5",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    ",",
    "sha256:",
    "\r\n",
    "\n\n",
    "\0",
];

/// Numbers that parsers care about, in four and in eight bytes.
const NUMBERS: &[u64] = &[
    0,
    1,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 32,
    1 << 40,
    i64::MAX as u64,
    u64::MAX,
    u64::MAX - 7,
];

/// Returns one of the corpus's inputs, changed a little in one to eight ways.
pub(crate) fn mutated(corpus: &Corpus, random: &mut Random) -> Vec<u8> {
    let mut bytes = corpus.input(random).to_vec();
    let most = 1 << random.below(4);
    for _ in 0..=random.below(most) {
        change(&mut bytes, corpus, random);
        bytes.truncate(LARGEST);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &Corpus, random: &mut Random) {
    match random.below(16) {
        0 => flip(bytes, random),
        1 => set(bytes, random.number() as u8, random),
        2 => set(bytes, *random.pick(BYTES), random),
        3 => insert(bytes, &[*random.pick(BYTES)], random),
        4 => insert(bytes, random.pick(TEXTS).as_bytes(), random),
        5 => insert(bytes, corpus.word(random), random),
        6 | 7 => replace_word(bytes, corpus.word(random), random),
        8 => replace_word(bytes, random.pick(TEXTS).as_bytes(), random),
        9 => remove(bytes, random),
        10 => repeat(bytes, random),
        11 => overwrite_number(bytes, random),
        12 => splice(bytes, corpus.input(random), random),
        13 => bytes.truncate(random.below(bytes.len())),
        14 => swap(bytes, random),
        _ => within_base64(bytes, corpus, random),
    }
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    let bit = 1 << random.below(8);
    if let Some(byte) = at(bytes, random) {
        *byte ^= bit;
    }
}

fn set(bytes: &mut [u8], value: u8, random: &mut Random) {
    if let Some(byte) = at(bytes, random) {
        *byte = value;
    }
}

fn at<'a>(bytes: &'a mut [u8], random: &mut Random) -> Option<&'a mut u8> {
    let place = random.below(bytes.len());
    bytes.get_mut(place)
}

fn insert(bytes: &mut Vec<u8>, piece: &[u8], random: &mut Random) {
    let place = random.below(bytes.len() + 1);
    bytes.splice(place..place, piece.iter().copied());
}

/// Returns a range, mostly a short one.
fn range(bytes: &[u8], random: &mut Random) -> std::ops::Range<usize> {
    let start = random.below(bytes.len());
    let most = match random.below(4) {
        0 => bytes.len(),
        _ => 16,
    };
    let length = random.below(most.min(bytes.len() - start) + 1);
    start..start + length
}

fn remove(bytes: &mut Vec<u8>, random: &mut Random) {
    let range = range(bytes, random);
    bytes.drain(range);
}

/// Repeats a piece, now and then until the input is as large as can be: that is how one finds work
/// that grows with the square of the input.
fn repeat(bytes: &mut Vec<u8>, random: &mut Random) {
    let range = range(bytes, random);
    if range.is_empty() {
        return;
    }
    let most = match random.below(16) {
        0 => LARGEST.saturating_sub(bytes.len()) / range.len(),
        _ => 4,
    };
    let piece = bytes[range.clone()].repeat(random.below(most + 1));
    bytes.splice(range.start..range.start, piece);
}

fn swap(bytes: &mut [u8], random: &mut Random) {
    if bytes.len() > 1 {
        let (one, other) = (random.below(bytes.len()), random.below(bytes.len()));
        bytes.swap(one, other);
    }
}

fn overwrite_number(bytes: &mut [u8], random: &mut Random) {
    let number = *random.pick(NUMBERS);
    let wide = random.below(2) == 0;
    let place = random.below(bytes.len());
    let number = match wide {
        true => number.to_le_bytes().to_vec(),
        false => (number as u32).to_le_bytes().to_vec(),
    };
    for (byte, value) in bytes.iter_mut().skip(place).zip(number) {
        *byte = value;
    }
}

/// Puts a piece of `other` in the place of a piece.
fn splice(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let (taken, given) = (range(other, random), range(bytes, random));
    bytes.splice(given, other[taken].iter().copied());
}

/// Puts `word` where a word stands.
fn replace_word(bytes: &mut Vec<u8>, word: &[u8], random: &mut Random) {
    let place = random.below(bytes.len());
    let range = run(bytes, place, is_of_word);
    bytes.splice(range, word.iter().copied());
}

/// Whether words consist of such bytes.
pub(crate) fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./:+".contains(&byte)
}

/// Returns the bytes around `place` that all belong.
fn run(bytes: &[u8], place: usize, belongs: impl Fn(u8) -> bool) -> std::ops::Range<usize> {
    let before = bytes[..place].iter().rev();
    let start = place - before.take_while(|byte| belongs(**byte)).count();
    let after = bytes[place..].iter();
    start..place + after.take_while(|byte| belongs(**byte)).count()
}

/// Changes what is encoded in base64: otherwise nothing within would ever be reached.
fn within_base64(bytes: &mut Vec<u8>, corpus: &Corpus, random: &mut Random) {
    let place = random.below(bytes.len());
    let is_of_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\n".contains(&byte);
    let range = run(bytes, place, is_of_base64);
    let text: Vec<u8> = bytes[range.clone()]
        .iter()
        .copied()
        .filter(|byte| *byte != b'\n')
        .collect();
    let Ok(mut inner) = STANDARD.decode(&text) else {
        return;
    };
    if inner.len() < 4 {
        return;
    }
    let other = corpus.input(random);
    match random.below(8) {
        0 | 1 => flip(&mut inner, random),
        2 => set(&mut inner, random.number() as u8, random),
        3 => remove(&mut inner, random),
        4 => insert(&mut inner, &[*random.pick(BYTES)], random),
        5 => replace_word(&mut inner, corpus.word(random), random),
        6 => overwrite_number(&mut inner, random),
        _ => splice(&mut inner, other, random),
    }
    let mut lines = Vec::new();
    let encoded = STANDARD.encode(&inner);
    let is_wrapped = bytes[range.clone()].contains(&b'\n');
    for line in encoded
        .as_bytes()
        .chunks(if is_wrapped { 64 } else { LARGEST * 2 })
    {
        if is_wrapped {
            lines.push(b'\n');
        }
        lines.extend_from_slice(line);
    }
    if is_wrapped {
        lines.push(b'\n');
    }
    bytes.splice(range, lines);
}
