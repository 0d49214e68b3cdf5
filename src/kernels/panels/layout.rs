//! The layout of features and the way there and back.

use core::ops::Range;

use crate::exec::{Cx, SharedMut};
use crate::kernels::gemm::F32Kernel;
use crate::simd::Level;

/// How pixels are cut into panels of `nr` columns, the width of a level's tile kernel. Columns beyond the last pixel
/// are finite but mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panels {
    pixels: usize,
    nr: usize,
}

impl Panels {
    /// The panels of `pixels` pixels at `level`.
    ///
    /// # Panics
    /// If there are no pixels.
    pub fn new(level: Level, pixels: usize) -> Self {
        assert!(pixels > 0, "panels of no pixels");
        Self { pixels, nr: F32Kernel::of(level).nr }
    }

    /// Pixels.
    pub fn pixels(&self) -> usize {
        self.pixels
    }

    /// Pixels of a panel.
    pub fn width(&self) -> usize {
        self.nr
    }

    /// Panels.
    pub fn count(&self) -> usize {
        self.pixels.div_ceil(self.nr)
    }

    /// How many f32 the features of all pixels take.
    pub fn len(&self, channels: usize) -> usize {
        self.count() * self.nr * channels
    }

    /// The elements of panel `index` of features with `channels` channels.
    pub(super) fn panel(&self, index: usize, channels: usize) -> Range<usize> {
        let len = self.nr * channels;
        index * len..(index + 1) * len
    }

    /// The pixels of panel `index`.
    pub(super) fn range(&self, index: usize) -> Range<usize> {
        index * self.nr..self.pixels.min((index + 1) * self.nr)
    }
}

/// What [`from_tokens`] adds.
#[derive(Clone, Copy, Debug)]
pub enum Plus<'a> {
    /// Nothing.
    Nothing,
    /// The same to every pixel, `[channels]`.
    Channels(&'a [f32]),
    /// Tokens, `[pixels, channels]`.
    Tokens(&'a [f32]),
    /// Panels.
    Panels(&'a [f32]),
}

/// `out ← tokens + plus`, with `tokens: [pixels, channels]` and `out` as panels.
///
/// # Panics
/// If a slice does not have its size.
pub fn from_tokens(
    cx: &Cx,
    panels: Panels,
    channels: usize,
    tokens: &[f32],
    plus: Plus<'_>,
    out: &mut [f32],
) {
    assert_eq!(tokens.len(), panels.pixels * channels, "tokens");
    assert_eq!(out.len(), panels.len(channels), "panels");
    match plus {
        Plus::Nothing => {}
        Plus::Channels(plus) => assert_eq!(plus.len(), channels, "channels to add"),
        Plus::Tokens(plus) => assert_eq!(plus.len(), tokens.len(), "tokens to add"),
        Plus::Panels(plus) => assert_eq!(plus.len(), out.len(), "panels to add"),
    }
    let out = SharedMut::new(out);
    cx.parallel_for(panels.count(), |_, index| {
        let range = panels.panel(index, channels);
        // SAFETY: tasks' panels are disjoint.
        let panel = unsafe { out.range(range.clone()) };
        let pixels = panels.range(index);
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

/// `out ← features` as tokens, `[pixels, channels]`.
///
/// # Panics
/// If a slice does not have its size.
pub fn to_tokens(panels: Panels, channels: usize, features: &[f32], out: &mut [f32]) {
    assert_eq!(features.len(), panels.len(channels), "panels");
    assert_eq!(out.len(), panels.pixels * channels, "tokens");
    for (pixel, token) in out.chunks_exact_mut(channels).enumerate() {
        let panel = &features[panels.panel(pixel / panels.nr, channels)];
        for (to, row) in token.iter_mut().zip(panel.chunks_exact(panels.nr)) {
            *to = row[pixel % panels.nr];
        }
    }
}
