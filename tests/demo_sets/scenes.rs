//! Scenes of several things, for SAM.

use std::ops::ControlFlow;

use serde_json::Value;
use vitrum::exec::{Cx, Monitor};
use vitrum::pipelines::mask::Rle;
use vitrum::pipelines::sam::{
    Embedding, Label, MaskRecord, Point, PredictOptions, Prediction, Prompt, Sam, SamOptions,
};

use super::{Sheet, numbers, open};

pub(crate) struct Scenes {
    pub(crate) sam: Sam,
    pub(crate) sheet: Sheet,
}

/// The masks that an object gets, and their IoU with the truth.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// After one, two, three clicks, and by the box; after the first click the best of three.
    pub(crate) masks: [Option<Rle>; 4],
    pub(crate) iou: [f64; 4],
}

impl Scenes {
    /// The set, and sam-nano loaded as `options` say.
    pub(crate) fn load(cx: &Cx, options: &SamOptions) -> Self {
        Self { sam: Sam::load(cx, &open("sam-nano"), options).unwrap(), sheet: Sheet::load("scenes.json") }
    }

    pub(crate) fn objects(&self) -> &[Value] {
        self.sheet.facts["objects"].as_array().unwrap()
    }

    pub(crate) fn len(&self) -> usize {
        self.sheet.facts["sizes"].as_array().unwrap().len()
    }

    /// Width and height.
    pub(crate) fn size(&self, scene: usize) -> [usize; 2] {
        [0, 1].map(|i| self.sheet.facts["sizes"][scene][i].as_u64().unwrap() as usize)
    }

    pub(crate) fn picture(&self, scene: usize) -> vitrum::ImageView<'_> {
        let columns = self.sheet.number("columns");
        self.sheet.tile([scene % columns, scene / columns], self.size(scene))
    }

    pub(crate) fn encode(&self, scene: usize) -> Embedding {
        self.sam.encode(&self.picture(scene), &Monitor::none()).unwrap()
    }

    pub(crate) fn mask(&self, scene: usize, mask: &Value) -> Rle {
        let [width, height] = self.size(scene);
        Rle::from_coco_string(mask.as_str().unwrap(), width, height).unwrap()
    }

    /// The predicted masks, and the IoU of each with `truth`.
    pub(crate) fn predict(
        &self,
        embedding: &Embedding,
        prompt: Prompt<'_>,
        multimask: bool,
        truth: &Rle,
    ) -> (Prediction, Vec<f64>) {
        let mut prediction = Prediction::default();
        let options = PredictOptions::default().with_multimask(multimask);
        self.sam.predict(embedding, &[prompt], &options, &mut prediction).unwrap();
        let iou = |mask| prediction.rle(0, mask, 0.0).unwrap().iou(truth).unwrap();
        let iou = (0..prediction.masks()).map(iou).collect();
        (prediction, iou)
    }

    /// The masks of everything in a scene, with the options of `vitrum demo`.
    fn everything(&self, scene: usize) -> Vec<Rle> {
        let options = self.sam.model().automatic_options().with_min_mask_region_area(100);
        let mut masks = Vec::new();
        let mut keep = |record: MaskRecord| {
            masks.push(record.segmentation);
            ControlFlow::Continue(())
        };
        self.sam.everything(&self.picture(scene), &options, &Monitor::none(), &mut keep).unwrap();
        masks
    }

    /// For each object of the first scenes, the IoU with the mask of everything that covers it best.
    pub(crate) fn find(&self, scenes: usize) -> Vec<f64> {
        let found: Vec<Vec<Rle>> = (0..scenes).map(|scene| self.everything(scene)).collect();
        let best = |object: &Value| {
            let scene = scene_of(object);
            let truth = self.mask(scene, &object["mask"]);
            found[scene].iter().map(|mask| mask.iou(&truth).unwrap()).fold(0.0, f64::max)
        };
        self.objects().iter().filter(|object| scene_of(object) < scenes).map(best).collect()
    }

    /// Asks for `object`, as the reference was asked, with the embedding of its scene.
    pub(crate) fn ask(&self, embedding: &Embedding, object: &Value) -> Answers {
        let scene = scene_of(object);
        let truth = self.mask(scene, &object["mask"]);
        let clicks: Vec<Point> = object["clicks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|click| {
                let click = numbers(click);
                let label = Label::try_from(click[2] as i32).unwrap();
                Point { x: click[0] as f32, y: click[1] as f32, label }
            })
            .collect();
        let mut answers = Answers::default();
        let (mut prediction, iou) = self.predict(embedding, Prompt::points(&clicks[..1]), true, &truth);
        let mut mask = best(&iou);
        answers.iou[0] = iou[mask];
        answers.masks[0] = Some(prediction.rle(0, mask, 0.0).unwrap());
        for count in 2..=3 {
            let logits = prediction.low_res(0, mask).to_vec();
            let prompt = Prompt::points(&clicks[..count]).with_mask(&logits[..]);
            let (next, iou) = self.predict(embedding, prompt, false, &truth);
            answers.iou[count - 1] = iou[0];
            answers.masks[count - 1] = Some(next.rle(0, 0, 0.0).unwrap());
            (prediction, mask) = (next, 0);
        }
        let bounds = numbers(&object["box"]);
        let prompt = Prompt::bounding_box([0, 1, 2, 3].map(|i| bounds[i] as f32));
        let (prediction, iou) = self.predict(embedding, prompt, false, &truth);
        answers.iou[3] = iou[0];
        answers.masks[3] = Some(prediction.rle(0, 0, 0.0).unwrap());
        answers
    }

    /// Asks for all objects.
    pub(crate) fn ask_all(&self) -> Vec<Answers> {
        let mut encoded = (usize::MAX, None);
        let mut answers = Vec::new();
        for object in self.objects() {
            let scene = scene_of(object);
            if encoded.0 != scene {
                encoded = (scene, Some(self.encode(scene)));
            }
            answers.push(self.ask(encoded.1.as_ref().unwrap(), object));
        }
        answers
    }
}

fn scene_of(object: &Value) -> usize {
    object["scene"].as_u64().unwrap() as usize
}

pub(crate) fn best(iou: &[f64]) -> usize {
    (1..iou.len()).fold(0, |best, mask| if iou[mask] > iou[best] { mask } else { best })
}
