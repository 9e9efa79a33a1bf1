//! Two streams in turn with the SHA extensions of x86-64
//! ([Intel, "SHA Extensions"](https://www.intel.com/content/www/us/en/developer/articles/technical/intel-sha-extensions.html)).
//!
//! **The only `unsafe` of this crate**, for two things: calling code that needs instructions which
//! the processor was asked for just before, and reading the 64 bytes of a block that is borrowed.

#![allow(unsafe_code)]

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_loadu_si128, _mm_set_epi32,
    _mm_set_epi64x, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use super::{Block, State};

/// The constants of the 64 rounds, four at a time (FIPS 180-4, 4.2.2).
const ROUNDS: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// The four steps of the rounds that need no new message words.
const LAST: usize = ROUNDS.len() - 4;

/// One stream: its state in the order that the instructions want, and the message words to come.
#[derive(Clone, Copy)]
struct Lane {
    abef: __m128i,
    cdgh: __m128i,
    words: [__m128i; 4],
}

/// Whether the processor has what this needs.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("sse4.1")
        && is_x86_feature_detected!("ssse3")
}

/// Hashes the blocks of both streams up to the end of the shorter one; `false` means that the
/// processor cannot and nothing was done.
pub(super) fn compress(states: [&mut State; 2], blocks: [&[Block]; 2]) -> bool {
    let supported = is_supported();
    if supported {
        // SAFETY: the processor has the features that the function is compiled for.
        unsafe { compress_all(states, blocks) };
    }
    supported
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn compress_all(states: [&mut State; 2], [x, y]: [&[Block]; 2]) {
    let mut lanes = [load(states[0]), load(states[1])];
    for (x, y) in std::iter::zip(x, y) {
        let before = lanes;
        lanes[0].words = words(x);
        lanes[1].words = words(y);
        for (step, constants) in ROUNDS.iter().enumerate() {
            let constants = vector(*constants);
            for lane in &mut lanes {
                rounds(lane, constants, step < LAST);
            }
        }
        for (lane, before) in std::iter::zip(&mut lanes, before) {
            lane.abef = _mm_add_epi32(lane.abef, before.abef);
            lane.cdgh = _mm_add_epi32(lane.cdgh, before.cdgh);
        }
    }
    for (state, lane) in std::iter::zip(states, lanes) {
        *state = store(lane);
    }
}

/// Does four rounds, and prepares the words that are used four steps later if there is such a step.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn rounds(lane: &mut Lane, constants: __m128i, more: bool) {
    let [w0, w1, w2, w3] = lane.words;
    let sum = _mm_add_epi32(w0, constants);
    lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, sum);
    lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(sum, 0x0e));
    let next = match more {
        true => {
            let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
            _mm_sha256msg2_epu32(sum, w3)
        }
        false => w0,
    };
    lane.words = [w1, w2, w3, next];
}

/// Returns a block's words, which are big-endian.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn words(block: &Block) -> [__m128i; 4] {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let (quarters, _) = block.as_chunks::<16>();
    let mut words = [swap; 4];
    for (word, quarter) in std::iter::zip(&mut words, quarters) {
        // SAFETY: the quarter is 16 bytes that are borrowed, and need not be aligned.
        let bytes = unsafe { _mm_loadu_si128(quarter.as_ptr().cast()) };
        *word = _mm_shuffle_epi8(bytes, swap);
    }
    words
}

#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn load(&[a, b, c, d, e, f, g, h]: &State) -> Lane {
    let abef = vector([f, e, b, a]);
    Lane {
        abef,
        cdgh: vector([h, g, d, c]),
        words: [abef; 4],
    }
}

#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn store(Lane { abef, cdgh, .. }: Lane) -> State {
    [
        _mm_extract_epi32(abef, 3),
        _mm_extract_epi32(abef, 2),
        _mm_extract_epi32(cdgh, 3),
        _mm_extract_epi32(cdgh, 2),
        _mm_extract_epi32(abef, 1),
        _mm_extract_epi32(abef, 0),
        _mm_extract_epi32(cdgh, 1),
        _mm_extract_epi32(cdgh, 0),
    ]
    .map(i32::cast_unsigned)
}

/// Returns four words, the lowest first.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn vector(words: [u32; 4]) -> __m128i {
    let [a, b, c, d] = words.map(u32::cast_signed);
    _mm_set_epi32(d, c, b, a)
}
