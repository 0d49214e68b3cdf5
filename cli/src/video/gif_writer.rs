//! Animated GIFs: of each frame, what differs from the one before.

use std::io::{self, Write};

use gif::{Encoder, EncodingError, Frame, Repeat};

use crate::draw::Canvas;

/// How coarsely the quantiser samples a frame: 1 looks at every pixel, 30 at few.
const SPEED: i32 = 10;
/// Hundredths of a second that players respect; they take shorter delays for an error and show such frames longer.
const SHORTEST: f64 = 2.0;

/// Writes frames as they come.
pub(crate) struct GifWriter<W: Write> {
    encoder: Encoder<W>,
    width: usize,
    /// The frame before, in RGB.
    shown: Vec<u8>,
    /// Seconds that were asked for and given so far: a frame's delay is rounded so that the two stay together.
    asked: f64,
    given: f64,
}

impl<W: Write> GifWriter<W> {
    /// An endlessly repeated GIF of frames of this size.
    ///
    /// # Errors
    /// A size that a GIF cannot have, or a failure to write.
    pub(crate) fn new(out: W, width: usize, height: usize) -> io::Result<Self> {
        let [w, h] = [width, height].map(u16::try_from);
        let (Ok(w), Ok(h)) = (w, h) else {
            return Err(io::Error::other(format!("a GIF cannot be {width} x {height} pixels large")));
        };
        let mut encoder = Encoder::new(out, w, h, &[]).map_err(to_io)?;
        encoder.set_repeat(Repeat::Infinite).map_err(to_io)?;
        Ok(Self { encoder, width, shown: Vec::new(), asked: 0.0, given: 0.0 })
    }

    /// Writes a frame that is shown for `seconds`.
    pub(crate) fn write(&mut self, canvas: &Canvas, seconds: f64) -> io::Result<()> {
        let bounds = self.changed(canvas.rgb());
        let mut rgba = self.rgba(canvas.rgb(), bounds);
        let [left, top, right, bottom] = bounds.map(|side| side as u16);
        let mut frame = Frame::from_rgba_speed(right - left, bottom - top, &mut rgba, SPEED);
        (frame.left, frame.top, frame.delay) = (left, top, self.delay(seconds));
        self.encoder.write_frame(&frame).map_err(to_io)?;
        self.shown.clear();
        self.shown.extend_from_slice(canvas.rgb());
        Ok(())
    }

    /// Ends the file.
    pub(crate) fn finish(self) -> io::Result<W> {
        self.encoder.into_inner().map_err(to_io)
    }

    /// Left, top, right and bottom of what changed; all of the first frame, and at least a pixel.
    fn changed(&self, rgb: &[u8]) -> [usize; 4] {
        let (width, height) = (self.width, rgb.len() / 3 / self.width);
        if self.shown.is_empty() {
            return [0, 0, width, height];
        }
        let (mut left, mut top, mut right, mut bottom) = (width, height, 0, 0);
        for (y, (row, shown)) in
            rgb.chunks_exact(3 * width).zip(self.shown.chunks_exact(3 * width)).enumerate()
        {
            let differs = |(a, b): (&[u8], &[u8])| a != b;
            let pixels = || row.chunks_exact(3).zip(shown.chunks_exact(3));
            if let (Some(first), Some(last)) = (pixels().position(differs), pixels().rposition(differs)) {
                (left, right) = (left.min(first), right.max(last + 1));
                (top, bottom) = (top.min(y), y + 1);
            }
        }
        if right == 0 { [0, 0, 1, 1] } else { [left, top, right, bottom] }
    }

    /// The pixels within `bounds`; those that stay are transparent.
    fn rgba(&self, rgb: &[u8], [left, top, right, bottom]: [usize; 4]) -> Vec<u8> {
        let mut rgba = Vec::with_capacity(4 * (right - left) * (bottom - top));
        for y in top..bottom {
            for x in left..right {
                let at = 3 * (y * self.width + x);
                let (pixel, shown) = (&rgb[at..at + 3], self.shown.get(at..at + 3));
                if shown == Some(pixel) {
                    rgba.extend([0; 4]);
                } else {
                    rgba.extend([pixel[0], pixel[1], pixel[2], 255]);
                }
            }
        }
        rgba
    }

    /// Hundredths of a second for a frame of `seconds`.
    fn delay(&mut self, seconds: f64) -> u16 {
        self.asked += seconds;
        let delay = ((self.asked - self.given) * 100.0).round().clamp(SHORTEST, u16::MAX.into());
        self.given += delay / 100.0;
        // A rate that the format has no delays for is not made up for later.
        self.given = self.given.min(self.asked + 0.01);
        delay as u16
    }
}

fn to_io(error: EncodingError) -> io::Error {
    match error {
        EncodingError::Io(error) => error,
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::super::gif::Gif;
    use super::*;
    use crate::draw::Rect;
    use crate::picture::PictureOptions;

    /// What a reader of the GIF sees of each frame, and for how long.
    fn written(frames: &[(Canvas, f64)]) -> (Vec<Vec<u8>>, Vec<f64>, usize) {
        let (width, height) = (frames[0].0.width(), frames[0].0.height());
        let mut writer = GifWriter::new(Vec::new(), width, height).unwrap();
        frames.iter().for_each(|(canvas, seconds)| writer.write(canvas, *seconds).unwrap());
        let file = writer.finish().unwrap();
        let size = file.len();
        let (mut gif, mut pictures, mut delays) =
            (Gif::open("g", file, &PictureOptions::default()).unwrap(), Vec::new(), Vec::new());
        while let Some(frame) = gif.next().unwrap() {
            pictures.push(frame.picture.view().unwrap().data().to_vec());
            delays.push(frame.seconds);
        }
        (pictures, delays, size)
    }

    #[test]
    fn frames_of_few_colours_come_back_exactly() {
        let mut canvas = Canvas::new(40, 30, [200, 210, 220]);
        let frames: Vec<_> = (0..6)
            .map(|i| {
                // The third frame is the second one again.
                if i != 2 {
                    canvas.fill(Rect { x: 5 * i, y: 3 * i, width: 8, height: 6 }, [40 * i as u8, 90, 7]);
                }
                (canvas.clone(), 0.04)
            })
            .collect();
        let (pictures, delays, _) = written(&frames);
        assert_eq!(pictures.len(), 6);
        for (picture, (canvas, _)) in pictures.iter().zip(&frames) {
            assert!(picture == canvas.rgb());
        }
        assert_eq!(delays, [0.04; 6]);
    }

    #[test]
    fn frames_of_many_colours_come_back_nearly_and_only_changes_are_written() {
        let mut canvas = Canvas::new(96, 96, [0; 3]);
        for y in 0..96 {
            for x in 0..96 {
                let color = [2 * x, 2 * y, x + y].map(|value| value as u8);
                canvas.fill(Rect { x, y, width: 1, height: 1 }, color);
            }
        }
        let first = canvas.clone();
        let (_, _, alone) = written(&[(first.clone(), 0.1)]);
        canvas.fill(Rect { x: 40, y: 40, width: 10, height: 10 }, [255; 3]);
        let frames = [(first, 0.1), (canvas, 0.1)];
        let (pictures, _, both) = written(&frames);
        for (picture, (canvas, _)) in pictures.iter().zip(&frames) {
            let error = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b));
            let mean = picture.iter().zip(canvas.rgb()).map(error).sum::<f64>() / picture.len() as f64;
            assert!(mean < 6.0, "{mean}");
        }
        assert!(both - alone < alone / 10, "{alone} bytes, then {}", both - alone);
    }

    #[test]
    fn delays_keep_to_the_rate() {
        let canvas = Canvas::new(1, 1, [0; 3]);
        let delays = |fps: f64, frames: usize| written(&vec![(canvas.clone(), 1.0 / fps); frames]).1;
        assert!((delays(30.0, 30).iter().sum::<f64>() - 1.0).abs() < 0.011);
        assert!(delays(30.0, 30).iter().all(|delay| (0.02..0.05).contains(delay)));
        assert_eq!(delays(1000.0, 4), [0.02; 4]);
        assert!(GifWriter::new(Vec::new(), 70_000, 1).is_err());
    }
}
