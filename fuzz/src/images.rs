//! Pictures in memory.

use vitrum::pipelines::preprocess::Preprocess;
use vitrum::{ImageView, PixelFormat, YuvEncoding, YuvMatrix, YuvRange};

use crate::accepted;
use crate::models::CONTEXT;
use crate::source::Source;

const FORMATS: [PixelFormat; 5] =
    [PixelFormat::Rgb8, PixelFormat::Bgr8, PixelFormat::Rgba8, PixelFormat::Bgra8, PixelFormat::Gray8];

/// A picture of any size, layout and stride, a window of it, and what each model makes of it: what a view says must not
/// depend on how the pixels lie in memory.
pub fn images(data: &[u8]) {
    let mut source = Source::new(data);
    let (width, height) = (source.count(48) as usize, source.count(48) as usize);
    let stride = width.saturating_mul(3).saturating_add(source.count(9) as usize);
    let (stride, format) = match source.below(8) {
        // Any stride, too small or enormous.
        7 => (source.u32() as usize, source.pick(&FORMATS)),
        i => {
            let format = FORMATS[i % FORMATS.len()];
            (stride / 3 * format.bytes() + stride % 3, format)
        }
    };
    let (chroma_stride, profile, input) =
        (width + source.below(4), source.below(3), 32 * (1 + source.below(3)));
    let window: [usize; 4] = std::array::from_fn(|_| source.count(24) as usize);
    let is_nv12 = source.one_in(4);
    // As many bytes as the view asks for, and now and then one less.
    let missing = usize::from(source.one_in(8));
    let room = |len: usize| len.checked_sub(missing).filter(|&len| len <= 1 << 16);
    let encoding = YuvEncoding::default()
        .with_matrix(source.pick(&[YuvMatrix::Bt601, YuvMatrix::Bt709]))
        .with_range(source.pick(&[YuvRange::Limited, YuvRange::Full]));
    let (mut bytes, mut chroma) = (Vec::new(), Vec::new());
    let view = if is_nv12 {
        let Some((luma, other)) = accepted(ImageView::nv12_len(width, height, stride, chroma_stride)) else {
            return;
        };
        let (Some(luma), Some(other)) = (room(luma), room(other)) else { return };
        bytes.extend((0..luma).map(|_| source.byte()));
        chroma.extend((0..other).map(|_| source.byte()));
        ImageView::nv12((&bytes, stride), (&chroma, chroma_stride), width, height, encoding)
    } else {
        let Some(len) = accepted(ImageView::byte_len(width, height, stride, format)).and_then(room) else {
            return;
        };
        bytes.extend((0..len).map(|_| source.byte()));
        ImageView::new(&bytes, width, height, stride, format)
    };
    let Some(view) = accepted(view) else { return };
    assert_eq!(missing, 0, "a picture that is one byte too short");
    let [x, y, wide, high] = window;
    if let Some(window) = accepted(view.crop(x, y, wide, high)) {
        assert_eq!(rgb(&window), windowed(&rgb(&view), width, window_of(x, y, wide, high)));
    }
    same_input(&view, profile, input);
}

fn window_of(x: usize, y: usize, width: usize, height: usize) -> [usize; 4] {
    [x, y, width, height]
}

fn rgb(view: &ImageView<'_>) -> Vec<u8> {
    let mut out = vec![0; 3 * view.width() * view.height()];
    out.chunks_exact_mut(3 * view.width()).enumerate().for_each(|(y, row)| view.row_rgb(y, row));
    out
}

fn windowed(rgb: &[u8], row: usize, [x, y, width, height]: [usize; 4]) -> Vec<u8> {
    rgb.chunks_exact(3 * row)
        .skip(y)
        .take(height)
        .flat_map(|row| &row[3 * x..3 * (x + width)])
        .copied()
        .collect()
}

/// The model's input, from the picture and from a copy of it as RGB.
fn same_input(view: &ImageView<'_>, profile: usize, input: usize) {
    let make = [Preprocess::clip, Preprocess::sam, Preprocess::sam2][profile];
    let preprocess = make(input).expect("a size that is possible");
    let (height, width) = preprocess.output_size();
    let of = |view: &ImageView<'_>| {
        let mut out = vec![0.0; 3 * height * width];
        accepted(preprocess.run(&CONTEXT, view, &mut out)).map(|()| out)
    };
    let copy = rgb(view);
    let copy =
        ImageView::packed(&copy, view.width(), view.height(), PixelFormat::Rgb8).expect("the same size");
    let (input, expected) = (of(view), of(&copy));
    assert!(input == expected, "another input from the same pixels");
    assert!(input.is_none_or(|input| input.iter().all(|value| value.is_finite())));
}
