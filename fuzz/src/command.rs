//! The command's readers.

/// A file of a picture.
pub fn picture(data: &[u8]) {
    vitrum_cli::fuzzing::picture(data);
}

/// A video.
pub fn video(data: &[u8]) {
    vitrum_cli::fuzzing::video(data);
}

/// The file of a mask.
pub fn mask_file(data: &[u8]) {
    vitrum_cli::fuzzing::mask_file(data);
}

/// An index of pictures.
pub fn index(data: &[u8]) {
    vitrum_cli::fuzzing::index(data);
}

/// Files of labels and names, arguments.
pub fn texts(data: &[u8]) {
    vitrum_cli::fuzzing::texts(data);
}
