//! The best rows of a query so far.

/// A row and its score in one number: the larger number is the better row. A higher score is better, of equal scores the
/// earlier row; NaN is worse than all numbers. A NaN comes back as NaN, and −0 as 0.
#[inline(always)]
pub(super) fn key(score: f32, row: u32) -> u64 {
    // The bits of positive numbers grow with them, those of negative numbers fall; nothing maps to 0 but NaN.
    let bits = (score + 0.0).to_bits();
    let rank = match bits >> 31 {
        _ if score.is_nan() => 0,
        0 => bits | 1 << 31,
        _ => !bits,
    };
    u64::from(rank) << 32 | u64::from(!row)
}

/// The score in a [`key`].
#[inline(always)]
pub(super) fn score(key: u64) -> f32 {
    match (key >> 32) as u32 {
        0 => f32::NAN,
        rank if rank >> 31 == 1 => f32::from_bits(rank & !(1 << 31)),
        rank => f32::from_bits(!rank),
    }
}

/// The row in a [`key`].
pub(super) fn row(key: u64) -> u32 {
    !(key as u32)
}

/// Adds `key` to the heap of the `len` best of `keys`, the worst first, if it is one of the `keys.len()` best.
pub(super) fn offer(keys: &mut [u64], len: &mut u64, key: u64) {
    let count = *len as usize;
    if count < keys.len() {
        *len += 1;
        let mut at = count;
        while at > 0 && keys[(at - 1) / 2] > key {
            keys[at] = keys[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        keys[at] = key;
        return;
    }
    if keys[0] >= key {
        return;
    }
    let mut at = 0;
    loop {
        let mut child = 2 * at + 1;
        if child + 1 < keys.len() && keys[child + 1] < keys[child] {
            child += 1;
        }
        if child >= keys.len() || keys[child] >= key {
            break;
        }
        keys[at] = keys[child];
        at = child;
    }
    keys[at] = key;
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::kernels::testing::Rng;

    #[test]
    fn better_rows_have_larger_keys() {
        let order = [
            (f32::INFINITY, 9),
            (2.0, 0),
            (1.0, 0),
            (1.0, 1),
            (f32::MIN_POSITIVE, 5),
            (0.0, 3),
            (-0.0, 4),
            (0.0, u32::MAX),
            (-1e-40, 0),
            (-3.0, 2),
            (f32::NEG_INFINITY, 0),
            (f32::NAN, 0),
            (-f32::NAN, 1),
        ];
        assert!(order.is_sorted_by(|a, b| key(a.0, a.1) > key(b.0, b.1)));
        for (value, index) in order {
            let key = key(value, index);
            assert!((score(key) == value || value.is_nan() && score(key).is_nan()) && row(key) == index);
        }
    }

    #[test]
    fn the_best_stay() {
        let mut rng = Rng::new(1);
        for capacity in [1, 2, 3, 7, 64] {
            for count in [0, 1, 5, 200] {
                let all: Vec<u64> = (0..count).map(|_| rng.bits() % 50).collect();
                let (mut keys, mut len) = (vec![0; capacity], 0);
                all.iter().for_each(|&key| offer(&mut keys, &mut len, key));
                let mut best = all.clone();
                best.sort_unstable_by(|a, b| b.cmp(a));
                best.truncate(capacity);
                keys.truncate(len as usize);
                keys.sort_unstable_by(|a, b| b.cmp(a));
                assert_eq!(keys, best);
            }
        }
    }
}
