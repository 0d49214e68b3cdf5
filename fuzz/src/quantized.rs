//! Files that `vitrum quantize` has written.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{env, fs, process};

use vitrum::{Bundle, BundleParts, Clip, ClipOptions, EncodeOptions, ImageView, PixelFormat};

use crate::models::{CLIP, CONTEXT, pixels};
use crate::{accepted, parts};

/// How the model is written: the command's arguments.
const FORMS: [&[&str]; 6] = [
    &["--weights", "int8"],
    &["--weights", "q4"],
    &["--weights", "bf16", "--pack"],
    &["--weights", "int8", "--pack"],
    &["--weights", "q4", "--pack"],
    &["--weights", "f32", "--pack"],
];

/// A file in two halves.
pub struct Written {
    /// The header, JSON.
    pub header: Vec<u8>,
    data: Vec<u8>,
}

/// The model in each form, written once.
pub static WRITTEN: LazyLock<Vec<Written>> = LazyLock::new(|| {
    let directory = env::temp_dir().join(format!("vitrum-fuzz-{}", process::id()));
    let written = FORMS.iter().map(|form| quantize(&directory, form)).collect();
    fs::remove_dir_all(&directory).expect("a directory of our own");
    written
});

fn quantize(directory: &Path, form: &[&str]) -> Written {
    let source = directory.join("source");
    fs::create_dir_all(&source).expect("a directory");
    fs::write(source.join("model.safetensors"), CLIP.weights).expect("a file");
    CLIP.sides.iter().for_each(|(name, contents)| fs::write(source.join(name), contents).expect("a file"));
    let target: PathBuf = directory.join(form.join(""));
    let paths = [source.as_os_str(), "--output".as_ref(), target.as_os_str()];
    let args = ["vitrum", "quantize"].into_iter().chain(form.iter().copied()).map(AsRef::as_ref);
    assert!(vitrum_cli::fuzzing::run(args.chain(paths)), "vitrum quantize {form:?}");
    let file = fs::read(target.join("model.safetensors")).expect("what the command wrote");
    let (len, rest) = file.split_first_chunk::<8>().expect("a header");
    let (header, data) = rest.split_at(u64::from_le_bytes(*len) as usize);
    Written { header: header.trim_ascii_end().to_vec(), data: data.to_vec() }
}

/// The first byte chooses a file; then comes another header for it, and behind a NUL, changes of its data: four bytes of
/// place and one of value each.
pub fn model(data: &[u8]) {
    let Some((&form, data)) = data.split_first() else { return };
    let written = &WRITTEN[usize::from(form) % WRITTEN.len()];
    let header = parts(data).next().unwrap_or_default();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    let start = file.len();
    file.extend_from_slice(&written.data);
    let changes = data.get(header.len() + 1..).unwrap_or_default();
    for change in changes.as_chunks::<5>().0 {
        let place =
            u32::from_le_bytes([change[0], change[1], change[2], change[3]]) as usize % written.data.len();
        file[start + place] = change[4];
    }
    let bundle =
        CLIP.sides.iter().fold(BundleParts::new(&file), |it, (name, contents)| it.with_file(name, contents));
    let Some(bundle) = accepted(Bundle::from_memory(bundle)) else { return };
    let options = ClipOptions::default().with_lenient(form & 128 != 0);
    let Some(clip) = accepted(Clip::load(&CONTEXT, &bundle, &options)) else { return };
    let picture = pixels(7, 5);
    let picture = ImageView::packed(&picture, 7, 5, PixelFormat::Rgb8).expect("a picture");
    if let Some(values) = accepted(clip.encode_images(&[picture], &EncodeOptions::default())) {
        assert_eq!(values.len(), clip.embed_dim());
    }
    accepted(clip.encode_texts(&["a text"], &EncodeOptions::default()));
}
