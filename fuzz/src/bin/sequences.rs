//! `sequences FIRST COUNT`: the target `calls` on random bytes, which are those of a seed for each of `COUNT` seeds from `FIRST` on.
//!
//! Nothing guides them, and nothing is instrumented: two to four times as many in the same time. The last line names the seeds that
//! are done; a seed that finds something is found again by `sequences SEED 1`.

use std::env;

/// Bytes of a sequence at most: more than 63 calls take.
const MOST: u64 = 8192;
/// Seeds between two lines of progress.
const STEP: u64 = 1000;

fn main() {
    let mut numbers = env::args().skip(1).map(|it| it.parse::<u64>().expect("a number"));
    let (first, count) = numbers.next().zip(numbers.next()).expect("FIRST and COUNT");
    for seed in first..first + count {
        vitrum_fuzz::calls::sequence(&bytes_of(seed));
        if (seed + 1 - first).is_multiple_of(STEP) || seed + 1 == first + count {
            println!("seeds {first} to {seed}");
        }
    }
}

/// Random bytes, as many as the seed says.
fn bytes_of(seed: u64) -> Vec<u8> {
    let mut state = seed;
    // SplitMix64 (Steele, Lea and Flood, 2014).
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let len = next() % MOST;
    (0..len).map(|_| next() as u8).collect()
}
