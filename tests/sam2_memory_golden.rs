//! SAM 2's memory attention, memory encoder and object pointers against `sam2` and `transformers`, stage by stage, on
//! the small models of `tests/golden/sam2_memory`.
//!
//! Bound: max |Δ| ≤ 1e-4 · max |reference| for every stage; see `tests/golden/make_golden.py` for the files.
#![cfg(feature = "parallel")]

use std::collections::BTreeSet;

use common::{Golden, path};
use half::bf16;
use vitrum::exec::{Cx, CxOptions, Monitor, ScratchReq, Workspace};
use vitrum::kernels::activation::Activation;
use vitrum::models::sam::{DecoderConfig, MaskGeneration, Naming};
use vitrum::models::sam2::{
    FrameMemory, HieraConfig, HieraStage, Memory, MemoryConfig, ObjectMemory, Pointer, PointerTimes,
    Sam2Config, TrackingConfig,
};
use vitrum::nn::Trace;
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions, Scope};

mod common;

/// `num_maskmem` of the models.
const MEMORIES: usize = 4;
/// Of the videos: the pointers' distances are divided by one less.
const FRAMES: f32 = 8.0;
const OBJECTS: usize = 2;

/// A model of the generator's `CASES`.
struct Case {
    name: &'static str,
    naming: Naming,
    v21: bool,
    grid: usize,
    dim: usize,
    memory_dim: usize,
    layers: usize,
    mlp_dim: usize,
}

const CASES: [Case; 4] = {
    let (original, hugging_face) = (Naming::Original, Naming::HuggingFace);
    [
        Case {
            name: "original-2.1",
            naming: original,
            v21: true,
            grid: 5,
            dim: 32,
            memory_dim: 8,
            layers: 2,
            mlp_dim: 48,
        },
        Case {
            name: "original-2.0",
            naming: original,
            v21: false,
            grid: 6,
            dim: 32,
            memory_dim: 32,
            layers: 2,
            mlp_dim: 40,
        },
        Case {
            name: "huggingface-2.1",
            naming: hugging_face,
            v21: true,
            grid: 5,
            dim: 128,
            memory_dim: 64,
            layers: 1,
            mlp_dim: 64,
        },
        Case {
            name: "huggingface-2.0",
            naming: hugging_face,
            v21: false,
            grid: 4,
            dim: 64,
            memory_dim: 64,
            layers: 2,
            mlp_dim: 40,
        },
    ]
};

impl Case {
    /// The sizes; those of the parts that the files lack do not matter.
    fn config(&self) -> Sam2Config {
        let stage = HieraStage { dim: 8, depth: 1, heads: 1, window: 8, mlp_dim: 32 };
        let times = PointerTimes { projected: true, signed: true };
        Sam2Config {
            image_size: 16 * self.grid,
            hiera: HieraConfig {
                stages: [stage; 4],
                global_blocks: vec![2],
                background: [7; 2],
                window_positions: [8; 2],
                layer_norm_eps: 1e-6,
            },
            top_down_levels: vec![2, 3],
            dim: self.dim,
            decoder: decoder(),
            mask_generation: MaskGeneration::default(),
            memory: Some(MemoryConfig {
                dim: self.memory_dim,
                count: MEMORIES,
                layers: self.layers,
                mlp_dim: self.mlp_dim,
                rope_theta: 10_000.0,
                sigmoid_scale: 20.0,
                sigmoid_bias: -10.0,
                no_object_spatial: self.v21,
                pointer_times: self.v21.then_some(times),
            }),
            tracking: TrackingConfig::default(),
        }
    }

    fn golden(&self) -> Golden {
        Golden::read(&format!("sam2_memory/{}/golden.safetensors", self.name))
    }

    fn bind(&self, level: Level) -> Memory {
        let bundle =
            Bundle::open(&path(&format!("sam2_memory/{}", self.name)), OpenOptions::default()).unwrap();
        let scope = Scope::new(bundle.archive(), level);
        let memory = Memory::bind(&scope, self.naming, &self.config()).unwrap().expect("a memory");
        // `no_mem_embed` and its positions are the tracker's.
        let unused: Vec<_> = bundle
            .archive()
            .unused()
            .map(|tensor| tensor.name)
            .filter(|name| !name.contains("no_mem"))
            .collect();
        assert!(unused.is_empty(), "{}: unused {unused:?}", self.name);
        memory
    }
}

/// Any decoder.
fn decoder() -> DecoderConfig {
    DecoderConfig {
        mask_channels: 16,
        mask_activation: Activation::Gelu,
        mask_norm_eps: 1e-6,
        layers: 2,
        heads: 8,
        mlp_dim: 32,
        activation: Activation::Relu,
        layer_norm_eps: 1e-5,
        multimask_outputs: 3,
        iou_depth: 3,
        iou_hidden: 16,
        extensions: Default::default(),
    }
}

/// Every model at every level.
fn for_each(check: impl Fn(&Cx, &Case, &Golden, &Memory)) {
    for case in &CASES {
        let golden = case.golden();
        for level in Level::available() {
            let cx = Cx::new(&CxOptions::default().with_threads(2).with_level(level)).unwrap();
            check(&cx, case, &golden, &case.bind(level));
        }
    }
}

/// A workspace of NaN, so that reading what was not written shows.
fn workspace(req: ScratchReq) -> Workspace {
    let mut workspace = Workspace::default();
    workspace.reserve(req).unwrap();
    workspace.scratch().take(req.len()).fill(f32::NAN);
    workspace
}

/// A trace that compares the stages of `golden` whose names begin with `prefix`, and removes them from `missing`.
fn checked(golden: &Golden, prefix: &str, missing: &mut BTreeSet<String>, run: impl FnOnce(&mut Trace<'_>)) {
    let mut observer = |name: std::fmt::Arguments<'_>, values: &[f32]| {
        let name = format!("{prefix}.{name}");
        if golden.find(&name).is_some() {
            golden.check(&name, values);
            missing.remove(&name);
        }
    };
    run(&mut Trace::to(&mut observer));
}

/// The names of stages whose names begin with `prefix`.
fn stages(golden: &Golden, prefix: &str) -> BTreeSet<String> {
    golden.with_prefix(prefix).map(|(rest, _)| format!("{prefix}{rest}")).collect()
}

#[test]
fn memory_attention_matches_the_references() {
    for_each(|cx, case, golden, memory| {
        let attention = &memory.attention;
        let mut shared = vec![f32::NAN; attention.frame_len()];
        let mut scratch = workspace(attention.scratch_req(cx, [0, 0]));
        attention.shared(cx, golden.get("top").1, &mut shared, scratch.scratch(), &Monitor::none()).unwrap();
        for scene in ["first", "spatial", "several"] {
            let rows = golden.get(&format!("{scene}.memories")).1.as_chunks::<2>().0;
            let distances = golden.get(&format!("{scene}.pointers")).1.as_chunks::<2>().0;
            let features: Vec<Vec<Vec<u16>>> = (0..OBJECTS)
                .map(|object| {
                    let memory = |frame: f32| golden.get(&format!("memory.{frame}.{object}")).1;
                    let bits = |values: &[f32]| values.iter().map(|&x| bf16::from_f32(x).to_bits()).collect();
                    rows.iter().map(|&[frame, _]| bits(memory(frame))).collect()
                })
                .collect();
            let spatial: Vec<Vec<FrameMemory<'_>>> = features
                .iter()
                .map(|memories| {
                    let memories = memories.iter().zip(rows);
                    memories
                        .map(|(features, &[_, row])| FrameMemory { features, time: row as usize })
                        .collect()
                })
                .collect();
            let pointers: Vec<Vec<Pointer<'_>>> = (0..OBJECTS)
                .map(|object| {
                    let pointer = |&[frame, distance]: &[f32; 2]| Pointer {
                        values: golden.get(&format!("pointer.{frame}.{object}")).1,
                        distance: distance / (FRAMES - 1.0),
                    };
                    distances.iter().map(pointer).collect()
                })
                .collect();
            let objects: Vec<ObjectMemory<'_>> = spatial
                .iter()
                .zip(&pointers)
                .map(|(spatial, pointers)| ObjectMemory { spatial, pointers })
                .collect();
            let mut out = vec![f32::NAN; OBJECTS * attention.frame_len()];
            let mut scratch = workspace(attention.scratch_req(cx, [rows.len(), distances.len()]));
            let mut missing = stages(golden, &format!("{scene}.memory_attention"));
            assert_eq!(missing.len(), case.layers + OBJECTS);
            checked(golden, scene, &mut missing, |trace| {
                let monitor = Monitor::none();
                attention
                    .forward(cx, &shared, &objects, &mut out, scratch.scratch(), trace, &monitor)
                    .unwrap();
            });
            assert!(missing.is_empty(), "{}: {missing:?}", case.name);
        }
    });
}

#[test]
fn memory_encoder_matches_the_references() {
    for_each(|cx, case, golden, memory| {
        let encoder = &memory.encoder;
        let mut scratch = workspace(encoder.scratch_req(cx));
        for (kind, binarize) in [("soft", false), ("binary", true)] {
            for object in 0..OBJECTS {
                let prefix = format!("{kind}.{object}");
                let mut missing = stages(golden, &format!("{prefix}.memory_encoder"));
                assert_eq!(missing.len(), if object == 0 { 4 } else { 1 });
                let mask = golden.get(&format!("mask.{object}")).1;
                let mut out = vec![u16::MAX; case.grid * case.grid * encoder.dim()];
                let top = golden.get("top").1;
                // The second object cannot be seen.
                checked(golden, &prefix, &mut missing, |trace| {
                    encoder.forward(cx, top, mask, binarize, object == 0, &mut out, scratch.scratch(), trace);
                });
                assert!(missing.is_empty(), "{}: {missing:?}", case.name);
                let rounded: Vec<f32> = out.iter().map(|&bits| bf16::from_bits(bits).to_f32()).collect();
                let expected = golden.get(&format!("{prefix}.memory_encoder")).1;
                for (got, expected) in rounded.iter().zip(expected) {
                    // Half a unit in the last place of eight bits, and what the arithmetic differs by.
                    assert!(
                        (got - expected).abs() <= expected.abs() / 256.0 + 1e-3,
                        "{got} is not {expected}"
                    );
                }
            }
        }
    });
}

#[test]
fn object_pointers_match_the_references() {
    for_each(|cx, case, golden, memory| {
        let pointers = &memory.pointers;
        for kind in ["visible", "hidden"] {
            let score = golden.get(&format!("{kind}.score")).1[0];
            assert_eq!(score > 0.0, kind == "visible", "the reference's score");
            let mut out = vec![f32::NAN; case.dim];
            let mut scratch = workspace(pointers.scratch_req(cx));
            pointers.forward(cx, golden.get(&format!("{kind}.token")).1, score, &mut out, scratch.scratch());
            golden.check(&format!("{kind}.object_pointer"), &out);
        }
        let side = 16 * case.grid;
        let mask: Vec<f32> = golden.get("mask.0").1.iter().map(|&logit| f32::from(logit > 0.0)).collect();
        let mut out = vec![f32::NAN; (side / 4) * (side / 4)];
        let mut scratch = workspace(pointers.mask_prompt_scratch_req(cx, side));
        pointers.mask_prompt(cx, side, &mask, &mut out, scratch.scratch());
        golden.check("mask_prompt", &out);
    });
}
