//! The resize kernels on the sizes that models meet: photographs to model inputs, masks to photographs.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use vitrum::exec::{Cx, CxOptions};
use vitrum::kernels::resize::interpolate::{Interpolate, Mode};
use vitrum::kernels::resize::pillow::{Filter, Resample};

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
        let cx = Cx::new(&CxOptions { threads, level: None }).unwrap();
        for (name, filter, channels, source, target) in cases {
            let plan = Resample::new(channels, source, target, filter).unwrap();
            let mut out = vec![0; target.0 * target.1 * channels];
            criterion.bench_function(&format!("pillow {name}, {threads} threads"), |bencher| {
                bencher.iter(|| {
                    let mut workspace = cx.workspace(plan.scratch_len(&cx));
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
        let cx = Cx::new(&CxOptions { threads, level: None }).unwrap();
        for (name, mode, antialias, planes, source, target) in cases {
            let plan = Interpolate::new(source, target, mode, antialias).unwrap();
            let input = vec![0.5; planes * source.0 * source.1];
            let mut out = vec![0.0; planes * target.0 * target.1];
            criterion.bench_function(&format!("interpolate {name}, {threads} threads"), |bencher| {
                bencher.iter(|| {
                    let mut workspace = cx.workspace(plan.scratch_len(&cx));
                    plan.run(&cx, planes, black_box(&input), &mut out, workspace.scratch());
                });
            });
        }
    }
}

criterion_group!(benches, pillow, interpolate);
criterion_main!(benches);
