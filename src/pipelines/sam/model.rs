//! A model of either family, behind what both have in common.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::AutomaticOptions;
use crate::error::Result;
use crate::exec::{Cx, Monitor, Scratch, ScratchReq, try_zeroed};
use crate::kernels::gemm::Packing;
use crate::kernels::resize::upscale::Upscale;
use crate::models::sam::{DecoderConfig, MaskDecoder, Predictor, SamModel};
use crate::models::sam2::{self, FrameFeatures, Sam2Model};
use crate::nn::Trace;
use crate::pipelines::preprocess::{self, Preprocess};
use crate::weights::{Bundle, Config, Review};

/// A SAM or a SAM 2.
#[derive(Debug)]
pub enum Model {
    /// SAM, MobileSAM or SlimSAM.
    Sam(Box<SamModel>),
    /// SAM 2 or 2.1.
    Sam2(Box<Sam2Model>),
}

impl Model {
    /// Binds the checkpoint of either.
    pub(super) fn bind(
        bundle: &Bundle<'_>,
        packing: Packing,
        image_size: Option<usize>,
        review: &mut Review,
    ) -> Result<Self> {
        match sam2::naming::find(&bundle.scope(packing))? {
            Some(_) => Sam2Model::bind(bundle, packing, image_size, review).map(Box::new).map(Self::Sam2),
            None => SamModel::bind(bundle, packing, image_size, review).map(Box::new).map(Self::Sam),
        }
    }

    /// How pictures become input, and frames of a video.
    pub(super) fn preprocess(&self, bundle: &Bundle<'_>, review: &mut Review) -> Result<[Preprocess; 2]> {
        let size = self.image_size();
        let mut profile = |config: Config| {
            let profile = match self {
                Self::Sam(_) => Preprocess::sam_from_config(&config, size)?,
                Self::Sam2(_) => Preprocess::sam2_from_config(&config, size)?,
            };
            review.settings(&config, &preprocess::QUIET_KEYS);
            Ok(profile)
        };
        let configs = [preprocess::hugging_face_config(bundle)?, preprocess::video_config(bundle)?];
        let [picture, video] = configs.map(|config| config.map(&mut profile).transpose());
        match (self, picture?, video?) {
            (Self::Sam(_), picture, _) => {
                let picture = picture.map_or_else(|| Preprocess::sam(size), Ok)?;
                Ok([picture.clone(), picture])
            }
            (Self::Sam2(_), None, None) => Ok([Preprocess::sam2(size)?, Preprocess::sam2_video(size)?]),
            (Self::Sam2(_), Some(picture), video) => Ok([picture.clone(), video.unwrap_or(picture)]),
            (Self::Sam2(_), None, Some(video)) => Ok([Preprocess::sam2(size)?, video]),
        }
    }

    /// Side of the square input, in pixels.
    pub fn image_size(&self) -> usize {
        match self {
            Self::Sam(sam) => sam.config.image_size,
            Self::Sam2(sam2) => sam2.config.image_size,
        }
    }

    /// Side of the image embedding, in tokens.
    pub fn grid(&self) -> usize {
        self.mask_side() / 4
    }

    /// Side of the low-resolution masks that the decoder makes and that a prompt may hold.
    pub fn mask_side(&self) -> usize {
        match self {
            Self::Sam(sam) => sam.config.mask_side(),
            Self::Sam2(sam2) => sam2.config.mask_side(),
        }
    }

    /// Features of a token of the image embedding, `C`.
    pub fn dim(&self) -> usize {
        match self {
            Self::Sam(sam) => sam.config.dim,
            Self::Sam2(sam2) => sam2.config.dim,
        }
    }

    /// The sizes of prompt encoder and mask decoder.
    pub fn decoder_config(&self) -> &DecoderConfig {
        match self {
            Self::Sam(sam) => &sam.config.decoder,
            Self::Sam2(sam2) => &sam2.config.decoder,
        }
    }

    /// The mask decoder.
    pub fn mask_decoder(&self) -> &MaskDecoder {
        match self {
            Self::Sam(sam) => &sam.mask_decoder,
            Self::Sam2(sam2) => &sam2.mask_decoder,
        }
    }

    /// The parts that run for every prompt.
    pub fn predictor(&self) -> Predictor<'_> {
        match self {
            Self::Sam(sam) => sam.predictor(),
            Self::Sam2(sam2) => sam2.predictor(),
        }
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Sam(sam) => sam.bytes(),
            Self::Sam2(sam2) => sam2.bytes(),
        }
    }

    /// Scratch that [`encode`](Self::encode) needs.
    pub(super) fn encode_scratch_req(&self, cx: &Cx) -> ScratchReq {
        match self {
            Self::Sam(sam) => sam.image_encoder.scratch_req(cx),
            Self::Sam2(sam2) => sam2.image_encoder.scratch_req(cx),
        }
    }

    /// Lengths of a picture's features. Those of a SAM are the image embedding alone.
    pub(super) fn features_lens(&self) -> [usize; 3] {
        match self {
            Self::Sam(_) => [self.grid() * self.grid() * self.dim(), 0, 0],
            Self::Sam2(sam2) => sam2.image_encoder.features_lens(),
        }
    }

    /// `pixels: [3, S, S]` to the features of a picture.
    pub(super) fn encode(
        &self,
        cx: &Cx,
        pixels: &[f32],
        out: &mut FrameFeatures,
        scratch: Scratch<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        match self {
            Self::Sam(sam) => {
                sam.image_encoder.forward(cx, pixels, &mut out.top, scratch, Trace::of(cx), monitor)
            }
            Self::Sam2(sam2) => {
                sam2.image_encoder.forward(cx, pixels, out, scratch, Trace::of(cx), monitor)?;
                sam2.add_no_memory(&mut out.top);
                Ok(())
            }
        }
    }

    /// The decoder's projections of a picture.
    pub(super) fn cache(&self, cx: &Cx, features: &FrameFeatures) -> Result<Vec<f32>> {
        let decoder = self.mask_decoder();
        let mut cache = try_zeroed(decoder.cache_len())?;
        let mut workspace = cx.workspace(decoder.cache_scratch_req(cx))?;
        let high_res = decoder.maps().map(|_| features.high_res());
        cx.enter(|| decoder.cache(cx, &features.top, high_res, &mut cache, workspace.scratch()));
        Ok(cache)
    }

    /// The way from masks to a picture of `original` pixels (height, width) that was resized to `resized`.
    ///
    /// SAM goes by way of its input, whose padding is cut off; SAM 2's input is the picture, and the way is direct.
    pub(super) fn upscale(&self, resized: [usize; 2], original: [usize; 2]) -> Result<Upscale> {
        let (side, [resized, original]) = (self.mask_side(), [resized, original].map(|[h, w]| (h, w)));
        match self {
            Self::Sam(sam) => Upscale::new(side, sam.config.image_size, resized, original),
            Self::Sam2(_) => Upscale::new(side, side, (side, side), original),
        }
    }

    /// Whether logits are clamped before they are fed back.
    pub(super) fn clamps(&self) -> bool {
        matches!(self, Self::Sam2(_))
    }

    /// The defaults of the reference's automatic generator, with the thresholds that the model's own configuration
    /// has: `task_specific_params` for `mask-generation`.
    pub fn automatic_options(&self) -> AutomaticOptions {
        let (defaults, own) = match self {
            Self::Sam(sam) => (AutomaticOptions::default(), sam.config.mask_generation),
            Self::Sam2(sam2) => (AutomaticOptions::sam2(), sam2.config.mask_generation),
        };
        AutomaticOptions {
            pred_iou_thresh: own.pred_iou_thresh.unwrap_or(defaults.pred_iou_thresh),
            stability_score_thresh: own.stability_score_thresh.unwrap_or(defaults.stability_score_thresh),
            stability_score_offset: own.stability_score_offset.unwrap_or(defaults.stability_score_offset),
            ..defaults
        }
    }
}
