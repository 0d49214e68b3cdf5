//! What a format of weights gets on the sets.

use vitrum::WeightFormat;
use vitrum::exec::Cx;
use vitrum::pipelines::clip::ClipOptions;
use vitrum::pipelines::mask::Rle;
use vitrum::pipelines::sam::SamOptions;

use super::clips::Clips;
use super::mean;
use super::pictures::Pictures;
use super::scenes::Scenes;

/// What one format gets on one set.
#[derive(Default)]
pub(crate) struct Figures {
    /// Names of tasks, and how much of each is right, in 0…1.
    pub(crate) tasks: Vec<(&'static str, f64)>,
    /// Masks, to be compared with those of another format.
    masks: Vec<Rle>,
    /// Embeddings of length 1, likewise.
    embeddings: Vec<Vec<f32>>,
}

impl Figures {
    /// The median IoU of the masks with those of `other`, if there are any.
    pub(crate) fn alike(&self, other: &Self) -> Option<f64> {
        let mut iou: Vec<f64> = self.masks.iter().zip(&other.masks).map(|(a, b)| same(a, b)).collect();
        iou.sort_by(f64::total_cmp);
        iou.get(iou.len() / 2).copied()
    }

    /// The mean and the least cosine of the embeddings with those of `other`, if there are any.
    pub(crate) fn cosines(&self, other: &Self) -> Option<(f64, f64)> {
        let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let cosines: Vec<f64> =
            self.embeddings.iter().zip(&other.embeddings).map(|(a, b)| cosine(a, b)).collect();
        let least = cosines.iter().copied().reduce(f64::min)?;
        Some((mean(&cosines), least))
    }
}

fn same(a: &Rle, b: &Rle) -> f64 {
    if a.area() + b.area() == 0 { 1.0 } else { a.iou(b).unwrap() }
}

/// clip-nano on the pictures.
pub(crate) fn pictures(cx: &Cx, format: WeightFormat) -> Figures {
    let set = Pictures::load();
    let found = set.embed(cx, &ClipOptions::default().with_weights(format));
    let share = |count: usize| count as f64 / set.len() as f64;
    let mut embeddings = found.images;
    embeddings.extend(found.texts);
    let tasks = vec![("top-1", share(found.top1)), ("top-5", share(found.top5))];
    Figures { tasks, embeddings, ..Figures::default() }
}

/// sam-nano on the scenes, and everything in the first ones: it takes a thousand clicks a scene. All of them for `None`.
pub(crate) fn scenes(cx: &Cx, format: WeightFormat, everything: Option<usize>) -> Figures {
    let set = Scenes::load(cx, &SamOptions::default().with_weights(format));
    let everything = set.find(everything.unwrap_or(set.len()));
    let answers = set.ask_all();
    let iou = |i: usize| mean(&answers.iter().map(|answers| answers.iou[i]).collect::<Vec<_>>());
    let tasks = vec![
        ("1 click", iou(0)),
        ("2 clicks", iou(1)),
        ("3 clicks", iou(2)),
        ("box", iou(3)),
        ("everything", mean(&everything)),
    ];
    let masks = answers.into_iter().flat_map(|answers| answers.masks).flatten().collect();
    Figures { tasks, masks, ..Figures::default() }
}

/// sam2-nano on the clips, with an input of `side` pixels if not its own.
pub(crate) fn clips(cx: &Cx, format: WeightFormat, side: Option<usize>) -> Figures {
    let set = Clips::load(cx, &SamOptions::default().with_weights(format).with_image_size(side));
    let (mut iou, mut masks) = ([Vec::new(), Vec::new()], Vec::new());
    for object in set.objects() {
        for (clicks, frames) in set.follow(object).into_iter().enumerate() {
            for (mask, value) in frames {
                masks.push(mask);
                iou[clicks].push(value);
            }
        }
    }
    let tasks = vec![("J, 1 click", mean(&iou[0])), ("J, 2 clicks", mean(&iou[1]))];
    Figures { tasks, masks, ..Figures::default() }
}
