//! What calls are given: errors, pictures, prompts, texts.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::ptr;

use vitrum::ffi::error::{vitrum_error, vitrum_error_init};
use vitrum::ffi::image::{
    VITRUM_PIXEL_BGRA8, VITRUM_PIXEL_GRAY8, VITRUM_PIXEL_NV12, VITRUM_PIXEL_RGB8, VITRUM_PIXEL_RGBA8,
    vitrum_image, vitrum_image_init,
};
use vitrum::ffi::sam_prompt::{vitrum_point, vitrum_sam_prompt, vitrum_sam_prompt_init};
use vitrum::ffi::status::{VITRUM_E_STRUCT_SIZE, VITRUM_OK, vitrum_status};

use super::check_status;
use crate::source::Source;

/// A struct that its `…_init` function has filled.
pub(super) fn prepared<T>(init: unsafe extern "C" fn(*mut T, usize) -> vitrum_status) -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: zeroed memory of the struct's size, which the function fills.
    unsafe {
        assert_eq!(init(value.as_mut_ptr(), size_of::<T>()), VITRUM_OK);
        value.assume_init()
    }
}

/// The error of a call: mostly one, sometimes none, rarely one that was not prepared.
pub(super) struct Report {
    error: vitrum_error,
    is_given: bool,
}

impl Report {
    pub(super) fn new(source: &mut Source<'_>) -> Self {
        let mut error = prepared(vitrum_error_init);
        error.code = -1;
        error.message[0] = b'?' as c_char;
        let choice = source.below(64);
        if choice == 63 {
            error.struct_size = source.u32();
        }
        Self { error, is_given: choice < 56 || choice == 63 }
    }

    pub(super) fn pointer(&mut self) -> *mut vitrum_error {
        if self.is_given { &raw mut self.error } else { ptr::null_mut() }
    }

    /// Whether the status is possible and the error says the same; returns the status.
    pub(super) fn check(&self, function: &str, status: vitrum_status) -> vitrum_status {
        check_status(function, status);
        if self.is_given && self.error.struct_size as usize != size_of::<vitrum_error>() {
            assert_eq!(status, VITRUM_E_STRUCT_SIZE, "{function}");
        } else if self.is_given {
            assert_eq!(self.error.code, status, "{function}");
            let message = CStr::from_bytes_until_nul(bytes_of(&self.error.message)).expect("a NUL");
            let message = message.to_str().expect("UTF-8");
            assert_eq!(message.is_empty(), status == VITRUM_OK, "{function}: {message}");
        }
        status
    }
}

fn bytes_of(text: &[c_char]) -> &[u8] {
    // SAFETY: characters are bytes.
    unsafe { std::slice::from_raw_parts(text.as_ptr().cast(), text.len()) }
}

/// A picture and its memory.
pub(super) struct Picture {
    view: vitrum_image,
    _pixels: Vec<u8>,
}

impl Picture {
    /// Of any size.
    pub(super) fn new(source: &mut Source<'_>) -> Self {
        let size = [1 + source.below(40), 1 + source.below(40)];
        Self::of_size(size.map(|side| side as u32), source)
    }

    /// Of this size, which is not 0, mostly; and now and then one that must be refused.
    pub(super) fn of_size([width, height]: [u32; 2], source: &mut Source<'_>) -> Self {
        const FORMATS: [(i32, usize); 5] = [
            (VITRUM_PIXEL_RGB8, 3),
            (VITRUM_PIXEL_RGBA8, 4),
            (VITRUM_PIXEL_BGRA8, 4),
            (VITRUM_PIXEL_GRAY8, 1),
            (VITRUM_PIXEL_NV12, 1),
        ];
        let (format, channels) = source.pick(&FORMATS);
        let stride = width as usize * channels + source.below(4);
        let chroma_stride = width.next_multiple_of(2) as usize + source.below(3);
        let (luma, chroma) = (stride * height as usize, chroma_stride * height.div_ceil(2) as usize);
        let seed = usize::from(source.byte());
        let pixels: Vec<u8> = (0..luma + chroma).map(|i| (i * (7 + seed) + i / 97 * 31) as u8).collect();
        let mut view = prepared(vitrum_image_init);
        (view.format, view.width, view.height, view.row_stride) = (format, width, height, stride);
        (view.data, view.chroma, view.chroma_stride) =
            (pixels.as_ptr(), pixels[luma..].as_ptr(), chroma_stride);
        (view.yuv_matrix, view.yuv_full_range) = (i32::from(source.one_in(2)), u32::from(source.one_in(2)));
        match source.below(96) {
            88 => view.format = source.u32().cast_signed(),
            89 => view.data = ptr::null(),
            90 => view.width = 0,
            91 => view.height = (1 << 15) + 1 + source.u32() % (1 << 30),
            92 => view.row_stride = width as usize * channels - 1,
            93 => view.chroma = ptr::null(),
            94 => view.struct_size = source.u32(),
            95 => view.yuv_matrix = 2,
            _ => (),
        }
        Self { view, _pixels: pixels }
    }

    /// As parameter.
    pub(super) fn pointer(&self) -> *const vitrum_image {
        &raw const self.view
    }

    /// To be copied into an array; valid as long as the picture.
    pub(super) fn view(&self) -> vitrum_image {
        // SAFETY: a struct of numbers and pointers, which may be copied; C does.
        unsafe { ptr::read(&raw const self.view) }
    }
}

/// A prompt and its memory.
pub(super) struct Prompt {
    prompt: vitrum_sam_prompt,
    points: Vec<vitrum_point>,
    _mask: Vec<f32>,
}

impl Prompt {
    /// Points, a box, a mask of `side²` values: mostly possible ones.
    pub(super) fn new(side: usize, source: &mut Source<'_>) -> Self {
        let point = |source: &mut Source<'_>| {
            let label = match source.below(32) {
                31 => source.u32().cast_signed(),
                choice => choice as i32 % 3 - 1,
            };
            vitrum_point { x: source.float(), y: source.float(), label }
        };
        let points: Vec<_> = (0..source.below(4)).map(|_| point(source)).collect();
        let mask: Vec<f32> = match source.below(8) {
            6 => (0..side * side).map(|i| ((i * 37) % 19) as f32 - 9.0).collect(),
            7 => (0..source.below(300)).map(|_| source.float()).collect(),
            _ => Vec::new(),
        };
        let mut prompt = prepared(vitrum_sam_prompt_init);
        (prompt.points, prompt.point_count) = (points.as_ptr(), points.len());
        (prompt.mask, prompt.mask_size) = (mask.as_ptr(), mask.len());
        if mask.is_empty() && source.one_in(2) {
            prompt.mask = ptr::null();
        }
        if source.one_in(3) {
            let [x, y, width, height] = std::array::from_fn(|_| source.float());
            prompt.bounding_box = [x, y, x + width, y + height];
            prompt.has_box = if source.one_in(16) { source.u32() } else { 1 };
        }
        if source.one_in(64) {
            prompt.struct_size = source.u32();
        }
        Self { prompt, points, _mask: mask }
    }

    pub(super) fn pointer(&self) -> *const vitrum_sam_prompt {
        &raw const self.prompt
    }

    /// To be copied into an array; valid as long as the prompt.
    pub(super) fn view(&self) -> vitrum_sam_prompt {
        debug_assert_eq!(self.prompt.point_count, self.points.len());
        // SAFETY: a struct of numbers and pointers, which may be copied; C does.
        unsafe { ptr::read(&raw const self.prompt) }
    }
}

/// Texts for parameters: of every kind, and one that is not UTF-8.
const TEXTS: [&CStr; 8] = [
    c"a cat",
    c"a photo of a {}",
    c"",
    c"  ",
    c"<|endoftext|> \xf0\x9f\x98\x80",
    c"\xff\xfe",
    c"it's 2 o'clock, isn't it? it's 2 o'clock, isn't it? it's 2 o'clock, isn't it? it's 2 o'clock, isn't it?",
    c"{}{}",
];

/// One of [`TEXTS`]; rarely NULL.
pub(super) fn text(source: &mut Source<'_>) -> *const c_char {
    if source.one_in(48) { ptr::null() } else { source.pick(&TEXTS).as_ptr() }
}

/// Some of them.
pub(super) fn texts(source: &mut Source<'_>) -> Vec<*const c_char> {
    (0..source.below(4)).map(|_| text(source)).collect()
}
