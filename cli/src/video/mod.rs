//! Videos without a video library: a directory of pictures, an animated GIF or WebP, JPEGs one after the other (MJPEG), or
//! raw frames in a Y4M stream.
//!
//! A video is read as a stream: one frame is in memory, and nothing is known of those to come.

mod directory;
mod gif;
mod gif_writer;
mod live;
mod mjpeg;
mod webp;
mod window;
mod y4m;
mod yuv;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

pub(crate) use directory::natural;
pub(crate) use gif_writer::GifWriter;
pub(crate) use live::{Arrival, Live};
pub(crate) use window::Window;
pub(crate) use yuv::Matrix;

use crate::failure::{Exit, Failure, Result};
use crate::picture::{MAX_FILE, Picture, PictureOptions};
use directory::Directory;
use gif::Gif;
use mjpeg::Mjpeg;
use webp::Webp;
use y4m::Y4m;

/// How frames are read where the input does not say it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Assumptions {
    /// Frames per second of a directory or of MJPEG.
    pub(crate) fps: f64,
    /// Of a Y4M stream.
    pub(crate) matrix: Matrix,
    /// How large frames may be, and whether pictures are turned as they ask.
    pub(crate) pictures: PictureOptions,
}

/// A frame and how long it is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) picture: &'a Picture,
    pub(crate) seconds: f64,
}

/// Frames in their order.
pub(crate) trait Reader: Send {
    /// How many frames there are, where that can be known without decoding them.
    fn len(&self) -> Option<u64>;

    /// The next frame; `None` after the last one.
    ///
    /// # Errors
    /// A frame that is damaged or cut off, after all frames before it were given.
    fn next(&mut self) -> Result<Option<Frame<'_>>>;

    /// The name of the file that holds the next frame alone, if there is one.
    fn next_name(&self) -> Option<String> {
        None
    }

    /// Goes back to the first frame.
    ///
    /// # Errors
    /// A stream cannot go back.
    fn rewind(&mut self) -> Result<()>;
}

/// Opens `input`: a directory, a file, or standard input for `-`.
pub(crate) fn open(input: &Path, assumptions: Assumptions) -> Result<Box<dyn Reader>> {
    if input.as_os_str() == "-" {
        return stream("standard input", BufReader::new(io::stdin()), assumptions);
    }
    let unreadable = |error| Failure::unreadable(input, &error);
    let file = File::open(input).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Ok(Box::new(Directory::open(input, &assumptions)?));
    }
    stream(&input.display().to_string(), BufReader::new(file), assumptions)
}

/// The frames of a GIF file that is in memory; messages call it `name`.
pub(crate) fn gif(name: &str, bytes: Vec<u8>) -> Result<impl Reader + use<>> {
    Gif::open(name, bytes, &PictureOptions::default())
}

/// What other videos are to be made into.
const HINT: &str =
    "other videos: ffmpeg -i clip.mp4 -f yuv4mpegpipe - | vitrum track - …, or give a directory of pictures";

/// A GIF, WebP, MJPEG or Y4M from `source`, which messages call `name`.
pub(crate) fn stream(
    name: &str,
    mut source: impl BufRead + Send + 'static,
    assumptions: Assumptions,
) -> Result<Box<dyn Reader>> {
    let failure = |error: &io::Error| Failure::new(Exit::Input, format!("{name}: {error}"));
    let Assumptions { fps, matrix, pictures } = assumptions;
    let whole = |source: &mut dyn BufRead| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        source.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| failure(&error))?;
        if bytes.len() as u64 > MAX_FILE {
            let message = format!("{name}: the file is larger than {} MB", MAX_FILE >> 20);
            return Err(Failure::new(Exit::Input, message));
        }
        Ok(bytes)
    };
    // Frames may take long to come: the first bytes decide, as soon as they are there.
    let start = source.fill_buf().map_err(|error| failure(&error))?;
    match start {
        [] => Err(Failure::new(Exit::Input, format!("{name}: no frames: there is nothing in it"))),
        [b'G', b'I', ..] => Ok(Box::new(Gif::open(name, whole(&mut source)?, &pictures)?)),
        [b'R', b'I', ..] if start.get(8..12).is_none_or(|kind| kind == b"WEBP") => {
            Ok(Box::new(Webp::open(name, whole(&mut source)?, &pictures)?))
        }
        [b'Y', ..] => Ok(Box::new(Y4m::open(name, source, matrix, &pictures)?)),
        [0xff, 0xd8, ..] => Ok(Box::new(Mjpeg::new(name, source, fps, pictures))),
        [0x89, b'P', b'N', b'G', ..] => Err(Failure::new(
            Exit::Input,
            format!("{name}: a PNG is no video; animated ones are not supported"),
        )
        .hint(HINT)),
        _ => Err(Failure::new(Exit::Input, format!("{name}: neither GIF, WebP, MJPEG nor Y4M")).hint(HINT)),
    }
}

/// A video was to be read from its beginning that cannot.
fn not_backwards(name: &str) -> Failure {
    Failure::usage(format!("{name}: a stream cannot be read backwards"))
        .hint("a directory of pictures and a GIF can")
}

/// A video that has none.
fn no_frames(name: &str) -> Failure {
    Failure::new(Exit::Input, format!("{name}: no frames"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn the_first_bytes_decide() {
        let assumptions =
            Assumptions { fps: 25.0, matrix: Matrix::Bt601, pictures: PictureOptions::default() };
        let message = |bytes: &'static [u8]| match stream("s", Cursor::new(bytes), assumptions) {
            Err(Failure::Message { exit: Exit::Input, message, .. }) => message,
            _ => panic!("{bytes:?} is a video"),
        };
        assert_eq!(message(b""), "s: no frames: there is nothing in it");
        assert_eq!(message(b"\0\0\0\x20ftypisom"), "s: neither GIF, WebP, MJPEG nor Y4M");
        assert!(message(b"\x89PNG\r\n\x1a\n").contains("a PNG is no video"));
        assert!(message(b"RIFF\0\0\0\0WEBPVP8 ").starts_with("s: damaged WebP: "));
        assert_eq!(message(b"RIFF\0\0\0\0AVI LIST"), "s: neither GIF, WebP, MJPEG nor Y4M");
        assert!(message(b"GIF89a").starts_with("s: damaged GIF: "));
        assert!(message(b"YUV4MPEG2").starts_with("s: damaged Y4M: "));
        assert!(stream("s", Cursor::new(b"YUV4MPEG2 W2 H2 F25:1\n"), assumptions).is_ok());
    }
}
