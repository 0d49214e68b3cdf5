//! Preprocessing profiles: pixels to model input, exactly as each reference does it.
//!
//! A profile says how a picture becomes a `[3, H, W]` tensor: resize, centre crop, rescale, normalise. The profiles
//! differ where one would not look: how the longer side is rounded, where an odd crop begins, on which side padding
//! is wider, in which precision values are scaled. All of this is followed to the bit:
//!
//! - **Hugging Face** (`processor_config.json`, `preprocessor_config.json`): `CLIPImageProcessorPil` of transformers 5.23;
//! - **NaFlex** (the same files): `Siglip2ImageProcessorPil` of transformers; the height and width of the input depend on the
//!   picture;
//! - **OpenCLIP** (`open_clip_config.json`): `image_transform` of open_clip, that is torchvision on PIL images;
//! - **SAM**: `ResizeLongestSide` and `Sam.preprocess` of segment-anything 1.0, or `SamImageProcessorPil` of
//!   transformers where there is a `preprocessor_config.json`; the picture lies in the top left corner, and zeros
//!   follow it after normalisation;
//! - **SAM 2**: `SAM2Transforms` for pictures and `load_video_frames` for frames of a video, or `Sam2ImageProcessor` of
//!   transformers where there is a `preprocessor_config.json`; the picture is squeezed into the square input.
//!
//! `SAM2Transforms` interpolates f32 values, to which ours are equal within 10⁻⁵. All other values are exact because after the resize a channel has only 256 values: scaling and normalisation are a
//! table, computed once in the reference's order and precision. Only the window of the resized picture that the
//! crop keeps is computed; [`Resample::window`] gives the same pixels as cropping the whole.
//!
//! Where there are two, the reference is the one that resizes with Pillow: transformers' processors of torchvision may be
//! a level or more apart. Alpha is dropped; transformers 5 puts white behind it. See `docs/references.md`.

mod config;
mod files;
mod geometry;
mod naflex;
mod sam;
mod sam2;

use alloc::boxed::Box;

use crate::error::{Result, err};
use crate::exec::{Cx, ScratchReq};
use crate::image::{ImageView, PixelFormat};
use crate::kernels::resize::interpolate::{Interpolate, Mode};
use crate::kernels::resize::pillow::{Filter, Resample};
use crate::weights::Config;
use config::Normalization;
pub(super) use files::{QUIET_KEYS, hugging_face_config, video_config};
use geometry::{Frame, Placement, Resize};

/// Largest side of a model's input, in pixels.
pub const MAX_INPUT_SIDE: usize = 1 << 13;

/// How pictures become model input.
#[derive(Clone, Debug)]
pub struct Preprocess {
    resize: Resize,
    filter: Filter,
    placement: Placement,
    /// Height and width of the input, or of the smallest square that no input has more pixels than.
    output: (usize, usize),
    /// Input value of each channel beyond the picture.
    padding: [f32; 3],
    /// Input value of each 8-bit value of each channel.
    values: Box<[[f32; 256]; 3]>,
    /// If set, `values` are interpolated (linearly, antialiased), and normalised after that.
    interpolated: Option<Normalization>,
}

impl Preprocess {
    /// OpenAI's CLIP: the shorter side to `image_size` (bicubic), centre crop, OpenAI's mean and deviation.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config) for an impossible `image_size`.
    pub fn clip(image_size: usize) -> Result<Self> {
        Self::from_config(&Config::parse("preprocessor_config.json", b"{}")?, image_size)
    }

    /// SigLIP's: both sides to `image_size` (bicubic), values from −1 to 1.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config) for an impossible `image_size`.
    pub fn siglip(image_size: usize) -> Result<Self> {
        let processor = br#"{"image_processor_type": "SiglipImageProcessor"}"#;
        Self::from_config(&Config::parse("preprocessor_config.json", processor)?, image_size)
    }

    /// PE-Core's: both sides to `image_size` (bilinear), values from −1 to 1. Source: `core/vision_encoder/transforms.py` of
    /// `perception_models`.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config) for an impossible `image_size`.
    pub fn pe_core(image_size: usize) -> Result<Self> {
        let config = br#"{"preprocess_cfg": {"resize_mode": "squash", "interpolation": "bilinear", "mean": 0.5, "std": 0.5}}"#;
        Self::from_config(&Config::parse("open_clip_config.json", config)?, image_size)
    }

    /// MobileCLIP's: the shorter side to `image_size` (bilinear), centre crop, values from 0 to 1, or, of the larger models of
    /// MobileCLIP 2, with OpenAI's mean and deviation. Sources: `mobileclip/__init__.py` of `ml-mobileclip`, and `pretrained.py` of
    /// open_clip.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config) for an impossible `image_size`.
    pub fn mobile_clip(image_size: usize, normalizes: bool) -> Result<Self> {
        let config: &[u8] = match normalizes {
            true => br#"{"preprocess_cfg": {"interpolation": "bilinear"}}"#,
            false => br#"{"preprocess_cfg": {"interpolation": "bilinear", "mean": 0.0, "std": 1.0}}"#,
        };
        Self::from_config(&Config::parse("open_clip_config.json", config)?, image_size)
    }

    /// That of Chinese-CLIP's own program: both sides to `image_size` (bicubic), OpenAI's mean and deviation. Source:
    /// `cn_clip/clip/utils.py` of Chinese-CLIP.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config) for an impossible `image_size`.
    pub fn chinese_clip(image_size: usize) -> Result<Self> {
        let config = br#"{"preprocess_cfg": {"resize_mode": "squash"}}"#;
        Self::from_config(&Config::parse("open_clip_config.json", config)?, image_size)
    }

    /// Height and width of the model input. Where they depend on the picture, of the smallest square of patches that no input
    /// has more pixels than.
    pub fn output_size(&self) -> (usize, usize) {
        self.output
    }

    /// Height and width of the model input for a picture of `height × width` pixels.
    ///
    /// # Errors
    /// [`Image`](crate::ErrorCode::Image) if they depend on the picture, and none are possible.
    pub fn input_size(&self, height: usize, width: usize) -> Result<(usize, usize)> {
        match self.resize {
            Resize::Patches { .. } => self.resized(height, width),
            _ => Ok(self.output),
        }
    }

    /// Height and width of a picture of `height × width` pixels after the resize, before it is cropped or padded.
    ///
    /// # Errors
    /// [`Image`](crate::ErrorCode::Image) if the picture is so narrow that a side would be resized to nothing.
    pub fn resized(&self, height: usize, width: usize) -> Result<(usize, usize)> {
        self.resize.target(height, width)
    }

    /// Writes `image` as model input: `out` is `[3, H, W]`, red first, of the [`input_size`](Self::input_size).
    ///
    /// # Errors
    /// [`BufferTooSmall`](crate::ErrorCode::BufferTooSmall) if `out` is shorter than that,
    /// [`Image`](crate::ErrorCode::Image) if the picture is so narrow that a side would be resized to nothing,
    /// [`Limit`](crate::ErrorCode::Limit) beyond the context's limits, [`OutOfMemory`](crate::ErrorCode::OutOfMemory).
    pub fn run(&self, cx: &Cx, image: &ImageView<'_>, out: &mut [f32]) -> Result<()> {
        cx.limits().check_pixels(image.width(), image.height())?;
        let (height, width) = self.input_size(image.height(), image.width())?;
        let needed = 3 * height * width;
        let Some(out) = out.get_mut(..needed) else {
            return Err(err!(BufferTooSmall, "output holds {} values, {needed} needed", out.len()));
        };
        if let Some(normalize) = self.interpolated {
            return self.interpolate(cx, image, normalize, out);
        }
        let (source_width, source_height) = (image.width(), image.height());
        let (target_height, target_width) = self.resize.target(source_height, source_width)?;
        let rows = self.placement.frame(target_height, height);
        let columns = self.placement.frame(target_width, width);

        let (channels, order) = match image.format() {
            PixelFormat::Rgb8 | PixelFormat::Nv12 => (3, [0, 1, 2]),
            PixelFormat::Rgba8 => (4, [0, 1, 2]),
            PixelFormat::Bgr8 => (3, [2, 1, 0]),
            PixelFormat::Bgra8 => (4, [2, 1, 0]),
            PixelFormat::Gray8 => (1, [0, 0, 0]),
        };
        let source = (source_width, source_height);
        let resample = Resample::new(channels, source, (target_width, target_height), self.filter)?.window(
            columns.first,
            rows.first,
            columns.len,
            rows.len,
        )?;
        let len = rows.len * columns.len * channels;
        let mut workspace =
            cx.workspace(ScratchReq::bytes(len).and(resample.image_scratch_req(cx, image)))?;
        let mut scratch = workspace.scratch();
        let pixels = scratch.take_bytes(len);
        resample.run_image(cx, image, pixels, scratch);

        for (c, plane) in out.chunks_exact_mut(height * width).enumerate() {
            let pixels = Pixels { bytes: pixels, channels, channel: order[c] };
            self.write_plane(c, [height, width], plane, &pixels, &rows, &columns);
        }
        Ok(())
    }

    /// Interpolates `values` of the picture to `out: [3, H, W]`, then normalises them.
    fn interpolate(
        &self,
        cx: &Cx,
        image: &ImageView<'_>,
        normalize: Normalization,
        out: &mut [f32],
    ) -> Result<()> {
        let (height, width) = (image.height(), image.width());
        let plan = Interpolate::new((height, width), self.output, Mode::Bilinear, true)?;
        let mut workspace = cx.workspace(plan.scratch_req(cx))?;
        let fill = |channel: usize, row: usize, values: &mut [f32]| {
            // The bytes lie at the end of the same memory: values, written from its beginning, never overtake them.
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(values);
            image.row_rgb(row, &mut bytes[width..]);
            for i in 0..width {
                let value = self.values[channel][usize::from(bytes[width + 3 * i + channel])];
                bytes[4 * i..4 * i + 4].copy_from_slice(&value.to_ne_bytes());
            }
        };
        plan.run_rows(cx, 3, &fill, out, workspace.scratch());
        for (plane, (mean, std)) in out.chunks_exact_mut(self.output.0 * self.output.1).zip(normalize) {
            plane.iter_mut().for_each(|value| *value = (*value - mean) / std);
        }
        Ok(())
    }

    /// Writes channel `c` of the input, with the padding around the picture.
    fn write_plane(
        &self,
        c: usize,
        [height, width]: [usize; 2],
        plane: &mut [f32],
        pixels: &Pixels<'_>,
        rows: &Frame,
        columns: &Frame,
    ) {
        let values = &self.values[c];
        if [rows.len, columns.len] != [height, width] {
            plane.fill(self.padding[c]);
        }
        let plane = plane.chunks_exact_mut(width).skip(rows.padding);
        for (line, row) in plane.zip(pixels.bytes.chunks_exact(columns.len * pixels.channels)) {
            let line = &mut line[columns.padding..][..columns.len];
            for (value, pixel) in line.iter_mut().zip(row.chunks_exact(pixels.channels)) {
                *value = values[usize::from(pixel[pixels.channel])];
            }
        }
    }
}

/// One channel of packed interleaved pixels.
struct Pixels<'a> {
    bytes: &'a [u8],
    channels: usize,
    channel: usize,
}
