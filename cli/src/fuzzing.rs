//! The readers of foreign bytes, for `fuzz/`. Only there with `--cfg fuzzing`, which cargo-fuzz sets.
//!
//! Each function panics if a reader does, or if what it accepted is not what it promised.

use std::ffi::OsString;
use std::io::Cursor;
use std::path::Path;

use crate::args::sam::{Corners, Numbered, Place};
use crate::commands::mask_picture::{self, Marks, MaskFile};
use crate::failure::{Failure, Result};
use crate::index::Index;
use crate::picture::{Picture, PictureOptions};
use crate::video::{self, Assumptions, Matrix};
use crate::{args, labels, npy, output, text_file};

/// Frames of a video that are read.
const FRAMES: usize = 16;

/// What was accepted; a failure has something to tell.
fn accepted<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Failure::Message { message, .. }) => {
            assert!(!message.is_empty());
            None
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// Runs a command line; whether it succeeded.
pub fn run(arguments: impl IntoIterator<Item: Into<OsString>>) -> bool {
    let cli = args::parse(arguments.into_iter().map(Into::into)).expect("a command line");
    crate::run(&cli).map_err(|error| output::complain(&format!("{error:?}"), None)).is_ok()
}

/// The bytes of a picture's file.
pub fn picture(bytes: &[u8]) {
    let options = PictureOptions::default();
    let Some((picture, notes)) = accepted(Picture::decode_with("a file", bytes, &options)) else { return };
    let view = picture.view().expect("a picture that the library takes");
    assert_eq!((view.width(), view.height()), (picture.width, picture.height));
    assert!(notes.iter().all(|note| !note.is_empty()));
}

/// The bytes of an index of pictures.
pub fn index(bytes: &[u8]) {
    let Some(index) = accepted(Index::parse(bytes)) else { return };
    let count = index.entries.len();
    assert_eq!(index.vectors().expect("whole rows").len(), count);
    let mut rows = vec![f32::NAN; count * index.dim];
    index.embeddings_from(0, &mut rows);
    assert!(rows.iter().all(|value| !value.is_nan()));
    assert!(index.entries.iter().all(|entry| !entry.path.as_os_str().is_empty()));
}

/// The bytes of a video: its first frames, once more after going back.
pub fn video(bytes: &[u8]) {
    let assumptions = Assumptions { fps: 25.0, matrix: Matrix::Bt601, pictures: PictureOptions::default() };
    let source = Cursor::new(bytes.to_vec());
    let Some(mut reader) = accepted(video::stream("a file", source, assumptions)) else { return };
    let mut read = || {
        let mut sizes = Vec::new();
        while sizes.len() < FRAMES
            && let Some(frame) = accepted(reader.next()).flatten()
        {
            let view = frame.picture.view().expect("a picture that the library takes");
            assert!(frame.seconds > 0.0 && frame.seconds.is_finite());
            sizes.push([view.width(), view.height()]);
        }
        let rewound = accepted(reader.rewind()).is_some();
        (sizes, rewound)
    };
    let (first, rewound) = read();
    if rewound {
        assert_eq!(read().0, first);
    }
}

/// The bytes of a mask's file.
pub fn mask_file(bytes: &[u8]) {
    let options = PictureOptions::default();
    let Some((file, note)) = accepted(mask_picture::decode("a file", bytes, &options)) else { return };
    assert!(note.is_none_or(|note| !note.is_empty()));
    match file {
        MaskFile::Picture([width, height], Marks::Shape { pixels, .. }) => {
            assert_eq!(pixels.len(), width * height)
        }
        MaskFile::Picture([width, height], Marks::Labels { pixels, numbers }) => {
            assert_eq!(pixels.len(), width * height);
            assert!(pixels.iter().all(|&number| number == 0 || numbers.contains(&number)));
        }
        MaskFile::Logits(array) => assert_eq!(array.values.len(), array.shape.iter().product::<usize>()),
    }
}

/// The bytes of files of labels, names and arrays, and words of a command line.
pub fn texts(bytes: &[u8]) {
    for name in ["labels.txt", "labels.json", "labels.csv"] {
        match labels::of_file(Path::new(name), bytes) {
            Ok(labels) => assert!(!labels.is_empty() && labels.iter().all(|label| !label.trim().is_empty())),
            Err(message) => assert!(!message.is_empty()),
        }
    }
    if let Ok(names) = text_file::names(bytes) {
        assert!(names.iter().all(|name| !name.is_empty()));
    }
    if let Ok(array) = npy::read(bytes) {
        assert_eq!(array.values.len(), array.shape.iter().product::<usize>());
    }
    if let Ok(text) = str::from_utf8(bytes) {
        _ = (
            text.parse::<Numbered<Place>>(),
            text.parse::<Numbered<Corners>>(),
            Numbered::of_path(Path::new(text)),
        );
    }
}
