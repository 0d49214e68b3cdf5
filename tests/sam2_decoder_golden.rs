//! SAM 2's prompt encoder and mask decoder against `transformers` and `sam2`, stage by stage, on the small models of
//! `tests/golden/sam2_decoder`.
//!
//! Bound: max |Δ| ≤ 1e-4 · max |reference| for every stage; see `tests/golden/make_golden.py` for the files.
#![cfg(feature = "parallel")]

use std::collections::BTreeSet;

use common::{Golden, path};
use vitrum::exec::{Cx, CxOptions, Workspace};
use vitrum::kernels::activation::Activation;
use vitrum::models::sam::{
    DecodeOptions, Decoded, DecoderConfig, DecoderExtensions, DecoderNames, ImageSource, Label, MaskDecoder,
    Naming, Point, Predictor, Prompt, PromptEncoder, PromptHeadConfig, PromptImages, Prompts, Stability,
};
use vitrum::nn::Trace;
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions};

mod common;

/// The sizes of a golden model.
struct Case {
    directory: &'static str,
    naming: Naming,
    grid: usize,
    dim: usize,
    decoder: DecoderConfig,
}

fn case(directory: &'static str) -> Case {
    let (naming, grid, dim, heads, mlp_dim, mask_channels, iou_depth, object_score_layers) = match directory {
        "huggingface" => (Naming::HuggingFace, 9, 32, 4, 40, 8, 3, 3),
        "original" => (Naming::Original, 7, 40, 5, 56, 16, 3, 3),
        "original-linear" => (Naming::Original, 4, 16, 2, 24, 8, 2, 1),
        _ => panic!("{directory}"),
    };
    let extensions = DecoderExtensions {
        always_padded: true,
        high_res: true,
        iou_sigmoid: true,
        object_score_layers,
        stability: None,
    };
    let decoder = DecoderConfig {
        mask_channels,
        mask_activation: Activation::Gelu,
        mask_norm_eps: 1e-6,
        layers: 2,
        heads,
        mlp_dim,
        activation: Activation::Relu,
        layer_norm_eps: 1e-5,
        multimask_outputs: 3,
        iou_depth,
        iou_hidden: 24,
        extensions,
    };
    Case { directory, naming, grid, dim, decoder }
}

/// A model with an image, ready for prompts.
struct Ready {
    cx: Cx,
    prompt_encoder: PromptEncoder,
    decoder: MaskDecoder,
    golden: Golden,
    cache: Vec<f32>,
    side: usize,
}

impl Ready {
    fn new(case: &Case, level: Level, threads: usize) -> Self {
        let directory = format!("sam2_decoder/{}", case.directory);
        let golden = Golden::read(&format!("{directory}/golden.safetensors"));
        let bundle = Bundle::open(&path(&directory), OpenOptions::default()).unwrap();
        let cx = Cx::new(&CxOptions::default().with_threads(threads).with_level(level)).unwrap();
        let prompt_head = PromptHeadConfig {
            names: DecoderNames::sam2(case.naming),
            image_size: 16 * case.grid,
            grid: case.grid,
            dim: case.dim,
            decoder: &case.decoder,
        };
        let scope = bundle.scope(level);
        let prompt_encoder = PromptEncoder::bind(&scope, &prompt_head).unwrap();
        let decoder = MaskDecoder::bind(&scope, &prompt_head, &prompt_encoder).unwrap();
        let mut cache = vec![f32::NAN; decoder.cache_len()];
        let mut workspace = cx.workspace(decoder.cache_scratch_req(&cx)).unwrap();
        let maps = ["s1", "s0"].map(|name| golden.get(name).1);
        let layout = decoder.maps().unwrap();
        assert_eq!(layout.map_lens(), maps.map(<[f32]>::len));
        decoder.cache(&cx, golden.get("embedding").1, Some(maps), &mut cache, workspace.scratch());
        let mut back = maps.map(|map| vec![f32::NAN; map.len()]);
        let packed = &cache[cache.len() - layout.packed_len()..];
        layout.unpack(packed, back.each_mut().map(|map| &mut map[..]));
        assert_eq!(back, maps);
        drop(workspace);
        Self { cx, prompt_encoder, decoder, golden, cache, side: 4 * case.grid }
    }

    /// The golden file's prompts.
    fn prompts(&self) -> Vec<GoldenPrompt<'_>> {
        let names = self.golden.with_prefix("").filter_map(|(name, _)| name.strip_suffix(".multimask"));
        names.map(|name| GoldenPrompt::read(&self.golden, name)).collect()
    }

    fn predict(&self, prompts: &[Prompt<'_>], options: DecodeOptions, trace: Trace<'_>) -> [Vec<f32>; 2] {
        let predictor = Predictor {
            prompt_encoder: &self.prompt_encoder,
            mask_decoder: &self.decoder,
            least_iou: options.least_iou,
            stability: options.stability,
        };
        let (multimask, scale) = (options.multimask, [1.0; 2]);
        let count = prompts.len() * self.decoder.masks(multimask);
        let [mut masks, mut iou] = [count * self.side * self.side, count].map(|len| vec![f32::NAN; len]);
        // Exactly as much as is asked for, so that a wrong size shows.
        let mut workspace = Workspace::default();
        workspace.reserve(predictor.scratch_req(&self.cx, prompts, multimask)).unwrap();
        let (cx, cache, scratch) = (&self.cx, &self.cache, workspace.scratch());
        predictor.forward(cx, cache, prompts, scale, multimask, &mut masks, &mut iou, scratch, trace);
        [masks, iou]
    }

    /// Objects with their own features, prompted by a padding point and, if `has_mask`, a mask.
    fn track(&self, objects: core::ops::Range<usize>, multimask: bool, has_mask: bool) -> Tracked {
        let (cx, golden, count) = (&self.cx, &self.golden, objects.len());
        let maps = ["s1", "s0"].map(|name| golden.get(name).1);
        let mut high_res = vec![f32::NAN; self.decoder.high_res_len()];
        self.decoder.pack_high_res(cx, maps, &mut high_res);
        let (shape, embeddings) = golden.get("objects.embeddings");
        let image_len = shape[1] * shape[2];
        let embeddings = &embeddings[objects.start * image_len..objects.end * image_len];

        let nothing = [Point { x: 0.0, y: 0.0, label: Label::Padding }];
        let prompt = Prompt::points(&nothing);
        let mut sparse = vec![f32::NAN; self.prompt_encoder.tokens(&prompt) * shape[2]];
        self.prompt_encoder.encode_sparse(&prompt, [1.0; 2], &mut sparse);
        let dense = has_mask.then(|| {
            let mut dense = vec![f32::NAN; image_len];
            let mut workspace = cx.workspace(self.prompt_encoder.mask_scratch_req(cx)).unwrap();
            let mask = golden.get("objects.mask").1;
            self.prompt_encoder.encode_mask(cx, mask, &mut dense, workspace.scratch());
            dense.repeat(count)
        });

        let masks = self.decoder.masks(multimask);
        let mut out = Tracked {
            masks: vec![f32::NAN; count * masks * self.side * self.side],
            iou: vec![f32::NAN; count * masks],
            object_score: vec![f32::NAN; count],
            tokens: vec![f32::NAN; count * 4 * shape[2]],
        };
        let options = DecodeOptions { multimask, ..DecodeOptions::default() };
        let prompts = Prompts { count, sparse: &sparse.repeat(count), dense: dense.as_deref() };
        let mut workspace = Workspace::default();
        workspace.reserve(self.decoder.scratch_req(cx, [count, sparse.len() / shape[2]], &options)).unwrap();
        self.decoder.forward(
            cx,
            ImageSource::PerPrompt(PromptImages { embeddings, high_res: &high_res }),
            prompts,
            &options,
            Decoded {
                masks: &mut out.masks,
                iou: &mut out.iou,
                object_scores: &mut out.object_score,
                tokens: &mut out.tokens,
            },
            workspace.scratch(),
            &mut Trace::off(),
        );
        out
    }
}

/// What is decoded of objects.
#[derive(Debug, PartialEq)]
struct Tracked {
    masks: Vec<f32>,
    iou: Vec<f32>,
    object_score: Vec<f32>,
    tokens: Vec<f32>,
}

struct GoldenPrompt<'a> {
    name: &'a str,
    points: Vec<Point>,
    bounding_box: Option<[f32; 4]>,
    mask: Option<&'a [f32]>,
    multimask: bool,
}

impl<'a> GoldenPrompt<'a> {
    fn read(golden: &'a Golden, name: &'a str) -> Self {
        let part = |part: &str| golden.find(&format!("{name}.{part}")).map(|(_, values)| values);
        let places = part("points").unwrap_or_default().as_chunks::<2>().0;
        let labels = part("labels").unwrap_or_default();
        let point = |(&[x, y], &label): (&[f32; 2], &f32)| Point {
            x,
            y,
            label: Label::try_from(label as i32).unwrap(),
        };
        Self {
            name,
            points: places.iter().zip(labels).map(point).collect(),
            bounding_box: part("box").map(|corners| corners.try_into().unwrap()),
            mask: part("mask"),
            multimask: part("multimask").unwrap()[0] != 0.0,
        }
    }

    fn view(&self) -> Prompt<'_> {
        Prompt::default().with_points(&self.points).with_bounding_box(self.bounding_box).with_mask(self.mask)
    }
}

/// Every prompt of `directory` at every level, every stage.
fn check(directory: &'static str) {
    let case = case(directory);
    for level in Level::available() {
        let ready = Ready::new(&case, level, 2);
        let golden = &ready.golden;
        golden.check("dense_pe", &ready.prompt_encoder.dense_pe());
        let mut seen = BTreeSet::new();
        for prompt in ready.prompts() {
            let name = prompt.name;
            let mut observer = |stage: std::fmt::Arguments<'_>, values: &[f32]| {
                let stage = format!("{name}.{stage}");
                if golden.find(&stage).is_some() {
                    golden.check(&stage, values);
                    seen.insert(stage);
                }
            };
            let options = DecodeOptions { multimask: prompt.multimask, ..DecodeOptions::default() };
            ready.predict(&[prompt.view()], options, Trace::to(&mut observer));
            let [masks, iou] = ready.predict(&[prompt.view()], options, Trace::off());
            golden.check(&format!("{name}.decoder.masks"), &masks);
            golden.check(&format!("{name}.decoder.iou"), &iou);
        }
        let names = golden.with_prefix("").map(|(name, _)| name.to_string());
        let stages = names.filter(|name| name.contains(".decoder.") || name.contains(".prompt."));
        assert_eq!(seen, stages.collect(), "{}: all stages were compared", level.name());
    }
}

#[test]
fn hugging_face_naming() {
    check("huggingface");
}

#[test]
fn original_naming() {
    check("original");
}

#[test]
fn linear_object_score_head() {
    check("original-linear");
}

/// A single mask that is not stable gives way to the best of several, for every threshold of the golden files.
#[test]
fn unstable_masks_are_replaced() {
    for directory in ["huggingface", "original", "original-linear"] {
        let ready = Ready::new(&case(directory), Level::detect(), 2);
        let golden = &ready.golden;
        let mut replaced = [0; 2];
        for prompt in ready.prompts().iter().filter(|prompt| !prompt.multimask) {
            for i in 0..3 {
                let of = |part: &str| golden.get(&format!("{}.stability.{i}.{part}", prompt.name)).1;
                let stability = Stability { delta: of("options")[0], threshold: of("options")[1] };
                let options = DecodeOptions { stability: Some(stability), ..DecodeOptions::default() };
                let [masks, iou] = ready.predict(&[prompt.view()], options, Trace::off());
                golden.check(&format!("{}.stability.{i}.masks", prompt.name), &masks);
                golden.check(&format!("{}.stability.{i}.iou", prompt.name), &iou);
                replaced[usize::from(of("replaced")[0] != 0.0)] += 1;
            }
        }
        assert!(replaced.iter().all(|&count| count > 0), "{directory}: {replaced:?}");
    }
}

/// Objects of one frame, each with its own features.
#[test]
fn objects_have_their_own_images() {
    for directory in ["huggingface", "original", "original-linear"] {
        for level in Level::available() {
            let ready = Ready::new(&case(directory), level, 2);
            for (kind, has_mask) in [("padding", false), ("mask", true)] {
                for (outputs, multimask) in [("single", false), ("multi", true)] {
                    let all = ready.track(0..3, multimask, has_mask);
                    let name = |part: &str| format!("objects.{kind}.{outputs}.{part}");
                    ready.golden.check(&name("masks"), &all.masks);
                    ready.golden.check(&name("iou"), &all.iou);
                    ready.golden.check(&name("object_score"), &all.object_score);
                    ready.golden.check(&name("tokens"), &all.tokens);
                }
            }
        }
    }
}

/// Bits do not depend on the threads, nor on the other objects.
#[test]
fn objects_are_independent() {
    let case = case("original");
    for level in Level::available() {
        let [single, many] = [1, 3].map(|threads| Ready::new(&case, level, threads));
        for (multimask, has_mask) in [(false, false), (true, false), (false, true)] {
            let all = many.track(0..3, multimask, has_mask);
            let each: Vec<Tracked> = (0..3).map(|i| single.track(i..i + 1, multimask, has_mask)).collect();
            let joined = |part: fn(&Tracked) -> &Vec<f32>| each.iter().flat_map(part).copied().collect();
            let expected = Tracked {
                masks: joined(|object| &object.masks),
                iou: joined(|object| &object.iou),
                object_score: joined(|object| &object.object_score),
                tokens: joined(|object| &object.tokens),
            };
            assert!(all == expected, "{}", level.name());
        }
    }
}

/// With a bound on the quality, a single mask that may give way to another is made if either is above it.
#[test]
fn quality_of_either_mask_counts() {
    let ready = Ready::new(&case("original"), Level::detect(), 2);
    let prompts = ready.prompts();
    let views: Vec<Prompt<'_>> = prompts.iter().map(GoldenPrompt::view).collect();
    let stability = Some(Stability::default());
    let options = DecodeOptions { stability, ..DecodeOptions::default() };
    let [all, all_iou] = ready.predict(&views, options, Trace::off());
    let mut sorted = all_iou.clone();
    sorted.sort_by(f32::total_cmp);
    let least = sorted[sorted.len() / 2];
    let options = DecodeOptions { least_iou: Some(least), ..options };
    let [some, iou] = ready.predict(&views, options, Trace::off());
    let len = ready.side * ready.side;
    for i in 0..views.len() {
        let masks = [&all, &some].map(|masks| &masks[i * len..][..len]);
        // What is left out is not above the bound.
        if masks[1][0].is_nan() {
            assert!(iou[i] <= least && all_iou[i] <= least);
        } else {
            assert!(masks[0] == masks[1] && iou[i] == all_iou[i]);
        }
    }
    assert!((0..views.len()).any(|i| some[i * len].is_nan()));
    assert!((0..views.len()).any(|i| !some[i * len].is_nan()));
}
