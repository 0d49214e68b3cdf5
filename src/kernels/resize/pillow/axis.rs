//! One axis of a Pillow resampling: source windows and fixed-point weights (`precompute_coeffs` of `Resample.c`).

use super::Filter;
use crate::kernels::resize::Span;

/// Fractional bits of a weight: 32 less 8 for the pixel and 2 for weights beyond 0…1.
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The outputs `first .. first + count` of an axis that maps `area` of `source` pixels onto `target` pixels.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) source: usize,
    pub(super) target: usize,
    pub(super) area: [f32; 2],
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) filter: Filter,
}

impl Axis {
    /// Source pixels per output pixel.
    fn scale(&self) -> f64 {
        f64::from(self.area[1] - self.area[0]) / self.target as f64
    }

    /// Half of the window's width in source pixels. When shrinking, the filter is stretched to the scale: this is
    /// the antialiasing.
    fn support(&self) -> f64 {
        self.filter.support() * self.scale().max(1.0)
    }

    /// Most source pixels that an output reads.
    pub(super) fn taps(&self) -> usize {
        libm::ceil(self.support()) as usize * 2 + 1
    }

    /// No fewer source pixels than `outputs` outputs in a row read.
    pub(super) fn most_pixels(&self, outputs: usize) -> usize {
        (libm::ceil(outputs as f64 * self.scale()) as usize + self.taps()).min(self.source)
    }

    /// The source pixel of the first output if all outputs are source pixels, unchanged and in a row.
    pub(super) fn copied_from(&self) -> Option<usize> {
        let offset = self.area[0] as usize;
        (self.scale() == 1.0 && self.area[0] == offset as f32).then_some(offset + self.first)
    }

    /// The source indices that all outputs together read.
    pub(super) fn reach(&self) -> core::ops::Range<usize> {
        self.span(self.first).range().start..self.span(self.first + self.count - 1).range().end
    }

    fn center(&self, index: usize) -> f64 {
        f64::from(self.area[0]) + (index as f64 + 0.5) * self.scale()
    }

    fn span(&self, index: usize) -> Span {
        // `as u32` truncates and clamps below at 0, as the reference does in two steps.
        let (center, support) = (self.center(index), self.support());
        let start = (center - support + 0.5) as u32;
        let end = ((center + support + 0.5) as u32).min(self.source as u32);
        Span { start, len: end - start }
    }

    /// Writes the window of every output, and its weights from `weights[i * taps]` on.
    pub(super) fn fill(&self, spans: &mut [Span], weights: &mut [i32]) {
        let inverse = 1.0 / self.scale().max(1.0);
        for (i, (span, weights)) in spans.iter_mut().zip(weights.chunks_exact_mut(self.taps())).enumerate() {
            *span = self.span(self.first + i);
            let center = self.center(self.first + i);
            let weight = |x: usize| self.filter.weight((x as f64 - center + 0.5) * inverse);
            let sum: f64 = span.range().map(weight).sum();
            for (x, fixed) in span.range().zip(weights) {
                *fixed = to_fixed(if sum == 0.0 { weight(x) } else { weight(x) / sum });
            }
        }
    }

    /// Writes the source index under the centre of every output.
    ///
    /// The reference adds up the scale from output to output; so do we, because `(index + 0.5) * scale` is another
    /// number.
    pub(super) fn fill_nearest(&self, indices: &mut [u32]) {
        let scale = self.scale();
        let mut position = f64::from(self.area[0]) + scale * 0.5;
        for _ in 0..self.first {
            position += scale;
        }
        for index in indices {
            *index = (position as u32).min(self.source as u32 - 1);
            position += scale;
        }
    }
}

/// Rounds half away from zero to [`PRECISION_BITS`] fractional bits.
fn to_fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION_BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}
