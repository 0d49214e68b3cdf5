//! Vitrum in WebAssembly: kernels against their definition and a model against its reference. `run.mjs` calls them.
//!
//! An error is the largest one, relative to the largest value expected.

#[path = "../../../tests/int8_bits/product.rs"]
mod int8;

use safetensors::SafeTensors;
use vitrum::exec::{Cx, Monitor};
use vitrum::kernels::activation::Activation;
use vitrum::kernels::gemm::{self, Destination, PackedWeights, Rows};
use vitrum::models::clip::ClipModel;
use vitrum::nn::Trace;
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts, Review};

/// f32 lanes of a vector: 4 with simd128, 8 with the portable level.
#[unsafe(no_mangle)]
pub extern "C" fn lanes() -> usize {
    Level::detect().lanes()
}

/// Matrix multiplication `[m, k] · [n, k]ᵀ` against the same in f64.
#[unsafe(no_mangle)]
pub extern "C" fn gemm_error(m: usize, n: usize, k: usize) -> f64 {
    // In 1…2, so that sums do not cancel.
    let wave = |len, step: f32| (0..len).map(|i| 1.5 + 0.5 * (i as f32 * step).sin()).collect::<Vec<_>>();
    let (lhs, rhs) = (wave(m * k, 0.7), wave(n * k, 0.3));
    let exact = |i: usize| -> f64 {
        let (row, column) = (&lhs[i / n * k..][..k], &rhs[i % n * k..][..k]);
        row.iter().zip(column).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };

    let cx = Cx::serial(Level::detect());
    let packed = PackedWeights::pack(cx.level(), n, k, &rhs).unwrap();
    let mut out = vec![f32::NAN; m * n];
    let mut workspace = cx.workspace(gemm::scratch_req(&cx, m, &packed)).unwrap();
    let output = Destination::Store { out: &mut out, stride: n };
    gemm::gemm(&cx, &Rows::new(&lhs, m, k), &packed, None, Activation::None, output, workspace.scratch());
    relative_error(&out, (0..m * n).map(exact))
}

/// Whether a product in int8 has the bits that it has on every target.
#[unsafe(no_mangle)]
pub extern "C" fn int8_has_expected_bits() -> bool {
    int8::hash(&Cx::serial(Level::detect())) == int8::EXPECTED
}

/// The image tower of a small CLIP against `open_clip`.
#[unsafe(no_mangle)]
pub extern "C" fn clip_error() -> f64 {
    let weights = include_bytes!("../../../tests/golden/clip/openclip-gelu/open_clip_model.safetensors");
    let golden = include_bytes!("../../../tests/golden/clip/openclip-gelu/golden.safetensors");
    let golden = SafeTensors::deserialize(golden).expect("the golden file is well-formed");
    let tensor = |name| -> (Vec<usize>, Vec<f32>) {
        let view = golden.tensor(name).expect("the golden file has the tensor");
        let values = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        (view.shape().to_vec(), values)
    };
    let (shape, pixels) = tensor("pixels");
    let (_, expected) = tensor("image_embeds");

    let cx = Cx::serial(Level::detect());
    let bundle = Bundle::from_memory(BundleParts::new(weights)).expect("the weights are well-formed");
    let model = ClipModel::bind(&bundle, cx.level(), None, &mut Review::default(), &Monitor::none())
        .expect("the weights are complete");
    let vision = model.vision.as_ref().expect("an image tower");
    let size = [shape[0], shape[2], shape[3]];
    let mut out = vec![f32::NAN; expected.len()];
    let mut workspace = cx.workspace(vision.scratch_req(&cx, size)).unwrap();
    vision
        .forward(&cx, &pixels, size, &mut out, workspace.scratch(), Trace::off(), &Monitor::none())
        .expect("the golden pixels fit the model");
    relative_error(&out, expected.into_iter().map(f64::from))
}

/// max |got − exact| / max |exact|; NaN if any value is.
fn relative_error(got: &[f32], exact: impl Iterator<Item = f64>) -> f64 {
    let (mut error, mut largest) = (0.0_f64, 0.0_f64);
    for (&got, exact) in got.iter().zip(exact) {
        let difference = (f64::from(got) - exact).abs();
        error = if difference.is_nan() { difference } else { error.max(difference) };
        if error.is_nan() {
            break;
        }
        largest = largest.max(exact.abs());
    }
    error / largest
}
