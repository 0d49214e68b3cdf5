//! `vitrum_sam_ground`: masks of what words say, with the help of a CLIP model.

use core::ffi::{c_char, c_void};
use core::ops::ControlFlow;
use core::ptr;

use super::args::{
    CStruct, Nullable, init_with, optional, optional_versioned, place, text, texts, versioned,
};
use super::clip::vitrum_clip;
use super::error::vitrum_error;
use super::guard::guard;
use super::handle::{self, shared};
use super::image::{view, vitrum_image};
use super::progress::{monitored, vitrum_progress};
use super::sam::vitrum_sam;
use super::sam_embedding::vitrum_sam_embedding;
use super::sam_everything::{vitrum_sam_everything_options, vitrum_sam_record};
use super::status::vitrum_status;
use crate::error::err;
use crate::pipelines::sam::TextPrompt;

/// A description in words of what `vitrum_sam_ground` looks for. The defaults are not zeros.
#[repr(C)]
pub struct vitrum_sam_text_prompt {
    /// `sizeof(vitrum_sam_text_prompt)`; set by `vitrum_sam_text_prompt_init`.
    pub struct_size: u32,
    /// Masks for each text at most; 1 by default.
    pub top: u32,
    /// Masks of a lower probability are dropped; 0 by default.
    pub min_probability: f64,
    /// The texts to look for, with their articles: "a red apple".
    pub texts: *const *const c_char,
    /// How many there are, at least 1.
    pub text_count: usize,
    /// Texts for other things in the picture, with which the texts compete; NULL if `other_count` is 0. Without them,
    /// texts compete with words for the background.
    pub others: Nullable<*const *const c_char>,
    /// How many there are.
    pub other_count: usize,
    /// A sentence with `{}` in the place of the text. NULL means "a photo of {}".
    pub text_template: Nullable<*const c_char>,
    /// How masks are found before they are compared with the texts, or NULL for the model's defaults.
    pub candidates: Nullable<*const vitrum_sam_everything_options>,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_sam_text_prompt {
    const NAME: &'static str = "vitrum_sam_text_prompt";
}

/// Fills `prompt` with the defaults and no texts. `struct_size` is `sizeof *prompt`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_text_prompt_init(
    prompt: *mut vitrum_sam_text_prompt,
    struct_size: usize,
) -> vitrum_status {
    let defaults = vitrum_sam_text_prompt {
        struct_size: 0,
        top: TextPrompt::default().top as u32,
        min_probability: TextPrompt::default().min_probability.into(),
        texts: ptr::null(),
        text_count: 0,
        others: ptr::null(),
        other_count: 0,
        text_template: ptr::null(),
        candidates: ptr::null(),
    };
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init_with(prompt, struct_size, &defaults) }
}

/// Receives a mask that answers text number `text`, with the probability of that text, on the thread that made the
/// call. Returns 0 to go on; any other value ends the call, which then returns `VITRUM_E_CANCELLED`. Neither an
/// exception nor `longjmp` may leave it.
pub type vitrum_sam_match_callback = Option<
    unsafe extern "C" fn(
        user: Nullable<*mut c_void>,
        text: usize,
        probability: f32,
        record: *const vitrum_sam_record,
    ) -> i32,
>;

/// Finds what `prompt` describes in `image`. Everything is segmented; `clip` embeds each mask, cut out and in its
/// surroundings, and compares it with the texts. `on_match` gets the best masks of each text, text by text, the best
/// first. Any thread.
///
/// `progress` may be NULL. Both callbacks get `user` and run during the call. `kept`, if not NULL, receives the
/// embedding of the picture, for prompts; the caller frees it with `vitrum_sam_embedding_free`.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for no texts, an empty text, a template without `{}`, an unknown pixel format or
/// a number outside its domain; `VITRUM_E_UTF8`; `VITRUM_E_LIMIT`; `VITRUM_E_NOT_FOUND` if `clip` was loaded without
/// a tokenizer; `VITRUM_E_IMAGE`; `VITRUM_E_CANCELLED`; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_ground(
    sam: *const vitrum_sam,
    clip: *const vitrum_clip,
    image: *const vitrum_image,
    prompt: *const vitrum_sam_text_prompt,
    on_match: vitrum_sam_match_callback,
    progress: Nullable<vitrum_progress>,
    user: Nullable<*mut c_void>,
    kept: Nullable<*mut *mut vitrum_sam_embedding>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let place = optional(kept, || place(kept, "kept"))?;
            let sam = shared(sam, "sam")?;
            let clip = shared(clip, "clip")?;
            let clip = &clip.clip;
            let image = view(image, "image")?;
            let prompt = versioned(prompt, "prompt")?;
            let sought = texts(prompt.texts, prompt.text_count, "texts")?;
            let others = match prompt.other_count {
                0 => Default::default(),
                count => texts(prompt.others, count, "others")?,
            };
            let candidates = optional_versioned(prompt.candidates, "candidates")?;
            let prompt = TextPrompt {
                texts: &sought,
                others: &others,
                template: optional(prompt.text_template, || text(prompt.text_template, "text_template"))?,
                top: prompt.top as usize,
                min_probability: prompt.min_probability as f32,
                automatic: candidates.map(|options| options.read()).transpose()?,
            };
            let on_match = on_match.ok_or_else(|| err!(NullPointer, "on_match is NULL"))?;
            let (matches, embedding) =
                monitored(progress, user, |monitor| sam.ground(clip, &image, &prompt, monitor))?;
            let stopped = matches.iter().try_for_each(|found| {
                let record = vitrum_sam_record::new(&found.record);
                match on_match(user, found.text, found.probability, &record) {
                    0 => ControlFlow::Continue(()),
                    _ => ControlFlow::Break(()),
                }
            });
            if stopped.is_break() {
                return Err(err!(Cancelled, "cancelled by the caller"));
            }
            if let Some(place) = place {
                place.write(handle::new(embedding)?);
            }
            Ok(())
        })
    }
}
