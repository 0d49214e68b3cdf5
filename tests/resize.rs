//! The resize kernels against Pillow and PyTorch: `golden/resize/{pillow,interpolate}.safetensors`.

use safetensors::SafeTensors;
use vitrum::exec::Cx;
use vitrum::kernels::resize::interpolate::{Interpolate, Mode};
use vitrum::kernels::resize::pillow::{Filter, Resample};
use vitrum::simd::Level;

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/resize/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// `bicubic.rgb.37x23-16x50` → (`["bicubic", "rgb"]`, `37x23`).
fn parse(name: &str) -> Option<(Vec<&str>, &str)> {
    let (kind, sizes) = name.rsplit_once('.')?;
    let (source, _) = sizes.split_once('-')?;
    Some((kind.split('.').collect(), source))
}

#[test]
fn pillow_is_equal_to_the_byte() {
    let bytes = golden("pillow.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut compared = 0;
    for (name, expected) in tensors.tensors() {
        let Some((kind, source)) = parse(&name) else { continue };
        let input = tensors.tensor(&format!("input.{}.{source}", kind[1])).unwrap();
        let (&[height, width, channels], &[target_height, target_width, _]) =
            (input.shape(), expected.shape())
        else {
            panic!("{name}: not [H, W, C]")
        };
        let filter = match kind[0] {
            "nearest" => Filter::Nearest,
            "bilinear" => Filter::Bilinear,
            "bicubic" => Filter::Bicubic,
            other => panic!("filter {other}"),
        };
        let plan = Resample::new(channels, (width, height), (target_width, target_height), filter).unwrap();
        for level in Level::available() {
            let cx = Cx::serial(level);
            let mut out = vec![0; expected.data().len()];
            let mut workspace = cx.workspace(plan.scratch_req(&cx)).unwrap();
            plan.run(&cx, input.data(), width * channels, &mut out, workspace.scratch());
            assert!(out == expected.data(), "{name} at {}", level.name());
        }
        compared += 1;
    }
    assert!(compared >= 100, "only {compared} goldens");
}

#[test]
fn interpolate_is_equal_to_1e_6() {
    let bytes = golden("interpolate.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut compared = 0;
    for (name, expected) in tensors.tensors() {
        let Some((kind, source)) = parse(&name) else { continue };
        let input = tensors.tensor(&format!("input.{source}")).unwrap();
        let (&[planes, height, width], &[_, target_height, target_width]) = (input.shape(), expected.shape())
        else {
            panic!("{name}: not [C, H, W]")
        };
        let mode = match kind[0] {
            "bilinear" => Mode::Bilinear,
            "bicubic" => Mode::Bicubic,
            other => panic!("mode {other}"),
        };
        let antialias = kind[1] == "antialias";
        let plan = Interpolate::new((height, width), (target_height, target_width), mode, antialias).unwrap();
        let expected = floats(expected.data());
        let scale = expected.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
        for level in Level::available() {
            let cx = Cx::serial(level);
            let mut out = vec![f32::NAN; expected.len()];
            let mut workspace = cx.workspace(plan.scratch_req(&cx)).unwrap();
            plan.run(&cx, planes, &floats(input.data()), &mut out, workspace.scratch());
            for (actual, expected) in out.iter().zip(&expected) {
                let error = (actual - expected).abs();
                assert!(error <= 1e-6 * scale, "{name} at {}: {actual} is not {expected}", level.name());
            }
        }
        compared += 1;
    }
    assert!(compared >= 40, "only {compared} goldens");
}
