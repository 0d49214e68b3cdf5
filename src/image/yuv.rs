//! Luma and colour differences to RGB, as cameras and video decoders mean them.
//!
//! With luma `Y`, colour differences `U` and `V` and the weights `Kr + Kg + Kb = 1` of a [`YuvMatrix`] (ITU-R BT.601 and
//! BT.709, sections 3 and 4; the full range is that of JFIF):
//!
//! - `R = a (Y − o) + 2 (1 − Kr) c (V − 128)`
//! - `B = a (Y − o) + 2 (1 − Kb) c (U − 128)`
//! - `G = a (Y − o) − 2 Kb (1 − Kb) / Kg · c (U − 128) − 2 Kr (1 − Kr) / Kg · c (V − 128)`
//!
//! where `(o, a, c)` is `(16, 255 / 219, 255 / 224)` for the limited range and `(0, 1, 1)` for the full one. The sums are
//! computed with 20 fractional bits, rounded to nearest and clamped to 0…255.

use crate::setters::setters;

/// Weights of red, green and blue in luma.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum YuvMatrix {
    /// BT.601: what phones' cameras and JPEG give.
    #[default]
    Bt601,
    /// BT.709: video of 720 lines and more.
    Bt709,
}

/// Which values stand for black and white.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum YuvRange {
    /// Luma 16 to 235, colour differences 16 to 240.
    #[default]
    Limited,
    /// 0 to 255.
    Full,
}

/// What luma and colour differences mean. The default is BT.601 of limited range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct YuvEncoding {
    /// Weights of the colours.
    pub matrix: YuvMatrix,
    /// Black and white.
    pub range: YuvRange,
}

impl YuvEncoding {
    setters! {
        with_matrix(matrix: YuvMatrix),
        with_range(range: YuvRange),
    }
}

/// Fractional bits of a coefficient. The largest sum, about 255 · 1.16 + 128 · 2.11, then just fits an i32.
const BITS: u32 = 20;

/// The factors of an encoding, with [`BITS`] fractional bits.
#[derive(Clone, Copy, Debug)]
struct Factors {
    black: i32,
    luma: i32,
    v_to_red: i32,
    u_to_green: i32,
    v_to_green: i32,
    u_to_blue: i32,
}

impl Factors {
    const fn of(encoding: YuvEncoding) -> Self {
        let (red, blue) = match encoding.matrix {
            YuvMatrix::Bt601 => (0.299, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
        };
        let (black, luma, chroma) = match encoding.range {
            YuvRange::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
            YuvRange::Full => (0, 1.0, 1.0),
        };
        let green = 1.0 - red - blue;
        Self {
            black,
            luma: fixed(luma),
            v_to_red: fixed(2.0 * (1.0 - red) * chroma),
            u_to_green: fixed(2.0 * blue * (1.0 - blue) / green * chroma),
            v_to_green: fixed(2.0 * red * (1.0 - red) / green * chroma),
            u_to_blue: fixed(2.0 * (1.0 - blue) * chroma),
        }
    }

    /// What the colour differences add to red, green and blue, and one half for rounding.
    #[inline(always)]
    fn differences(&self, [u, v]: [u8; 2]) -> [i32; 3] {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        [self.v_to_red * v, -(self.u_to_green * u + self.v_to_green * v), self.u_to_blue * u]
            .map(|difference| difference + (1 << (BITS - 1)))
    }

    #[inline(always)]
    fn rgb(&self, luma: u8, differences: [i32; 3]) -> [u8; 3] {
        let luma = self.luma * (i32::from(luma) - self.black);
        differences.map(|difference| ((luma + difference) >> BITS).clamp(0, 255) as u8)
    }
}

/// `value > 0` with [`BITS`] fractional bits.
const fn fixed(value: f64) -> i32 {
    (value * (1 << BITS) as f64 + 0.5) as i32
}

impl YuvEncoding {
    /// Converts a row: `chroma` are `U, V` pairs of two pixels each, the first of which is shared with a pixel before
    /// the row if `odd`.
    pub(super) fn row_rgb(self, luma: &[u8], chroma: &[u8], odd: bool, out: &mut [u8]) {
        let factors = Factors::of(self);
        let (out, _) = out.as_chunks_mut::<3>();
        let (mut pairs, _) = chroma.as_chunks::<2>();
        let convert = |luma: &[u8], out: &mut [[u8; 3]], pair: [u8; 2]| {
            let differences = factors.differences(pair);
            luma.iter().zip(out).for_each(|(&luma, out)| *out = factors.rgb(luma, differences));
        };
        let (lone, luma) = luma.split_at(usize::from(odd));
        let (lone_out, out) = out.split_at_mut(lone.len());
        if odd {
            convert(lone, lone_out, pairs[0]);
            pairs = &pairs[1..];
        }
        for ((luma, out), &pair) in luma.chunks(2).zip(out.chunks_mut(2)).zip(pairs) {
            convert(luma, out, pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENCODINGS: [YuvEncoding; 4] = [
        YuvEncoding { matrix: YuvMatrix::Bt601, range: YuvRange::Limited },
        YuvEncoding { matrix: YuvMatrix::Bt601, range: YuvRange::Full },
        YuvEncoding { matrix: YuvMatrix::Bt709, range: YuvRange::Limited },
        YuvEncoding { matrix: YuvMatrix::Bt709, range: YuvRange::Full },
    ];

    /// The formula of the module in f64, with the weights solved for from luma: `Y' = Kr R + Kg G + Kb B`.
    fn oracle(encoding: YuvEncoding, [y, u, v]: [u8; 3]) -> [f64; 3] {
        let (kr, kb) = if encoding.matrix == YuvMatrix::Bt601 { (0.299, 0.114) } else { (0.2126, 0.0722) };
        let (y, u, v) = (f64::from(y), f64::from(u) - 128.0, f64::from(v) - 128.0);
        let (y, u, v) = match encoding.range {
            YuvRange::Limited => ((y - 16.0) / 219.0, u / 224.0, v / 224.0),
            YuvRange::Full => (y / 255.0, u / 255.0, v / 255.0),
        };
        let red = y + v * 2.0 * (1.0 - kr);
        let blue = y + u * 2.0 * (1.0 - kb);
        let green = (y - kr * red - kb * blue) / (1.0 - kr - kb);
        [red, green, blue].map(|x| (x * 255.0).clamp(0.0, 255.0))
    }

    #[test]
    fn every_colour_is_the_nearest() {
        for encoding in ENCODINGS {
            for y in (0..=255_u8).step_by(3) {
                for u in (0..=255_u8).step_by(5) {
                    for v in (0..=255_u8).step_by(5) {
                        let mut rgb = [0; 3];
                        encoding.row_rgb(&[y], &[u, v], false, &mut rgb);
                        for (value, exact) in rgb.into_iter().zip(oracle(encoding, [y, u, v])) {
                            let error = (f64::from(value) - exact).abs();
                            assert!(error <= 0.5003, "{encoding:?} {y} {u} {v}: {value} for {exact}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn black_white_and_red() {
        let rgb = |encoding: YuvEncoding, [y, u, v]: [u8; 3]| {
            let mut out = [0; 3];
            encoding.row_rgb(&[y], &[u, v], false, &mut out);
            out
        };
        let [limited, full, hd, _] = ENCODINGS;
        assert_eq!((rgb(limited, [16, 128, 128]), rgb(limited, [235, 128, 128])), ([0; 3], [255; 3]));
        assert_eq!((rgb(full, [0, 128, 128]), rgb(full, [255, 128, 128])), ([0; 3], [255; 3]));
        // The published bars' red: 81, 90, 240 in BT.601 and 63, 102, 240 in BT.709.
        assert_eq!((rgb(limited, [81, 90, 240]), rgb(hd, [63, 102, 240])), ([254, 0, 0], [255, 1, 0]));
        assert_eq!(YuvEncoding::default(), limited);
    }
}
