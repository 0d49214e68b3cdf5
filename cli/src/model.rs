//! Finding and loading the model that `--model` names.

use std::path::{Path, PathBuf};

use vitrum::exec::Cx;
use vitrum::pipelines::clip::Clip;
use vitrum::weights::{Bundle, BundleParts, OpenOptions};

use crate::failure::{Exit, Failure, OrExit, Result};
use crate::hub;

/// The name of the model inside this program.
pub(crate) const DEMO: &str = "demo:clip";

const FORMS: &str = "--model takes a model directory, a .safetensors file, ORG/NAME of a model in the Hugging Face \
                     cache, or demo:clip";

/// The demo model's files.
fn demo() -> BundleParts<'static> {
    BundleParts::new(include_bytes!("../../demo/clip-nano/model.safetensors"))
        .file("config.json", include_bytes!("../../demo/clip-nano/config.json"))
        .file("preprocessor_config.json", include_bytes!("../../demo/clip-nano/preprocessor_config.json"))
        .file("tokenizer.json", include_bytes!("../../demo/clip-nano/tokenizer.json"))
}

/// Opens the model called `name`. Tensors are read when they are bound.
pub(crate) fn open(name: &str) -> Result<Bundle<'static>> {
    let bundle = match name.strip_prefix("demo:") {
        Some("clip") => Bundle::from_memory(demo()),
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

/// Loads the CLIP called `name`.
pub(crate) fn load(name: &str, cx: &Cx) -> Result<Clip> {
    bind(name, &open(name)?, cx)
}

/// Loads the CLIP in `bundle`, which is the model called `name`.
pub(crate) fn bind(name: &str, bundle: &Bundle<'_>, cx: &Cx) -> Result<Clip> {
    Clip::load(cx, bundle).map_err(|error| error.within(format_args!("model {name}"))).or_exit(Exit::Model)
}
