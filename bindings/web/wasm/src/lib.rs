//! Vitrum's C ABI as a WebAssembly module: what `include/vitrum.h` declares, and the functions here.
//!
//! Without an operating system the library has no memory before `vitrum_allocator_set`, which `vitrum_web_start` calls. The
//! callbacks of the C ABI are pointers to functions, which JavaScript cannot make: those here lead to the module's three
//! functions to import. Whoever uses the module without callbacks imports functions that are never called.
//!
//! The module imports its memory, too. It is compiled for threads, and so for memory that is shared; but nothing in it waits for
//! another thread where there is none, so that it runs on memory that is not shared, if its import says so.
//!
//! # Soundness
//!
//! Pointers are those of the host, whose contract is that of `malloc` and `free`, with the size told twice. No other call runs
//! while the allocator is set: the host starts threads later.
#![no_std]
#![feature(stdarch_wasm_atomic_wait)]

mod heap;
mod team;

use core::alloc::Layout;
use core::ffi::c_void;
use core::ptr;

use vitrum::ffi::allocator::vitrum_allocator_set;
use vitrum::ffi::sam_everything::vitrum_sam_record;

use self::heap::Heap;

/// Where all memory comes from: that of the library, and that of the host's arguments and results.
static HEAP: Heap = Heap::new();

#[link(wasm_import_module = "vitrum")]
unsafe extern "C" {
    /// A `vitrum_progress`.
    fn progress(user: *mut c_void, fraction: f32) -> i32;
    /// A `vitrum_sam_record_callback`.
    fn record(user: *mut c_void, record: *const vitrum_sam_record) -> i32;
    /// A `vitrum_sam_match_callback`.
    #[link_name = "match"]
    fn matched(user: *mut c_void, text: usize, probability: f32, record: *const vitrum_sam_record) -> i32;
}

unsafe extern "C" fn call_progress(user: *mut c_void, fraction: f32) -> i32 {
    // SAFETY: the import takes any values.
    unsafe { progress(user, fraction) }
}

unsafe extern "C" fn call_record(user: *mut c_void, found: *const vitrum_sam_record) -> i32 {
    // SAFETY: as above; the record is valid until the import returns.
    unsafe { record(user, found) }
}

unsafe extern "C" fn call_match(
    user: *mut c_void,
    text: usize,
    probability: f32,
    found: *const vitrum_sam_record,
) -> i32 {
    // SAFETY: as above.
    unsafe { matched(user, text, probability, found) }
}

/// The pointer for a `vitrum_progress` that calls the import `progress`.
#[unsafe(no_mangle)]
pub extern "C" fn vitrum_web_progress() -> usize {
    call_progress as *const () as usize
}

/// The pointer for a `vitrum_sam_record_callback` that calls the import `record`.
#[unsafe(no_mangle)]
pub extern "C" fn vitrum_web_record() -> usize {
    call_record as *const () as usize
}

/// The pointer for a `vitrum_sam_match_callback` that calls the import `match`.
#[unsafe(no_mangle)]
pub extern "C" fn vitrum_web_match() -> usize {
    call_match as *const () as usize
}

/// Gives the library its memory: the first call, once. Returns a `vitrum_status`.
#[unsafe(no_mangle)]
pub extern "C" fn vitrum_web_start() -> i32 {
    // SAFETY: no other call runs, and the functions keep the contract.
    unsafe { vitrum_allocator_set(Some(allocate), Some(deallocate), ptr::null_mut(), ptr::null_mut()) }
}

/// `size` bytes, not 0, at a multiple of 16, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vitrum_web_malloc(size: usize) -> *mut c_void {
    // SAFETY: a size that is not 0, a power of two.
    unsafe { allocate(ptr::null_mut(), size.max(1), 16) }
}

/// Frees what `vitrum_web_malloc` returned for `size`; `block` may be NULL.
///
/// # Safety
/// It is freed once, and `size` is what was asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_web_free(block: *mut c_void, size: usize) {
    if !block.is_null() {
        // SAFETY: the caller's promise.
        unsafe { deallocate(ptr::null_mut(), block, size.max(1), 16) }
    }
}

unsafe extern "C" fn allocate(_: *mut c_void, size: usize, alignment: usize) -> *mut c_void {
    match Layout::from_size_align(size, alignment) {
        Ok(layout) => HEAP.alloc(layout).cast(),
        Err(_) => ptr::null_mut(),
    }
}

unsafe extern "C" fn deallocate(_: *mut c_void, block: *mut c_void, size: usize, alignment: usize) {
    if let Ok(layout) = Layout::from_size_align(size, alignment) {
        // SAFETY: by the contract of `vitrum_dealloc`, `allocate` returned `block` for this size and alignment.
        unsafe { HEAP.free(block.cast(), layout) }
    }
}
