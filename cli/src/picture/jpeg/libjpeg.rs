//! libjpeg-turbo's decoder, as mozjpeg carries it: the only foreign code of the command.
//!
//! The C code takes callers' words for sizes and pointers, so this file is the only one of the command with `unsafe`. Its
//! errors come as panics that begin in [`error_exit`] and end in [`decode`], without a message of a panic handler.

use std::ffi::{c_int, c_ulong};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mozjpeg_sys::J_COLOR_SPACE::{JCS_CMYK, JCS_GRAYSCALE, JCS_RGB, JCS_YCCK, JCS_YCbCr};
use mozjpeg_sys::{
    JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE, JWRN_JPEG_EOF, JWRN_MUST_RESYNC, JWRN_NOT_SEQUENTIAL,
    jpeg_common_struct, jpeg_create_decompress, jpeg_decompress_struct, jpeg_destroy_decompress,
    jpeg_error_mgr, jpeg_finish_decompress, jpeg_mem_src, jpeg_read_header, jpeg_read_scanlines,
    jpeg_start_decompress, jpeg_std_error,
};

/// What a file decodes to.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Samples of a pixel: 1 for grey, 3 for RGB, 4 for CMYK as the file has it.
    pub(super) channels: usize,
    pub(super) data: Vec<u8>,
    /// The first sign of damage that did not stop the decoder.
    pub(super) damage: Option<String>,
    /// Whether the file ends before the picture does.
    pub(super) cut: bool,
}

/// Why there is no picture.
#[derive(Debug)]
pub(super) enum Fault {
    /// The caller does not want it.
    Refused(String),
    /// What libjpeg calls an error.
    Libjpeg(String),
}

/// What libjpeg says while it works. It is handed around as a pointer to its first field.
#[repr(C)]
struct Report {
    errors: jpeg_error_mgr,
    damage: Option<String>,
    cut: bool,
}

/// Decodes a file whose size `check` accepts.
///
/// # Errors
/// The size is refused, or libjpeg gives up.
pub(super) fn decode(
    bytes: &[u8],
    check: impl FnOnce(usize, usize) -> Result<(), String>,
) -> Result<Decoded, Fault> {
    // The decoder is dropped where the panic passes, so nothing half done is seen again.
    catch_unwind(AssertUnwindSafe(|| Decoder::new().decode(bytes, check))).unwrap_or_else(|panic| match panic
        .downcast::<Fatal>(
    ) {
        Ok(fatal) => Err(Fault::Libjpeg(fatal.0)),
        Err(panic) => resume_unwind(panic),
    })
}

/// An error of libjpeg on its way through it.
struct Fatal(String);

/// libjpeg's state, and the report to which it points.
struct Decoder {
    info: Box<jpeg_decompress_struct>,
    report: *mut Report,
}

impl Decoder {
    fn new() -> Self {
        // SAFETY: both are structs of integers and of pointers and functions that may be null; `jpeg_std_error` and
        // `jpeg_create_decompress` fill them, and the library writes no further than the sizes that it is told here.
        unsafe {
            let report =
                Box::into_raw(Box::new(Report { errors: std::mem::zeroed(), damage: None, cut: false }));
            jpeg_std_error(&mut (*report).errors);
            (*report).errors.error_exit = Some(error_exit);
            (*report).errors.emit_message = Some(emit_message);
            let mut decoder = Self { info: Box::new(std::mem::zeroed()), report };
            decoder.info.common.err = report.cast();
            jpeg_create_decompress(&mut *decoder.info);
            decoder
        }
    }

    fn decode(
        mut self,
        bytes: &[u8],
        check: impl FnOnce(usize, usize) -> Result<(), String>,
    ) -> Result<Decoded, Fault> {
        let info = &mut *self.info;
        let len =
            c_ulong::try_from(bytes.len()).map_err(|_| Fault::Libjpeg("the file is too large".into()))?;
        // SAFETY: `bytes` outlives the decoder, which `self` drops at the end of this function.
        unsafe {
            jpeg_mem_src(info, bytes.as_ptr(), len);
            jpeg_read_header(info, 1);
        }
        let (width, height) = (info.image_width as usize, info.image_height as usize);
        check(width, height).map_err(Fault::Refused)?;
        let (color, channels) = match info.jpeg_color_space {
            JCS_GRAYSCALE => (JCS_GRAYSCALE, 1),
            JCS_RGB | JCS_YCbCr => (JCS_RGB, 3),
            JCS_CMYK | JCS_YCCK => (JCS_CMYK, 4),
            _ => return Err(Fault::Libjpeg(format!("{} components", info.num_components))),
        };
        info.out_color_space = color;
        // SAFETY: the header was read.
        unsafe { jpeg_start_decompress(info) };
        let size = (info.output_width as usize, info.output_height as usize, info.output_components as usize);
        if size != (width, height, channels) {
            return Err(Fault::Libjpeg(format!("{size:?} for {:?}", (width, height, channels))));
        }
        let mut data = vec![0; width * height * channels];
        for row in data.chunks_exact_mut(width * channels) {
            let mut row = row.as_mut_ptr();
            // SAFETY: decompression has begun, the row is as long as libjpeg says, and there is one for each line.
            if unsafe { jpeg_read_scanlines(info, &raw mut row, 1) } != 1 {
                return Err(Fault::Libjpeg("the decoder stopped".into()));
            }
        }
        // SAFETY: all lines were read.
        unsafe { jpeg_finish_decompress(info) };
        // SAFETY: the report was made by `new` and lives as long as `self`.
        let report = unsafe { &mut *self.report };
        Ok(Decoded { width, height, channels, data, damage: report.damage.take(), cut: report.cut })
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the decoder was created by `new`, and the report was made of a box there, to which only the decoder
        // points.
        unsafe {
            jpeg_destroy_decompress(&mut self.info);
            drop(Box::from_raw(self.report));
        }
    }
}

/// Ends decoding.
extern "C-unwind" fn error_exit(info: &mut jpeg_common_struct) {
    resume_unwind(Box::new(Fatal(message(info))));
}

/// Takes note of damage. Files in which some bytes lie between the segments, or whose header names a later version, are
/// common and whole.
extern "C-unwind" fn emit_message(info: &mut jpeg_common_struct, level: c_int) {
    // Levels from 0 are for those who debug libjpeg.
    if level >= 0 {
        return;
    }
    // SAFETY: `new` put a report there.
    let report = unsafe { &mut *info.err.cast::<Report>() };
    match report.errors.msg_code {
        JWRN_JPEG_EOF => report.cut = true,
        JWRN_HIT_MARKER | JWRN_HUFF_BAD_CODE | JWRN_MUST_RESYNC | JWRN_NOT_SEQUENTIAL
            if report.damage.is_none() =>
        {
            report.damage = Some(message(info));
        }
        _ => (),
    }
}

/// The sentence for what happened.
fn message(info: &mut jpeg_common_struct) -> String {
    /// As the binding declares the function, and as it is: it writes the text.
    type Declared = unsafe extern "C-unwind" fn(&mut jpeg_common_struct, &[u8; 80]);
    type Writing = unsafe extern "C-unwind" fn(&mut jpeg_common_struct, &mut [u8; 80]);
    let mut text = [0; 80];
    // SAFETY: `new` put a report there, and `jpeg_std_error` the function, which writes a C string of at most 80 bytes.
    unsafe {
        if let Some(format) = (*info.err).format_message {
            std::mem::transmute::<Declared, Writing>(format)(info, &mut text);
        }
    }
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
