//! `openai/clip-vit-base-patch32`: values of transformers' `tests/models/clip/test_modeling_clip.py` and of
//! openai/CLIP's README.

use std::path::Path;

use vitrum::exec::Cx;
use vitrum::nn::Trace;
use vitrum::pipelines::clip::{ClassifyOptions, Clip, ClipOptions, EncodeOptions};
use vitrum::pipelines::preprocess::Preprocess;
use vitrum::weights::{Bundle, Config};

use super::{Outcome, Picture, Report, near};

/// The COCO picture of transformers' test fixtures.
const COCO: &str = "000000039769.png";
/// The diagram of openai/CLIP's README.
const DIAGRAM: &str = "CLIP.png";

pub(crate) fn check(report: &mut Report, cx: &Cx, bundle: &Bundle<'_>) {
    let clip = Clip::load(cx, bundle, &ClipOptions::default()).unwrap();
    report.check("tokens of the published vocabulary", None, |_| tokens(&clip));
    report.check("logits of COCO 39769", Some(COCO), |path| logits(&clip, path));
    report.check("interpolated positions at 180x180", Some(COCO), |path| {
        interpolated_positions(cx, &clip, path)
    });
    report.check("probabilities of CLIP.png", Some(DIAGRAM), |path| probabilities(&clip, path));
}

fn tokens(clip: &Clip) -> Outcome {
    for (text, published) in [
        ("hello world", &[49406, 3306, 1002, 49407][..]),
        ("You should've done this", &[49406, 592, 1535, 1200, 1700, 589, 49407][..]),
    ] {
        let found = clip.tokenize(text).map_err(|error| error.to_string())?;
        if found != published {
            return Err(format!("{text:?}: found {found:?}, published {published:?}"));
        }
    }
    Ok(())
}

fn logits(clip: &Clip, path: &Path) -> Outcome {
    let picture = Picture::read(path);
    let image =
        clip.encode_images(&[picture.view()], &EncodeOptions::default().with_normalize(false)).unwrap();
    let texts = clip
        .encode_texts(
            &["a photo of a cat", "a photo of a dog"],
            &EncodeOptions::default().with_normalize(false),
        )
        .unwrap();
    near(&clip.similarity(&image, &texts).unwrap(), &[24.5701, 19.3049], 1e-3)
}

fn interpolated_positions(cx: &Cx, clip: &Clip, path: &Path) -> Outcome {
    const SIDE: usize = 180;
    let picture = Picture::read(path);
    let config = br#"{"size":{"height":180,"width":180},"crop_size":{"height":180,"width":180}}"#;
    let config = Config::parse("preprocessor_config.json", config).unwrap();
    let mut pixels = vec![0.0; 3 * SIDE * SIDE];
    Preprocess::from_config(&config, SIDE).unwrap().run(cx, &picture.view(), &mut pixels).unwrap();
    let vision = clip.model().vision.as_ref().expect("an image tower");
    let size = [1, SIDE, SIDE];
    let mut workspace = cx.workspace(vision.scratch_req(cx, size)).unwrap();
    let mut out = vec![0.0; clip.embed_dim()];
    let mut last_hidden_state = Vec::new();
    let mut observer = |name: std::fmt::Arguments<'_>, values: &[f32]| {
        if name.to_string() == "vision.layers.11" {
            last_hidden_state.extend_from_slice(&values[..3]);
        }
    };
    let trace = Trace::to(&mut observer);
    vision.forward(cx, &pixels, size, &mut out, workspace.scratch(), trace).unwrap();
    near(&last_hidden_state, &[-0.1538, 0.0322, -0.3235], 2e-4)
}

fn probabilities(clip: &Clip, path: &Path) -> Outcome {
    let picture = Picture::read(path);
    let labels = ["a diagram", "a dog", "a cat"];
    let options = ClassifyOptions::default().with_template("{}");
    let found = clip.classify(&picture.view(), &labels, &options).unwrap();
    near(&found, &[0.992_793_7, 0.004_210_68, 0.002_995_72], 2e-4)
}
