//! Checked access to what C passes: pointers, arrays, strings, versioned structs and output buffers.
//!
//! NULL, misaligned and overlong arguments become errors that name the parameter. That a pointer leads to as much
//! memory as the caller says cannot be checked: it is the contract of every exported function.

use alloc::vec::Vec;
use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;
use core::{ptr, slice};

use bytemuck::AnyBitPattern;

use super::status::{VITRUM_OK, status_of, vitrum_status};
use crate::error::{Error, Result, err};
use crate::exec::TryCollect;

/// A struct that the caller fills and whose size tells its version: later versions only add fields at its end.
///
/// # Safety
/// The type must be `repr(C)`, its first field `struct_size: u32`, and all-zero bytes a value of it; so must be a copy of
/// its bytes.
pub(super) unsafe trait CStruct: Sized {
    /// The C name.
    const NAME: &'static str;

    /// Sizes of earlier versions. What they lack is 0.
    const EARLIER: &'static [usize] = &[];
}

/// # Errors
/// `StructSize` unless `size` is that of `T` or of an earlier version.
pub(super) fn check_struct_size<T: CStruct>(size: usize) -> Result<()> {
    let known = size_of::<T>();
    if size != known && !T::EARLIER.contains(&size) {
        return Err(err!(
            StructSize,
            "struct_size of {} is {size}, this library knows {known}: fill it by the struct's init function",
            T::NAME
        ));
    }
    Ok(())
}

/// Marks a parameter or a field that may be NULL, for a reader and for the header, which xtask writes. Any other
/// pointer must lead somewhere; whether it is NULL is checked all the same.
pub(super) type Nullable<P> = P;

/// The body of an `…_init` function whose defaults are zeros.
///
/// # Safety
/// `value` must be NULL or valid for writes of `struct_size` bytes.
pub(super) unsafe fn init<T: CStruct>(value: *mut T, struct_size: usize) -> vitrum_status {
    // SAFETY: zeros are a value of `T`; the caller's promise.
    unsafe { init_with(value, struct_size, &MaybeUninit::zeroed().assume_init()) }
}

/// The body of an `…_init` function: the defaults, as many bytes as the caller's version of the struct has, and the
/// size.
///
/// # Safety
/// As [`init`].
pub(super) unsafe fn init_with<T: CStruct>(value: *mut T, struct_size: usize, defaults: &T) -> vitrum_status {
    let checked = check_pointer(value, T::NAME).and_then(|()| check_struct_size::<T>(struct_size));
    match checked {
        // SAFETY: the caller's memory has this size, which is that of a version of `T`.
        Ok(()) => unsafe {
            write_version(value, struct_size, defaults);
            VITRUM_OK
        },
        Err(error) => status_of(error.code()),
    }
}

/// Writes the first `size` bytes of `value`, and `size` as its `struct_size`.
///
/// # Safety
/// `size` must be that of a version of `T`, and `to` valid for writes of so many bytes.
unsafe fn write_version<T: CStruct>(to: *mut T, size: usize, value: &T) {
    // SAFETY: a version of `T` is at most as large as `T`, and begins with a `u32`; the caller's promise.
    unsafe {
        ptr::copy_nonoverlapping(ptr::from_ref(value).cast::<u8>(), to.cast::<u8>(), size);
        to.cast::<u32>().write(size as u32);
    }
}

pub(super) fn check_pointer<T>(pointer: *const T, name: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(err!(NullPointer, "{name} is NULL"));
    }
    if !pointer.is_aligned() {
        return Err(err!(InvalidArgument, "{name} is not aligned to {} bytes", align_of::<T>()));
    }
    Ok(())
}

/// The place where a new handle goes.
///
/// # Safety
/// `pointer` must be NULL or valid for writes.
pub(super) unsafe fn place<T>(pointer: *mut T, name: &str) -> Result<Place<T>> {
    check_pointer(pointer, name)?;
    Ok(Place(pointer))
}

/// Writes `text` and a NUL behind it to `output`, or announces how many bytes that are.
///
/// # Errors
/// `BufferTooSmall`.
pub(super) fn write_text(text: &str, output: Output<c_char>) -> Result<()> {
    // A NUL would end the text early; no warning has one.
    let bytes: Vec<c_char> =
        text.bytes().filter(|&byte| byte != 0).chain([0]).map(|byte| byte as c_char).try_to_vec()?;
    if output.wants(bytes.len())? {
        output.write(&bytes);
    }
    Ok(())
}

/// A checked place for one result, written once and only on success.
pub(super) struct Place<T>(*mut T);

impl<T> Place<T> {
    pub(super) fn write(self, value: T) {
        // SAFETY: `place` checked the pointer, and its caller promised that it may be written.
        unsafe { self.0.write(value) }
    }
}

/// A copy of a versioned struct; its size is checked before anything else of it is read.
///
/// # Safety
/// `pointer` must be NULL or lead to a struct that begins with its `struct_size`.
pub(super) unsafe fn versioned<T: CStruct>(pointer: *const T, name: &str) -> Result<T> {
    check_pointer(pointer, name)?;
    // SAFETY: the struct begins with its size; once that is right, so many bytes are there.
    unsafe {
        let size = pointer.cast::<u32>().read() as usize;
        check_struct_size::<T>(size).map_err(|error| error.within(name))?;
        let mut value = MaybeUninit::<T>::zeroed();
        pointer.cast::<u8>().copy_to_nonoverlapping(value.as_mut_ptr().cast(), size);
        Ok(value.assume_init())
    }
}

/// The same of options that may be left out: `None` for NULL.
///
/// # Safety
/// As [`versioned`].
pub(super) unsafe fn optional_versioned<T: CStruct>(
    pointer: Nullable<*const T>,
    name: &str,
) -> Result<Option<T>> {
    // SAFETY: the caller's promise.
    optional(pointer, || unsafe { versioned(pointer, name) })
}

/// A checked place for a result in a versioned struct, written once and only on success.
pub(super) struct VersionedPlace<T> {
    pointer: *mut T,
    size: usize,
}

/// The versioned struct that receives a result.
///
/// # Safety
/// `pointer` must be NULL or lead to a struct that begins with its `struct_size`, valid for writes and used by nobody
/// else meanwhile.
pub(super) unsafe fn versioned_place<T: CStruct>(pointer: *mut T, name: &str) -> Result<VersionedPlace<T>> {
    check_pointer(pointer, name)?;
    // SAFETY: the caller's struct begins with its size.
    let size = unsafe { pointer.cast::<u32>().read() } as usize;
    check_struct_size::<T>(size).map_err(|error| error.within(name))?;
    Ok(VersionedPlace { pointer, size })
}

impl<T: CStruct> VersionedPlace<T> {
    /// Writes the fields that the caller's version of the struct has; the caller's `struct_size` stays.
    pub(super) fn write(self, value: &T) {
        // SAFETY: `versioned_place` checked the size, and its caller promised that so many bytes may be written.
        unsafe { write_version(self.pointer, self.size, value) }
    }
}

/// Copies of the `count` versioned structs of an array, which may not be empty.
///
/// # Safety
/// `pointer` must be NULL or lead to structs that begin with their `struct_size`.
pub(super) unsafe fn versioned_array<T: CStruct>(
    pointer: *const T,
    count: usize,
    name: &str,
) -> Result<Vec<T>> {
    if count == 0 {
        return Err(err!(InvalidArgument, "{name}: none given"));
    }
    // The size of the first struct tells that the second is where we look for it.
    let first = &alloc::format!("{name}[0]");
    // SAFETY: the caller's promise; `versioned` has seen the pointer and the size.
    let size = unsafe {
        versioned(pointer, first)?;
        pointer.cast::<u32>().read() as usize
    };
    check_count(count, size, name)?;
    let read = |i: usize| {
        let name = &alloc::format!("{name}[{i}]");
        // SAFETY: a struct of the array, all of which have the size of the first.
        unsafe {
            let pointer = pointer.byte_add(i * size);
            let own = pointer.cast::<u32>().read() as usize;
            if own != size {
                return Err(err!(StructSize, "struct_size of {name} is {own}, but {size} of the first"));
            }
            versioned(pointer, name)
        }
    };
    (0..count).map(read).try_values()
}

/// An array of `count` values, which may not be empty.
///
/// # Safety
/// `pointer` must be NULL or valid for reads of `count` values for `'a`.
pub(super) unsafe fn array<'a, T>(pointer: *const T, count: usize, name: &str) -> Result<&'a [T]> {
    if count == 0 {
        return Err(err!(InvalidArgument, "{name}: none given"));
    }
    check_pointer(pointer, name)?;
    check_count(count, size_of::<T>(), name)?;
    // SAFETY: not NULL, aligned and not larger than an allocation can be; the caller promises the rest.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// Whether memory can hold `count` values of `size` bytes.
fn check_count(count: usize, size: usize, name: &str) -> Result<()> {
    match count.checked_mul(size).filter(|&bytes| isize::try_from(bytes).is_ok()) {
        Some(_) => Ok(()),
        None => Err(err!(Limit, "{name}: {count} are more than memory can hold")),
    }
}

/// A NUL-terminated UTF-8 string.
///
/// # Safety
/// `pointer` must be NULL or lead to a NUL-terminated string valid for `'a`.
pub(super) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    check_pointer(pointer, name)?;
    // SAFETY: not NULL; the caller promises the NUL.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|error| err!(Utf8, "{name} is not UTF-8 from byte {}", error.valid_up_to()))
}

/// An array of `count` NUL-terminated UTF-8 strings.
///
/// # Safety
/// `pointer` must be NULL or lead to `count` pointers, each NULL or a string, all valid for `'a`.
pub(super) unsafe fn texts<'a>(
    pointer: *const *const c_char,
    count: usize,
    name: &str,
) -> Result<Vec<&'a str>> {
    // SAFETY: the caller's promise.
    let pointers = unsafe { array(pointer, count, name)? };
    let item = |(i, &pointer): (usize, &*const c_char)| {
        // SAFETY: the caller's promise.
        unsafe { text(pointer, &alloc::format!("{name}[{i}]")) }
    };
    pointers.iter().enumerate().map(item).try_values()
}

/// A truth value: 0 or 1.
pub(super) fn flag(value: u32, name: &str) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(err!(InvalidArgument, "{name} is {value}, expected 0 or 1")),
    }
}

/// A field without meaning.
pub(super) fn zero(value: u32, name: &str) -> Result<()> {
    if value != 0 {
        return Err(err!(InvalidArgument, "{name} is {value}, expected 0"));
    }
    Ok(())
}

/// The product of two sizes of a result.
pub(super) fn product(a: usize, b: usize) -> Result<usize> {
    a.checked_mul(b).ok_or_else(|| err!(Limit, "a result of {a} times {b} values"))
}

/// A caller's buffer for results: `capacity` values at `data`, and a place for the number that is needed.
pub(super) struct Output<T> {
    data: *mut T,
    capacity: usize,
    needed: *mut usize,
}

impl<T: Copy> Output<T> {
    /// # Errors
    /// `NullPointer` if there is no buffer although `capacity` is not 0, or no way to answer at all;
    /// `InvalidArgument` for misaligned pointers.
    ///
    /// # Safety
    /// `data` must be NULL or valid for writes of `capacity` values, `needed` NULL or valid for a write.
    pub(super) unsafe fn new(data: *mut T, capacity: usize, needed: *mut usize, name: &str) -> Result<Self> {
        if !data.is_null() || capacity != 0 {
            check_pointer(data, name)?;
        }
        if !needed.is_null() || data.is_null() {
            check_pointer(needed, "needed")?;
        }
        Ok(Self { data, capacity, needed })
    }

    /// Announces that `len` values are coming and says whether the caller wants them, or only their number.
    ///
    /// # Errors
    /// `BufferTooSmall`.
    pub(super) fn wants(&self, len: usize) -> Result<bool> {
        if !self.needed.is_null() {
            // SAFETY: checked in `new`, whose caller promised that it may be written.
            unsafe { self.needed.write(len) };
        }
        if self.data.is_null() {
            return Ok(false);
        }
        if self.capacity < len {
            return Err(err!(BufferTooSmall, "room for {} values, {len} needed", self.capacity));
        }
        Ok(true)
    }

    /// Announces `len` values and, if the caller wants them, has them computed in the caller's buffer.
    ///
    /// For large results, and only if `compute` cannot fail half way: what a failed call returns is untouched.
    ///
    /// # Errors
    /// `BufferTooSmall`, or what `compute` returns.
    pub(super) fn fill(self, len: usize, compute: impl FnOnce(&mut [T]) -> Result<()>) -> Result<()>
    where
        T: AnyBitPattern,
    {
        if !self.wants(len)? {
            return Ok(());
        }
        // SAFETY: `wants` checked the length; `new`'s caller promised that the values may be written, and whatever
        // bytes lie there are values.
        compute(unsafe { slice::from_raw_parts_mut(self.data, len) })
    }

    /// Copies the result, as announced, to the caller.
    pub(super) fn write(self, values: &[T]) {
        assert!(values.len() <= self.capacity);
        // SAFETY: `new`'s caller promised `capacity` writable values. Not `copy_nonoverlapping`, for `values` may
        // be a buffer of the caller's too.
        unsafe { ptr::copy(values.as_ptr(), self.data, values.len()) }
    }
}

/// An optional pointer: `None` for NULL.
pub(super) fn optional<T, R>(
    pointer: *const T,
    read: impl FnOnce() -> Result<R, Error>,
) -> Result<Option<R>> {
    if pointer.is_null() { Ok(None) } else { read().map(Some) }
}

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::*;
    use crate::ffi::status::VITRUM_E_STRUCT_SIZE;

    /// A struct that had one field less.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Grown {
        struct_size: u32,
        old: u32,
        new: u32,
    }

    // SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
    unsafe impl CStruct for Grown {
        const NAME: &'static str = "grown";
        const EARLIER: &'static [usize] = &[offset_of!(Grown, new)];
    }

    #[test]
    fn programs_of_an_earlier_version_keep_what_lies_behind_their_struct() {
        let defaults = Grown { struct_size: 0, old: 1, new: 2 };
        for (size, behind) in [(8, 77), (12, 2)] {
            let mut it = Grown { struct_size: 0, old: 0, new: 77 };
            // SAFETY: a whole struct, of which `size` bytes are used.
            let (init, read) =
                unsafe { (init_with(&mut it, size, &defaults), versioned(&raw const it, "it")) };
            assert_eq!((init, it), (VITRUM_OK, Grown { struct_size: size as u32, old: 1, new: behind }));
            assert_eq!(
                read.unwrap().new,
                if size == 8 { 0 } else { 2 },
                "what an earlier version lacks is 0"
            );

            it.new = 77;
            // SAFETY: as above.
            let place = unsafe { versioned_place(&raw mut it, "it") }.unwrap();
            place.write(&Grown { struct_size: 99, old: 5, new: 2 });
            assert_eq!(it, Grown { struct_size: size as u32, old: 5, new: behind });
        }
        let mut it = defaults;
        // SAFETY: as above.
        assert_eq!(unsafe { init(&mut it, 10) }, VITRUM_E_STRUCT_SIZE);
        // SAFETY: as above.
        assert!(unsafe { versioned_place(&raw mut it, "it") }.is_err());
        assert_eq!(it, defaults);
    }
}
