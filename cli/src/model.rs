//! Finding and loading the model that `--model` names.

use std::path::{Path, PathBuf};

use vitrum::ErrorCode;
use vitrum::exec::{Cx, SteadyFiles};
use vitrum::models::{clip, sam, sam2};
use vitrum::pipelines::clip::{Clip, ClipOptions};
use vitrum::pipelines::sam::{Sam, SamOptions};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts, OpenOptions};

use crate::args::LoadArgs;
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::{hub, output};

/// The names of the models inside this program.
pub(crate) const DEMO: &str = "demo:clip";
pub(crate) const DEMO_SAM: &str = "demo:sam";
pub(crate) const DEMO_SAM2: &str = "demo:sam2";

const FORMS: &str = "--model takes a model directory, a .safetensors, .pt, .pth or .bin file, ORG/NAME of a model in the Hugging Face \
                     cache, demo:clip, demo:sam or demo:sam2";

/// OpenAI's vocabulary, which OpenCLIP's weights come without.
const VOCABULARY: &[u8] = include_bytes!("../vocabulary/bpe_simple_vocab_16e6.txt.gz");

/// The files of the demo's CLIP.
fn demo_clip() -> BundleParts<'static> {
    BundleParts::new(include_bytes!("../../demo/clip-nano/model.safetensors"))
        .with_file("config.json", include_bytes!("../../demo/clip-nano/config.json"))
        .with_file(
            "preprocessor_config.json",
            include_bytes!("../../demo/clip-nano/preprocessor_config.json"),
        )
        .with_file("tokenizer.json", include_bytes!("../../demo/clip-nano/tokenizer.json"))
}

/// The files of the demo's SAM.
fn demo_sam() -> BundleParts<'static> {
    BundleParts::new(include_bytes!("../../demo/sam-nano/model.safetensors"))
        .with_file("config.json", include_bytes!("../../demo/sam-nano/config.json"))
        .with_file("preprocessor_config.json", include_bytes!("../../demo/sam-nano/preprocessor_config.json"))
}

/// The files of the demo's SAM 2.
fn demo_sam2() -> BundleParts<'static> {
    BundleParts::new(include_bytes!("../../demo/sam2-nano/model.safetensors"))
        .with_file("config.json", include_bytes!("../../demo/sam2-nano/config.json"))
        .with_file(
            "preprocessor_config.json",
            include_bytes!("../../demo/sam2-nano/preprocessor_config.json"),
        )
}

/// Opens the model called `name`. Tensors are read when they are bound.
pub(crate) fn open(name: &str, load: LoadArgs) -> Result<Bundle<'static>> {
    let bundle = match name.strip_prefix("demo:") {
        Some("clip") => Bundle::from_memory(demo_clip()),
        Some("sam") => Bundle::from_memory(demo_sam()),
        Some("sam2") => Bundle::from_memory(demo_sam2()),
        Some(_) => {
            return Err(Failure::new(Exit::Model, format!("model {name:?}: no such demo model")).hint(FORMS));
        }
        None => Bundle::open(&locate(name)?, open_options(load)),
    };
    bundle.or_exit(Exit::Model)
}

/// How files are opened.
#[allow(unsafe_code, reason = "the user promises that the files stay as they are, by --in-place")]
fn open_options(load: LoadArgs) -> OpenOptions {
    match load.in_place {
        // SAFETY: promised by the user.
        true => OpenOptions::new().with_weights_in_place(unsafe { SteadyFiles::promise() }),
        false => OpenOptions::new(),
    }
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
    /// Judged by the names of the tensors in `bundle`, which is the model called `name`.
    pub(crate) fn of(name: &str, bundle: &Bundle<'_>) -> Result<Self> {
        let scope = bundle.scope(Level::detect());
        if sam2::naming::detect(&scope).is_ok() || sam::Naming::detect(&scope).is_ok() {
            return Ok(Self::Sam);
        }
        if clip::naming::Naming::detect(&scope).is_ok() {
            return Ok(Self::Clip);
        }
        let names: Vec<String> = bundle.archive().names().take(3).map(|name| format!("{name:?}")).collect();
        let tensors = if names.is_empty() { "there are none".into() } else { names.join(", ") + " …" };
        Err(Failure::new(Exit::Model, format!("model {name}: neither a CLIP or SigLIP nor a SAM or SAM 2"))
            .hint(format!("by the names of its tensors: {tensors}")))
    }
}

/// Loads the CLIP called `name`.
pub(crate) fn load(name: &str, load: LoadArgs, cx: &Cx) -> Result<Clip> {
    bind(name, &open(name, load)?, load, cx)
}

/// Loads the CLIP in `bundle`, which is the model called `name`, and tells the user what it warns of.
pub(crate) fn bind(name: &str, bundle: &Bundle<'_>, load: LoadArgs, cx: &Cx) -> Result<Clip> {
    let clip = loaded(name, bundle, Family::Clip, Clip::load(cx, bundle, &clip_options(load)))?;
    warn(name, clip.warnings());
    Ok(clip)
}

/// How to load a CLIP.
pub(crate) fn clip_options(load: LoadArgs) -> ClipOptions<'static> {
    let LoadArgs { lenient, activation, weights, .. } = load;
    ClipOptions::default()
        .with_lenient(lenient)
        .with_activation(activation.map(Into::into))
        .with_vocabulary(VOCABULARY)
        .with_weights(weights)
}

/// Loads the SAM called `name`, for an input of `image_size` pixels if not its own.
pub(crate) fn load_sam(name: &str, image_size: Option<usize>, load: LoadArgs, cx: &Cx) -> Result<Sam> {
    bind_sam(name, &open(name, load)?, image_size, load, cx)
}

/// Loads the SAM in `bundle`, which is the model called `name`, and tells the user what it warns of.
pub(crate) fn bind_sam(
    name: &str,
    bundle: &Bundle<'_>,
    image_size: Option<usize>,
    load: LoadArgs,
    cx: &Cx,
) -> Result<Sam> {
    let options = sam_options(load).with_image_size(image_size);
    let sam = loaded(name, bundle, Family::Sam, Sam::load(cx, bundle, &options))?;
    warn(name, sam.warnings());
    Ok(sam)
}

/// How to load a SAM.
pub(crate) fn sam_options(load: LoadArgs) -> SamOptions {
    SamOptions::default().with_lenient(load.lenient).with_weights(load.weights)
}

/// What loading the model of `bundle` as one of the family `wanted` gave.
fn loaded<T>(name: &str, bundle: &Bundle<'_>, wanted: Family, result: vitrum::Result<T>) -> Result<T> {
    result.map_err(|error| {
        let hint = match (error.code(), Family::of(name, bundle)) {
            (ErrorCode::Unsupported, Ok(found)) if found == wanted => {
                Some("--lenient loads what can be loaded all the same")
            }
            (ErrorCode::Unsupported, Ok(Family::Clip)) => Some("classify, embed and similarity take a CLIP"),
            (ErrorCode::Unsupported, Ok(Family::Sam)) => {
                Some("segment and everything take a SAM or a SAM 2, track a SAM 2")
            }
            _ => None,
        };
        let failure = Err::<T, _>(error.within(format_args!("model {name}"))).or_exit(Exit::Model).err();
        let failure = failure.expect("an error stays one");
        hint.into_iter().fold(failure, Failure::hint)
    })
}

fn warn(name: &str, warnings: &[String]) {
    warnings.iter().for_each(|warning| output::notice(format_args!("model {name}: {warning}")));
}
