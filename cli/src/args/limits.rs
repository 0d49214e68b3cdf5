//! What a computation may take.

use clap::Args;
use vitrum::Limits;

/// Limits of the library that strangers' models may meet.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct LimitArgs {
    /// Side of a model's input in pixels at most; 2048 by default, more than released models have. The work of attention
    /// grows with its fourth power.
    #[arg(long, global = true, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..=8192))]
    pub(crate) max_image_size: Option<u16>,
    /// Memory that a model's weights take at most, counted as f32, and a step of the work beside them: 300M, 24G. By
    /// default 16G and 2G.
    #[arg(long, global = true, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) max_memory: Option<u64>,
    /// Take weights and give results that are not finite (NaN or infinity), which are an error otherwise: in JSON they are
    /// null.
    #[arg(long, global = true)]
    pub(crate) allow_non_finite: bool,
}

impl LimitArgs {
    /// What was asked for.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::default().with_allow_non_finite(self.allow_non_finite);
        if let Some(side) = self.max_image_size {
            limits.image_size = side.into();
        }
        if let Some(bytes) = self.max_memory {
            limits.weights_bytes = bytes;
            limits.scratch_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        limits
    }
}

/// The option that raises the limit which `message`, an error of the library, names.
pub(crate) fn option_for(message: &str) -> Option<&'static str> {
    [
        ("limit image_size", "--max-image-size raises it"),
        ("limit weights_bytes", "--max-memory raises it"),
        ("limit scratch_bytes", "--max-memory raises it"),
        ("limit allow_non_finite", "--allow-non-finite lets them pass"),
    ]
    .into_iter()
    .find_map(|(limit, option)| message.contains(limit).then_some(option))
}

/// Bytes, kilobytes (K), megabytes (M) or gigabytes (G).
fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let size = digits.parse::<u64>().ok().and_then(|size| size.checked_mul(1 << shift));
    size.filter(|&size| size > 0).ok_or_else(|| "expected a number of bytes, or one with K, M or G".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, expected) in [("5", 5), ("3K", 3072), ("2m", 2 << 20), ("24G", 24 << 30)] {
            assert_eq!(parse_size(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "G", "-1", "1.5G", "1T", "99999999999G", "ä"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_become_limits() {
        assert_eq!(LimitArgs::default().limits(), Limits::default());
        let args = LimitArgs { max_image_size: Some(512), max_memory: Some(7), allow_non_finite: true };
        let expected = Limits::default()
            .with_image_size(512)
            .with_weights_bytes(7)
            .with_scratch_bytes(7)
            .with_allow_non_finite(true);
        assert_eq!(args.limits(), expected);
    }
}
