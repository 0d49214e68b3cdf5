//! Words to masks with small models of random weights.
#![cfg(feature = "std")]

use std::path::Path;

use vitrum::ErrorCode;
use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::clip::{Clip, ClipOptions};
use vitrum::pipelines::sam::{AutomaticOptions, Match, Sam, SamOptions, TextPrompt};
use vitrum::weights::{Bundle, OpenOptions};

const WIDTH: usize = 70;
const HEIGHT: usize = 50;

struct Models {
    sam: Sam,
    clip: Clip,
}

impl Models {
    fn load(threads: usize) -> Self {
        let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
        let open = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
            Bundle::open(&path, OpenOptions::new()).unwrap()
        };
        Self {
            sam: Sam::load(&cx, &open("sam_predictor"), &SamOptions::default()).unwrap(),
            clip: Clip::load(&cx, &open("clip/quickgelu-p32"), &ClipOptions::default()).unwrap(),
        }
    }

    fn ground(&self, prompt: &TextPrompt<'_>) -> vitrum::Result<Vec<Match>> {
        let pixels: Vec<u8> = (0..WIDTH * HEIGHT).map(|i| (i * i / 90 + i % WIDTH * 3) as u8).collect();
        let image = ImageView::packed(&pixels, WIDTH, HEIGHT, PixelFormat::Gray8).unwrap();
        let (matches, embedding) = self.sam.ground(&self.clip, &image, prompt, &Monitor::none())?;
        assert_eq!(embedding.image_size(), (WIDTH, HEIGHT));
        Ok(matches)
    }
}

/// Everything that a few clicks find.
fn prompt<'a>(texts: &'a [&'a str]) -> TextPrompt<'a> {
    let automatic = AutomaticOptions::default()
        .with_points_per_side(4)
        .with_pred_iou_thresh(0.0)
        .with_stability_score_thresh(0.0)
        .with_box_nms_thresh(1.0);
    TextPrompt::default().with_texts(texts).with_top(usize::MAX).with_automatic(automatic)
}

#[test]
fn probabilities_of_a_mask_sum_to_one() {
    const TEXTS: [&str; 2] = ["a cat", "the sea"];
    let models = Models::load(2);
    let both = models.ground(&prompt(&TEXTS)).unwrap();
    let (cats, seas): (Vec<_>, Vec<_>) = both.iter().partition(|found| found.text == 0);
    assert!(cats.len() > 4 && cats.len() == seas.len());
    for of_text in [&cats, &seas] {
        assert!(of_text.is_sorted_by(|a, b| a.probability >= b.probability));
    }

    // With the other text as the only alternative, one is what the other is not.
    let cat = models.ground(&prompt(&TEXTS[..1]).with_others(&TEXTS[1..])).unwrap();
    let sea = models.ground(&prompt(&TEXTS[1..]).with_others(&TEXTS[..1])).unwrap();
    for found in &cat {
        let same = sea.iter().find(|other| other.record == found.record).unwrap();
        assert!((found.probability + same.probability - 1.0).abs() < 1e-5);
    }
    assert_eq!(cat.iter().map(|found| &found.record).collect::<Vec<_>>(), {
        let mut backwards: Vec<_> = sea.iter().map(|found| &found.record).collect();
        backwards.reverse();
        backwards
    });
}

#[test]
fn the_best_are_taken_for_any_number_of_threads() {
    const TEXTS: [&str; 1] = ["a cat"];
    let (one, three) = (Models::load(1), Models::load(3));
    let all = one.ground(&prompt(&TEXTS)).unwrap();
    let best = three.ground(&prompt(&TEXTS).with_top(2)).unwrap();
    assert_eq!(best, all[..2]);
    let likely = prompt(&TEXTS).with_min_probability(all[1].probability);
    assert_eq!(three.ground(&likely).unwrap(), all[..2]);
}

#[test]
fn without_candidates_there_is_no_match() {
    let models = Models::load(1);
    let nothing = prompt(&[]).automatic.unwrap().with_pred_iou_thresh(1e9);
    let found = models.ground(&prompt(&["a cat"]).with_automatic(nothing)).unwrap();
    assert_eq!(found, []);
    let refused = models.ground(&prompt(&[])).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
}
