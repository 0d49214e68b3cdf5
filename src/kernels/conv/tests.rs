//! Convolutions against an f64 oracle: every level, every path, borders and tails of every kind.

use alloc::vec::Vec;

use super::packed::Weights;
use super::{ConvShape, Layout, PackedConv, Windows, batch_scratch_req, conv2d, conv2d_batch, scratch_req};
use crate::exec::Cx;
use crate::kernels::activation::Activation;
use crate::kernels::activation::tests::{ALL as ACTIVATIONS, oracle as activate};
use crate::kernels::gemm::{self, Destination, Lhs, Packing, WeightFormat};
use crate::kernels::testing::{Guarded, Place, Rng, assert_near, assert_same_for_any_threads, nan_workspace};
use crate::simd::{Extensions, Level};

/// Sums of products in f64, with the error that f32 may make in them.
struct Sums {
    exact: Vec<f64>,
    magnitude: Vec<f64>,
    /// Most terms of a sum.
    terms: usize,
}

impl Sums {
    /// `bias` in every pixel of `outputs` channels.
    fn new(pixels: usize, outputs: usize, bias: Option<&[f32]>, terms: usize) -> Self {
        let exact: Vec<f64> =
            (0..pixels * outputs).map(|i| bias.map_or(0.0, |bias| f64::from(bias[i % outputs]))).collect();
        Self { magnitude: exact.iter().map(|x| x.abs()).collect(), exact, terms }
    }

    fn add(&mut self, at: usize, a: f32, b: f32) {
        let product = f64::from(a) * f64::from(b);
        self.exact[at] += product;
        self.magnitude[at] += product.abs();
    }

    #[track_caller]
    fn assert_near(&self, got: &[f32], activation: Activation) {
        let exact: Vec<f64> = self.exact.iter().map(|&x| activate(activation, x)).collect();
        // As in the tests of the matrix product: half a unit for each operation, steepness of the activation at
        // most 1.13, and 2⁻²² of its argument.
        let unit = f64::from(f32::EPSILON) * (1.13 * (self.terms + 2) as f64 + 2.0);
        assert_near(got, &exact, |i| self.magnitude[i] * unit);
    }
}

/// A convolution with random operands.
struct Problem {
    shape: ConvShape,
    size: [usize; 2],
    input: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Problem {
    fn new(shape: ConvShape, size: [usize; 2]) -> Self {
        let mut rng = Rng::new((shape.inputs << 32 | shape.outputs << 16 | size[0] << 8 | size[1]) as u64);
        let mut vec = |len: usize| rng.vec(len, -1.0..=1.0);
        let weights = vec(shape.weight_shape().iter().product());
        Self { shape, size, input: vec(size[0] * size[1] * shape.inputs), weights, bias: vec(shape.outputs) }
    }

    fn oracle(&self, bias: bool) -> Sums {
        let ConvShape { inputs, outputs, stride, padding, groups, layout, .. } = self.shape;
        let [_, channels, kernel_height, kernel_width] = self.shape.weight_shape();
        let [height, width] = self.size;
        let [rows, columns] = self.shape.output_size(self.size).unwrap();
        let terms = channels * kernel_height * kernel_width;
        let mut sums = Sums::new(rows * columns, outputs, bias.then_some(&self.bias), terms);
        for at in 0..rows * columns * outputs {
            let (y, x, output) = (at / outputs / columns, at / outputs % columns, at % outputs);
            let first = output / (outputs / groups) * channels;
            for (tap, &weight) in self.weights[output * terms..][..terms].iter().enumerate() {
                let channel = first + tap / (kernel_height * kernel_width);
                let (i, j) = (tap / kernel_width % kernel_height, tap % kernel_width);
                let (Some(y), Some(x)) = (
                    (y * stride[0] + i).checked_sub(padding[0]).filter(|&y| y < height),
                    (x * stride[1] + j).checked_sub(padding[1]).filter(|&x| x < width),
                ) else {
                    continue;
                };
                let pixel = match layout {
                    Layout::Tokens => (y * width + x) * inputs + channel,
                    Layout::Planar => (channel * height + y) * width + x,
                };
                sums.add(at, self.input[pixel], weight);
            }
        }
        sums
    }

    fn run(&self, cx: &Cx, bias: bool, activation: Activation, place: Place) -> Guarded<f32> {
        let [rows, columns] = self.shape.output_size(self.size).unwrap();
        let conv = PackedConv::pack(cx.level(), self.shape, &self.weights).unwrap();
        let mut out = Guarded::unwritten(rows * columns * self.shape.outputs, place);
        conv2d(
            cx,
            &conv,
            self.size,
            &Guarded::new(&self.input, place),
            bias.then_some(&*Guarded::new(&self.bias, place)),
            activation,
            &mut out,
            nan_workspace(scratch_req(cx, &conv, self.size)).scratch(),
        );
        out
    }

    /// Compares with the oracle at every level, without and with guard pages on either side.
    #[track_caller]
    fn check(&self) {
        let (plain, biased) = (self.oracle(false), self.oracle(true));
        for level in Level::available() {
            let cx = Cx::serial(level);
            plain.assert_near(&self.run(&cx, false, Activation::None, Place::Start), Activation::None);
            biased.assert_near(&self.run(&cx, true, Activation::None, Place::End), Activation::None);
        }
    }
}

/// Both layouts, unless the convolution is impossible over that input.
#[track_caller]
fn check(shape: ConvShape, size: [usize; 2]) {
    assert!(shape.check().is_ok(), "{shape:?}");
    if shape.output_size(size).is_ok() {
        Problem::new(shape, size).check();
        Problem::new(shape.planar(), size).check();
    }
}

const SIZES: [[usize; 2]; 7] = [[1, 1], [1, 7], [5, 1], [2, 3], [7, 9], [8, 16], [13, 5]];

#[test]
fn kernels_strides_and_paddings() {
    for kernel in [[1, 1], [2, 2], [3, 3], [1, 5], [4, 1], [7, 7]] {
        for stride in [[1, 1], [2, 2], [3, 3], [1, 2], [4, 3]] {
            for padding in [[0, 0], [1, 1], [3, 3], [0, 2]] {
                for size in SIZES {
                    check(ConvShape::new(3, 5, kernel).with_stride(stride).with_padding(padding), size);
                }
            }
        }
    }
}

#[test]
fn channels_of_every_tail() {
    for inputs in [1, 2, 4, 7, 15, 16, 17, 31, 32, 33, 48, 64] {
        for outputs in [1, 3, 8, 15, 16, 17, 32, 33] {
            let shape = ConvShape::new(inputs, outputs, [3, 3]).with_padding([1, 1]);
            check(shape, [4, 5]);
            check(ConvShape::new(inputs, outputs, [1, 1]), [3, 3]);
        }
    }
}

#[test]
fn windows_that_see_nothing_but_padding() {
    check(ConvShape::new(3, 4, [2, 2]).with_padding([4, 5]), [1, 2]);
    check(ConvShape::new(3, 4, [3, 3]).with_padding([9, 9]).with_stride([3, 4]), [2, 1]);
    check(ConvShape::depthwise(5, [2, 2]).with_padding([4, 5]), [1, 2]);
    check(ConvShape::depthwise(5, [3, 3]).with_padding([9, 9]).with_stride([3, 4]), [2, 1]);
}

#[test]
fn groups() {
    for (inputs, outputs, groups) in [(4, 6, 2), (32, 32, 2), (9, 3, 3), (5, 10, 5), (34, 68, 2), (48, 16, 4)]
    {
        for size in SIZES {
            for kernel in [1, 3, 5] {
                let shape = ConvShape::new(inputs, outputs, [kernel; 2]).with_groups(groups);
                check(shape.with_padding([kernel / 2; 2]), size);
                check(shape.with_stride([2, 1]), size);
            }
        }
    }
}

#[test]
fn depthwise_kernels_strides_and_paddings() {
    for kernel in [[1, 1], [2, 3], [3, 3], [5, 5], [7, 7]] {
        for stride in [[1, 1], [2, 2], [3, 1]] {
            for padding in [[0, 0], [1, 1], [2, 3]] {
                for size in SIZES.into_iter().chain([[3, 29], [20, 20]]) {
                    check(ConvShape::depthwise(9, kernel).with_stride(stride).with_padding(padding), size);
                }
            }
        }
    }
}

#[test]
fn depthwise_channels_of_every_tail() {
    for channels in (1..=34).chain([47, 48, 63, 64, 65, 100, 129]) {
        for size in [[1, 1], [2, 6], [3, 13]] {
            check(ConvShape::depthwise(channels, [3, 3]).with_padding([1, 1]), size);
        }
    }
}

#[test]
fn activations_are_applied_after_the_bias() {
    for shape in [
        ConvShape::new(5, 37, [3, 3]).with_padding([1, 1]),
        ConvShape::depthwise(37, [3, 3]).with_padding([1, 1]),
        ConvShape::new(6, 8, [3, 3]).with_groups(2),
    ] {
        let problem = Problem::new(shape, [5, 9]);
        let sums = problem.oracle(true);
        for level in Level::available() {
            for activation in ACTIVATIONS {
                let out = problem.run(&Cx::serial(level), true, activation, Place::End);
                sums.assert_near(&out, activation);
            }
        }
    }
}

#[test]
fn same_bits_for_any_threads() {
    for level in Level::available() {
        for shape in [
            ConvShape::new(16, 40, [3, 3]).with_padding([1, 1]),
            ConvShape::new(32, 40, [3, 3]).with_padding([1, 1]),
            ConvShape::new(3, 40, [7, 7]).with_padding([3, 3]).with_stride([2, 2]).planar(),
            ConvShape::new(8, 40, [3, 3]).with_groups(4),
            ConvShape::depthwise(21, [5, 5]).with_padding([2, 2]),
        ] {
            let problem = Problem::new(shape, [33, 30]);
            assert_same_for_any_threads(level, |cx| {
                problem.run(cx, true, Activation::Gelu, Place::Start).to_vec()
            });
        }
    }
}

#[test]
fn images_of_a_batch_are_convolved_alone() {
    for shape in [
        ConvShape::new(5, 7, [3, 3]).with_padding([1, 1]).with_stride([2, 1]),
        ConvShape::new(3, 6, [2, 3]).with_padding([0, 2]).planar(),
        ConvShape::new(32, 33, [3, 3]).with_padding([1, 1]),
        ConvShape::new(6, 8, [3, 3]).with_groups(2),
        ConvShape::depthwise(9, [3, 3]).with_padding([1, 1]),
    ] {
        let [one, other] = [Problem::new(shape, [5, 4]), Problem::new(shape, [5, 4])];
        let mut input = one.input.clone();
        input.extend(other.input.iter().rev());
        for level in Level::available() {
            let cx = Cx::serial(level);
            let conv = PackedConv::pack(level, shape, &one.weights).unwrap();
            let [rows, columns] = shape.output_size(one.size).unwrap();
            let len = rows * columns * shape.outputs;
            let run = |batches: usize, input: &[f32]| {
                let size = [batches, 5, 4];
                let mut out = Guarded::unwritten(batches * len, Place::End);
                let mut workspace = nan_workspace(batch_scratch_req(&cx, &conv, size));
                let (bias, input) = (Some(&one.bias[..]), Guarded::new(input, Place::End));
                conv2d_batch(&cx, &conv, size, &input, bias, Activation::Relu, &mut out, workspace.scratch());
                out.to_vec()
            };
            let (first, second) = input.split_at(one.input.len());
            assert_eq!(run(2, &input), [run(1, first), run(1, second)].concat(), "{shape:?}");
        }
    }
}

#[test]
fn rounding_the_input_first_changes_no_bit() {
    let packing = |cx: &Cx| Packing::new(cx, WeightFormat::Bf16);
    for (inputs, batches) in [(32, 1), (96, 2)] {
        let shape = ConvShape::new(inputs, 40, [3, 3]).with_padding([1, 1]).with_stride([1, 2]);
        let problem = Problem::new(shape, [7, 2 * 6]);
        let size = [batches, 7, 12 / batches];
        let [rows, columns] = shape.output_size([size[1], size[2]]).unwrap();
        for level in Level::available() {
            let cx = Cx::serial(level).with_extensions(Extensions::detect());
            let conv = PackedConv::pack(packing(&cx), shape, &problem.weights).unwrap();
            let len = batches * rows * columns * shape.outputs;
            let [mut out, mut expected] = [(); 2].map(|()| Guarded::unwritten(len, Place::End));
            let mut workspace = nan_workspace(batch_scratch_req(&cx, &conv, size));
            let bias = Some(&problem.bias[..]);
            conv2d_batch(
                &cx,
                &conv,
                size,
                &problem.input,
                bias,
                Activation::Relu,
                &mut out,
                workspace.scratch(),
            );

            let Weights::Groups(groups) = conv.weights() else { panic!("{shape:?}") };
            let windows = Windows::batch(&shape, size, &problem.input, 0);
            let mut workspace = nan_workspace(gemm::scratch_req(&cx, windows.rows(), &groups[0]));
            let output = Destination::Store { out: &mut expected, stride: shape.outputs };
            gemm::gemm(&cx, &windows, &groups[0], bias, Activation::Relu, output, workspace.scratch());
            assert_eq!(*out, *expected, "{}", groups[0].kernel().name);
        }
    }
}

#[test]
fn reduced_formats_err_little_more_in_places_than_in_windows() {
    let size = [12, 15];
    let shape = ConvShape::new(64, 48, [3, 3]).with_padding([1, 1]);
    let tokens = Problem::new(shape, size);
    // The same pictures as planes, which have windows.
    let pixels = size[0] * size[1];
    let input = (0..64 * pixels).map(|i| tokens.input[i % pixels * 64 + i / pixels]).collect();
    let planes =
        Problem { shape: shape.planar(), input, weights: tokens.weights.clone(), bias: Vec::new(), ..tokens };
    let exact = tokens.oracle(false).exact;
    let error = |cx: &Cx, problem: &Problem, format| {
        let conv = PackedConv::pack(Packing::new(cx, format), problem.shape, &problem.weights).unwrap();
        let is_winograd = matches!(conv.weights(), Weights::Winograd(_));
        assert_eq!(is_winograd, problem.shape.layout == Layout::Tokens, "{format:?}");
        let mut out = Guarded::unwritten(exact.len(), Place::End);
        let mut workspace = nan_workspace(scratch_req(cx, &conv, size));
        conv2d(cx, &conv, size, &problem.input, None, Activation::None, &mut out, workspace.scratch());
        out.iter().zip(&exact).map(|(&out, exact)| (f64::from(out) - exact).powi(2)).sum::<f64>().sqrt()
    };
    for level in Level::available() {
        let cx = Cx::serial(level).with_extensions(Extensions::detect().without_amx());
        for format in [WeightFormat::F16, WeightFormat::Bf16] {
            let [places, windows] = [&tokens, &planes].map(|problem| error(&cx, problem, format));
            assert!(
                windows > 0.0 && places < 2.0 * windows,
                "{}, {format:?}: {places}, {windows}",
                level.name()
            );
        }
    }
}

#[test]
#[should_panic = "inputs of size [4, 4]"]
fn an_input_of_another_size_panics() {
    let mut problem = Problem::new(ConvShape::new(2, 2, [3, 3]), [4, 4]);
    problem.input.pop();
    problem.run(&Cx::serial(Level::detect()), false, Activation::None, Place::Start);
}
