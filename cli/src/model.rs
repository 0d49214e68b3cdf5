//! Finding and loading the model that `--model` names.

use std::path::{Path, PathBuf};

use vitrum::exec::Cx;
use vitrum::pipelines::clip::Clip;
use vitrum::pipelines::sam::{Sam, SamOptions};
use vitrum::weights::{Bundle, BundleParts, OpenOptions};

use crate::failure::{Exit, Failure, OrExit, Result};
use crate::hub;

/// The names of the models inside this program.
pub(crate) const DEMO: &str = "demo:clip";
pub(crate) const DEMO_SAM: &str = "demo:sam";
pub(crate) const DEMO_SAM2: &str = "demo:sam2";

const FORMS: &str = "--model takes a model directory, a .safetensors file, ORG/NAME of a model in the Hugging Face \
                     cache, demo:clip, demo:sam or demo:sam2";

/// The files of the demo's CLIP.
fn demo_clip() -> BundleParts<'static> {
    BundleParts::new(include_bytes!("../../demo/clip-nano/model.safetensors"))
        .file("config.json", include_bytes!("../../demo/clip-nano/config.json"))
        .file("preprocessor_config.json", include_bytes!("../../demo/clip-nano/preprocessor_config.json"))
        .file("tokenizer.json", include_bytes!("../../demo/clip-nano/tokenizer.json"))
}

/// The files of the demo's SAM.
fn demo_sam() -> BundleParts<'static> {
    BundleParts::new(include_bytes!("../../demo/sam-nano/model.safetensors"))
        .file("config.json", include_bytes!("../../demo/sam-nano/config.json"))
        .file("preprocessor_config.json", include_bytes!("../../demo/sam-nano/preprocessor_config.json"))
}

/// The files of the demo's SAM 2.
fn demo_sam2() -> BundleParts<'static> {
    BundleParts::new(include_bytes!("../../demo/sam2-nano/model.safetensors"))
        .file("config.json", include_bytes!("../../demo/sam2-nano/config.json"))
        .file("preprocessor_config.json", include_bytes!("../../demo/sam2-nano/preprocessor_config.json"))
}

/// Opens the model called `name`. Tensors are read when they are bound.
pub(crate) fn open(name: &str) -> Result<Bundle<'static>> {
    let bundle = match name.strip_prefix("demo:") {
        Some("clip") => Bundle::from_memory(demo_clip()),
        Some("sam") => Bundle::from_memory(demo_sam()),
        Some("sam2") => Bundle::from_memory(demo_sam2()),
        Some(_) => {
            return Err(Failure::new(Exit::Model, format!("model {name:?}: no such demo model")).hint(FORMS));
        }
        None => Bundle::open(&locate(name)?, OpenOptions::new()),
    };
    bundle.or_exit(Exit::Model)
}

/// The file or directory of a model that is not built in.
fn locate(name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    if path.exists() {
        return Ok(path.into());
    }
    if hub::is_model_name(name) {
        return hub::snapshot(name);
    }
    Err(Failure::new(Exit::Model, format!("model {name:?}: no such file or directory")).hint(FORMS))
}

/// What kind of model a bundle holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Clip,
    /// SAM or SAM 2.
    Sam,
}

impl Family {
    /// Judged by the names of the tensors: only SAM and SAM 2 have a mask decoder.
    pub(crate) fn of(bundle: &Bundle<'_>) -> Self {
        let is_decoder =
            |name: &str| name.starts_with("mask_decoder.") || name.starts_with("sam_mask_decoder.");
        let is_sam = bundle.archive().tensors().any(|tensor| is_decoder(tensor.name));
        if is_sam { Self::Sam } else { Self::Clip }
    }
}

/// Loads the CLIP called `name`.
pub(crate) fn load(name: &str, cx: &Cx) -> Result<Clip> {
    bind(name, &open(name)?, cx)
}

/// Loads the CLIP in `bundle`, which is the model called `name`.
pub(crate) fn bind(name: &str, bundle: &Bundle<'_>, cx: &Cx) -> Result<Clip> {
    Clip::load(cx, bundle).map_err(|error| error.within(format_args!("model {name}"))).or_exit(Exit::Model)
}

/// Loads the SAM called `name`, for an input of `image_size` pixels if not its own.
pub(crate) fn load_sam(name: &str, image_size: Option<usize>, cx: &Cx) -> Result<Sam> {
    bind_sam(name, &open(name)?, image_size, cx)
}

/// Loads the SAM in `bundle`, which is the model called `name`.
pub(crate) fn bind_sam(name: &str, bundle: &Bundle<'_>, image_size: Option<usize>, cx: &Cx) -> Result<Sam> {
    Sam::load(cx, bundle, &SamOptions { image_size, ..SamOptions::default() })
        .map_err(|error| error.within(format_args!("model {name}")))
        .or_exit(Exit::Model)
}
