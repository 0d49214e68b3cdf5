//! Frames by their index, of a video that is read from its beginning.

use std::collections::VecDeque;

use super::Reader;
use crate::failure::{Exit, Failure, Result};
use crate::picture::Picture;

/// The last frames that were read: to walk backwards, the video is read from its beginning once for so many frames.
pub(crate) struct Window {
    reader: Box<dyn Reader>,
    capacity: usize,
    /// Index of the next frame to read.
    next: u64,
    /// The frames before that one.
    frames: VecDeque<Picture>,
}

impl Window {
    /// Of `reader`, which is at its beginning.
    pub(crate) fn new(reader: Box<dyn Reader>, capacity: usize) -> Self {
        Self { reader, capacity, next: 0, frames: VecDeque::with_capacity(capacity) }
    }

    /// Number of frames, where that is known.
    pub(crate) fn len(&self) -> Option<u64> {
        self.reader.len()
    }

    /// The frame `index`.
    ///
    /// # Errors
    /// The video ends before, is damaged before, or would have to be read again and cannot.
    pub(crate) fn frame(&mut self, index: u64) -> Result<&Picture> {
        if index + (self.frames.len() as u64) < self.next {
            self.reader.rewind()?;
            self.frames.clear();
            self.next = 0;
        }
        while self.next <= index {
            let Some(frame) = self.reader.next()? else {
                return Err(Failure::new(Exit::Input, format!("frame {index}: the video has {}", self.next)));
            };
            if self.frames.len() == self.capacity {
                self.frames.pop_front();
            }
            self.frames.push_back(frame.picture.clone());
            self.next += 1;
        }
        let from_end = (self.next - index) as usize;
        Ok(&self.frames[self.frames.len() - from_end])
    }

    /// The video, from its beginning.
    pub(crate) fn into_reader(mut self) -> Result<Box<dyn Reader>> {
        self.reader.rewind()?;
        Ok(self.reader)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Frame;
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use vitrum::image::PixelFormat;

    /// Frames whose one pixel is their index.
    struct Count {
        picture: Picture,
        next: u8,
        len: u8,
        reads: Arc<AtomicU64>,
    }

    impl Reader for Count {
        fn len(&self) -> Option<u64> {
            Some(self.len.into())
        }

        fn next(&mut self) -> Result<Option<Frame<'_>>> {
            if self.next == self.len {
                return Ok(None);
            }
            self.picture.data_mut()[0] = self.next;
            self.next += 1;
            self.reads.fetch_add(1, Ordering::Relaxed);
            Ok(Some(Frame { picture: &self.picture, seconds: 0.0 }))
        }

        fn rewind(&mut self) -> Result<()> {
            self.next = 0;
            Ok(())
        }
    }

    #[test]
    fn any_order_and_few_readings() {
        let reads = Arc::new(AtomicU64::new(0));
        let picture = Picture::blank(1, 1, PixelFormat::Gray8);
        let reader = Count { picture, next: 0, len: 100, reads: Arc::clone(&reads) };
        let mut window = Window::new(Box::new(reader), 10);
        let order = [3, 0, 50, 41, 40, 99, 98].into_iter().chain((0..98).rev());
        for index in order {
            assert_eq!(window.frame(index).unwrap().view().unwrap().data(), [index as u8]);
        }
        // From the end to the beginning, every tenth frame is the start of a new reading.
        assert!(reads.load(Ordering::Relaxed) < 800, "{reads:?}");
        let Err(Failure::Message { message, .. }) = window.frame(100) else {
            panic!("there is no frame 100")
        };
        assert_eq!(message, "frame 100: the video has 100");
        assert_eq!(
            window.into_reader().unwrap().next().unwrap().unwrap().picture.view().unwrap().data(),
            [0]
        );
    }
}
