//! The layout of two maps of an image, of twice and of four times its side, as [`upscale`](super::upscale()) adds them.
//!
//! The first transposed convolution makes a block of 2 × 2 pixels of a pixel, the second a block of 2 × 2 of each of
//! these. A panel of the packed maps has what is added to the blocks of a panel of pixels: `[2 · 2][channels 1][nr]` of the
//! first map, then `[2 · 2][2 · 2][channels 2][nr]` of the second, with the block of a pixel in the pixel's column.

use core::ops::Range;

use crate::exec::{Cx, SharedMut, Work};
use crate::kernels::feature_panels::PanelLayout;
use crate::kernels::len::len_of;

/// Side of the block of pixels that a transposed convolution makes of a pixel.
pub(super) const FACTOR: usize = 2;
/// Pixels of a block.
pub(super) const TAPS: usize = FACTOR * FACTOR;

/// The sizes of both maps of an image of `grid · grid` pixels.
#[derive(Clone, Copy, Debug)]
pub struct HighResLayout {
    panels: PanelLayout,
    grid: usize,
    channels: [usize; 2],
}

impl HighResLayout {
    /// Maps of `channels` channels, the first of which has twice the image's side and the second four times.
    ///
    /// # Panics
    /// If `panels` are not those of `grid · grid` pixels.
    pub fn new(panels: PanelLayout, grid: usize, channels: [usize; 2]) -> Self {
        assert_eq!(panels.pixels(), len_of([grid, grid]), "panels of an image");
        Self { panels, grid, channels }
    }

    /// Length of both maps together, packed, in f32.
    pub fn packed_len(&self) -> usize {
        len_of([self.panels.count(), self.panel_len()])
    }

    /// Length of each map as tokens, `[(2 · grid)², channels 1]` and `[(4 · grid)², channels 2]`.
    pub fn map_lens(&self) -> [usize; 2] {
        let pixels = self.panels.pixels();
        [len_of([TAPS, pixels, self.channels[0]]), len_of([TAPS, TAPS, pixels, self.channels[1]])]
    }

    /// Packs both maps into `out`.
    ///
    /// # Panics
    /// If a slice does not have its size.
    pub fn pack(&self, cx: &Cx, maps: [&[f32]; 2], out: &mut [f32]) {
        let _kernel = cx.kernel("pack-high-res", || Work { flops: 0.0, bytes: 8.0 * out.len() as f64 });
        assert_eq!(maps.map(<[f32]>::len), self.map_lens(), "maps");
        assert_eq!(out.len(), self.packed_len(), "packed maps");
        let panel_len = self.panel_len();
        let out = SharedMut::new(out);
        cx.parallel_for(self.panels.count(), |_, index| {
            // SAFETY: tasks' panels are disjoint.
            let panel = unsafe { out.range(index * panel_len..(index + 1) * panel_len) };
            if self.panels.pixels_of(index).len() < self.panels.width() {
                panel.fill(0.0);
            }
            self.each_place(index, |map, at, from| {
                let column = panel[at..].iter_mut().step_by(self.panels.width());
                column.zip(&maps[map][from]).for_each(|(to, from)| *to = *from);
            });
        });
    }

    /// Copies packed maps back, to the bit as [`pack`](Self::pack) found them.
    ///
    /// # Panics
    /// If a slice does not have its size.
    pub fn unpack(&self, packed: &[f32], maps: [&mut [f32]; 2]) {
        assert_eq!([maps[0].len(), maps[1].len()], self.map_lens(), "maps");
        assert_eq!(packed.len(), self.packed_len(), "packed maps");
        for (index, panel) in packed.chunks_exact(self.panel_len()).enumerate() {
            self.each_place(index, |map, at, to| {
                let column = panel[at..].iter().step_by(self.panels.width());
                maps[map][to].iter_mut().zip(column).for_each(|(to, from)| *to = *from);
            });
        }
    }

    /// Panel `index` of each packed map.
    pub(super) fn panel<'a>(&self, packed: &'a [f32], index: usize) -> [&'a [f32]; 2] {
        let [first, second] = self.lengths();
        let (first, second) = packed[index * (first + second)..][..first + second].split_at(first);
        [first, second]
    }

    /// Length of a panel of both maps, in f32.
    fn panel_len(&self) -> usize {
        let [first, second] = self.lengths();
        first.checked_add(second).expect("a length that memory holds")
    }

    /// Length of a panel of each map, in f32.
    fn lengths(&self) -> [usize; 2] {
        let [first, second] = self.channels;
        [len_of([TAPS, first, self.panels.width()]), len_of([TAPS, TAPS, second, self.panels.width()])]
    }

    /// Calls `each(map, at, elements)` for every pixel of both maps that belongs to panel `index`: `map` is 0 or 1, `at`
    /// the position of its first channel in the panel, from which the other channels follow at distances of `nr`, and
    /// `elements` its range in the map.
    fn each_place(&self, index: usize, mut each: impl FnMut(usize, usize, Range<usize>)) {
        let (grid, nr, [first, _]) = (self.grid, self.panels.width(), self.lengths());
        for (column, pixel) in self.panels.pixels_of(index).enumerate() {
            for tap1 in 0..TAPS {
                let mut element = |map: usize, side: usize, [row, column]: [usize; 2], at: usize| {
                    let (from, channels) = (row * side + column, self.channels[map]);
                    each(map, at, from * channels..(from + 1) * channels);
                };
                let at = tap1 * self.channels[0] * nr + column;
                element(0, FACTOR * grid, place1(grid, pixel, tap1), at);
                for tap2 in 0..TAPS {
                    let at = first + (tap1 * TAPS + tap2) * self.channels[1] * nr + column;
                    element(1, FACTOR * FACTOR * grid, place2(grid, pixel, tap1, tap2), at);
                }
            }
        }
    }
}

/// Row and column in the first map of pixel `tap` of the block that is made of `pixel`.
fn place1(grid: usize, pixel: usize, tap: usize) -> [usize; 2] {
    [pixel / grid * FACTOR + tap / FACTOR, pixel % grid * FACTOR + tap % FACTOR]
}

/// Row and column in the second map of pixel `tap2` of the block that is made of [`place1`]'s pixel.
pub(super) fn place2(grid: usize, pixel: usize, tap1: usize, tap2: usize) -> [usize; 2] {
    let [row, column] = place1(grid, pixel, tap1);
    [row * FACTOR + tap2 / FACTOR, column * FACTOR + tap2 % FACTOR]
}
