//! The arguments that say what is written, and in which form.

use clap::{Args, ValueEnum};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The picture with masks and prompts drawn on it (.png).
    Overlay,
    /// Of one mask, white on black; of several, their numbers as grey values, which look black (.png).
    Mask,
    /// The numbers of the masks as colours of DAVIS's palette; above 255, as 16-bit grey (.png).
    Labels,
    /// The picture where the masks are, transparent and black elsewhere, as large as the picture (.png).
    Cutout,
    /// Records with COCO's run lengths (.json).
    Json,
    /// An array (.npy).
    Npy,
    /// A COCO data set with polygons (.json).
    Coco,
    /// An annotation of LabelMe (.json).
    Labelme,
    /// Lines of YOLO's segmentation format (.txt).
    Yolo,
    /// An animation of pictures with masks drawn on them (.gif).
    Gif,
}

impl Kind {
    /// As `--kind` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Mask => "mask",
            Self::Labels => "labels",
            Self::Cutout => "cutout",
            Self::Json => "json",
            Self::Npy => "npy",
            Self::Coco => "coco",
            Self::Labelme => "labelme",
            Self::Yolo => "yolo",
            Self::Gif => "gif",
        }
    }

    /// The ending of its files.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Overlay | Self::Mask | Self::Labels | Self::Cutout => "png",
            Self::Json | Self::Coco | Self::Labelme => "json",
            Self::Npy => "npy",
            Self::Yolo => "txt",
            Self::Gif => "gif",
        }
    }
}

/// How results are written.
#[derive(Debug, Args)]
pub(crate) struct FormArgs {
    /// What the files are, where their names do not say it: one for all of them, or one for each in their order.
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',')]
    pub(crate) kinds: Vec<Kind>,
    /// Also give masks as polygons in JSON: the outline of each part and the holes in it, along the edges of pixels.
    #[arg(long)]
    pub(crate) polygons: bool,
    /// Leave out corners of polygons that are no further than this from the outline; 0 keeps them exact to the pixel.
    #[arg(long, value_name = "PIXELS", default_value_t = 0.0, allow_negative_numbers = true, value_parser = parse_tolerance)]
    pub(crate) simplify: f32,
    /// What the things are called in annotations (coco, labelme, yolo); of a text, it is the text.
    #[arg(long, value_name = "NAME", default_value = "object")]
    pub(crate) category: String,
    /// Do not say on standard error what was written.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

fn parse_tolerance(text: &str) -> Result<f32, String> {
    let tolerance = text.parse().ok().filter(|tolerance| (0.0..=1e6).contains(tolerance));
    tolerance.ok_or_else(|| "expected pixels, 0 or more".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_called_as_they_are_asked_for() {
        for kind in Kind::value_variants() {
            assert_eq!(kind.to_possible_value().unwrap().get_name(), kind.name());
            assert_eq!(Kind::from_str(kind.name(), false), Ok(*kind));
        }
    }

    #[test]
    fn tolerances() {
        assert_eq!((parse_tolerance("0"), parse_tolerance("1.5")), (Ok(0.0), Ok(1.5)));
        assert!(["-1", "NaN", "inf", "x", ""].into_iter().all(|text| parse_tolerance(text).is_err()));
    }
}
