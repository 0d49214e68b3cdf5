//! YUV4MPEG2 (`.y4m`): a line of parameters, then frames, each a line and its raw planes. `ffmpeg -f yuv4mpegpipe`
//! and mjpegtools' yuv4mpeg(5) are what describes it.

use std::io::{BufRead, Read};

use vitrum::image::PixelFormat;

use super::yuv::{Conversion, Matrix, Range};
use super::{Frame, Reader};
use crate::failure::{Exit, Failure, Result};
use crate::picture::{Limits, Picture, PictureOptions};

/// Bytes of a line at most.
const MAX_LINE: u64 = 1024;
/// Frames per second if the stream does not say it.
const DEFAULT_RATE: f64 = 25.0;

/// How many pixels share a chroma sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chroma {
    /// Across and down.
    Shared(usize, usize),
    /// There is none.
    None,
}

/// What the first line says.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Header {
    width: usize,
    height: usize,
    rate: f64,
    chroma: Chroma,
    /// A plane of alpha follows the others.
    alpha: bool,
    /// Bits of a sample: 8, or 9 to 16 in two bytes, the lower one first.
    bits: u32,
    range: Range,
}

impl Header {
    /// Parses the line, without its end.
    fn parse(line: &[u8], limits: Limits) -> Result<Self, String> {
        let line = str::from_utf8(line).map_err(|_| "damaged Y4M: the first line is not text")?;
        let mut words = line.split(' ');
        if words.next() != Some("YUV4MPEG2") {
            return Err("damaged Y4M: it does not begin with YUV4MPEG2".into());
        }
        let (mut width, mut height) = (0, 0);
        let (mut rate, mut color, mut range) = (DEFAULT_RATE, "420jpeg", Range::Limited);
        for word in words.filter(|word| !word.is_empty()) {
            let bad = || format!("damaged Y4M: parameter {word:?}");
            let (key, value) = word.split_at_checked(1).ok_or_else(bad)?;
            match key {
                "W" => width = value.parse::<u32>().map_err(|_| bad())? as usize,
                "H" => height = value.parse::<u32>().map_err(|_| bad())? as usize,
                "F" => {
                    let (over, under) = value.split_once(':').ok_or_else(bad)?;
                    let number = |text: &str| text.parse::<u32>().map(f64::from).map_err(|_| bad());
                    let (over, under) = (number(over)?, number(under)?);
                    // 0:0 is the form of "unknown".
                    rate = if over > 0.0 && under > 0.0 { over / under } else { DEFAULT_RATE };
                }
                "C" => color = value,
                "X" if value == "COLORRANGE=FULL" => range = Range::Full,
                // Fields, pixel aspect and what programs tell each other.
                _ => (),
            }
        }
        if width == 0 || height == 0 {
            return Err("damaged Y4M: no width or no height".into());
        }
        // A frame's planes, and the picture.
        limits.check(width, height, 9)?;
        let other = || format!("Y4M of colour space {color:?} is not supported");
        let (name, bits) = depth(color);
        if !matches!(bits, 8 | 9 | 10 | 12 | 14 | 16) {
            return Err(other());
        }
        let (chroma, alpha) = match name {
            // They differ in where a chroma sample lies, by less than a pixel.
            "420" | "420jpeg" | "420mpeg2" | "420paldv" => (Chroma::Shared(2, 2), false),
            "410" => (Chroma::Shared(4, 4), false),
            "411" => (Chroma::Shared(4, 1), false),
            "422" => (Chroma::Shared(2, 1), false),
            "440" => (Chroma::Shared(1, 2), false),
            "444" => (Chroma::Shared(1, 1), false),
            "444alpha" => (Chroma::Shared(1, 1), true),
            "mono" => (Chroma::None, false),
            _ => return Err(other()),
        };
        Ok(Self { width, height, rate, chroma, alpha, bits, range })
    }

    /// Width and height of a chroma plane.
    fn chroma_size(&self) -> (usize, usize) {
        match self.chroma {
            Chroma::Shared(across, down) => (self.width.div_ceil(across), self.height.div_ceil(down)),
            Chroma::None => (0, 0),
        }
    }

    /// Bytes of a frame.
    fn frame_len(&self) -> usize {
        let ((width, height), luma) = (self.chroma_size(), self.width * self.height);
        let samples = luma + 2 * width * height + if self.alpha { luma } else { 0 };
        samples * if self.bits > 8 { 2 } else { 1 }
    }
}

/// The name of a colour space without the bits of a sample, and these: `420p10` (ffmpeg's), `mono12`.
fn depth(color: &str) -> (&str, u32) {
    let digits = |text: &str| text.parse().ok().filter(|bits| (9..=16).contains(bits));
    let (name, bits) = match color.split_once('p') {
        Some((name, bits)) if name.ends_with(|c: char| c.is_ascii_digit()) => (name, digits(bits)),
        _ => ("mono", color.strip_prefix("mono").and_then(digits)),
    };
    bits.map_or((color, 8), |bits| (name, bits))
}

/// Samples of `bits` bits to 8, to the nearest. ffmpeg dithers here: its frames differ by a level here and there.
fn narrow(planes: &mut Vec<u8>, bits: u32) {
    let half = 1 << (bits - 9);
    for i in 0..planes.len() / 2 {
        let value = u32::from(u16::from_le_bytes([planes[2 * i], planes[2 * i + 1]]));
        planes[i] = ((value + half) >> (bits - 8)).min(255) as u8;
    }
    planes.truncate(planes.len() / 2);
}

/// A stream of raw frames.
pub(super) struct Y4m<R> {
    name: String,
    source: R,
    header: Header,
    conversion: Conversion,
    /// Planes of a frame.
    planes: Vec<u8>,
    /// The frame; `None` before the first one has come: memory is taken as bytes come, whatever the header claims.
    picture: Option<Picture>,
    /// Frames read.
    count: u64,
}

impl<R: BufRead> Y4m<R> {
    /// Reads the first line of `source`, which messages call `name`.
    pub(super) fn open(name: &str, mut source: R, matrix: Matrix, options: &PictureOptions) -> Result<Self> {
        let failure = |message| {
            let hint = "4:2:0, 4:1:1, 4:2:2, 4:4:4 and mono of 8 to 16 bits are read: ffmpeg … -pix_fmt yuv420p -f yuv4mpegpipe -";
            Failure::new(Exit::Input, format!("{name}: {message}")).hint(hint)
        };
        let line = line(&mut source).map_err(failure)?.unwrap_or_default();
        let header = Header::parse(&line, Limits::of_stream(options)).map_err(failure)?;
        Ok(Self {
            name: name.to_owned(),
            source,
            header,
            conversion: Conversion::new(matrix, header.range),
            planes: Vec::new(),
            picture: None,
            count: 0,
        })
    }

    /// Reads the planes of the next frame; whether there was one.
    fn read(&mut self) -> Result<bool, String> {
        let Some(line) = line(&mut self.source)? else { return Ok(false) };
        if line.split(|&c| c == b' ').next() != Some(b"FRAME") {
            return Err("damaged Y4M: a frame does not begin with FRAME".into());
        }
        let len = self.header.frame_len();
        self.planes.clear();
        let read = self.source.by_ref().take(len as u64).read_to_end(&mut self.planes);
        let read = read.map_err(|error| error.to_string())?;
        if read < len {
            return Err(format!("the stream ends within the frame: {read} of {len} bytes"));
        }
        if self.header.bits > 8 {
            narrow(&mut self.planes, self.header.bits);
        }
        Ok(true)
    }

    /// Turns the planes into a picture.
    fn convert(&mut self) -> &Picture {
        let Header { width, height, chroma, .. } = self.header;
        let format = if chroma == Chroma::None { PixelFormat::Gray8 } else { PixelFormat::Rgb8 };
        let picture = self.picture.get_or_insert_with(|| Picture::blank(width, height, format));
        let (luma, rest) = self.planes.split_at(width * height);
        let rows = luma.chunks_exact(width);
        let Chroma::Shared(across, down) = chroma else {
            let gray = picture.data_mut().chunks_exact_mut(width);
            rows.zip(gray).for_each(|(row, gray)| self.conversion.gray(row, gray));
            return picture;
        };
        let (chroma_width, chroma_height) = self.header.chroma_size();
        let (u, v) = rest.split_at(chroma_width * chroma_height);
        let rgb = picture.data_mut().chunks_exact_mut(3 * width);
        for (y, (row, rgb)) in rows.zip(rgb).enumerate() {
            let [u, v] = [u, v].map(|plane| &plane[y / down * chroma_width..][..chroma_width]);
            self.conversion.row(row, u, v, across, rgb);
        }
        picture
    }
}

impl<R: BufRead + Send> Reader for Y4m<R> {
    fn len(&self) -> Option<u64> {
        None
    }

    fn next(&mut self) -> Result<Option<Frame<'_>>> {
        let found = self.read().map_err(|message| {
            Failure::new(Exit::Input, format!("{}: frame {}: {message}", self.name, self.count))
        })?;
        if !found && self.count == 0 {
            return Err(super::no_frames(&self.name));
        }
        if !found {
            return Ok(None);
        }
        self.count += 1;
        let seconds = 1.0 / self.header.rate;
        Ok(Some(Frame { picture: self.convert(), seconds }))
    }

    fn rewind(&mut self) -> Result<()> {
        Err(super::not_backwards(&self.name))
    }
}

/// The next line, without its end; `None` at the end of the stream.
fn line(source: &mut impl BufRead) -> Result<Option<Vec<u8>>, String> {
    let mut line = Vec::new();
    source.take(MAX_LINE).read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() as u64 + 1 < MAX_LINE => {
            Err("damaged Y4M: the stream ends within a line".into())
        }
        Some(_) => Err(format!("damaged Y4M: a line is longer than {MAX_LINE} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn open(bytes: &[u8]) -> Result<Y4m<Cursor<Vec<u8>>>> {
        Y4m::open("s", Cursor::new(bytes.to_vec()), Matrix::Bt601, &PictureOptions::default())
    }

    fn message<T>(result: Result<T>) -> String {
        match result {
            Err(Failure::Message { exit: Exit::Input, message, .. }) => message,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("no failure"),
        }
    }

    fn rgb(reader: &mut impl Reader) -> Vec<u8> {
        let frame = reader.next().unwrap().unwrap();
        let (width, height) = (frame.picture.width, frame.picture.height);
        let mut rgb = vec![0; width * height * 3];
        let view = frame.picture.view().unwrap();
        rgb.chunks_exact_mut(width * 3).enumerate().for_each(|(y, row)| view.row_rgb(y, row));
        rgb
    }

    /// Two grey frames, 3 × 3, in every colour space, with and without parameters of a frame.
    #[test]
    fn every_colour_space_has_its_planes() {
        for (color, chroma) in [
            (" C420", 8),
            ("", 8),
            (" C440", 12),
            (" C410", 2),
            (" C420jpeg", 8),
            (" C420mpeg2", 8),
            (" C420paldv", 8),
            (" C411", 6),
            (" C422", 12),
            (" C444", 18),
            (" C444alpha", 27),
            (" Cmono", 0),
        ] {
            let mut file = format!("YUV4MPEG2 W3 H3 F30:1 Ip A1:1{color} XYSCSS=420\n").into_bytes();
            for (luma, frame) in [(16, "FRAME\n"), (235, "FRAME Ip\n")] {
                file.extend(frame.bytes());
                file.extend([luma; 9]);
                file.extend(vec![128; chroma]);
            }
            let mut reader = open(&file).unwrap();
            assert_eq!((rgb(&mut reader), rgb(&mut reader)), (vec![0; 27], vec![255; 27]), "{color}");
            assert!(reader.next().unwrap().is_none(), "{color}");
        }
    }

    #[test]
    fn samples_of_more_bits_are_rounded() {
        for (color, bits, chroma) in [
            ("420p10", 10, 4),
            ("422p10", 10, 4),
            ("444p12", 12, 8),
            ("mono10", 10, 0),
            ("mono16", 16, 0),
            ("420p9", 9, 4),
        ] {
            let sample = |value: f64| ((value * f64::from(1 << (bits - 8))) as u16).to_le_bytes();
            // Nearly black, black, white, more than white; grey chroma.
            let luma = [16.4, 15.6, 235.0, 255.9].map(sample).concat();
            let planes = [luma, vec![sample(128.0); chroma].concat()].concat();
            let file = [format!("YUV4MPEG2 W4 H1 C{color}\nFRAME\n").as_bytes(), &planes].concat();
            let rgb = rgb(&mut open(&file).unwrap());
            assert_eq!(rgb, [[0; 6], [255; 6]].concat(), "{color}");
        }
    }

    #[test]
    fn a_stream_without_frames_says_so() {
        assert_eq!(message(open(b"YUV4MPEG2 W2 H2 F5:1\n").unwrap().next()), "s: no frames");
    }

    #[test]
    fn chroma_lies_under_its_pixels() {
        // The chroma sample of the right lower corner is red: of 3 × 3 pixels, one has it.
        let planes = [&[81; 9][..], &[128, 128, 128, 90], &[128, 128, 128, 240]].concat();
        let file = [b"YUV4MPEG2 W3 H3 F25:1\nFRAME\n", &planes[..]].concat();
        let rgb = rgb(&mut open(&file).unwrap());
        assert_eq!(rgb[24..], [254, 0, 0]);
        assert!(rgb[..24].iter().all(|&value| value == rgb[0]), "{rgb:?}");
    }

    #[test]
    fn headers_say_rate_and_range() {
        let limits = Limits::of_stream(&PictureOptions::default());
        let parse = |line: &str| Header::parse(line.as_bytes(), limits);
        assert_eq!(parse("YUV4MPEG2 W4 H2 F30000:1001").unwrap().rate, 30000.0 / 1001.0);
        assert_eq!(parse("YUV4MPEG2 W4 H2 F0:0").unwrap().rate, DEFAULT_RATE);
        assert_eq!(parse("YUV4MPEG2 W4 H2").unwrap().range, Range::Limited);
        assert_eq!(parse("YUV4MPEG2 W4 H2 XCOLORRANGE=LIMITED").unwrap().range, Range::Limited);
        assert_eq!(parse("YUV4MPEG2 W4 H2 XCOLORRANGE=FULL").unwrap().range, Range::Full);
        assert_eq!(parse("YUV4MPEG2 W4 H2 Cmono").unwrap().frame_len(), 8);
        assert_eq!(parse("YUV4MPEG2 W5 H3").unwrap().frame_len(), 27);
    }

    #[test]
    fn damaged_and_hostile_headers_are_refused() {
        for (file, expected) in [
            ("YUV4MPEG2", "s: damaged Y4M: the stream ends within a line"),
            ("YUV4MPEG2\n", "s: damaged Y4M: no width or no height"),
            ("YUV4MPEG W2 H2\n", "s: damaged Y4M: it does not begin with YUV4MPEG2"),
            ("YUV4MPEG2 W2\n", "s: damaged Y4M: no width or no height"),
            ("YUV4MPEG2 W2 H0\n", "s: damaged Y4M: no width or no height"),
            ("YUV4MPEG2 W-2 H2\n", "s: damaged Y4M: parameter \"W-2\""),
            ("YUV4MPEG2 W99999999999 H2\n", "s: damaged Y4M: parameter \"W99999999999\""),
            ("YUV4MPEG2 W2 H2 F25\n", "s: damaged Y4M: parameter \"F25\""),
            ("YUV4MPEG2 W2 H2 F25:x\n", "s: damaged Y4M: parameter \"F25:x\""),
            ("YUV4MPEG2 W2 H2 \u{e9}\n", "s: damaged Y4M: parameter \"\u{e9}\""),
            ("YUV4MPEG2 W2 H2 C420p11\n", "s: Y4M of colour space \"420p11\" is not supported"),
            ("YUV4MPEG2 W2 H2 Crgb\n", "s: Y4M of colour space \"rgb\" is not supported"),
            (
                "YUV4MPEG2 W4294967295 H4294967295\n",
                "s: a picture of 4294967295 x 4294967295 pixels is too large",
            ),
            ("YUV4MPEG2 W30000 H30000\n", "s: a picture of 30000 x 30000 pixels is too large"),
        ] {
            assert_eq!(message(open(file.as_bytes())), expected);
        }
        let long = format!("YUV4MPEG2 W2 H2 X{}\n", "x".repeat(2000));
        assert_eq!(message(open(long.as_bytes())), "s: damaged Y4M: a line is longer than 1024 bytes");
    }

    #[test]
    fn whole_frames_come_before_the_error() {
        let frame = [&b"FRAME\n"[..], &[235; 4], &[128; 2]].concat();
        for (rest, expected) in [
            (&frame[..9], "s: frame 2: the stream ends within the frame: 3 of 6 bytes"),
            (&frame[..6], "s: frame 2: the stream ends within the frame: 0 of 6 bytes"),
            (&frame[..3], "s: frame 2: damaged Y4M: the stream ends within a line"),
            (b"FRAMES\n", "s: frame 2: damaged Y4M: a frame does not begin with FRAME"),
            (&frame[1..], "s: frame 2: damaged Y4M: a frame does not begin with FRAME"),
        ] {
            let mut reader = open(&[b"YUV4MPEG2 W2 H2 F5:1\n", &frame[..], &frame, rest].concat()).unwrap();
            for _ in 0..2 {
                let frame = reader.next().unwrap().unwrap();
                assert_eq!((frame.picture.width, frame.picture.height, frame.seconds), (2, 2, 0.2));
            }
            assert_eq!(message(reader.next()), expected);
        }
        let Err(Failure::Message { exit: Exit::Usage, message, .. }) =
            open(b"YUV4MPEG2 W2 H2\n").unwrap().rewind()
        else {
            panic!("a stream went back")
        };
        assert_eq!(message, "s: a stream cannot be read backwards");
    }
}
