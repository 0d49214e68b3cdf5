//! The repository's smallest models, with inputs as small as they allow.

use std::sync::{Arc, LazyLock};

use vitrum::simd::Level;
use vitrum::{Bundle, BundleParts, Clip, ClipOptions, Context, Sam, SamOptions};

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/", $name))
    };
}

macro_rules! demo {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/", $name))
    };
}

/// A model's files in memory.
#[derive(Clone, Copy, Debug)]
pub struct Files {
    /// Safetensors.
    pub weights: &'static [u8],
    /// Names and contents of the others.
    pub sides: &'static [(&'static str, &'static [u8])],
    /// Side of the model's input in pixels; only SAMs have a choice.
    pub input: Option<usize>,
}

/// A CLIP with a tokenizer.
pub static CLIP: Files = Files {
    weights: golden!("clip/quickgelu-p32/model.safetensors"),
    sides: &[
        ("config.json", golden!("clip/quickgelu-p32/config.json")),
        ("preprocessor_config.json", golden!("clip/quickgelu-p32/preprocessor_config.json")),
        ("tokenizer.json", golden!("clip/quickgelu-p32/tokenizer.json")),
    ],
    input: None,
};
/// OpenCLIP's naming, and its own configuration.
pub static OPEN_CLIP: Files = Files {
    weights: golden!("clip/openclip-g14/open_clip_model.safetensors"),
    sides: &[("open_clip_config.json", golden!("clip/openclip-g14/open_clip_config.json"))],
    input: None,
};
/// OpenAI's naming, without a configuration.
pub static OPENAI_CLIP: Files =
    Files { weights: golden!("clip/openai-naming/model.safetensors"), sides: &[], input: None };
/// A ResNet image tower, with OpenCLIP's configuration.
pub static RESNET_CLIP: Files = Files {
    weights: golden!("clip/resnet-openclip/open_clip_model.safetensors"),
    sides: &[("open_clip_config.json", golden!("clip/resnet-openclip/open_clip_config.json"))],
    input: None,
};
/// A SigLIP.
pub static SIGLIP: Files = Files {
    weights: golden!("clip/siglip/model.safetensors"),
    sides: &[
        ("config.json", golden!("clip/siglip/config.json")),
        ("preprocessor_config.json", golden!("clip/siglip/preprocessor_config.json")),
    ],
    input: None,
};
/// A PE-Core with a tower of timm.
pub static PE_CORE: Files = Files {
    weights: golden!("clip/pe-timm/open_clip_model.safetensors"),
    sides: &[("open_clip_config.json", golden!("clip/pe-timm/open_clip_config.json"))],
    input: None,
};
/// A MobileCLIP in Apple's naming.
pub static MOBILE_CLIP: Files = Files {
    weights: golden!("clip/mobileclip-s0-apple/model.safetensors"),
    sides: &[("config.json", golden!("clip/mobileclip-s0-apple/config.json"))],
    input: None,
};
/// A SigLIP 2 of variable resolution.
pub static NAFLEX: Files = Files {
    weights: golden!("clip/naflex/model.safetensors"),
    sides: &[
        ("config.json", golden!("clip/naflex/config.json")),
        ("preprocessor_config.json", golden!("clip/naflex/preprocessor_config.json")),
    ],
    input: None,
};
/// A Chinese-CLIP, whose text tower is a BERT.
pub static CHINESE_CLIP: Files = Files {
    weights: golden!("clip/chinese/model.safetensors"),
    sides: &[
        ("config.json", golden!("clip/chinese/config.json")),
        ("preprocessor_config.json", golden!("clip/chinese/preprocessor_config.json")),
    ],
    input: None,
};
/// A ConvNeXt of timm.
pub static CONV_NEXT: Files = Files {
    weights: golden!("clip/convnext-timm/open_clip_model.safetensors"),
    sides: &[("open_clip_config.json", golden!("clip/convnext-timm/open_clip_config.json"))],
    input: None,
};
/// An EVA-CLIP.
pub static EVA_CLIP: Files = Files {
    weights: golden!("clip/eva02-timm/open_clip_model.safetensors"),
    sides: &[("open_clip_config.json", golden!("clip/eva02-timm/open_clip_config.json"))],
    input: None,
};
/// Another activation.
pub static GELU_CLIP: Files = Files {
    weights: golden!("clip/gelu-p14/model.safetensors"),
    sides: &[("config.json", golden!("clip/gelu-p14/config.json"))],
    input: None,
};
/// A SAM in Meta's naming, whose sizes are found in its tensors.
pub static SAM: Files =
    Files { weights: golden!("sam_predictor/model.safetensors"), sides: &[], input: Some(32) };
/// A SAM in Hugging Face's naming.
pub static HUGGING_FACE_SAM: Files = Files {
    weights: demo!("sam-nano/model.safetensors"),
    sides: &[
        ("config.json", demo!("sam-nano/config.json")),
        ("preprocessor_config.json", demo!("sam-nano/preprocessor_config.json")),
    ],
    input: None,
};
/// A MobileSAM's encoder.
pub static TINY_VIT: Files =
    Files { weights: golden!("sam_encoder/tiny-vit/model.safetensors"), sides: &[], input: None };
/// A SAM 2 with memory, in Meta's naming.
pub static SAM2: Files = Files {
    weights: golden!("tracker/sam2.1/model.safetensors"),
    sides: &[("config.json", golden!("tracker/sam2.1/config.json"))],
    input: Some(32),
};
/// A SAM 2 for pictures, in Hugging Face's naming.
pub static HUGGING_FACE_SAM2: Files = Files {
    weights: golden!("sam2_predictor/huggingface/model.safetensors"),
    sides: &[
        ("config.json", golden!("sam2_predictor/huggingface/config.json")),
        ("preprocessor_config.json", golden!("sam2_predictor/huggingface/preprocessor_config.json")),
    ],
    input: Some(32),
};

impl Files {
    /// The model as it is.
    pub fn bundle(&self) -> Bundle<'static> {
        self.bundle_with(self.sides).expect("a model of the repository")
    }

    /// Its weights beside other files.
    pub fn bundle_with<'a>(&self, sides: &[(&'a str, &'a [u8])]) -> vitrum::Result<Bundle<'a>> {
        let parts = BundleParts::new(self.weights);
        Bundle::from_memory(
            sides.iter().fold(parts, |parts, (name, contents)| parts.with_file(name, contents)),
        )
    }
}

/// A context without threads.
pub static CONTEXT: LazyLock<Context> = LazyLock::new(|| Context::serial(Level::detect()));

/// [`CLIP`].
pub fn clip() -> &'static Clip {
    static MODEL: LazyLock<Clip> =
        LazyLock::new(|| Clip::load(&CONTEXT, &CLIP.bundle(), &ClipOptions::default()).expect("a CLIP"));
    &MODEL
}

fn load(files: &Files) -> Arc<Sam> {
    let options = SamOptions::default().with_image_size(files.input);
    Arc::new(Sam::load(&CONTEXT, &files.bundle(), &options).expect("a SAM"))
}

/// [`SAM`].
pub fn sam() -> &'static Arc<Sam> {
    static MODEL: LazyLock<Arc<Sam>> = LazyLock::new(|| load(&SAM));
    &MODEL
}

/// [`SAM2`].
pub fn sam2() -> &'static Arc<Sam> {
    static MODEL: LazyLock<Arc<Sam>> = LazyLock::new(|| load(&SAM2));
    &MODEL
}

/// An RGB picture with some structure, of `width × height` pixels.
pub fn pixels(width: usize, height: usize) -> Vec<u8> {
    (0..3 * width * height).map(|i| (i * 7 + i / width * 31) as u8).collect()
}
