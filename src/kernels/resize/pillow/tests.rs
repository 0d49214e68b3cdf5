use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::ErrorCode;
use crate::kernels::testing::{Guarded, Place};
use crate::simd::Level;

const FILTERS: [Filter; 3] = [Filter::Nearest, Filter::Bilinear, Filter::Bicubic];

/// Bytes without structure, so that every weight matters.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Resamples with guard pages directly before and after both buffers.
fn run(cx: &Cx, plan: &Resample, source: &[u8], row_stride: usize) -> Vec<u8> {
    let (width, height) = plan.output_size();
    let [start, end] = Place::ALL.map(|place| {
        let source = Guarded::new(source, place);
        let mut out = Guarded::unwritten(width * height * plan.channels, place);
        let mut workspace = cx.workspace(plan.scratch_req(cx)).unwrap();
        plan.run(cx, &source, row_stride, &mut out, workspace.scratch());
        out.to_vec()
    });
    assert!(start == end, "the result depends on the buffers' addresses");
    end
}

fn resize(channels: usize, source: (usize, usize), target: (usize, usize), filter: Filter) -> Vec<u8> {
    let pixels = noise(source.0 * source.1 * channels);
    let plan = Resample::new(channels, source, target, filter).unwrap();
    run(&Cx::serial(Level::detect()), &plan, &pixels, source.0 * channels)
}

/// One axis by the formula: weights in f64 from the whole source, sums in i64, one output value at a time.
fn oracle_axis(line: &[u8], target: usize, area: [f32; 2], filter: Filter) -> Vec<u8> {
    let scale = f64::from(area[1] - area[0]) / target as f64;
    let stretch = scale.max(1.0);
    (0..target)
        .map(|o| {
            let center = f64::from(area[0]) + (o as f64 + 0.5) * scale;
            if filter == Filter::Nearest {
                // A centre on the edge of two pixels falls to the left one or the right one as the errors of the
                // running sum have it: 15 steps of 2/31 from 1/31 end below 1.
                let start = f64::from(area[0]) + scale * 0.5;
                return line[(0..o).fold(start, |position, _| position + scale) as usize];
            }
            let reach = filter.support() * stretch;
            let first = ((center - reach + 0.5) as i64).max(0);
            let last = ((center + reach + 0.5) as i64).min(line.len() as i64);
            let f = |x: i64| {
                let x = ((x as f64 - center + 0.5) * (1.0 / stretch)).abs();
                match filter {
                    Filter::Bilinear => (1.0 - x).max(0.0),
                    _ if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
                    _ if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
                    _ => 0.0,
                }
            };
            let sum: f64 = (first..last).map(f).sum();
            let dot: i64 = (first..last)
                .map(|x| (f(x) / sum * f64::from(1 << 22)).round() as i64 * i64::from(line[x as usize]))
                .sum();
            ((dot + (1 << 21)) >> 22).clamp(0, 255) as u8
        })
        .collect()
}

fn oracle(plan: &Resample, source: &[u8]) -> Vec<u8> {
    let channels = plan.channels;
    let (columns, rows) = (&plan.horizontal, &plan.vertical);
    let horizontal = |image: &[u8]| -> Vec<u8> {
        let mut out = vec![0; image.len() / columns.source * columns.target];
        let lines = image.chunks(columns.source * channels).zip(out.chunks_mut(columns.target * channels));
        for (line, out) in lines {
            for c in 0..channels {
                let channel: Vec<u8> = line.iter().skip(c).step_by(channels).copied().collect();
                let resampled = oracle_axis(&channel, columns.target, columns.area, columns.filter);
                resampled.iter().enumerate().for_each(|(x, &value)| out[x * channels + c] = value);
            }
        }
        out
    };
    let vertical = |image: &[u8]| -> Vec<u8> {
        let row = image.len() / rows.source;
        let mut out = vec![0; row * rows.target];
        for x in 0..row {
            let column: Vec<u8> = image.iter().skip(x).step_by(row).copied().collect();
            let resampled = oracle_axis(&column, rows.target, rows.area, rows.filter);
            resampled.iter().enumerate().for_each(|(y, &value)| out[y * row + x] = value);
        }
        out
    };
    if plan.vertical_first { horizontal(&vertical(source)) } else { vertical(&horizontal(source)) }
}

#[test]
fn equals_the_formula_at_every_level() {
    let sizes = [1, 2, 3, 7, 8, 31, 64, 95];
    for channels in [1, 3, 4] {
        for (i, &w) in sizes.iter().enumerate() {
            for (j, &h) in sizes.iter().enumerate() {
                // Every pair of source sizes, each with targets that shrink, keep and enlarge.
                let target = (sizes[(i + 3 * j + channels) % sizes.len()], sizes[(5 * i + j) % sizes.len()]);
                let pixels = noise(w * h * channels);
                for filter in FILTERS {
                    let plan = Resample::new(channels, (w, h), target, filter).unwrap();
                    let expected = oracle(&plan, &pixels);
                    for level in Level::available() {
                        let actual = run(&Cx::serial(level), &plan, &pixels, w * channels);
                        let name = level.name();
                        assert!(actual == expected, "{channels}x{w}x{h} to {target:?}, {filter:?}, {name}");
                    }
                }
            }
        }
    }
}

#[test]
fn equal_sizes_copy() {
    for filter in FILTERS {
        assert_eq!(resize(3, (19, 11), (19, 11), filter), noise(19 * 11 * 3));
    }
}

#[test]
fn constant_images_stay_constant() {
    let cx = Cx::serial(Level::detect());
    for filter in FILTERS {
        for value in [0, 1, 127, 254, 255] {
            for (source, target) in [((50, 40), (7, 90)), ((1, 1), (30, 30)), ((300, 2), (3, 1))] {
                let plan = Resample::new(3, source, target, filter).unwrap();
                let out = run(&cx, &plan, &vec![value; source.0 * source.1 * 3], source.0 * 3);
                assert!(out.iter().all(|&out| out == value), "{value}, {source:?} to {target:?}, {filter:?}");
            }
        }
    }
}

#[test]
fn windows_are_crops_of_the_whole() {
    let cx = Cx::serial(Level::detect());
    for (source, target) in [((60, 45), (31, 70)), ((40, 90), (50, 20)), ((33, 33), (33, 12))] {
        let pixels = noise(source.0 * source.1 * 3);
        for filter in FILTERS {
            let plan = Resample::new(3, source, target, filter).unwrap();
            let whole = run(&cx, &plan, &pixels, source.0 * 3);
            let (x, y, width, height) = (target.0 / 3, target.1 / 4, target.0 / 2, target.1 / 2);
            let window = run(&cx, &plan.window(x, y, width, height).unwrap(), &pixels, source.0 * 3);
            let cut = whole.chunks(target.0 * 3).skip(y).take(height);
            let cut: Vec<u8> = cut.flat_map(|row| row[x * 3..(x + width) * 3].to_vec()).collect();
            assert!(window == cut, "{source:?} to {target:?}, {filter:?}");
        }
    }
}

#[test]
fn areas_follow_the_formula() {
    let cx = Cx::serial(Level::detect());
    let pixels = noise(40 * 30 * 3);
    for [left, top, right, bottom] in
        [[0.0, 0.0, 40.0, 30.0], [3.5, 2.25, 20.75, 29.0], [39.0, 29.5, 40.0, 30.0]]
    {
        for (filter, target) in [(Filter::Bilinear, (13, 9)), (Filter::Bicubic, (50, 35))] {
            let plan = Resample::new(3, (40, 30), target, filter).unwrap();
            let plan = plan.area(left, top, right, bottom).unwrap();
            assert!(run(&cx, &plan, &pixels, 120) == oracle(&plan, &pixels));
        }
    }
    let plan = Resample::new(3, (40, 30), (10, 20), Filter::Bicubic).unwrap();
    let plan = plan.area(5.0, 6.0, 15.0, 26.0).unwrap();
    let cut: Vec<u8> = pixels.chunks(120).skip(6).take(20).flat_map(|row| row[15..45].to_vec()).collect();
    assert_eq!(run(&cx, &plan, &pixels, 120), cut, "an area of whole pixels at its own size is a crop");
}

#[test]
fn padding_between_rows_is_not_read() {
    let cx = Cx::serial(Level::detect());
    let packed = noise(21 * 10 * 3);
    let mut padded = vec![0xee; 9 * 70 + 63];
    for (padded, row) in padded.chunks_mut(70).zip(packed.chunks(63)) {
        padded[..63].copy_from_slice(row);
    }
    for target in [(40, 5), (8, 8), (21, 3), (5, 10)] {
        let plan = Resample::new(3, (21, 10), target, Filter::Bicubic).unwrap();
        assert!(run(&cx, &plan, &padded, 70) == run(&cx, &plan, &packed, 63));
    }
}

#[cfg(feature = "parallel")]
#[test]
fn threads_do_not_change_a_bit() {
    use crate::exec::CxOptions;
    let pixels = noise(123 * 211 * 3);
    for target in [(64, 64), (30, 300), (300, 40)] {
        let plan = Resample::new(3, (123, 211), target, Filter::Bicubic).unwrap();
        let serial = run(&Cx::serial(Level::detect()), &plan, &pixels, 369);
        for threads in [2, 3, 5, 8] {
            let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
            assert!(run(&cx, &plan, &pixels, 369) == serial);
        }
    }
}

#[cfg(feature = "parallel")]
#[test]
fn nv12_is_resampled_as_its_rgb() {
    use crate::exec::CxOptions;
    let (width, height) = (61, 131);
    let (luma, chroma) = (noise(64 * height), noise(70 * height.div_ceil(2)));
    let image = ImageView::nv12((&luma, 64), (&chroma, 70), width, height, Default::default()).unwrap();
    let mut rgb = vec![0; 3 * width * height];
    rgb.chunks_exact_mut(3 * width).enumerate().for_each(|(y, row)| image.row_rgb(y, row));
    for threads in [1, 3] {
        let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
        // Columns first, rows first, one axis alone, none.
        for target in [(20, 90), (64, 10), (61, 1), (200, 131), (61, 131)] {
            for filter in FILTERS {
                let plan = Resample::new(3, (width, height), target, filter).unwrap();
                let plan =
                    plan.window(target.0 / 4, target.1 / 3, target.0 / 2, target.1.div_ceil(2)).unwrap();
                let mut out = vec![0; target.0 / 2 * target.1.div_ceil(2) * 3];
                let mut workspace = cx.workspace(plan.image_scratch_req(&cx, &image)).unwrap();
                plan.run_image(&cx, &image, &mut out, workspace.scratch());
                assert!(out == run(&cx, &plan, &rgb, 3 * width), "{target:?}, {filter:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn extreme_ratios_stay_small() {
    let cx = Cx::serial(Level::detect());
    let line = noise(MAX_IMAGE_SIDE * 3);
    for (source, stride) in [((MAX_IMAGE_SIDE, 1), MAX_IMAGE_SIDE * 3), ((1, MAX_IMAGE_SIDE), 3)] {
        for filter in FILTERS {
            // The shorter side to 224: the longer one becomes 7 million pixels, of which the middle is wanted.
            let target = (source.0 * 224, source.1 * 224);
            let plan = Resample::new(3, source, target, filter).unwrap();
            let plan = plan.window((target.0 - 224) / 2, (target.1 - 224) / 2, 224, 224).unwrap();
            assert!(plan.scratch_req(&cx).len() < 8 << 20, "{:?}", plan.scratch_req(&cx));
            let out = run(&cx, &plan, &line, stride);
            let middle = &line[(MAX_IMAGE_SIDE / 2 - 1) * 3..][..6];
            let (low, high) = (middle[0].min(middle[3]) as i32, middle[0].max(middle[3]) as i32);
            let red = i32::from(out[(112 * 224 + 112) * 3]);
            assert!((low - 32..=high + 32).contains(&red), "{red} is not near {low}..{high}");

            let plan = Resample::new(3, source, (1, 1), filter).unwrap();
            assert!(plan.scratch_req(&cx).len() < 1 << 20);
            assert_eq!(run(&cx, &plan, &line, stride), oracle(&plan, &line), "{filter:?}");
        }
    }
}

#[test]
fn impossible_requests_are_refused() {
    let code = |result: Result<Resample>| result.unwrap_err().code();
    let plan = Resample::new(3, (10, 10), (5, 5), Filter::Bilinear).unwrap();
    assert_eq!(code(Resample::new(2, (10, 10), (5, 5), Filter::Bilinear)), ErrorCode::InvalidArgument);
    for (source, target) in
        [((0, 1), (1, 1)), ((1, 1), (1, 0)), ((MAX_IMAGE_SIDE + 1, 1), (1, 1)), ((1, 1), (1, usize::MAX))]
    {
        assert_eq!(code(Resample::new(3, source, target, Filter::Bicubic)), ErrorCode::Image);
    }
    for [left, top, right, bottom] in [
        [0.0, 0.0, 0.0, 1.0],
        [f32::NAN, 0.0, 1.0, 1.0],
        [0.0, 0.0, 10.5, 1.0],
        [0.0, -1.0, 1.0, 1.0],
        [0.0, 0.0, 1.0, f32::INFINITY],
    ] {
        assert_eq!(code(plan.clone().area(left, top, right, bottom)), ErrorCode::InvalidArgument);
    }
    for (x, y, width, height) in [(0, 0, 0, 1), (1, 0, 5, 1), (0, usize::MAX, 1, 2), (5, 0, 1, 1)] {
        assert_eq!(code(plan.clone().window(x, y, width, height)), ErrorCode::InvalidArgument);
    }
}
