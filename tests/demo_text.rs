//! The demo pair finds things by word.
#![cfg(feature = "std")]

use std::fs::File;
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use vitrum::ErrorCode;
use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::clip::{Clip, ClipOptions};
use vitrum::pipelines::sam::{AutomaticOptions, Sam, SamOptions, TextPrompt};
use vitrum::weights::{Bundle, OpenOptions};

/// Things in the scene: x, y, width, height.
const THINGS: [(&str, [u32; 4]); 2] =
    [("a red apple", [34, 301, 62, 60]), ("a soccer ball", [260, 305, 50, 50])];

struct Scene {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Scene {
    fn read() -> Self {
        let path = demo().join("images/garden-scene-3d.png");
        let mut reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        Self { width: info.width as usize, height: info.height as usize, pixels }
    }

    fn view(&self) -> ImageView<'_> {
        ImageView::packed(&self.pixels, self.width, self.height, PixelFormat::Rgb8).unwrap()
    }
}

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")
}

fn pair() -> (Sam, Clip) {
    let cx = Cx::new(&CxOptions::default()).unwrap();
    let open = |name: &str| Bundle::open(&demo().join(name), OpenOptions::default()).unwrap();
    let sam = Sam::load(&cx, &open("sam-nano"), &SamOptions::default()).unwrap();
    (sam, Clip::load(&cx, &open("clip-nano"), &ClipOptions::default()).unwrap())
}

/// Of the model itself, and somewhat faster.
fn automatic(sam: &Sam) -> AutomaticOptions {
    sam.model().automatic_options().with_points_per_side(24)
}

/// Intersection over union of two boxes.
fn overlap(a: [u32; 4], b: [u32; 4]) -> f64 {
    let along = |i: usize| (a[i] + a[i + 2]).min(b[i] + b[i + 2]).saturating_sub(a[i].max(b[i]));
    let common = f64::from(along(0) * along(1));
    common / (f64::from(a[2] * a[3] + b[2] * b[3]) - common)
}

#[test]
fn words_select_the_things_they_name() {
    let (scene, (sam, clip)) = (Scene::read(), pair());
    let texts = THINGS.map(|(text, _)| text);
    let prompt = TextPrompt::default().with_texts(&texts).with_automatic(automatic(&sam));
    let last = Mutex::new(0.0);
    let progress = |done: f32| {
        let mut last = last.lock().unwrap();
        assert!(done >= *last && done <= 1.0, "{done} after {last}");
        *last = done;
        ControlFlow::Continue(())
    };
    let (matches, _) = sam.ground(&clip, &scene.view(), &prompt, &Monitor::new(&progress)).unwrap();
    assert_eq!(*last.lock().unwrap(), 1.0);
    assert_eq!(matches.iter().map(|found| found.text).collect::<Vec<_>>(), [0, 1]);
    for (found, (text, place)) in matches.iter().zip(THINGS) {
        let bounds = found.record.segmentation.bounding_box();
        assert!(overlap(bounds, place) > 0.6, "{text} at {bounds:?}, not {place:?}");
        assert!(found.probability > 0.5, "{text}: {}", found.probability);
    }
}

#[test]
fn a_search_can_be_stopped_at_any_time() {
    let (scene, (sam, clip)) = (Scene::read(), pair());
    let automatic = automatic(&sam).with_points_per_side(8);
    let prompt = TextPrompt::default().with_texts(&["a dog"]).with_automatic(automatic);
    for limit in [0.0, 0.3, 0.8] {
        let stop = |done: f32| if done > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let error = sam.ground(&clip, &scene.view(), &prompt, &Monitor::new(&stop)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Cancelled, "{limit}");
    }
    // The handles are as good as before.
    let (matches, _) = sam.ground(&clip, &scene.view(), &prompt, &Monitor::none()).unwrap();
    assert_eq!(matches.len(), 1);
}
