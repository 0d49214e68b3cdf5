//! What the files that `tests/loom` checks share between threads, by the names of its model checker: that crate compiles them
//! with a module of these names that stands for every order in which threads may see each other's writes.

#[cfg(feature = "capi")]
pub(crate) use core::sync::atomic::AtomicPtr;
pub(crate) use core::sync::atomic::AtomicU32;
#[cfg(feature = "parallel")]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicUsize};
pub(crate) use core::{hint::spin_loop, sync::atomic::Ordering};
#[cfg(feature = "parallel")]
pub(crate) use std::{sync::Mutex, thread::yield_now};

/// [`core::cell::UnsafeCell`], whose pointers last for one call.
#[cfg(feature = "parallel")]
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

#[cfg(feature = "parallel")]
impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// Calls `read` with a pointer to the value, through which it only reads.
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Calls `write` with a pointer to the value.
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}
