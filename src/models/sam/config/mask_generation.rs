//! What a model wants of automatic masks.

use crate::error::Result;
use crate::weights::Config;

/// Thresholds of automatic masks that take the place of the reference's, for a model whose scores are not those of its
/// training. They stand in `config.json` where `transformers` keeps what a model sets for a pipeline:
/// `"task_specific_params": { "mask-generation": { "pred_iou_thresh": 0.7, … } }`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MaskGeneration {
    /// Masks whose predicted IoU is not above this are dropped.
    pub pred_iou_thresh: Option<f64>,
    /// Masks whose stability score is below this are dropped.
    pub stability_score_thresh: Option<f64>,
    /// Offset of the two thresholds between which the stability score compares the mask, in logits.
    pub stability_score_offset: Option<f64>,
}

impl MaskGeneration {
    pub(in crate::models) fn read(config: &Config) -> Result<Self> {
        let number = |key: &str, most| {
            config.f64_if(&alloc::format!("task_specific_params.mask-generation.{key}"), 0.0..=most)
        };
        Ok(Self {
            pred_iou_thresh: number("pred_iou_thresh", 1.0)?,
            stability_score_thresh: number("stability_score_thresh", 1.0)?,
            stability_score_offset: number("stability_score_offset", 100.0)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;
    use crate::error::ErrorCode;

    fn read(own: &str) -> Result<MaskGeneration> {
        let text = format!(r#"{{"task_specific_params": {{"mask-generation": {{{own}}}}}}}"#);
        MaskGeneration::read(&Config::parse("config.json", text.as_bytes())?)
    }

    #[test]
    fn thresholds_of_the_configuration() {
        assert_eq!(read("").unwrap(), MaskGeneration::default());
        let expected = MaskGeneration {
            pred_iou_thresh: Some(0.7),
            stability_score_thresh: None,
            stability_score_offset: Some(2.0),
        };
        assert_eq!(read(r#""pred_iou_thresh": 0.7, "stability_score_offset": 2"#).unwrap(), expected);
        for value in ["1.5", "-0.1", "\"0.7\"", "true"] {
            let error = read(&format!(r#""stability_score_thresh": {value}"#)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Config);
            assert!(error.to_string().contains("mask-generation.stability_score_thresh"), "{error}");
        }
    }
}
