//! Contexts and models: those that stay, and new ones.

use std::backtrace::Backtrace;
use std::ffi::{CStr, CString, c_void};
use std::panic;
use std::ptr;
use std::sync::{LazyLock, OnceLock};
use std::thread;

use vitrum::ffi::clip::{
    vitrum_clip, vitrum_clip_embed_dim, vitrum_clip_encode_text, vitrum_clip_load, vitrum_clip_load_memory,
    vitrum_clip_options, vitrum_clip_options_init,
};
use vitrum::ffi::context::{
    vitrum_context, vitrum_context_amx, vitrum_context_isa, vitrum_context_new, vitrum_context_options,
    vitrum_context_options_init, vitrum_context_threads, vitrum_context_trim,
};
use vitrum::ffi::file::vitrum_file;
use vitrum::ffi::runner::vitrum_work;
use vitrum::ffi::sam::{
    vitrum_sam, vitrum_sam_encode, vitrum_sam_load, vitrum_sam_load_memory, vitrum_sam_options,
    vitrum_sam_options_init,
};
use vitrum::ffi::sam_embedding::{vitrum_sam_embedding_free, vitrum_sam_embedding_values};
use vitrum::ffi::status::{VITRUM_OK, vitrum_status};

use super::arguments::{Picture, prepared};
use super::world::Kind;
use super::{Calls, call};
use crate::models::{CLIP, Files, SAM, SAM2};
use crate::source::Source;

/// A host's way to run `count` pieces of `work`.
type ParallelFor = unsafe extern "C" fn(*mut c_void, usize, *mut c_void, vitrum_work);

/// One after the other, backwards.
unsafe extern "C" fn serial(_: *mut c_void, count: usize, data: *mut c_void, work: vitrum_work) {
    let work = work.expect("work");
    // SAFETY: `data` belongs to `work`.
    (0..count).rev().for_each(|index| unsafe { work(data, index) });
}

/// Each on a thread of its own.
unsafe extern "C" fn threaded(_: *mut c_void, count: usize, data: *mut c_void, work: vitrum_work) {
    let (work, data) = (work.expect("work"), data as usize);
    thread::scope(|scope| {
        for index in 0..count {
            // SAFETY: `data` belongs to `work`, which may run on any thread.
            scope.spawn(move || unsafe { work(data as *mut c_void, index) });
        }
    });
}

/// The first one twice, the last one not at all: the library must do what is left.
unsafe extern "C" fn careless(_: *mut c_void, count: usize, data: *mut c_void, work: vitrum_work) {
    let work = work.expect("work");
    // SAFETY: `data` belongs to `work`.
    (0..count.max(1) - 1).chain([0]).for_each(|index| unsafe { work(data, index) });
}

/// A model's files as C has them.
struct CFiles {
    files: Vec<vitrum_file>,
    _names: Vec<CString>,
}

impl CFiles {
    fn new(model: &Files) -> Self {
        let all = [("model.safetensors", model.weights)].into_iter().chain(model.sides.iter().copied());
        let (mut files, mut names) = (Vec::new(), Vec::new());
        for (name, contents) in all {
            names.push(CString::new(name).expect("a name"));
            let name = names[names.len() - 1].as_ptr();
            files.push(vitrum_file { name, data: contents.as_ptr(), size: contents.len() });
        }
        Self { files, _names: names }
    }
}

fn new_context(threads: u32, parallel_for: Option<ParallelFor>) -> *mut vitrum_context {
    let mut options: vitrum_context_options = prepared(vitrum_context_options_init);
    (options.threads, options.parallel_for) = (threads, parallel_for);
    let mut context = ptr::null_mut();
    // SAFETY: prepared options and a place for the handle.
    let status = unsafe { vitrum_context_new(&raw const options, &raw mut context, ptr::null_mut()) };
    assert_eq!(status, VITRUM_OK);
    context
}

fn load_clip(context: *mut vitrum_context) -> *mut vitrum_clip {
    let (files, mut clip) = (CFiles::new(&CLIP), ptr::null_mut());
    let (data, count) = (files.files.as_ptr(), files.files.len());
    // SAFETY: files in memory and a place for the handle.
    let status =
        unsafe { vitrum_clip_load_memory(context, data, count, ptr::null(), &raw mut clip, ptr::null_mut()) };
    assert_eq!(status, VITRUM_OK);
    clip
}

fn load_sam(context: *mut vitrum_context, model: &Files) -> *mut vitrum_sam {
    let mut options: vitrum_sam_options = prepared(vitrum_sam_options_init);
    options.image_size = model.input.unwrap_or(0) as u32;
    let (files, mut sam) = (CFiles::new(model), ptr::null_mut());
    let (data, count) = (files.files.as_ptr(), files.files.len());
    // SAFETY: files in memory, prepared options and a place for the handle.
    let status = unsafe {
        vitrum_sam_load_memory(context, data, count, &raw const options, &raw mut sam, ptr::null_mut())
    };
    assert_eq!(status, VITRUM_OK);
    sam
}

/// Handles that live as long as the process.
struct Fixed([Vec<*mut c_void>; 6]);

// SAFETY: handles may be used by any thread.
unsafe impl Send for Fixed {}
// SAFETY: as above.
unsafe impl Sync for Fixed {}

/// Contexts of each kind, a CLIP, a SAM and a SAM 2 with threads and without.
pub(super) fn fixed() -> &'static [Vec<*mut c_void>; 6] {
    static FIXED: LazyLock<Fixed> = LazyLock::new(|| {
        let (serial_one, pooled, hosts) =
            (new_context(1, None), new_context(2, None), new_context(3, Some(serial)));
        let mut handles: [Vec<*mut c_void>; 6] = Default::default();
        handles[Kind::Context as usize] = vec![serial_one.cast(), pooled.cast(), hosts.cast()];
        handles[Kind::Clip as usize] = vec![load_clip(serial_one).cast()];
        let sams = [load_sam(hosts, &SAM), load_sam(serial_one, &SAM2), load_sam(pooled, &SAM2)];
        handles[Kind::Sam as usize] = sams.map(|sam| sam.cast()).to_vec();
        // The library keeps panics of its calls off standard error, and so what callbacks find, too. All of them are findings.
        panic::set_hook(Box::new(|info| eprintln!("{info}\n{}", Backtrace::force_capture())));
        Fixed(handles)
    });
    &FIXED.0
}

/// Panics unless the models that stay compute what they did at first.
pub(super) fn check(source: &mut Source<'_>) {
    static EXPECTED: [OnceLock<Vec<u32>>; 4] = [const { OnceLock::new() }; 4];
    let fixed = fixed();
    let which = source.below(EXPECTED.len());
    let values = match which {
        0 => text_embedding(fixed[Kind::Clip as usize][0].cast()),
        i => picture_embedding(fixed[Kind::Sam as usize][i - 1].cast()),
    };
    let bits: Vec<u32> = values.into_iter().map(f32::to_bits).collect();
    assert!(*EXPECTED[which].get_or_init(|| bits.clone()) == bits, "model {which} computes something else");
}

fn text_embedding(clip: *mut vitrum_clip) -> Vec<f32> {
    let text = c"a photo of a cat".as_ptr();
    // SAFETY: a handle that lives, a text, and room for the embedding.
    unsafe {
        let mut values = vec![0.0; vitrum_clip_embed_dim(clip)];
        let (out, room) = (values.as_mut_ptr(), values.len());
        let (none, no_error) = (ptr::null(), ptr::null_mut());
        let status =
            vitrum_clip_encode_text(clip, &raw const text, 1, none, out, room, ptr::null_mut(), no_error);
        assert_eq!(status, VITRUM_OK);
        values
    }
}

fn picture_embedding(sam: *mut vitrum_sam) -> Vec<f32> {
    let picture = Picture::of_size([20, 30], &mut Source::new(b"the same one for everybody"));
    let (mut embedding, mut values) = (ptr::null_mut(), vec![0.0; 1 << 14]);
    // SAFETY: a handle that lives, a picture, places for the results.
    unsafe {
        let image = picture.pointer();
        let status =
            vitrum_sam_encode(sam, image, None, ptr::null_mut(), &raw mut embedding, ptr::null_mut());
        assert_eq!(status, VITRUM_OK);
        let (out, mut needed) = (values.as_mut_ptr(), 0);
        let status =
            vitrum_sam_embedding_values(embedding, out, values.len(), &raw mut needed, ptr::null_mut());
        assert_eq!(status, VITRUM_OK);
        vitrum_sam_embedding_free(embedding);
        values.truncate(needed);
        values
    }
}

const MISSING: &CStr = c"/nowhere/to/be/found";

impl Calls<'_> {
    /// A context: of threads, of the calling thread, of a host's.
    pub(super) fn new_context(&mut self) {
        let mut options: vitrum_context_options = prepared(vitrum_context_options_init);
        options.threads = match self.source.below(16) {
            15 => self.source.u32() | 1 << 11,
            choice => 1 + choice as u32 % 3,
        };
        options.isa = self.source.pick(&[0, 0, 0, 1, 2, 4, 77]);
        if self.source.one_in(3) {
            options.parallel_for =
                self.source.pick(&[Some(serial as ParallelFor), Some(threaded), Some(careless)]);
        }
        if self.source.one_in(48) {
            options.struct_size = self.source.u32();
        }
        let mut context: *mut vitrum_context = ptr::null_mut();
        let place = if self.source.one_in(32) { ptr::null_mut() } else { &raw mut context };
        let status = call!(self, vitrum_context_new, &raw const options, place);
        assert_eq!(status == VITRUM_OK, !context.is_null());
        self.world.keep(Kind::Context, context);
    }

    pub(super) fn look_at_context(&mut self) {
        let context: *mut vitrum_context = self.world.pick(Kind::Context, &mut self.source);
        // SAFETY: NULL or a handle that lives.
        unsafe {
            let (threads, isa) = (vitrum_context_threads(context), vitrum_context_isa(context));
            assert!(threads <= 1024 && (0..=5).contains(&isa));
            assert!((0..=3).contains(&vitrum_context_amx(context)));
            vitrum_context_trim(context);
        }
    }

    /// Loads a model, from memory mostly.
    pub(super) fn load_call(&mut self) {
        let context: *mut vitrum_context = self.world.pick(Kind::Context, &mut self.source);
        // Formats, and their neighbours that are none.
        let weights = self.source.pick(&[0, 0, 0, 1, 2, 3, 4, 5, 6, -1]);
        let lenient = u32::from(self.source.one_in(4)) * self.source.count(1);
        if self.source.one_in(3) {
            let mut options: vitrum_clip_options = prepared(vitrum_clip_options_init);
            (options.weights, options.lenient) = (weights, lenient);
            options.activation = self.source.pick(&[0, 0, 1, 2, 3]);
            let mut clip: *mut vitrum_clip = ptr::null_mut();
            let status = self.load(&CLIP, |calls, path, files| match path {
                Some(path) => {
                    call!(calls, vitrum_clip_load, context, path, &raw const options, &raw mut clip)
                }
                None => {
                    let (data, count) = (files.as_ptr(), files.len());
                    call!(
                        calls,
                        vitrum_clip_load_memory,
                        context,
                        data,
                        count,
                        &raw const options,
                        &raw mut clip
                    )
                }
            });
            assert_eq!(status == VITRUM_OK, !clip.is_null());
            return self.world.keep(Kind::Clip, clip);
        }
        let model = self.source.pick(&[&SAM, &SAM2]);
        let mut options: vitrum_sam_options = prepared(vitrum_sam_options_init);
        (options.weights, options.lenient) = (weights, lenient);
        options.image_size = self.source.pick(&[32, 32, 32, 64, 33, 1 << 20]);
        let mut sam: *mut vitrum_sam = ptr::null_mut();
        let status = self.load(model, |calls, path, files| match path {
            Some(path) => call!(calls, vitrum_sam_load, context, path, &raw const options, &raw mut sam),
            None => {
                let (data, count) = (files.as_ptr(), files.len());
                call!(calls, vitrum_sam_load_memory, context, data, count, &raw const options, &raw mut sam)
            }
        });
        assert_eq!(status == VITRUM_OK, !sam.is_null());
        self.world.keep(Kind::Sam, sam);
    }

    /// Chooses the files, or a path where there are none.
    fn load(
        &mut self,
        model: &Files,
        mut call: impl FnMut(&mut Self, Option<*const std::ffi::c_char>, &[vitrum_file]) -> vitrum_status,
    ) -> vitrum_status {
        let mut files = CFiles::new(model);
        match self.source.below(16) {
            12 => return call(self, Some(MISSING.as_ptr()), &[]),
            13 => files.files[0].size = self.source.below(files.files[0].size),
            14 => drop(files.files.remove(0)),
            15 => files.files[0].name = if self.source.one_in(2) { ptr::null() } else { MISSING.as_ptr() },
            _ => (),
        }
        call(self, None, &files.files)
    }
}
