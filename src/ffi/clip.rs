//! `vitrum_clip`: pictures and texts in one space, and from there to probabilities.

use core::ffi::{c_char, c_void};
use core::mem::offset_of;
use core::ptr;

use super::args::{
    CStruct, Nullable, Output, array, flag, init, init_with, optional, optional_versioned, place, product,
    text, texts, write_text, zero,
};
use super::context::{cx_of, vitrum_context};
use super::error::vitrum_error;
use super::file::{open, open_memory, vitrum_file};
use super::guard::{guard, guard_value};
use super::handle::{self, Handle, free, peek, shared};
use super::image::{view, views, vitrum_image};
use super::progress::{monitored, vitrum_progress};
use super::status::vitrum_status;
use super::weights::{vitrum_weights, weight_format};
use crate::error::{Result, err};
use crate::exec::{Cx, Monitor, ScratchReq};
use crate::kernels::activation::Activation;
use crate::pipelines::clip::{ClassifyOptions, Clip, ClipOptions, EncodeOptions};
use crate::weights::Bundle;

/// A CLIP model: image tower, text tower, tokenizer. Opaque and immutable.
///
/// Several threads may use one model at the same time. It keeps what it needs of its context alive.
pub struct vitrum_clip {
    _opaque: (),
}

impl Handle for vitrum_clip {
    const NAME: &'static str = "vitrum_clip";
    type Value = ClipWithContext;
}

/// What a [`vitrum_clip`] stands for.
pub struct ClipWithContext {
    pub(super) clip: Clip,
    cx: Cx,
}

/// How to load a CLIP model. All zeros but `struct_size` are the defaults.
#[repr(C)]
pub struct vitrum_clip_options {
    /// `sizeof(vitrum_clip_options)`; set by `vitrum_clip_options_init`.
    pub struct_size: u32,
    /// 0, the default: weights are read by ordinary file operations, into memory of the model's own. 1: they are read through
    /// a memory map, which saves system calls; if another process truncates the file meanwhile, the system kills this one.
    /// 2: what `vitrum quantize --pack` has packed for this CPU is used in place, in the map: the model is there in
    /// milliseconds, and processes share its memory. It must not be the default, because the caller promises that nobody
    /// writes to the files or truncates them as long as the model lives (to rename another file over them is fine).
    /// Only for `vitrum_clip_load`.
    pub mmap: u32,
    /// 0, the default: a model with tensors or settings that are not understood is refused with
    /// `VITRUM_E_UNSUPPORTED`. 1: it is loaded. Its results may be wrong; `vitrum_clip_warnings` says why.
    pub lenient: u32,
    /// The activation of the towers: `VITRUM_ACTIVATION_OF_FILES`, the default, or another one, which then takes the
    /// place of what the files say.
    pub activation: vitrum_activation,
    /// OpenAI's list of merges (`bpe_simple_vocab_16e6.txt`, gzipped or not), only read during the call; NULL for none.
    /// It is used for weights in OpenCLIP's naming with OpenAI's vocabulary and no tokenizer beside them.
    pub vocabulary: Nullable<*const u8>,
    /// Bytes at `vocabulary`.
    pub vocabulary_size: usize,
    /// What the weights of the towers are kept as: `VITRUM_WEIGHTS_OF_FILES`, the default, or a format.
    pub weights: vitrum_weights,
    /// 0. Here so that the struct does not end in padding.
    pub reserved: u32,
    /// Called with the fraction that is done, with `progress_user`; it may stop the call, which then returns
    /// `VITRUM_E_CANCELLED`. NULL, the default, for none.
    pub progress: Nullable<vitrum_progress>,
    /// Handed to `progress`.
    pub progress_user: Nullable<*mut c_void>,
}

/// An activation of the towers: one of `VITRUM_ACTIVATION_*`.
pub type vitrum_activation = i32;

/// The activation that the model's files name.
pub const VITRUM_ACTIVATION_OF_FILES: vitrum_activation = 0;
/// GELU, as most of OpenCLIP's models have it.
pub const VITRUM_ACTIVATION_GELU: vitrum_activation = 1;
/// `x * sigmoid(1.702 x)`, as OpenAI's models have it. Set it for their weights if these were saved without their
/// configuration.
pub const VITRUM_ACTIVATION_QUICK_GELU: vitrum_activation = 2;

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_clip_options {
    const NAME: &'static str = "vitrum_clip_options";
    const EARLIER: &'static [usize] = &[
        offset_of!(vitrum_clip_options, lenient),
        offset_of!(vitrum_clip_options, vocabulary),
        offset_of!(vitrum_clip_options, weights),
        offset_of!(vitrum_clip_options, progress),
    ];
}

/// Fills `options` with the defaults. `struct_size` is `sizeof *options`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_options_init(
    options: *mut vitrum_clip_options,
    struct_size: usize,
) -> vitrum_status {
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init(options, struct_size) }
}

/// How pictures and texts are embedded. The defaults are not zeros.
#[repr(C)]
pub struct vitrum_clip_encode_options {
    /// `sizeof(vitrum_clip_encode_options)`; set by `vitrum_clip_encode_options_init`.
    pub struct_size: u32,
    /// 1, the default: embeddings have length 1. 0: embeddings are the output of the model's projection.
    pub normalize: u32,
    /// Called with the fraction that is done, with `progress_user`; it may stop the call, which then returns
    /// `VITRUM_E_CANCELLED`. NULL, the default, for none.
    pub progress: Nullable<vitrum_progress>,
    /// Handed to `progress`.
    pub progress_user: Nullable<*mut c_void>,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_clip_encode_options {
    const NAME: &'static str = "vitrum_clip_encode_options";
    const EARLIER: &'static [usize] = &[offset_of!(vitrum_clip_encode_options, progress)];
}

/// Fills `options` with the defaults. `struct_size` is `sizeof *options`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_encode_options_init(
    options: *mut vitrum_clip_encode_options,
    struct_size: usize,
) -> vitrum_status {
    let defaults = vitrum_clip_encode_options::new(&EncodeOptions::default());
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init_with(options, struct_size, &defaults) }
}

/// How a picture is compared with labels. All zeros but `struct_size` are the defaults.
#[repr(C)]
pub struct vitrum_clip_classify_options {
    /// `sizeof(vitrum_clip_classify_options)`; set by `vitrum_clip_classify_options_init`.
    pub struct_size: u32,
    /// A sentence in which each label takes the place of `{}`. NULL means "a photo of a {}".
    pub label_template: Nullable<*const c_char>,
    /// Called with the fraction that is done, with `progress_user`; it may stop the call, which then returns
    /// `VITRUM_E_CANCELLED`. NULL, the default, for none.
    pub progress: Nullable<vitrum_progress>,
    /// Handed to `progress`.
    pub progress_user: Nullable<*mut c_void>,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_clip_classify_options {
    const NAME: &'static str = "vitrum_clip_classify_options";
    const EARLIER: &'static [usize] = &[offset_of!(vitrum_clip_classify_options, progress)];
}

/// Fills `options` with the defaults. `struct_size` is `sizeof *options`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_classify_options_init(
    options: *mut vitrum_clip_classify_options,
    struct_size: usize,
) -> vitrum_status {
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init(options, struct_size) }
}

/// Loads the model at `path` and writes it to `clip`; the caller frees it with `vitrum_clip_free`. Any thread.
///
/// `path` is UTF-8: a directory in Hugging Face layout, or a safetensors file whose directory holds the
/// tokenizer and, if there is one, the configuration. `options` may be NULL for the defaults. The arguments are not
/// needed afterwards; the model keeps the threads of `context` alive.
///
/// Errors: `VITRUM_E_NOT_FOUND`, `VITRUM_E_IO`; `VITRUM_E_FORMAT`, `VITRUM_E_LIMIT`,
/// `VITRUM_E_MISSING_TENSOR`, `VITRUM_E_TENSOR_SHAPE`, `VITRUM_E_TENSOR_DTYPE`, `VITRUM_E_CONFIG` or
/// `VITRUM_E_TOKENIZER` for what is wrong in the files; `VITRUM_E_CANCELLED`; `VITRUM_E_UNSUPPORTED` for a model of
/// another kind, and always in a library built without files.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_load(
    context: *const vitrum_context,
    path: *const c_char,
    options: Nullable<*const vitrum_clip_options>,
    clip: *mut *mut vitrum_clip,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let place = place(clip, "clip")?;
            let cx = cx_of(context)?;
            let options = optional_versioned(options, "options")?;
            let bundle = open(path, options.as_ref().map_or(0, |options| options.mmap))?;
            place.write(new_clip(&cx, &bundle, options.as_ref())?);
            Ok(())
        })
    }
}

/// Loads a model from memory and writes it to `clip`; the caller frees it with `vitrum_clip_free`. Any thread.
///
/// `files` are `file_count` files as a model directory holds them: weights, whose names end in `.safetensors`
/// (shards need no index), and beside them `config.json`, `preprocessor_config.json`, `tokenizer.json` or
/// `vocab.json` and `merges.txt`, in any order. They are only read during the call. `options` may be NULL for
/// the defaults.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` if there are no weights, for a file that no model has or one given
/// twice, or if `mmap` is set; otherwise those of `vitrum_clip_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_load_memory(
    context: *const vitrum_context,
    files: *const vitrum_file,
    file_count: usize,
    options: Nullable<*const vitrum_clip_options>,
    clip: *mut *mut vitrum_clip,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let place = place(clip, "clip")?;
            let cx = cx_of(context)?;
            let options = optional_versioned(options, "options")?;
            let mmap = options.as_ref().map_or(0, |options| options.mmap);
            place.write(new_clip(&cx, &open_memory(files, file_count, mmap)?, options.as_ref())?);
            Ok(())
        })
    }
}

/// Frees `clip`, which may be NULL. It must not be used, nor freed again, afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_free(clip: Nullable<*mut vitrum_clip>) {
    if !clip.is_null() {
        // SAFETY: the caller owns the handle, which a load function made, and gives it up.
        guard_value((), || unsafe { free(clip) });
    }
}

/// Warnings from loading `clip`, a line of UTF-8 each: what was assumed, and which parts of its files are not used. The
/// text is empty if there are none. Any thread.
///
/// `warnings` receives them, NUL-terminated. `capacity` is the room there, in bytes. `needed`, if not NULL, receives
/// the number of bytes with the NUL, also when `capacity` is too small; with `warnings` NULL and `capacity` 0 that is
/// all that happens.
///
/// Errors: `VITRUM_E_BUFFER_TOO_SMALL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_warnings(
    clip: *const vitrum_clip,
    warnings: Nullable<*mut c_char>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let clip = shared(clip, "clip")?;
            let clip = &clip.clip;
            write_text(&clip.warnings().join("\n"), Output::new(warnings, capacity, needed, "warnings")?)
        })
    }
}

/// Number of floats of an embedding; 0 if `clip` is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_embed_dim(clip: Nullable<*const vitrum_clip>) -> usize {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(clip) }.map_or(0, |clip| clip.clip.embed_dim()))
}

/// Bytes of memory that the model occupies; 0 if `clip` is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_memory_bytes(clip: Nullable<*const vitrum_clip>) -> usize {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(clip) }.map_or(0, |clip| clip.clip.memory_bytes()))
}

/// 1 if a probability says of its label alone whether it fits the picture, as with a SigLIP, so that the labels of a picture may
/// all be probable, or none of them: the sigmoid of the logit. 0 if probabilities compare labels with each other and sum to 1,
/// as with a CLIP: a softmax; also 0 if `clip` is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_has_independent_probabilities(
    clip: Nullable<*const vitrum_clip>,
) -> u32 {
    guard_value(0, || {
        // SAFETY: the caller passes NULL or a handle.
        let clip = unsafe { peek(clip) };
        clip.map_or(0, |clip| clip.clip.has_independent_probabilities().into())
    })
}

/// Embeds `image_count` pictures of any sizes: resizes, crops and normalises each as the model's preprocessing
/// says, runs the image tower and projects. Any thread.
///
/// `options` may be NULL for the defaults. `embeddings` receives `image_count` times `vitrum_clip_embed_dim` floats,
/// picture after picture. `capacity` is the room there, in floats. `needed`, if not NULL, receives the number of
/// floats, also when `capacity` is too small; with `embeddings` NULL and `capacity` 0 that is all that happens.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for no images, an unknown format or an option outside its domain;
/// `VITRUM_E_UNSUPPORTED` if the model has no image tower; `VITRUM_E_IMAGE`; `VITRUM_E_BUFFER_TOO_SMALL`;
/// `VITRUM_E_CANCELLED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_encode_image(
    clip: *const vitrum_clip,
    images: *const vitrum_image,
    image_count: usize,
    options: Nullable<*const vitrum_clip_encode_options>,
    embeddings: Nullable<*mut f32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let clip = shared(clip, "clip")?;
            let output = Output::new(embeddings, capacity, needed, "embeddings")?;
            let images = views(images, image_count, "images")?;
            let (options, progress) = read_encode_options(options)?;
            clip.embed(image_count, output, progress, |out, monitor| {
                clip.clip.encode_images_monitored(&images, &options, out, monitor)
            })
        })
    }
}

/// Embeds `text_count` texts, NUL-terminated UTF-8. Any thread.
///
/// Texts longer than the model's context are cut as the model's reference does. An empty text, or one of white space,
/// becomes the start and the end token. With OpenAI's vocabulary, texts are cleaned as OpenAI's code cleans them.
/// `options`, `embeddings`, `capacity` and `needed` are as for `vitrum_clip_encode_image`.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for no texts or an option outside its domain; `VITRUM_E_UNSUPPORTED` if the
/// model has no text tower; `VITRUM_E_NULL_POINTER`, `VITRUM_E_UTF8` or `VITRUM_E_LIMIT`, with the text's index in the
/// message; `VITRUM_E_NOT_FOUND` if the model was loaded without a tokenizer; `VITRUM_E_BUFFER_TOO_SMALL`;
/// `VITRUM_E_CANCELLED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_encode_text(
    clip: *const vitrum_clip,
    texts: *const *const c_char,
    text_count: usize,
    options: Nullable<*const vitrum_clip_encode_options>,
    embeddings: Nullable<*mut f32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let clip = shared(clip, "clip")?;
            let output = Output::new(embeddings, capacity, needed, "embeddings")?;
            let texts = self::texts(texts, text_count, "texts")?;
            let (options, progress) = read_encode_options(options)?;
            clip.embed(text_count, output, progress, |out, monitor| {
                clip.clip.encode_texts_monitored(&texts, &options, out, monitor)
            })
        })
    }
}

/// Zero-shot classification: how well each of `label_count` labels describes `image`. Any thread.
///
/// `options` may be NULL for the defaults. `probabilities` receives `label_count` floats in the order of the labels, which
/// sum to 1 unless `vitrum_clip_has_independent_probabilities`. `capacity` and `needed` are as for `vitrum_clip_encode_image`.
///
/// To classify many pictures, embed the labels once and compare: `vitrum_clip_similarity`.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for no labels, an empty label, an unknown format or a template without
/// `{}`; `VITRUM_E_IMAGE`; `VITRUM_E_UTF8`; `VITRUM_E_LIMIT` for a gigantic label; `VITRUM_E_NOT_FOUND` if the
/// model was loaded without a tokenizer; `VITRUM_E_BUFFER_TOO_SMALL`; `VITRUM_E_CANCELLED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_classify(
    clip: *const vitrum_clip,
    image: *const vitrum_image,
    labels: *const *const c_char,
    label_count: usize,
    options: Nullable<*const vitrum_clip_classify_options>,
    probabilities: Nullable<*mut f32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let clip = shared(clip, "clip")?;
            let output = Output::new(probabilities, capacity, needed, "probabilities")?;
            let image = view(image, "image")?;
            let labels = texts(labels, label_count, "labels")?;
            let options = optional_versioned(options, "options")?;
            let none = (ptr::null(), None, ptr::null_mut());
            let (template, progress, user) =
                options.map_or(none, |it| (it.label_template, it.progress, it.progress_user));
            let template = optional(template, || text(template, "label_template"))?;
            if output.wants(label_count)? {
                let options = ClassifyOptions::default().with_template(template);
                let classify =
                    |monitor: &Monitor<'_>| clip.clip.classify_monitored(&image, &labels, &options, monitor);
                output.write(&monitored(progress, user, classify)?);
            }
            Ok(())
        })
    }
}

/// Compares embeddings: `logits[i * text_count + j]` becomes the cosine of image `i` and text `j`, multiplied by
/// the scale that the model has learnt, plus a SigLIP's bias. A softmax over a row gives the probabilities of the texts; with
/// `vitrum_clip_has_independent_probabilities`, the sigmoid of a logit its own. Any thread.
///
/// `images` and `texts` hold `image_count` and `text_count` embeddings of this model, normalised or not, one
/// after the other. `logits` receives `image_count * text_count` floats and may be one of the inputs.
/// `capacity` and `needed` are as for `vitrum_clip_encode_image`.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for no images or no texts; `VITRUM_E_BUFFER_TOO_SMALL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_similarity(
    clip: *const vitrum_clip,
    images: *const f32,
    image_count: usize,
    texts: *const f32,
    text_count: usize,
    logits: Nullable<*mut f32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let clip = shared(clip, "clip")?;
            let output = Output::new(logits, capacity, needed, "logits")?;
            let dim = clip.clip.embed_dim();
            let images = array(images, product(image_count, dim)?, "images")?;
            let texts = array(texts, product(text_count, dim)?, "texts")?;
            if output.wants(product(image_count, text_count)?)? {
                output.write(&clip.clip.similarity(images, texts)?);
            }
            Ok(())
        })
    }
}

/// The token ids of `text`, NUL-terminated UTF-8, with the start and end tokens, at most as many as the model's
/// context holds. Any thread.
///
/// `tokens` receives them. `capacity`, in tokens, and `needed` are as for `vitrum_clip_encode_image`.
///
/// Errors: `VITRUM_E_UTF8`; `VITRUM_E_LIMIT` for a gigantic text; `VITRUM_E_NOT_FOUND` if the model was loaded
/// without a tokenizer; `VITRUM_E_BUFFER_TOO_SMALL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_clip_tokenize(
    clip: *const vitrum_clip,
    text: *const c_char,
    tokens: Nullable<*mut u32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let clip = shared(clip, "clip")?;
            let output = Output::new(tokens, capacity, needed, "tokens")?;
            let ids = clip.clip.tokenize(self::text(text, "text")?)?;
            if output.wants(ids.len())? {
                output.write(&ids);
            }
            Ok(())
        })
    }
}

impl ClipWithContext {
    /// Runs `encode` for `count` embeddings into scratch memory, and copies them out if it succeeds.
    ///
    /// # Safety
    /// As [`monitored`].
    unsafe fn embed(
        &self,
        count: usize,
        output: Output<f32>,
        (progress, user): (vitrum_progress, *mut c_void),
        encode: impl FnOnce(&mut [f32], &Monitor<'_>) -> Result<()>,
    ) -> Result<()> {
        let len = product(count, self.clip.embed_dim())?;
        if output.wants(len)? {
            let mut workspace = self.cx.workspace(ScratchReq::slice(len))?;
            let embeddings = workspace.scratch().take(len);
            // SAFETY: the caller's promise.
            unsafe { monitored(progress, user, |monitor| encode(embeddings, monitor))? };
            output.write(embeddings);
        }
        Ok(())
    }
}

impl vitrum_clip_encode_options {
    fn new(options: &EncodeOptions) -> Self {
        Self {
            struct_size: 0,
            normalize: options.normalize.into(),
            progress: None,
            progress_user: ptr::null_mut(),
        }
    }
}

/// The options, and `progress` with what it is handed.
///
/// # Safety
/// `options` must be NULL or lead to a struct that begins with its `struct_size`.
unsafe fn read_encode_options(
    options: Nullable<*const vitrum_clip_encode_options>,
) -> Result<(EncodeOptions, (vitrum_progress, *mut c_void))> {
    // SAFETY: the caller's promise.
    let options = unsafe { optional_versioned(options, "options")? };
    let options = options.unwrap_or_else(|| vitrum_clip_encode_options::new(&EncodeOptions::default()));
    let normalize = flag(options.normalize, "normalize")?;
    let progress = (options.progress, options.progress_user);
    Ok((EncodeOptions::default().with_normalize(normalize), progress))
}

/// # Safety
/// The options' vocabulary must be NULL or as long as they say, and `progress` NULL or callable with `progress_user`.
unsafe fn new_clip(
    cx: &Cx,
    bundle: &Bundle<'_>,
    options: Option<&vitrum_clip_options>,
) -> Result<*mut vitrum_clip> {
    let mut clip_options = ClipOptions::default();
    let mut progress = (None, ptr::null_mut());
    if let Some(options) = options {
        clip_options.lenient = flag(options.lenient, "lenient")?;
        clip_options.activation = match options.activation {
            VITRUM_ACTIVATION_OF_FILES => None,
            VITRUM_ACTIVATION_GELU => Some(Activation::Gelu),
            VITRUM_ACTIVATION_QUICK_GELU => Some(Activation::QuickGelu),
            other => return Err(err!(InvalidArgument, "activation: {other} is none of VITRUM_ACTIVATION_*")),
        };
        clip_options.weights = weight_format(options.weights)?;
        zero(options.reserved, "reserved")?;
        progress = (options.progress, options.progress_user);
        if options.vocabulary_size != 0 {
            // SAFETY: the caller's promise.
            let vocabulary = unsafe { array(options.vocabulary, options.vocabulary_size, "vocabulary")? };
            clip_options.vocabulary = Some(vocabulary);
        }
    }
    let load = |monitor: &Monitor<'_>| Clip::load_monitored(cx, bundle, &clip_options, monitor);
    // SAFETY: the caller's promise.
    let clip = unsafe { monitored(progress.0, progress.1, load)? };
    handle::new(ClipWithContext { clip, cx: cx.clone() })
}
