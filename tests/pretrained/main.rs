//! Published values of the real checkpoints: `VITRUM_PRETRAINED=directory cargo test --test pretrained`.
//!
//! The directory holds what you have of these checkpoints, as Hugging Face lays them out, and pictures:
//!
//! - `clip-vit-base-patch32/` (`openai/clip-vit-base-patch32`), with `000000039769.png` (COCO, of transformers' test
//!   fixtures) and `CLIP.png` (the diagram of openai/CLIP's README);
//! - `sam-vit-base/` (`facebook/sam-vit-base`), `sam-vit-huge/`, with `car.png` (of ybelkada/segment-anything);
//! - `sam2.1-hiera-tiny/`, `-small`, `-base-plus`, `-large` and the same of `sam2-hiera`, with `car.png`; for
//!   `sam2.1-hiera-tiny` also `truck.png` and `bedroom/00000.png` to `00002.png`, the first frames of the video of the
//!   notebooks of facebookresearch/sam2.
//!
//! What is missing is reported as skipped. Bounds are the digits that were published.

mod clip;
mod sam;
mod sam2;

use std::env;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use vitrum::exec::{Cx, CxOptions};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::weights::{Bundle, OpenOptions};

/// A decoded picture.
struct Picture {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

impl Picture {
    fn read(path: &Path) -> Self {
        let mut decoder = png::Decoder::new(BufReader::new(File::open(path).unwrap()));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        let channels = info.color_type.samples();
        assert!(channels >= 3, "{}: grey", path.display());
        let pixels =
            bytes[..info.buffer_size()].chunks_exact(channels).flat_map(|p| [p[0], p[1], p[2]]).collect();
        Self { pixels, width: info.width as usize, height: info.height as usize }
    }

    fn view(&self) -> ImageView<'_> {
        ImageView::packed(&self.pixels, self.width, self.height, PixelFormat::Rgb8).unwrap()
    }
}

/// What a check found: nothing, or the difference.
type Outcome = Result<(), String>;

fn near(found: &[f32], published: &[f32], bound: f32) -> Outcome {
    let equal =
        found.len() == published.len() && found.iter().zip(published).all(|(a, b)| (a - b).abs() <= bound);
    if equal { Ok(()) } else { Err(format!("found {found:?}, published {published:?} ± {bound}")) }
}

/// Runs checks and counts those that failed.
struct Report {
    directory: PathBuf,
    checkpoint: &'static str,
    failed: usize,
}

impl Report {
    /// Runs a check with the path of the picture that it needs, if the picture is there.
    fn check(&mut self, name: &str, picture: Option<&str>, check: impl FnOnce(&Path) -> Outcome) {
        let path = self.directory.join(picture.unwrap_or_default());
        let outcome = match path.exists() {
            true => check(&path),
            false => return println!("{}: {name}: skipped, no {}", self.checkpoint, path.display()),
        };
        match outcome {
            Ok(()) => println!("{}: {name}: ok", self.checkpoint),
            Err(difference) => {
                self.failed += 1;
                println!("{}: {name}: FAILED: {difference}", self.checkpoint);
            }
        }
    }
}

/// The checks of a checkpoint.
type Checks = fn(&mut Report, &Cx, &Bundle<'_>);

const CHECKPOINTS: [(&str, Checks); 11] = [
    ("clip-vit-base-patch32", clip::check),
    ("sam-vit-base", sam::check_base),
    ("sam-vit-huge", sam::check_huge),
    ("sam2.1-hiera-tiny", sam2::check_tiny),
    ("sam2.1-hiera-small", sam2::check),
    ("sam2.1-hiera-base-plus", sam2::check),
    ("sam2.1-hiera-large", sam2::check),
    ("sam2-hiera-tiny", sam2::check),
    ("sam2-hiera-small", sam2::check),
    ("sam2-hiera-base-plus", sam2::check),
    ("sam2-hiera-large", sam2::check),
];

fn main() -> ExitCode {
    let Some(directory) = env::var_os("VITRUM_PRETRAINED").map(PathBuf::from) else {
        println!("VITRUM_PRETRAINED is not set: all {} checkpoints skipped", CHECKPOINTS.len());
        return ExitCode::SUCCESS;
    };
    let cx = Cx::new(&CxOptions::default()).unwrap();
    let mut failed = 0;
    for (checkpoint, checks) in CHECKPOINTS {
        let path = directory.join(checkpoint);
        if !path.is_dir() {
            println!("{checkpoint}: skipped, no {}", path.display());
            continue;
        }
        let bundle = Bundle::open(&path, OpenOptions::default()).unwrap();
        let mut report = Report { directory: directory.clone(), checkpoint, failed: 0 };
        checks(&mut report, &cx, &bundle);
        failed += report.failed;
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
