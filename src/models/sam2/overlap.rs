//! Every pixel to one object at most (`_apply_non_overlapping_constraints`).

/// Highest logit of a pixel that another object gets.
const SUPPRESSED: f32 = -10.0;

/// Lowers logits of `out` where those of a `rival` are higher than the object's `own`, or the same if the rival
/// `is_earlier` in the list of objects.
pub fn suppress(out: &mut [f32], own: &[f32], rival: &[f32], is_earlier: bool) {
    for ((out, &own), &rival) in out.iter_mut().zip(own).zip(rival) {
        if rival > own || (is_earlier && rival == own) {
            *out = out.min(SUPPRESSED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_highest_keeps_a_pixel() {
        let masks = [[1.0, 5.0, -20.0, 0.0], [2.0, 5.0, -30.0, -1.0], [2.0, 4.0, -25.0, -2.0]];
        let expected = [[-10.0, 5.0, -20.0, 0.0], [2.0, -10.0, -30.0, -10.0], [-10.0, -10.0, -25.0, -10.0]];
        for (i, own) in masks.iter().enumerate() {
            let mut out = *own;
            for (j, rival) in masks.iter().enumerate().filter(|&(j, _)| j != i) {
                suppress(&mut out, own, rival, j < i);
            }
            assert_eq!(out, expected[i]);
        }
    }
}
