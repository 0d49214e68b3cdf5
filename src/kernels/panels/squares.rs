//! Two larger maps of an image, twice and four times its side, in the order in which [`upscale`](super::upscale()) adds
//! them: for each panel of pixels `[2 · 2][channels 1][nr]` of the first, then `[2 · 2][2 · 2][channels 2][nr]` of the
//! second, where a pixel's square lies in the pixel's column.

use core::ops::Range;

use super::Panels;
use crate::exec::{Cx, SharedMut};

/// Sides of a transposed convolution's squares.
pub(super) const FACTOR: usize = 2;
/// Pixels of such a square.
pub(super) const TAPS: usize = FACTOR * FACTOR;

/// The sizes of two maps over an image of `grid · grid` pixels.
#[derive(Clone, Copy, Debug)]
pub struct Squares {
    panels: Panels,
    grid: usize,
    channels: [usize; 2],
}

impl Squares {
    /// Maps of `channels` channels, the first of twice the image's side.
    ///
    /// # Panics
    /// If `panels` are not those of `grid · grid` pixels.
    pub fn new(panels: Panels, grid: usize, channels: [usize; 2]) -> Self {
        assert_eq!(panels.pixels(), grid * grid, "panels of an image");
        Self { panels, grid, channels }
    }

    /// How many f32 both take together, packed.
    pub fn packed_len(&self) -> usize {
        self.panels.count() * self.lengths().iter().sum::<usize>()
    }

    /// Elements of each map as tokens, `[(2 · grid)², channels 1]` and `[(4 · grid)², channels 2]`.
    pub fn map_lens(&self) -> [usize; 2] {
        let pixels = self.grid * self.grid;
        [TAPS * pixels * self.channels[0], TAPS * TAPS * pixels * self.channels[1]]
    }

    /// Packs both maps into `out`.
    ///
    /// # Panics
    /// If a slice does not have its size.
    pub fn pack(&self, cx: &Cx, maps: [&[f32]; 2], out: &mut [f32]) {
        assert_eq!(maps.map(<[f32]>::len), self.map_lens(), "maps");
        assert_eq!(out.len(), self.packed_len(), "packed maps");
        let panel_len = self.lengths().iter().sum::<usize>();
        let out = SharedMut::new(out);
        cx.parallel_for(self.panels.count(), |_, index| {
            // SAFETY: tasks' panels are disjoint.
            let panel = unsafe { out.range(index * panel_len..(index + 1) * panel_len) };
            if self.panels.range(index).len() < self.panels.width() {
                panel.fill(0.0);
            }
            self.each_place(index, |map, at, from| {
                let column = panel[at..].iter_mut().step_by(self.panels.width());
                column.zip(&maps[map][from]).for_each(|(to, from)| *to = *from);
            });
        });
    }

    /// The opposite of [`pack`](Self::pack), to the bit.
    ///
    /// # Panics
    /// If a slice does not have its size.
    pub fn unpack(&self, packed: &[f32], maps: [&mut [f32]; 2]) {
        assert_eq!([maps[0].len(), maps[1].len()], self.map_lens(), "maps");
        assert_eq!(packed.len(), self.packed_len(), "packed maps");
        for (index, panel) in packed.chunks_exact(self.lengths().iter().sum()).enumerate() {
            self.each_place(index, |map, at, to| {
                let column = panel[at..].iter().step_by(self.panels.width());
                maps[map][to].iter_mut().zip(column).for_each(|(to, from)| *to = *from);
            });
        }
    }

    /// What belongs to panel `index`, of each map.
    pub(super) fn panel<'a>(&self, packed: &'a [f32], index: usize) -> [&'a [f32]; 2] {
        let [first, second] = self.lengths();
        let (first, second) = packed[index * (first + second)..][..first + second].split_at(first);
        [first, second]
    }

    /// f32 of a panel of each map.
    fn lengths(&self) -> [usize; 2] {
        let [first, second] = self.channels;
        [TAPS * first * self.panels.width(), TAPS * TAPS * second * self.panels.width()]
    }

    /// Calls `each` for every pixel of both maps that belongs to panel `index`, with the number of the map, the place of
    /// its first channel in the panel, from which the others follow at distances of `nr`, and its elements in the map.
    fn each_place(&self, index: usize, mut each: impl FnMut(usize, usize, Range<usize>)) {
        let (grid, nr, [first, _]) = (self.grid, self.panels.width(), self.lengths());
        for (column, pixel) in self.panels.range(index).enumerate() {
            for tap1 in 0..TAPS {
                let mut element = |map: usize, side: usize, [row, column]: [usize; 2], at: usize| {
                    let (from, channels) = (row * side + column, self.channels[map]);
                    each(map, at, from * channels..(from + 1) * channels);
                };
                let at = tap1 * self.channels[0] * nr + column;
                element(0, FACTOR * grid, square(grid, pixel, tap1), at);
                for tap2 in 0..TAPS {
                    let at = first + (tap1 * TAPS + tap2) * self.channels[1] * nr + column;
                    element(1, FACTOR * FACTOR * grid, place(grid, pixel, tap1, tap2), at);
                }
            }
        }
    }
}

/// Row and column of place `tap` in the square that becomes of `pixel`.
fn square(grid: usize, pixel: usize, tap: usize) -> [usize; 2] {
    [pixel / grid * FACTOR + tap / FACTOR, pixel % grid * FACTOR + tap % FACTOR]
}

/// Row and column of what becomes of `pixel`: place `tap2` in the square of place `tap1` in its square.
pub(super) fn place(grid: usize, pixel: usize, tap1: usize, tap2: usize) -> [usize; 2] {
    let [row, column] = square(grid, pixel, tap1);
    [row * FACTOR + tap2 / FACTOR, column * FACTOR + tap2 % FACTOR]
}
