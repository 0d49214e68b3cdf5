//! `vitrum_topk`: exact search among embeddings.

use core::ffi::c_void;
use core::ptr;

use super::args::{
    CStruct, Nullable, Output, array, check_pointer, init, optional_versioned, product, versioned, zero,
};
use super::context::{cx_of, vitrum_context};
use super::error::vitrum_error;
use super::guard::guard;
use super::progress::{monitored, vitrum_progress};
use super::status::vitrum_status;
use crate::error::{Result, err};
use crate::exec::TryCollect;
use crate::kernels::topk::{Hit, Vectors, quantize_vectors};
use crate::pipelines::search::{TopK, topk};

/// Vectors to search: `count` rows of `dim` values, one after the other, in one of two forms.
#[repr(C)]
pub struct vitrum_vectors {
    /// `sizeof(vitrum_vectors)`; set by `vitrum_vectors_init`.
    pub struct_size: u32,
    /// 0. Here so that the struct has no padding.
    pub reserved: u32,
    /// `count * dim` floats; NULL where the vectors are 8-bit integers.
    pub values: Nullable<*const f32>,
    /// `count * dim` integers, as `vitrum_quantize_vectors` writes them: vector `i` is `scales[i]` times its row. NULL where
    /// `values` is set.
    pub codes: Nullable<*const i8>,
    /// `count` floats; NULL where `values` is set.
    pub scales: Nullable<*const f32>,
    /// How many vectors there are.
    pub count: usize,
    /// Features of each.
    pub dim: usize,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_vectors {
    const NAME: &'static str = "vitrum_vectors";
}

/// Fills `vectors` with zeros and its size. `struct_size` is `sizeof *vectors`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_vectors_init(
    vectors: *mut vitrum_vectors,
    struct_size: usize,
) -> vitrum_status {
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init(vectors, struct_size) }
}

/// How vectors are searched. All zeros but `struct_size` are the defaults.
#[repr(C)]
pub struct vitrum_topk_options {
    /// `sizeof(vitrum_topk_options)`; set by `vitrum_topk_options_init`.
    pub struct_size: u32,
    /// 0. Here so that the struct has no padding.
    pub reserved: u32,
    /// Called with the fraction that is done, with `progress_user`; it may stop the call, which then returns
    /// `VITRUM_E_CANCELLED`. NULL, the default, for none.
    pub progress: Nullable<vitrum_progress>,
    /// Handed to `progress`.
    pub progress_user: Nullable<*mut c_void>,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_topk_options {
    const NAME: &'static str = "vitrum_topk_options";
}

/// Fills `options` with the defaults. `struct_size` is `sizeof *options`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_topk_options_init(
    options: *mut vitrum_topk_options,
    struct_size: usize,
) -> vitrum_status {
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init(options, struct_size) }
}

/// A vector that was found. This struct will never change.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vitrum_hit {
    /// Which vector it is, counted from 0.
    pub index: u32,
    /// Its dot product with the query: of embeddings of length 1, their cosine.
    pub score: f32,
}

/// Finds, for each of `query_count` queries, the `k` of `vectors` with the largest dot product, or all if they are fewer. Every
/// vector is compared. Any thread.
///
/// `queries` are as many rows of `vectors.dim` floats. `hits` receives, query after query, the best vector first, and of equal
/// scores the one with the smaller index. `capacity` is the room there, in hits. `needed`, if not NULL, receives the number of
/// hits, which is `query_count` times the smaller of `k` and `vectors.count`, also when `capacity` is too small; with `hits`
/// NULL and `capacity` 0 that is all that happens. `options` may be NULL for the defaults.
///
/// The number of threads does not change a bit; whether there are more than eight queries changes the last bits of scores.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for no queries, a `k` of 0, a `dim` of 0, or vectors in none or both of the forms;
/// `VITRUM_E_LIMIT` for more than 65,536 features or 2^32 - 2 vectors, or more scratch memory than the context's limits allow;
/// `VITRUM_E_NON_FINITE` for a query or a score that is NaN or infinite, with its index in the message, unless the context's
/// limits let them through: NaN is then worse than all numbers; `VITRUM_E_BUFFER_TOO_SMALL`, `VITRUM_E_OUT_OF_MEMORY`,
/// `VITRUM_E_CANCELLED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_topk(
    context: *const vitrum_context,
    queries: *const f32,
    query_count: usize,
    vectors: *const vitrum_vectors,
    k: usize,
    options: Nullable<*const vitrum_topk_options>,
    hits: Nullable<*mut vitrum_hit>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let cx = cx_of(context)?;
            let output = Output::new(hits, capacity, needed, "hits")?;
            let vectors = versioned(vectors, "vectors")?;
            let vectors = vectors_of(&vectors)?;
            let queries = array(queries, product(query_count, vectors.dim())?, "queries")?;
            let options = optional_versioned(options, "options")?;
            options.as_ref().map_or(Ok(()), |options| zero(options.reserved, "options: reserved"))?;
            let (progress, user) =
                options.map_or((None, ptr::null_mut()), |it| (it.progress, it.progress_user));
            if k == 0 {
                return Err(err!(InvalidArgument, "k is 0: no results are asked for"));
            }
            if output.wants(product(query_count, k.min(vectors.len()))?)? {
                let mut found = TopK::default();
                monitored(progress, user, |monitor| topk(&cx, queries, &vectors, k, &mut found, monitor))?;
                let hit = |hit: &Hit| vitrum_hit { index: hit.index as u32, score: hit.score };
                output.write(&found.all().iter().map(hit).try_to_vec()?);
            }
            Ok(())
        })
    }
}

/// The vectors that a caller's struct means.
///
/// # Safety
/// Its pointers must be NULL or lead to what its counts say, for `'a`.
unsafe fn vectors_of<'a>(vectors: &vitrum_vectors) -> Result<Vectors<'a>> {
    let &vitrum_vectors { reserved, values, codes, scales, count, dim, .. } = vectors;
    zero(reserved, "vectors: reserved")?;
    let len = product(count, dim)?;
    // An empty array may be NULL, and then says nothing of the form.
    if len == 0 {
        return Vectors::f32(&[], dim);
    }
    match (values.is_null(), codes.is_null() && scales.is_null()) {
        // SAFETY: the caller's promise.
        (false, true) => Vectors::f32(unsafe { array(values, len, "vectors: values")? }, dim),
        (true, false) => {
            // SAFETY: as above.
            let (codes, scales) =
                unsafe { (array(codes, len, "vectors: codes")?, array(scales, count, "vectors: scales")?) };
            Vectors::int8(codes, scales, dim)
        }
        _ => Err(err!(InvalidArgument, "vectors: either values, or codes and scales")),
    }
}

/// Rounds `count` vectors of `dim` floats to 8-bit integers: a quarter of the memory, and of the time of a search that memory
/// bounds. `scales[i]` becomes the largest magnitude of vector `i`, divided by 127, and its row of `codes` the values divided by
/// that, rounded, ties to even; of a vector of zeros all are 0. Any thread.
///
/// `codes` receives `count * dim` integers, `scales` `count` floats.
///
/// Errors: `VITRUM_E_NULL_POINTER`; `VITRUM_E_INVALID_ARGUMENT` if `count` or `dim` is 0; `VITRUM_E_LIMIT` as for
/// `vitrum_topk`; `VITRUM_E_NON_FINITE` for a value that is NaN or infinite, with the vector's index in the message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_quantize_vectors(
    values: *const f32,
    count: usize,
    dim: usize,
    codes: *mut i8,
    scales: *mut f32,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let len = product(count, dim)?;
            let values = array(values, len, "values")?;
            check_pointer(codes, "codes")?;
            check_pointer(scales, "scales")?;
            // It fails before it writes.
            let mut room = 0;
            let codes = Output::new(codes, len, &raw mut room, "codes")?;
            let scales = Output::new(scales, count, &raw mut room, "scales")?;
            codes.fill(len, |codes| scales.fill(count, |scales| quantize_vectors(values, dim, codes, scales)))
        })
    }
}
