//! `facebook/sam-vit-base` and `-huge` on `car.png`: values of transformers' `tests/models/sam/test_modeling_sam.py`
//! and `convert_sam_to_hf.py`.

use vitrum::exec::{Cx, Monitor};
use vitrum::pipelines::sam::{Label, Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};
use vitrum::weights::Bundle;

use super::{Outcome, Picture, Report, near};

/// The car of ybelkada/segment-anything's assets.
const CAR: &str = "car.png";
/// What the published scores and logits may differ by.
const SCORE: f32 = 2e-4;
const LOGIT: f32 = 1e-3;

/// A prompt and what was published of the three masks: scores, and the first logits of the first mask.
struct Case {
    name: &'static str,
    points: &'static [Point],
    bounding_box: Option<[f32; 4]>,
    scores: Scores,
    logits: Option<[f32; 3]>,
}

enum Scores {
    All([f32; 3]),
    Last(f32),
}

const fn at(x: f32, y: f32) -> Point {
    Point { x, y, label: Label::Foreground }
}

const fn not_at(x: f32, y: f32) -> Point {
    Point { x, y, label: Label::Background }
}

const PADDING: Point = Point { x: 0.0, y: 0.0, label: Label::Padding };
const CAR_BOX: Option<[f32; 4]> = Some([75.0, 275.0, 1725.0, 850.0]);
const WHEEL_BOX: Option<[f32; 4]> = Some([620.0, 900.0, 1000.0, 1255.0]);

const fn case(
    name: &'static str,
    points: &'static [Point],
    bounding_box: Option<[f32; 4]>,
    scores: Scores,
) -> Case {
    Case { name, points, bounding_box, scores, logits: None }
}

const BASE: [Case; 11] = [
    Case { logits: Some([-4.1800, -3.4948, -3.4481]), ..case("no prompt", &[], None, Scores::Last(0.4515)) },
    Case {
        logits: Some([-12.7729, -12.3665, -12.6061]),
        ..case(
            "a point and a box",
            &[at(820.0, 1080.0)],
            Some([650.0, 900.0, 1000.0, 1250.0]),
            Scores::Last(0.9566),
        )
    },
    Case {
        logits: Some([-2.8550, -2.7988, -2.9625]),
        ..case("point (820, 1080)", &[at(820.0, 1080.0)], None, Scores::All([0.6765, 0.9379, 0.8803]))
    },
    case("point (510, 1080)", &[at(510.0, 1080.0)], None, Scores::All([0.3317, 0.7264, 0.7646])),
    case("point (400, 650)", &[at(400.0, 650.0)], None, Scores::All([0.9105, 0.9825, 0.9675])),
    case("point (220, 470)", &[at(220.0, 470.0)], None, Scores::All([0.7646, 0.7943, 0.7774])),
    case("two points", &[at(400.0, 650.0), at(800.0, 650.0)], None, Scores::Last(0.9762)),
    case("a padded point", &[at(400.0, 650.0), PADDING], None, Scores::Last(0.9637)),
    case("the car's box", &[], CAR_BOX, Scores::All([0.5996, 0.7661, 0.7937])),
    case("the wheel's box", &[], WHEEL_BOX, Scores::All([0.9773, 0.9881, 0.9522])),
    case("the wheel's box without its hub", &[not_at(820.0, 1080.0)], WHEEL_BOX, Scores::Last(0.7894)),
];

const HUGE: [Case; 3] = [
    case("point (500, 375)", &[at(500.0, 375.0)], None, Scores::Last(0.97126)),
    case("the car's box", &[], CAR_BOX, Scores::Last(0.86860)),
    case("two points", &[at(400.0, 650.0), at(800.0, 650.0)], None, Scores::Last(0.99360)),
];

pub(crate) fn check_base(report: &mut Report, cx: &Cx, bundle: &Bundle<'_>) {
    check(report, cx, bundle, &BASE);
}

pub(crate) fn check_huge(report: &mut Report, cx: &Cx, bundle: &Bundle<'_>) {
    check(report, cx, bundle, &HUGE);
}

fn check(report: &mut Report, cx: &Cx, bundle: &Bundle<'_>, cases: &[Case]) {
    report.check("predictions on car.png", Some(CAR), |path| {
        let sam = Sam::load(cx, bundle, &SamOptions::default()).unwrap();
        let embedding = sam.encode(&Picture::read(path).view(), &Monitor::none()).unwrap();
        let mut prediction = Prediction::default();
        for case in cases {
            let prompt = Prompt::default().with_points(case.points).with_bounding_box(case.bounding_box);
            sam.predict(&embedding, &[prompt], &PredictOptions::default(), &mut prediction).unwrap();
            compare(case, &prediction).map_err(|difference| format!("{}: {difference}", case.name))?;
        }
        Ok(())
    });
}

fn compare(case: &Case, prediction: &Prediction) -> Outcome {
    let scores = prediction.iou(0);
    match case.scores {
        Scores::All(published) => near(scores, &published, SCORE)?,
        Scores::Last(published) => near(&scores[2..], &[published], SCORE)?,
    }
    match case.logits {
        Some(published) => near(&prediction.low_res(0, 0)[..3], &published, LOGIT),
        None => Ok(()),
    }
}
