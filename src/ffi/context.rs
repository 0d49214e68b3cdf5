//! `vitrum_context`: threads and instruction set.

use alloc::sync::Arc;
use core::ffi::c_void;
use core::mem::offset_of;

use super::args::{CStruct, Nullable, flag, init, optional_versioned, place, zero};
use super::error::vitrum_error;
use super::guard::{guard, guard_value};
use super::handle::{self, Handle, Shared, free, peek, shared};
use super::limits::{limits_of, vitrum_limits};
use super::runner::{HostRunner, MAX_THREADS, vitrum_parallel_for};
use super::status::vitrum_status;
use crate::error::{Result, err};
use crate::exec::{Cx, CxOptions, Limits};
use crate::simd::{AmxState, Level};

/// An instruction set: one of `VITRUM_ISA_*`.
pub type vitrum_isa = i32;

/// The best that this CPU has.
pub const VITRUM_ISA_BEST: vitrum_isa = 0;
/// The baseline of the target that the library was compiled for.
pub const VITRUM_ISA_PORTABLE: vitrum_isa = 1;
/// x86-64: AVX2 with FMA and F16C.
pub const VITRUM_ISA_AVX2: vitrum_isa = 2;
/// x86-64: AVX-512 F, VL, BW and DQ.
pub const VITRUM_ISA_AVX512: vitrum_isa = 3;
/// AArch64: Advanced SIMD.
pub const VITRUM_ISA_NEON: vitrum_isa = 4;
/// WebAssembly: 128-bit SIMD.
pub const VITRUM_ISA_SIMD128: vitrum_isa = 5;

/// The instruction sets that have a name of their own.
const LEVELS: [(vitrum_isa, &str); 5] = [
    (VITRUM_ISA_PORTABLE, "portable"),
    (VITRUM_ISA_AVX2, "avx2"),
    (VITRUM_ISA_AVX512, "avx512"),
    (VITRUM_ISA_NEON, "neon"),
    (VITRUM_ISA_SIMD128, "simd128"),
];

/// Threads, an instruction set and scratch memory that is kept for reuse. Opaque.
///
/// Models keep what they need of their context alive: it may be freed before them. Several threads may use one
/// context and its models at the same time. Nothing is shared between contexts. A process that is forked has none of the
/// threads: there, calls run on the calling thread alone.
pub struct vitrum_context {
    _opaque: (),
}

impl Handle for vitrum_context {
    const NAME: &'static str = "vitrum_context";
    type Value = Cx;
}

/// How to make a context. All zeros but `struct_size` are the defaults.
#[repr(C)]
pub struct vitrum_context_options {
    /// `sizeof(vitrum_context_options)`; set by `vitrum_context_options_init`.
    pub struct_size: u32,
    /// Threads that work on one call, at most 1024; 1 is the calling thread alone. 0: one for each core that this
    /// process may use, or 1 in a library without threads. Must not be 0 with `parallel_for`.
    pub threads: u32,
    /// The instruction set.
    pub isa: vitrum_isa,
    /// The host's threads, or NULL for threads that the context starts, owns and joins.
    pub parallel_for: Nullable<vitrum_parallel_for>,
    /// Handed to `parallel_for`. Must stay valid as long as the context and every model made with it.
    pub parallel_for_user: Nullable<*mut c_void>,
    /// 0, the default: AMX is not used. 1: weights in bf16 and int8 are multiplied with AMX where the CPU has it. On Linux
    /// that takes a request for the whole process, after which `sigaltstack` refuses stacks that are too small for the state
    /// of AMX; so it is the application's choice. `vitrum_context_amx` tells what became of it.
    pub amx: u32,
    /// 0. Here so that the struct does not end in padding.
    pub reserved: u32,
    /// What the context, and what is made with it, may be asked for; NULL for the defaults. Only read during the call.
    pub limits: Nullable<*const vitrum_limits>,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_context_options {
    const NAME: &'static str = "vitrum_context_options";
    const EARLIER: &'static [usize] =
        &[offset_of!(vitrum_context_options, amx), offset_of!(vitrum_context_options, limits)];
}

/// Fills `options` with the defaults. `struct_size` is `sizeof *options`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_context_options_init(
    options: *mut vitrum_context_options,
    struct_size: usize,
) -> vitrum_status {
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init(options, struct_size) }
}

/// Makes a context and writes it to `context`; the caller frees it with `vitrum_context_free`. Any thread.
///
/// `options` may be NULL for the defaults; it is only read during the call.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for too many threads, or an unknown instruction set; `VITRUM_E_STRUCT_SIZE`;
/// `VITRUM_E_UNSUPPORTED` for an instruction set that this CPU lacks, or several threads without `parallel_for`
/// in a library without threads; `VITRUM_E_OUT_OF_MEMORY` if the system refuses the threads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_context_new(
    options: Nullable<*const vitrum_context_options>,
    context: *mut *mut vitrum_context,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let context = place(context, "context")?;
            let cx = match optional_versioned(options, "options")? {
                Some(options) => new_cx(&options)?,
                None => Cx::new(&CxOptions::default())?,
            };
            context.write(handle::new(cx)?);
            Ok(())
        })
    }
}

/// Frees `context`, which may be NULL. Its threads end with the last model made with it. It must not be used, nor
/// freed again, afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_context_free(context: Nullable<*mut vitrum_context>) {
    if !context.is_null() {
        // SAFETY: the caller owns the handle, which `vitrum_context_new` made, and gives it up.
        guard_value((), || unsafe { free(context) });
    }
}

/// How many threads work on one call; 0 if `context` is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_context_threads(context: Nullable<*const vitrum_context>) -> u32 {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(context) }.map_or(0, |context| context.threads() as u32))
}

/// The instruction set in use, never `VITRUM_ISA_BEST`; 0 if `context` is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_context_isa(context: Nullable<*const vitrum_context>) -> vitrum_isa {
    guard_value(0, || {
        // SAFETY: the caller passes NULL or a handle.
        let name = unsafe { peek(context) }.map(|context| context.level().name());
        LEVELS.iter().find(|(_, level)| Some(*level) == name).map_or(0, |(isa, _)| *isa)
    })
}

/// Whether a context uses AMX: one of `VITRUM_AMX_*`.
pub type vitrum_amx = i32;

/// It was not asked for.
pub const VITRUM_AMX_NOT_ASKED: vitrum_amx = 0;
/// The CPU or the operating system has none.
pub const VITRUM_AMX_ABSENT: vitrum_amx = 1;
/// The operating system does not permit it: for instance because an alternate signal stack is too small.
pub const VITRUM_AMX_REFUSED: vitrum_amx = 2;
/// It is used, for weights in bf16 and int8.
pub const VITRUM_AMX_USED: vitrum_amx = 3;

/// Whether the context uses AMX; `VITRUM_AMX_NOT_ASKED` if `context` is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_context_amx(context: Nullable<*const vitrum_context>) -> vitrum_amx {
    guard_value(VITRUM_AMX_NOT_ASKED, || {
        // SAFETY: the caller passes NULL or a handle.
        match unsafe { peek(context) }.map_or(AmxState::NotAsked, |context| context.amx()) {
            AmxState::NotAsked => VITRUM_AMX_NOT_ASKED,
            AmxState::Absent => VITRUM_AMX_ABSENT,
            AmxState::Refused => VITRUM_AMX_REFUSED,
            AmxState::Used => VITRUM_AMX_USED,
        }
    })
}

/// Frees the scratch memory that is kept for reuse, for instance when an application is short of memory. What exceeds
/// `idle_scratch_bytes` of `vitrum_limits` is freed without this call.
/// `context` may be NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_context_trim(context: Nullable<*const vitrum_context>) {
    // SAFETY: the caller passes NULL or a handle.
    if let Some(context) = unsafe { peek(context) } {
        guard_value((), || context.trim());
    }
}

/// The context behind a handle.
///
/// # Safety
/// `context` must be NULL or a handle that is valid for `'a`.
pub(super) unsafe fn cx_of<'a>(context: *const vitrum_context) -> Result<Shared<'a, vitrum_context>> {
    // SAFETY: the caller's promise.
    unsafe { shared(context, "context") }
}

/// # Safety
/// The options' limits must be NULL or lead to a struct that begins with its `struct_size`.
unsafe fn new_cx(options: &vitrum_context_options) -> Result<Cx> {
    let level = level_of(options.isa)?;
    let threads = options.threads as usize;
    let amx = flag(options.amx, "amx")?;
    zero(options.reserved, "reserved")?;
    // SAFETY: the caller's promise.
    let limits = unsafe { optional_versioned(options.limits, "limits")? };
    let limits = limits.map_or(Ok(Limits::default()), |limits| limits_of(&limits))?;
    let Some(parallel_for) = options.parallel_for else {
        let options = CxOptions::default().with_threads(threads).with_level(level).with_amx(amx);
        return Cx::new(&options.with_limits(limits));
    };
    if !(1..=MAX_THREADS).contains(&threads) {
        return Err(err!(
            InvalidArgument,
            "threads is {threads}; with parallel_for, say how many run at the same time (1 to {MAX_THREADS})"
        ));
    }
    let runner = HostRunner::new(parallel_for, options.parallel_for_user, threads);
    let cx = Cx::with_runner(level.unwrap_or_else(Level::detect), Arc::new(runner)).with_limits(limits);
    Ok(if amx { cx.with_amx() } else { cx })
}

fn level_of(isa: vitrum_isa) -> Result<Option<Level>> {
    if isa == VITRUM_ISA_BEST {
        return Ok(None);
    }
    let (_, name) = LEVELS
        .iter()
        .find(|(known, _)| *known == isa)
        .ok_or_else(|| err!(InvalidArgument, "isa: {isa} is not a VITRUM_ISA_* value"))?;
    let level =
        Level::from_name(name).ok_or_else(|| err!(Unsupported, "isa: this CPU or build has no {name}"))?;
    Ok(Some(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_has_its_number() {
        for level in Level::available() {
            let (isa, _) = LEVELS.iter().find(|(_, name)| *name == level.name()).unwrap();
            assert_eq!(level_of(*isa).unwrap().map(Level::name), Some(level.name()));
        }
        assert!(level_of(VITRUM_ISA_BEST).unwrap().is_none());
    }
}
