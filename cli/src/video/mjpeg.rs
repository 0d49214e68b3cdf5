//! Motion JPEG: JPEGs one after the other, as cameras send them.

use std::io::BufRead;

use super::{Frame, Reader};
use crate::failure::{Exit, Failure, Result};
use crate::picture::{MAX_FILE, Picture, PictureOptions};

/// A stream of JPEGs.
pub(super) struct Mjpeg<R> {
    name: String,
    source: R,
    options: PictureOptions,
    seconds: f64,
    /// The current frame's file.
    file: Vec<u8>,
    picture: Option<Picture>,
    /// Frames read.
    count: u64,
}

impl<R: BufRead> Mjpeg<R> {
    /// Frames of `source`, which messages call `name`.
    pub(super) fn new(name: &str, source: R, fps: f64, options: PictureOptions) -> Self {
        let (file, picture) = (Vec::new(), None);
        Self { name: name.to_owned(), source, options, seconds: 1.0 / fps, file, picture, count: 0 }
    }

    /// Reads the next JPEG; whether there was one.
    fn read(&mut self) -> Result<bool, String> {
        self.file.clear();
        // Zeros fill up what some cameras send.
        while let [0, ..] = self.peek()? {
            self.source.consume(1);
        }
        if self.peek()?.is_empty() {
            return Ok(false);
        }
        if self.take(2)? != [0xff, 0xd8] {
            return Err("damaged MJPEG: a frame does not begin as a JPEG".into());
        }
        loop {
            match self.marker()? {
                0xd9 => return Ok(true),
                // Without a segment.
                0x01 | 0xd0..=0xd8 => (),
                _ => {
                    let len: [u8; 2] = self.take(2)?.try_into().unwrap_or_default();
                    self.take(usize::from(u16::from_be_bytes(len)).saturating_sub(2))?;
                }
            }
        }
    }

    /// Reads on to the next marker.
    fn marker(&mut self) -> Result<u8, String> {
        loop {
            let before = self.file.len();
            let rest = (MAX_FILE as usize).saturating_sub(before) as u64 + 1;
            let mut limited = std::io::Read::take(&mut self.source, rest);
            limited.read_until(0xff, &mut self.file).map_err(|error| error.to_string())?;
            if self.file.len() as u64 > MAX_FILE {
                return Err(format!("the frame is larger than {} MB", MAX_FILE >> 20));
            }
            // Bytes of 255 in a scan have a zero behind them, and before a marker there may be several.
            loop {
                match self.take(1)? {
                    [0xff] => (),
                    [0] => break,
                    &[marker] => return Ok(marker),
                    _ => return Err("damaged MJPEG: the stream ends within the frame".into()),
                }
            }
        }
    }

    /// The next bytes of the stream, as far as they are there; none at its end.
    fn peek(&mut self) -> Result<&[u8], String> {
        self.source.fill_buf().map_err(|error| error.to_string())
    }

    /// Reads `len` bytes into the file.
    fn take(&mut self, len: usize) -> Result<&[u8], String> {
        let start = self.file.len();
        let mut limited = std::io::Read::take(&mut self.source, len as u64);
        let read =
            std::io::Read::read_to_end(&mut limited, &mut self.file).map_err(|error| error.to_string())?;
        if read < len {
            return Err("damaged MJPEG: the stream ends within the frame".into());
        }
        Ok(&self.file[start..])
    }
}

impl<R: BufRead + Send> Reader for Mjpeg<R> {
    fn len(&self) -> Option<u64> {
        None
    }

    fn next(&mut self) -> Result<Option<Frame<'_>>> {
        let name = format!("{}: frame {}", self.name, self.count);
        let found = self.read().map_err(|message| Failure::new(Exit::Input, format!("{name}: {message}")))?;
        if !found {
            return Ok(None);
        }
        let (picture, _) = Picture::decode_with(&name, &self.file, &self.options)?;
        self.count += 1;
        Ok(Some(Frame { picture: self.picture.insert(picture), seconds: self.seconds }))
    }

    fn rewind(&mut self) -> Result<()> {
        Err(super::not_backwards(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Cursor};

    const JPEG: &[u8] = include_bytes!("../../../demo/images/chelsea.jpg");

    fn frames(bytes: Vec<u8>) -> (usize, Option<String>) {
        // A small buffer, so that all that is read spans several.
        let source = BufReader::with_capacity(7, Cursor::new(bytes));
        let mut video = Mjpeg::new("v", source, 5.0, PictureOptions::default());
        let mut count = 0;
        loop {
            match video.next() {
                Ok(Some(frame)) => {
                    assert_eq!((frame.picture.width, frame.picture.height, frame.seconds), (448, 298, 0.2));
                    count += 1;
                }
                Ok(None) => return (count, None),
                Err(Failure::Message { exit: Exit::Input, message, .. }) => return (count, Some(message)),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn jpegs_stand_one_after_the_other() {
        assert_eq!(frames(JPEG.to_vec()), (1, None));
        assert_eq!(frames([JPEG, JPEG, b"\0\0", JPEG].concat()), (3, None));
        let cut = [JPEG, &JPEG[..1000]].concat();
        assert_eq!(
            frames(cut),
            (1, Some("v: frame 1: damaged MJPEG: the stream ends within the frame".into()))
        );
        let other = [JPEG, b"other"].concat();
        let message = "v: frame 1: damaged MJPEG: a frame does not begin as a JPEG";
        assert_eq!(frames(other), (1, Some(message.into())));
    }
}
