//! SHA-256, one stream at a time or two at once
//! ([FIPS 180-4](https://doi.org/10.6028/NIST.FIPS.180-4)).
//!
//! The processor's SHA-256 instructions wait for one another within a stream, so half of its time
//! goes unused; two independent streams in turn fill it, and were measured to hash 1.9 times as
//! much on the same core. That is [`update_both`]. The instructions for it are in `pair`, the only
//! place of this crate with `unsafe`; everything else, and every other processor, is the `sha2`
//! crate.

#[cfg(target_arch = "x86_64")]
mod pair;
#[cfg(test)]
mod tests;

use sha2::block_api::compress256;

/// Bytes that are hashed in one step.
const BLOCK: usize = 64;

/// Where the length stands in the last block (FIPS 180-4, 5.1.1).
const LENGTH_AT: usize = BLOCK - 8;

/// The state before the first block (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

type State = [u32; 8];
type Block = [u8; BLOCK];

/// One computation, fed piece by piece.
#[derive(Clone)]
pub struct Sha256 {
    state: State,
    /// Bytes that were added.
    length: u64,
    /// The beginning of a block that is not full: the last `length % BLOCK` bytes.
    partial: Block,
}

impl Default for Sha256 {
    /// Returns the computation that nothing was added to.
    fn default() -> Self {
        Self {
            state: INITIAL,
            length: 0,
            partial: [0; BLOCK],
        }
    }
}

impl Sha256 {
    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        let rest = self.fill(bytes);
        let (blocks, rest) = rest.as_chunks();
        self.compress(blocks);
        self.keep(rest);
    }

    /// Returns the hash of everything that was added.
    pub fn finish(mut self) -> [u8; 32] {
        let bits = self.length.wrapping_mul(8).to_be_bytes();
        let mut padding = [0; 2 * BLOCK];
        let filled = self.filled();
        let end = match filled < LENGTH_AT {
            true => BLOCK,
            false => 2 * BLOCK,
        };
        let parts = [self.partial.get(..filled).unwrap_or_default(), &[0x80]];
        put(&mut padding, 0, &parts.concat());
        put(&mut padding, end - bits.len(), &bits);
        let (blocks, _) = padding.get(..end).unwrap_or_default().as_chunks();
        compress256(&mut self.state, blocks);
        let mut hash = [0; 32];
        let (words, _) = hash.as_chunks_mut();
        for (word, state) in std::iter::zip(words, self.state) {
            *word = state.to_be_bytes();
        }
        hash
    }

    /// Returns how many bytes of a block there are that is not full.
    fn filled(&self) -> usize {
        // The remainder of 64 fits every integer.
        (self.length % BLOCK as u64) as usize
    }

    /// Completes the block that was begun, and returns what of `bytes` is left then.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let filled = self.filled();
        if filled == 0 {
            return bytes;
        }
        let (now, later) = bytes.split_at(bytes.len().min(BLOCK - filled));
        self.keep(now);
        if self.filled() == 0 {
            compress256(&mut self.state, &[self.partial]);
        }
        later
    }

    /// Hashes whole blocks where none is begun.
    fn compress(&mut self, blocks: &[Block]) {
        compress256(&mut self.state, blocks);
        self.count(blocks);
    }

    fn count(&mut self, blocks: &[Block]) {
        self.length += blocks.as_flattened().len() as u64;
    }

    /// Keeps bytes that fit the block that is begun.
    fn keep(&mut self, bytes: &[u8]) {
        let filled = self.filled();
        put(&mut self.partial, filled, bytes);
        self.length += bytes.len() as u64;
    }
}

/// Copies `bytes` to the place `at`, where there is room for them.
fn put(to: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = to.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Whether this processor hashes two streams at once faster than one after the other.
pub fn pairs() -> bool {
    #[cfg(target_arch = "x86_64")]
    return pair::is_supported();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Adds `x` to `a` and `y` to `b`, both at once where the processor can.
pub fn update_both(a: &mut Sha256, x: &[u8], b: &mut Sha256, y: &[u8]) {
    let (x, y) = (a.fill(x), b.fill(y));
    let ((blocks_x, rest_x), (blocks_y, rest_y)) = (x.as_chunks(), y.as_chunks());
    let both = blocks_x.len().min(blocks_y.len());
    let (now_x, later_x) = blocks_x.split_at(both);
    let (now_y, later_y) = blocks_y.split_at(both);
    compress_both(&mut a.state, now_x, &mut b.state, now_y);
    a.count(now_x);
    b.count(now_y);
    for (hash, later, rest) in [(a, later_x, rest_x), (b, later_y, rest_y)] {
        hash.compress(later);
        hash.keep(rest);
    }
}

/// Hashes as many blocks of `x` as of `y`, of which there are equally many.
fn compress_both(a: &mut State, x: &[Block], b: &mut State, y: &[Block]) {
    #[cfg(target_arch = "x86_64")]
    if pair::compress([a, b], [x, y]) {
        return;
    }
    compress256(a, x);
    compress256(b, y);
}
