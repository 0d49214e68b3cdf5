//! Vitrum runs CLIP, SAM and SAM 2 on CPUs, inside other people's applications. It reads safetensors directly, computes
//! with its own SIMD kernels, and exports a C ABI.
//!
//! A [`Context`] has the threads and the scratch memory, a [`Bundle`] the files of a model. Models are immutable and
//! shared freely between threads; pictures are borrowed as [`ImageView`]s. The examples use the small models in the
//! repository's `demo/`, which know emoji only: with a published checkpoint only the path changes.
//!
//! # Classify a picture
//!
//! ```
//! # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use vitrum::{Bundle, ClassifyOptions, Clip, ClipOptions, Context, ContextOptions};
//! use vitrum::{ImageView, OpenOptions, PixelFormat};
//!
//! let context = Context::new(&ContextOptions::default())?;
//! let bundle = Bundle::open("demo/clip-nano".as_ref(), OpenOptions::new())?;
//! let clip = Clip::load(&context, &bundle, &ClipOptions::default())?;
//!
//! // RGB from a decoder or a camera; here a file without compression, with a header of 13 bytes.
//! let pixels = &std::fs::read("ffi-examples/strawberry.ppm")?[13..];
//! let image = ImageView::packed(pixels, 96, 96, PixelFormat::Rgb8)?;
//! let labels = ["octopus", "bicycle", "strawberry"];
//! let probabilities = clip.classify(&image, &labels, &ClassifyOptions::default())?;
//! assert!(probabilities[2] > 0.5);
//! # Ok(()) }
//! # #[cfg(not(feature = "std"))] fn main() {}
//! ```
//!
//! # From a click to a mask
//!
//! A picture is encoded once. Then every prompt, a click, a box or a mask, costs little.
//!
//! ```
//! # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use vitrum::{Bundle, Context, ContextOptions, ImageView, Monitor, OpenOptions, PixelFormat};
//! use vitrum::{Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};
//!
//! let context = Context::new(&ContextOptions::default())?;
//! let bundle = Bundle::open("demo/sam-nano".as_ref(), OpenOptions::new())?;
//! let sam = Sam::load(&context, &bundle, &SamOptions::default())?;
//! # let pixels = &std::fs::read("ffi-examples/strawberry.ppm")?[13..];
//! let image = ImageView::packed(pixels, 96, 96, PixelFormat::Rgb8)?;
//! let embedding = sam.encode(&image, &Monitor::none())?;
//!
//! let click = [Point::foreground(40.0, 52.0)];
//! let mut prediction = Prediction::default(); // reused by later calls
//! sam.predict(&embedding, &[Prompt::points(&click)], &PredictOptions::default(), &mut prediction)?;
//! // Of the three masks of prompt 0, the one with the highest expected IoU; pixels with a logit above 0 belong to it.
//! let mask = prediction.rle(0, prediction.best(0), 0.0)?;
//! println!("{} pixels in the box {:?}", mask.area(), mask.bounding_box());
//! # assert!(mask.area() > 0);
//! # Ok(()) }
//! # #[cfg(not(feature = "std"))] fn main() {}
//! ```
//!
//! # Follow an object through a video
//!
//! ```
//! # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use vitrum::{Bundle, Context, ContextOptions, ImageView, Monitor, OpenOptions, PixelFormat, Point};
//! use vitrum::{Prompt, PromptOptions, Sam, SamOptions, Tracker, TrackerOptions};
//!
//! let context = Context::new(&ContextOptions::default())?;
//! let bundle = Bundle::open("demo/sam2-nano".as_ref(), OpenOptions::new())?;
//! let sam = Arc::new(Sam::load(&context, &bundle, &SamOptions::default())?);
//! let mut tracker = Tracker::new(sam, [96, 96], &TrackerOptions::default())?;
//! # let mut pixels = std::fs::read("ffi-examples/strawberry.ppm")?.split_off(13);
//! # let mut next_frame = || { pixels.rotate_left(96 * 3); pixels.clone() };
//! for frame in 0..3 {
//!     let pixels = next_frame(); // from a decoder or a camera
//!     let image = ImageView::packed(&pixels, 96, 96, PixelFormat::Rgb8)?;
//!     tracker.push(&image, &Monitor::none())?;
//!     if frame == 0 {
//!         let click = [Point::foreground(40.0, 52.0)];
//!         let prompt = Prompt::points(&click);
//!         tracker.add_prompt(frame, 1, &prompt, &PromptOptions::default(), &Monitor::none())?;
//!     }
//!     tracker.step(&Monitor::none())?;
//!     let mask = tracker.rle(1, None, 0.0)?; // of object 1 on the current frame
//!     println!("frame {frame}: {} pixels", mask.area());
//! #   assert!(mask.area() > 0);
//! }
//! # Ok(()) }
//! # #[cfg(not(feature = "std"))] fn main() {}
//! ```
//!
//! # What stays
//!
//! Versions follow semantic versioning for what this page re-exports, for the module [`mask`], and for
//! the C ABI. Options are `#[non_exhaustive]`: begin with the default and set what you want with `with_…`. Of the other
//! modules, [`kernels`] is public so that it can be benchmarked and reused. What is not re-exported here may change in
//! any release, and so may methods that return types of these modules, such as [`Clip::model`].
//!
//! # Speed of debug builds
//!
//! Without optimisation the kernels are 28 times as slow, and cargo optimises nothing in the profile `dev`. An application
//! whose own code must stay debuggable asks for them alone, in its `Cargo.toml`:
//!
//! ```toml
//! [profile.dev.package.vitrum]
//! opt-level = 3
//! ```
//!
//! The modules form layers; each imports only from the ones above it.
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

/// README's programs compile.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod error;
mod setters;

pub mod image;

pub mod simd;

pub mod exec;

pub mod kernels;

pub mod weights;

pub mod nn;

pub mod models;

pub mod pipelines;

#[cfg(feature = "capi")]
pub mod ffi;

pub use error::{Error, ErrorCode, Result};
pub use exec::{Cx as Context, CxOptions as ContextOptions, Limits, Monitor, Runner};
pub use image::{ImageView, PixelFormat, YuvEncoding, YuvMatrix, YuvRange};
pub use kernels::activation::Activation;
pub use kernels::gemm::WeightFormat;
pub use kernels::topk::{Hit, Vectors, quantize_vectors};
pub use pipelines::clip::{ClassifyOptions, Clip, ClipOptions, EncodeOptions};
pub use pipelines::mask::{self, Rle};
pub use pipelines::sam::{
    AutomaticOptions, Embedding, Label, MaskRecord, Match, Point, PredictOptions, Prediction, Prompt, Sam,
    SamOptions, TextPrompt,
};
pub use pipelines::search::{TopK, topk};
pub use pipelines::tracker::{Direction, FrameSource, PromptOptions, Propagation, Tracker, TrackerOptions};
pub use simd::Level;
#[cfg(feature = "std")]
pub use weights::OpenOptions;
pub use weights::{Bundle, BundleParts};
