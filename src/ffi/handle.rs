//! What a handle leads to: its kind, who uses it, and the value.
//!
//! C sees pointers to opaque structs. Each points to a [`Shell`], which tells a handle of one kind from those of others and
//! from one that was freed, and counts the calls that use it: so that a wrong handle, two calls at a time of which one
//! changes the value, or a callback that changes what called it end in an error, and a handle that is freed while it is used
//! goes when the last call does.
//!
//! What no check can tell is a pointer that was never a handle, and one whose memory is gone: the tag of a freed handle is found
//! only while a call still uses it, or by luck.

use alloc::alloc::{Layout, alloc};
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};

use super::args::check_pointer;
use crate::error::{Result, err};
use crate::exec::sync::{AtomicPtr, AtomicU32, Ordering, spin_loop};

/// The struct that C knows a kind of handle by.
pub(super) trait Handle {
    /// Its name.
    const NAME: &'static str;
    /// What it stands for. Several threads may read it, and any may free it.
    type Value: Send + Sync;
}

/// Kinds, for messages. Their tags tell them apart in memory.
const KINDS: [&str; 6] = [
    "vitrum_context",
    "vitrum_clip",
    "vitrum_sam",
    "vitrum_sam_embedding",
    "vitrum_sam_prediction",
    "vitrum_tracker",
];

/// FNV-1a of the kind's name: no pointer, text or small number.
const fn tag_of(name: &str) -> u32 {
    let (bytes, mut hash, mut i) = (name.as_bytes(), 0x811c_9dc5, 0);
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}

const FREED: u32 = tag_of("a freed handle");

/// In `users`: a call that changes the value.
const CHANGING: u32 = 1 << 30;
/// In `users`: that call has lent the value to a callback, which may read it.
const LENT: u32 = 1 << 29;
/// In `users`: freed; the last call takes the value with it.
const GONE: u32 = 1 << 31;

/// The memory behind a handle. Whatever the value, it begins with the tag.
#[repr(C)]
struct Shell<T> {
    tag: AtomicU32,
    /// The number of calls that read the value, and the flags above.
    users: AtomicU32,
    /// Where a callback finds the value that is lent to it.
    lent: AtomicPtr<T>,
    value: UnsafeCell<T>,
}

/// A new handle.
///
/// # Errors
/// `OutOfMemory`.
pub(super) fn new<H: Handle>(value: H::Value) -> Result<*mut H> {
    let layout = Layout::new::<Shell<H::Value>>();
    // SAFETY: a shell is not empty.
    let memory = unsafe { alloc(layout) }.cast::<Shell<H::Value>>();
    if memory.is_null() {
        return Err(err!(OutOfMemory, "no memory for a {}", H::NAME));
    }
    let shell = Shell {
        tag: AtomicU32::new(tag_of(H::NAME)),
        users: AtomicU32::new(0),
        lent: AtomicPtr::new(ptr::null_mut()),
        value: UnsafeCell::new(value),
    };
    // SAFETY: just allocated with this layout.
    unsafe { memory.write(shell) };
    Ok(memory.cast())
}

/// The shell behind a handle.
///
/// # Safety
/// `pointer` must be NULL or a handle, of any kind, that is valid for `'a` or was freed a short while ago.
unsafe fn shell<'a, H: Handle>(pointer: *const H, name: &str) -> Result<&'a Shell<H::Value>> {
    let pointer = pointer.cast::<Shell<H::Value>>();
    check_pointer(pointer, name)?;
    // SAFETY: every shell begins with its tag, which is only read as an atomic number.
    let tag = unsafe { (*ptr::addr_of!((*pointer).tag)).load(Ordering::Acquire) };
    if tag == tag_of(H::NAME) {
        // SAFETY: it is of this kind; the caller's promise.
        return Ok(unsafe { &*pointer });
    }
    Err(match KINDS.into_iter().find(|kind| tag_of(kind) == tag) {
        Some(kind) => err!(InvalidArgument, "{name} is a {kind}, expected a {}", H::NAME),
        None if tag == FREED => err!(InvalidArgument, "{name} was freed"),
        None => err!(InvalidArgument, "{name} is no {}", H::NAME),
    })
}

/// A handle whose value a call reads.
pub(super) struct Shared<'a, H: Handle> {
    shell: &'a Shell<H::Value>,
    value: NonNull<H::Value>,
}

/// The value behind a handle, to read it.
///
/// # Errors
/// `NullPointer`; `InvalidArgument` for a handle of another kind, a freed one, and one that another call changes.
///
/// # Safety
/// As for [`shell`].
pub(super) unsafe fn shared<'a, H: Handle>(pointer: *const H, name: &str) -> Result<Shared<'a, H>> {
    // SAFETY: the caller's promise.
    let shell = unsafe { shell(pointer, name)? };
    let enter = |users: u32| match users & (CHANGING | LENT | GONE) {
        0 => Some(users + 1),
        flags if flags & GONE == 0 && flags & LENT != 0 => Some(users + 1),
        _ => None,
    };
    let before = shell
        .users
        .fetch_update(Ordering::Acquire, Ordering::Relaxed, enter)
        .map_err(|users| in_use(users, name))?;
    // A callback reads through the borrow of the call that lent the value, everybody else through the cell.
    let value = if before & LENT != 0 { shell.lent.load(Ordering::Acquire) } else { shell.value.get() };
    Ok(Shared { shell, value: NonNull::new(value).expect("a value in its cell, or lent") })
}

/// The value behind a handle of this kind; `None` for NULL, and for what [`shared`] refuses.
///
/// # Safety
/// As for [`shell`].
pub(super) unsafe fn peek<'a, H: Handle>(pointer: *const H) -> Option<Shared<'a, H>> {
    if pointer.is_null() {
        return None; // Without the memory that an error's message takes.
    }
    // SAFETY: the caller's promise.
    unsafe { shared(pointer, H::NAME) }.ok()
}

impl<H: Handle> Deref for Shared<'_, H> {
    type Target = H::Value;

    fn deref(&self) -> &H::Value {
        // SAFETY: `users` counts this reader, so that no call changes the value, or the one that does has lent it and waits.
        unsafe { self.value.as_ref() }
    }
}

impl<H: Handle> Drop for Shared<'_, H> {
    fn drop(&mut self) {
        if self.shell.users.fetch_sub(1, Ordering::AcqRel) - 1 == GONE {
            // SAFETY: freed, and this was the last user.
            unsafe { destroy(ptr::from_ref(self.shell)) };
        }
    }
}

/// A handle whose value a call changes.
pub(super) struct Exclusive<'a, H: Handle> {
    shell: &'a Shell<H::Value>,
}

/// The value behind a handle, to change it.
///
/// # Errors
/// As [`shared`], and `InvalidArgument` if any other call uses it.
///
/// # Safety
/// As for [`shell`].
pub(super) unsafe fn exclusive<'a, H: Handle>(pointer: *mut H, name: &str) -> Result<Exclusive<'a, H>> {
    // SAFETY: the caller's promise.
    let shell = unsafe { shell(pointer.cast_const(), name)? };
    shell
        .users
        .compare_exchange(0, CHANGING, Ordering::Acquire, Ordering::Relaxed)
        .map_err(|users| in_use(users, name))?;
    Ok(Exclusive { shell })
}

/// Lends the value of a handle that this call changes, as `value`, to a callback, which may read it by its handle.
///
/// # Safety
/// `pointer` must be the handle of an [`Exclusive`] that lives, and `value` its value.
pub(super) unsafe fn lend<H: Handle, R>(
    pointer: *mut H,
    value: &H::Value,
    callback: impl FnOnce(*const H) -> R,
) -> R {
    // SAFETY: the caller's promise.
    let shell = unsafe { &*pointer.cast::<Shell<H::Value>>() };
    shell.lent.store(ptr::from_ref(value).cast_mut(), Ordering::Release);
    shell.users.fetch_or(LENT, Ordering::AcqRel);
    let result = callback(pointer);
    // Threads that the callback left behind may still read: their calls are short.
    shell.users.fetch_and(!LENT, Ordering::AcqRel);
    while shell.users.load(Ordering::Acquire) & !(CHANGING | GONE) != 0 {
        spin_loop();
    }
    result
}

impl<H: Handle> Deref for Exclusive<'_, H> {
    type Target = H::Value;

    fn deref(&self) -> &H::Value {
        // SAFETY: `CHANGING` keeps all others away.
        unsafe { &*self.shell.value.get() }
    }
}

impl<H: Handle> DerefMut for Exclusive<'_, H> {
    fn deref_mut(&mut self) -> &mut H::Value {
        // SAFETY: as above.
        unsafe { &mut *self.shell.value.get() }
    }
}

impl<H: Handle> Drop for Exclusive<'_, H> {
    fn drop(&mut self) {
        if self.shell.users.fetch_and(!CHANGING, Ordering::AcqRel) & !CHANGING == GONE {
            // SAFETY: freed meanwhile, and this was the last user.
            unsafe { destroy(ptr::from_ref(self.shell)) };
        }
    }
}

/// Frees a handle: now, or when the calls that use it end. Nothing happens for NULL, a handle of another kind, and one that
/// was freed before.
///
/// # Safety
/// As for [`shell`].
pub(super) unsafe fn free<H: Handle>(pointer: *mut H) {
    // SAFETY: the caller's promise.
    let Ok(shell) = (unsafe { shell(pointer.cast_const(), H::NAME) }) else { return };
    let tag = tag_of(H::NAME);
    if shell.tag.compare_exchange(tag, FREED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        && shell.users.fetch_or(GONE, Ordering::AcqRel) == 0
    {
        // SAFETY: nobody uses it, and nobody can any more.
        unsafe { destroy(ptr::from_ref(shell)) };
    }
}

/// # Safety
/// The shell is freed, has no user, and nobody else destroys it.
unsafe fn destroy<T>(shell: *const Shell<T>) {
    // SAFETY: made by `new` with the layout of a box; the caller's promise.
    drop(unsafe { Box::from_raw(shell.cast_mut()) });
}

fn in_use(users: u32, name: &str) -> crate::Error {
    if users & GONE != 0 {
        return err!(InvalidArgument, "{name} was freed");
    }
    err!(InvalidArgument, "{name} is in use by another call, or by the one that called back")
}
