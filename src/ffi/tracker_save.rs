//! A `vitrum_tracker` as bytes.

use alloc::sync::Arc;

use super::args::{Nullable, Output, array, place};
use super::error::vitrum_error;
use super::guard::guard;
use super::handle::{self, shared};
use super::sam::vitrum_sam;
use super::status::vitrum_status;
use super::tracker::vitrum_tracker;
use crate::pipelines::tracker::Tracker;

/// Serialises the tracker, for a file. `vitrum_tracker_load` restores it, on any machine, and the restored tracker
/// gives the same results as this one.
///
/// `bytes` receives them. `capacity` is the room there, in bytes. `needed`, if not NULL, receives the number of bytes,
/// also when `capacity` is too small; with `bytes` NULL and `capacity` 0 that is all that happens.
///
/// Errors: `VITRUM_E_BUFFER_TOO_SMALL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_save(
    tracker: *const vitrum_tracker,
    bytes: Nullable<*mut u8>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let tracker = shared(tracker, "tracker")?;
            let output = Output::new(bytes, capacity, needed, "bytes")?;
            let saved = tracker.save()?;
            if output.wants(saved.len())? {
                output.write(&saved);
            }
            Ok(())
        })
    }
}

/// Restores a saved tracker and writes it to `tracker`; the caller frees it with `vitrum_tracker_free`. Any thread.
///
/// `data` are the `size` bytes that `vitrum_tracker_save` wrote. They need not be trusted: they carry a checksum, and
/// say which model they are from. They are only read during the call.
///
/// Errors: `VITRUM_E_FORMAT` if they are not a whole, undamaged tracker; `VITRUM_E_UNSUPPORTED` if a later version of
/// this library wrote them; `VITRUM_E_INVALID_ARGUMENT` if another model did, or one with another
/// input size; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_load(
    sam: *const vitrum_sam,
    data: *const u8,
    size: usize,
    tracker: *mut *mut vitrum_tracker,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let place = place(tracker, "tracker")?;
            let sam = shared(sam, "sam")?;
            let data = array(data, size, "data")?;
            place.write(handle::new(Tracker::restore(Arc::clone(&sam), data)?)?);
            Ok(())
        })
    }
}
