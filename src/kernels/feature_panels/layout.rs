//! The layout of features in panels, and copies from tokens to panels and back.

use core::ops::Range;

use crate::exec::{Cx, SharedMut, Work};
use crate::kernels::gemm::F32Kernel;
use crate::kernels::len::len_of;
use crate::simd::Level;

/// How the pixels of an image are cut into panels of `nr` columns, the width of a level's tile kernel. The last panel may
/// have more columns than there are pixels left; these hold finite values that nobody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanelLayout {
    pixels: usize,
    nr: usize,
}

impl PanelLayout {
    /// The layout of `pixels` pixels at `level`.
    ///
    /// # Panics
    /// If there are no pixels.
    pub fn new(level: Level, pixels: usize) -> Self {
        assert!(pixels > 0, "panels of no pixels");
        Self { pixels, nr: F32Kernel::of(level).nr }
    }

    /// Number of pixels.
    pub fn pixels(&self) -> usize {
        self.pixels
    }

    /// Columns of a panel, `nr`.
    pub fn width(&self) -> usize {
        self.nr
    }

    /// Number of panels.
    pub fn count(&self) -> usize {
        self.pixels.div_ceil(self.nr)
    }

    /// Length of the features of all pixels, in f32.
    ///
    /// # Panics
    /// If there can be no such memory.
    pub fn len(&self, channels: usize) -> usize {
        len_of([self.count(), self.nr, channels])
    }

    /// The range of panel `index` in features of `channels` channels.
    pub(in crate::kernels) fn elements_of(&self, index: usize, channels: usize) -> Range<usize> {
        let len = self.nr * channels;
        index * len..(index + 1) * len
    }

    /// The pixels of panel `index`.
    pub(in crate::kernels) fn pixels_of(&self, index: usize) -> Range<usize> {
        index * self.nr..self.pixels.min((index + 1) * self.nr)
    }
}

/// What [`from_tokens`] adds to the tokens.
#[derive(Clone, Copy, Debug)]
pub enum Plus<'a> {
    /// Nothing.
    Nothing,
    /// One vector to every pixel, `[channels]`.
    Channels(&'a [f32]),
    /// Tokens, `[pixels, channels]`.
    Tokens(&'a [f32]),
    /// Features in panels.
    Panels(&'a [f32]),
}

/// `out ← tokens + plus`, with `tokens: [pixels, channels]` and `out` as panels.
///
/// # Panics
/// If a slice does not have its size.
pub fn from_tokens(
    cx: &Cx,
    panels: PanelLayout,
    channels: usize,
    tokens: &[f32],
    plus: Plus<'_>,
    out: &mut [f32],
) {
    let _kernel = cx.kernel("from-tokens", || Work { flops: 0.0, bytes: 8.0 * tokens.len() as f64 });
    assert_eq!(out.len(), panels.len(channels), "panels");
    assert_eq!(tokens.len(), panels.pixels * channels, "tokens");
    match plus {
        Plus::Nothing => {}
        Plus::Channels(plus) => assert_eq!(plus.len(), channels, "channels to add"),
        Plus::Tokens(plus) => assert_eq!(plus.len(), tokens.len(), "tokens to add"),
        Plus::Panels(plus) => assert_eq!(plus.len(), out.len(), "panels to add"),
    }
    let out = SharedMut::new(out);
    cx.parallel_for(panels.count(), |_, index| {
        let range = panels.elements_of(index, channels);
        // SAFETY: tasks' panels are disjoint.
        let panel = unsafe { out.range(range.clone()) };
        let pixels = panels.pixels_of(index);
        let of_panel = pixels.start * channels..pixels.end * channels;
        let tokens = &tokens[of_panel.clone()];
        for (channel, row) in panel.chunks_exact_mut(panels.nr).enumerate() {
            let (present, absent) = row.split_at_mut(pixels.len());
            for (to, token) in present.iter_mut().zip(tokens.chunks_exact(channels)) {
                *to = token[channel];
            }
            absent.fill(0.0);
        }
        let rows = panel.chunks_exact_mut(panels.nr).enumerate();
        match plus {
            Plus::Nothing => {}
            Plus::Channels(plus) => {
                rows.for_each(|(channel, row)| row.iter_mut().for_each(|to| *to += plus[channel]));
            }
            Plus::Tokens(plus) => rows.for_each(|(channel, row)| {
                let tokens = plus[of_panel.clone()].chunks_exact(channels);
                row.iter_mut().zip(tokens).for_each(|(to, token)| *to += token[channel]);
            }),
            Plus::Panels(plus) => panel.iter_mut().zip(&plus[range]).for_each(|(to, plus)| *to += plus),
        }
    });
}

/// Copies `features`, in panels, to tokens `out: [pixels, channels]`.
///
/// # Panics
/// If a slice does not have its size.
pub fn to_tokens(panels: PanelLayout, channels: usize, features: &[f32], out: &mut [f32]) {
    assert_eq!(features.len(), panels.len(channels), "panels");
    assert_eq!(out.len(), panels.pixels * channels, "tokens");
    for (pixel, token) in out.chunks_exact_mut(channels).enumerate() {
        let panel = &features[panels.elements_of(pixel / panels.nr, channels)];
        for (to, row) in token.iter_mut().zip(panel.chunks_exact(panels.nr)) {
            *to = row[pixel % panels.nr];
        }
    }
}
