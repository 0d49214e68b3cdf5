//! Luma and chroma to red, green and blue (ITU-T H.273, section 8.3).

/// How colour was split into luma and chroma.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Matrix {
    /// BT.601: standard definition, and what converters use when nothing is said.
    Bt601,
    /// BT.709: high definition.
    Bt709,
}

/// Which of the 256 values are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// Luma from 16 to 235, chroma from 16 to 240.
    Limited,
    /// All.
    Full,
}

/// Bits behind the point.
const BITS: u32 = 16;

/// `R = y + rv · v`, `G = y − gu · u − gv · v`, `B = y + bu · u` with `y` and chroma brought to the full range, in fixed
/// point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversion {
    black: i32,
    luma: i32,
    rv: i32,
    gu: i32,
    gv: i32,
    bu: i32,
}

impl Conversion {
    pub(super) fn new(matrix: Matrix, range: Range) -> Self {
        let (kr, kb) = match matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
        };
        let kg = 1.0 - kr - kb;
        let (black, luma, chroma) = match range {
            Range::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
            Range::Full => (0, 1.0, 1.0),
        };
        let fixed = |x: f64| (x * f64::from(1 << BITS)).round() as i32;
        let (v, u) = (2.0 * (1.0 - kr) * chroma, 2.0 * (1.0 - kb) * chroma);
        Self {
            black,
            luma: fixed(luma),
            rv: fixed(v),
            gu: fixed(u * kb / kg),
            gv: fixed(v * kr / kg),
            bu: fixed(u),
        }
    }

    /// A row of RGB. A sample of `u` and `v` belongs to `step` pixels, which all take its value.
    pub(super) fn row(&self, y: &[u8], u: &[u8], v: &[u8], step: usize, rgb: &mut [u8]) {
        let pixels = y.chunks(step).zip(rgb.chunks_mut(3 * step)).zip(u.iter().zip(v));
        for ((luma, rgb), (&u, &v)) in pixels {
            let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
            let chroma = [self.rv * v, -self.gu * u - self.gv * v, self.bu * u];
            for (&luma, pixel) in luma.iter().zip(rgb.chunks_exact_mut(3)) {
                let luma = (i32::from(luma) - self.black) * self.luma + (1 << (BITS - 1));
                for (channel, chroma) in pixel.iter_mut().zip(chroma) {
                    *channel = ((luma + chroma) >> BITS).clamp(0, 255) as u8;
                }
            }
        }
    }

    /// A row of grey.
    pub(super) fn gray(&self, y: &[u8], gray: &mut [u8]) {
        for (&luma, gray) in y.iter().zip(gray) {
            let luma = (i32::from(luma) - self.black) * self.luma + (1 << (BITS - 1));
            *gray = (luma >> BITS).clamp(0, 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(conversion: &Conversion, [y, u, v]: [u8; 3]) -> [u8; 3] {
        let mut rgb = [0; 3];
        conversion.row(&[y], &[u], &[v], 1, &mut rgb);
        rgb
    }

    /// The definition, forwards: R, G and B of 0 to 1 to samples.
    fn samples([r, g, b]: [f64; 3], matrix: Matrix, range: Range) -> [u8; 3] {
        let [kr, kb] = if matrix == Matrix::Bt601 { [0.299, 0.114] } else { [0.2126, 0.0722] };
        let y = kr * r + (1.0 - kr - kb) * g + kb * b;
        let (u, v) = ((b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr)));
        let (black, luma, chroma) =
            if range == Range::Full { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
        [black + luma * y, 128.0 + chroma * u, 128.0 + chroma * v].map(|x| x.round().min(255.0) as u8)
    }

    #[test]
    fn colours_survive_the_round_trip() {
        for matrix in [Matrix::Bt601, Matrix::Bt709] {
            for range in [Range::Limited, Range::Full] {
                let conversion = Conversion::new(matrix, range);
                for i in 0..6u32.pow(3) {
                    let color = [i % 6, i / 6 % 6, i / 36].map(|step| f64::from(step) / 5.0);
                    let rgb = pixel(&conversion, samples(color, matrix, range));
                    for (found, expected) in rgb.into_iter().zip(color) {
                        // Half a step of each sample, and chroma counts up to 1.9 times.
                        assert!((f64::from(found) - expected * 255.0).abs() <= 2.6, "{color:?}: {rgb:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn black_and_white_are_exact_and_the_rest_is_clamped() {
        let limited = Conversion::new(Matrix::Bt601, Range::Limited);
        assert_eq!(pixel(&limited, [16, 128, 128]), [0; 3]);
        assert_eq!(pixel(&limited, [235, 128, 128]), [255; 3]);
        assert_eq!((pixel(&limited, [0, 128, 128]), pixel(&limited, [255, 128, 128])), ([0; 3], [255; 3]));
        // Published values of pure red in both standards.
        assert_eq!(pixel(&limited, [81, 90, 240]), [254, 0, 0]);
        assert_eq!(pixel(&Conversion::new(Matrix::Bt709, Range::Limited), [63, 102, 240]), [255, 1, 0]);
        assert_eq!(pixel(&Conversion::new(Matrix::Bt601, Range::Full), [77, 128, 128]), [77; 3]);
        let mut gray = [0; 3];
        limited.gray(&[16, 126, 235], &mut gray);
        assert_eq!(gray, [0, 128, 255]);
    }

    #[test]
    fn chroma_is_shared_by_neighbours_and_the_last_pixel_has_one_too() {
        let conversion = Conversion::new(Matrix::Bt601, Range::Full);
        let mut rgb = [0; 15];
        conversion.row(&[100; 5], &[128, 128, 128], &[128, 228, 128], 2, &mut rgb);
        assert_eq!((&rgb[..6], &rgb[12..]), (&[100; 6][..], &[100; 3][..]));
        assert_eq!((rgb[6], &rgb[6..9]), (240, &rgb[9..12]));
    }
}
