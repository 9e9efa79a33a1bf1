use super::*;
use proptest::prelude::*;
use sha2::Digest as _;

fn reference(bytes: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(bytes).into()
}

/// Returns bytes in which no block is like another.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let next = || {
        // Xorshift (Marsaglia).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Hashes both, cut at the given places, which go round.
fn both(x: &[u8], y: &[u8], cuts: &[(usize, usize)]) -> [[u8; 32]; 2] {
    let (mut a, mut b) = (Sha256::default(), Sha256::default());
    let (mut x, mut y) = (x, y);
    for (cut_x, cut_y) in cuts {
        let (now_x, later_x) = x.split_at(x.len().min(*cut_x));
        let (now_y, later_y) = y.split_at(y.len().min(*cut_y));
        update_both(&mut a, now_x, &mut b, now_y);
        (x, y) = (later_x, later_y);
    }
    update_both(&mut a, x, &mut b, y);
    [a.finish(), b.finish()]
}

#[test]
fn agrees_with_the_published_examples() {
    let mut hash = Sha256::default();
    hash.update(b"abc");
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hex::encode(hash.finish()), abc);
    let long = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    let mut hash = Sha256::default();
    hash.update(long);
    let expected = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
    assert_eq!(hex::encode(hash.finish()), expected);
}

#[test]
fn every_length_around_the_blocks_is_padded_rightly() {
    let bytes = noise(1, 300);
    for length in 0..bytes.len() {
        let mut hash = Sha256::default();
        hash.update(&bytes[..length]);
        assert_eq!(hash.finish(), reference(&bytes[..length]), "{length}");
    }
}

#[test]
fn two_long_streams_in_odd_pieces_are_each_their_own() {
    let (x, y) = (noise(2, (3 << 20) + 17), noise(3, (2 << 20) + 63));
    let cuts: Vec<_> = (0..200)
        .map(|n| (n * 131 % 70_001, n * 257 % 50_021))
        .collect();
    let expected = [reference(&x), reference(&y)];
    assert_eq!(both(&x, &y, &cuts), expected);
    assert_eq!(both(&x, &y, &[]), expected);
    assert_ne!(expected[0], expected[1]);
}

#[test]
fn a_stream_may_go_alone_for_a_while() {
    let (x, y) = (noise(4, 10_000), noise(5, 9_000));
    let (mut a, mut b) = (Sha256::default(), Sha256::default());
    a.update(&x[..100]);
    update_both(&mut a, &x[100..5_000], &mut b, &y[..7_001]);
    b.update(&y[7_001..7_002]);
    update_both(&mut b, &y[7_002..], &mut a, &x[5_000..]);
    assert_eq!([a.finish(), b.finish()], [reference(&x), reference(&y)]);
}

proptest! {
    #[test]
    fn one_and_two_streams_agree_with_sha2(
        x in proptest::collection::vec(any::<u8>(), 0..2_000),
        y in proptest::collection::vec(any::<u8>(), 0..2_000),
        cuts in proptest::collection::vec((0_usize..300, 0_usize..300), 0..12),
    ) {
        let expected = [reference(&x), reference(&y)];
        prop_assert_eq!(both(&x, &y, &cuts), expected);
        let mut one = Sha256::default();
        let mut rest = &x[..];
        for (cut, _) in &cuts {
            let (now, later) = rest.split_at(rest.len().min(*cut));
            one.update(now);
            rest = later;
        }
        one.update(rest);
        prop_assert_eq!(one.finish(), expected[0]);
    }
}
