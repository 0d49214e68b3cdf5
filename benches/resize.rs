//! The resize kernels on the sizes that models meet: photographs to model inputs, masks to photographs.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use vitrum::exec::{Cx, CxOptions};
use vitrum::kernels::resize::interpolate::{Interpolate, Mode};
use vitrum::kernels::resize::pillow::{Filter, Resample};
use vitrum::kernels::resize::upscale::Upscale;
use vitrum::pipelines::mask::BitMask;

fn pillow(criterion: &mut Criterion) {
    let pixels: Vec<u8> =
        (0..4000 * 3000 * 3_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let cases = [
        ("bicubic rgb 4000x3000 to 298x224", Filter::Bicubic, 3, (4000, 3000), (298, 224)),
        ("bicubic rgb 640x480 to 298x224", Filter::Bicubic, 3, (640, 480), (298, 224)),
        ("bilinear rgb 4000x3000 to 1024x768", Filter::Bilinear, 3, (4000, 3000), (1024, 768)),
        ("bilinear rgba 1800x1200 to 1024x683", Filter::Bilinear, 4, (1800, 1200), (1024, 683)),
        ("bicubic rgb 512x512 to 2048x2048", Filter::Bicubic, 3, (512, 512), (2048, 2048)),
        ("nearest grey 1024x1024 to 4000x3000", Filter::Nearest, 1, (1024, 1024), (4000, 3000)),
    ];
    for threads in [1, 2] {
        let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
        for (name, filter, channels, source, target) in cases {
            let plan = Resample::new(channels, source, target, filter).unwrap();
            let mut out = vec![0; target.0 * target.1 * channels];
            criterion.bench_function(&format!("pillow {name}, {threads} threads"), |bencher| {
                bencher.iter(|| {
                    let mut workspace = cx.workspace(plan.scratch_req(&cx)).unwrap();
                    plan.run(&cx, black_box(&pixels), source.0 * channels, &mut out, workspace.scratch());
                });
            });
        }
    }
}

fn interpolate(criterion: &mut Criterion) {
    let cases = [
        ("bilinear masks 3x256x256 to 1024x1024", Mode::Bilinear, false, 3, (256, 256), (1024, 1024)),
        (
            "bilinear antialiased 3x1200x1800 to 1024x1024",
            Mode::Bilinear,
            true,
            3,
            (1200, 1800),
            (1024, 1024),
        ),
        ("bicubic positions 768x7x7 to 12x12", Mode::Bicubic, false, 768, (7, 7), (12, 12)),
    ];
    for threads in [1, 2] {
        let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
        for (name, mode, antialias, planes, source, target) in cases {
            let plan = Interpolate::new(source, target, mode, antialias).unwrap();
            let input = vec![0.5; planes * source.0 * source.1];
            let mut out = vec![0.0; planes * target.0 * target.1];
            criterion.bench_function(&format!("interpolate {name}, {threads} threads"), |bencher| {
                bencher.iter(|| {
                    let mut workspace = cx.workspace(plan.scratch_req(&cx)).unwrap();
                    plan.run(&cx, planes, black_box(&input), &mut out, workspace.scratch());
                });
            });
        }
    }
}

/// The logits of a disc on a photograph of 3 megapixels, with the values at the edge that models give.
fn upscale(criterion: &mut Criterion) {
    let (height, width) = (1536, 2048);
    let plan = Upscale::new(256, 1024, (768, 1024), (height, width)).unwrap();
    let distance = |i: usize| ((i / 256) as f32 - 96.0).hypot((i % 256) as f32 - 128.0);
    let logits: Vec<f32> = (0..256 * 256).map(|i| (60.0 - distance(i)).clamp(-12.0, 12.0)).collect();
    let mut values = vec![0.0; height * width];
    let mut mask = vec![0; height * width];
    let mut bits = BitMask::new(width, height).unwrap();
    for threads in [1, 2] {
        let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
        let mut workspace = cx.workspace(plan.scratch_req(&cx)).unwrap();
        criterion.bench_function(&format!("upscale to f32 logits, {threads} threads"), |bencher| {
            bencher.iter(|| plan.logits(&cx, black_box(&logits), &mut values, workspace.scratch()));
        });
        criterion.bench_function(&format!("upscale to u8 mask, {threads} threads"), |bencher| {
            bencher.iter(|| plan.mask(&cx, black_box(&logits), 0.0, &mut mask, workspace.scratch()));
        });
        criterion.bench_function(&format!("upscale to bits and three areas, {threads} threads"), |bencher| {
            let thresholds = [0.0, 1.0, -1.0];
            let words = bits.words_mut();
            bencher.iter(|| plan.bits(&cx, black_box(&logits), thresholds, words, workspace.scratch()));
        });
    }
    criterion.bench_function("bits to run lengths", |bencher| bencher.iter(|| black_box(&bits).to_rle()));
    criterion.bench_function("bits to extent", |bencher| bencher.iter(|| black_box(&bits).extent()));
}

criterion_group!(benches, pillow, interpolate, upscale);
criterion_main!(benches);
