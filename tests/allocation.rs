//! After the first call of a size, encoding pictures with CLIP, clicking with SAM and searching allocate nothing.
#![cfg(feature = "std")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use vitrum::exec::{Cx, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::clip::{Clip, ClipOptions, EncodeOptions};
use vitrum::pipelines::sam::{Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions};
use vitrum::{TopK, Vectors, quantize_vectors, topk};

/// The system's allocator, counting the allocations of each thread: tests run side by side.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: forwards to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_second_image_allocates_nothing() {
    for model in
        ["quickgelu-p32", "resnet-openclip", "siglip", "pe-timm", "mobileclip-s0-timm", "mobileclip-b-apple"]
    {
        a_second_image(model);
    }
}

fn a_second_image(model: &str) {
    a_second_image_of(model, 90, 70);
}

fn a_second_image_of(model: &str, width: usize, height: usize) {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/clip").join(model);
    let bundle = Bundle::open(&model, OpenOptions::default()).unwrap();
    // One thread: the pool of the operating system's threads has queues of its own.
    let clip = Clip::load(&Cx::serial(Level::detect()), &bundle, &ClipOptions::default()).unwrap();
    let pixels = vec![77u8; width * height * 3];
    let image = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8).unwrap();
    let mut out = vec![0.0; 2 * clip.embed_dim()];
    clip.encode_images_into(&[image, image], &EncodeOptions::default(), &mut out).unwrap();

    let before = ALLOCATIONS.get();
    clip.encode_images_into(&[image, image], &EncodeOptions::default(), &mut out).unwrap();
    assert_eq!(ALLOCATIONS.get() - before, 0, "{}", model.display());
}

/// Whose position embeddings are the native ones for this picture; for others they are made anew.
#[test]
fn a_second_square_image_at_a_naflex_allocates_nothing() {
    a_second_image_of("naflex", 60, 60);
}

#[test]
fn a_second_click_allocates_nothing() {
    a_second_click("tests/golden/sam_predictor/model.safetensors");
}

#[test]
fn a_second_click_at_a_sam2_allocates_nothing() {
    a_second_click("tests/golden/sam2_predictor/original");
}

fn a_second_click(model: &str) {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(model);
    let bundle = Bundle::open(&model, OpenOptions::default()).unwrap();
    let cx = Cx::serial(Level::detect());
    let sam = Sam::load(&cx, &bundle, &SamOptions::default()).unwrap();
    let pixels = vec![77u8; 90 * 70 * 3];
    let image = ImageView::packed(&pixels, 90, 70, PixelFormat::Rgb8).unwrap();
    let embedding = sam.encode(&image, &Monitor::none()).unwrap();
    let mut prediction = Prediction::default();
    let mut mask = vec![0; 90 * 70];
    let mut logits = vec![0.0; 90 * 70];
    let mut click = |x: f32| {
        let points = [Point::foreground(x, 20.0)];
        let prompts = [Prompt::points(&points), Prompt::bounding_box([x, 3.0, 80.0, 60.0])];
        // One mask each, which may give way to the best of three in a SAM 2; then three.
        let single = PredictOptions::default().with_multimask(false);
        sam.predict(&embedding, &prompts, &single, &mut prediction).unwrap();
        sam.predict(&embedding, &prompts, &PredictOptions::default(), &mut prediction).unwrap();
        for prompt in 0..2 {
            prediction.mask_into(prompt, prediction.best(prompt), 0.0, &mut mask).unwrap();
            prediction.logits_into(prompt, 0, &mut logits).unwrap();
        }
    };
    click(10.0);

    let before = ALLOCATIONS.get();
    click(40.0);
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

#[test]
fn a_second_search_allocates_nothing() {
    let cx = Cx::serial(Level::detect());
    let values: Vec<f32> = (0..3000).map(|i| (i * 7919 % 613) as f32).collect();
    let (mut codes, mut scales) = (vec![0; values.len()], vec![0.0; 100]);
    quantize_vectors(&values, 30, &mut codes, &mut scales).unwrap();
    let forms = [Vectors::f32(&values, 30).unwrap(), Vectors::int8(&codes, &scales, 30).unwrap()];
    for vectors in &forms {
        let mut results = TopK::default();
        let mut search =
            |queries: &[f32]| topk(&cx, queries, vectors, 7, &mut results, &Monitor::none()).unwrap();
        search(&values[..60]);
        let before = ALLOCATIONS.get();
        search(&values[30..90]);
        assert_eq!(ALLOCATIONS.get() - before, 0);
    }
}
