//! A value that is set at most once, by whichever thread is first. `std::sync::OnceLock` without the standard library.
//!
//! # Soundness
//!
//! The pointer goes from null to a box once, by compare and exchange, and back never; so a reference that was given out
//! lives as long as the borrow of the whole. The release of who sets it meets the acquire of who reads.
//!
//! Tests: `set_once::the_first_value_stays_and_all_are_dropped`.

use alloc::boxed::Box;
use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// Empty, or a value for good.
#[derive(Debug)]
pub(crate) struct SetOnce<T> {
    /// Null, or from `Box::into_raw`.
    value: AtomicPtr<T>,
    /// It owns the value, which threads see and one of them drops.
    owned: PhantomData<Box<T>>,
}

// SAFETY: shared, it gives out references to a value that another thread may have made and that any thread may drop.
unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}

impl<T> SetOnce<T> {
    pub(crate) const fn new() -> Self {
        Self { value: AtomicPtr::new(ptr::null_mut()), owned: PhantomData }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: what `set` has stored stays until `self` is dropped; Acquire shows what was written before.
        unsafe { self.value.load(Ordering::Acquire).as_ref() }
    }

    /// Sets the value, unless there is one.
    pub(crate) fn set(&self, value: T) {
        let new = Box::into_raw(Box::new(value));
        let empty = ptr::null_mut();
        if self.value.compare_exchange(empty, new, Ordering::Release, Ordering::Relaxed).is_err() {
            // SAFETY: it was made above and given to nobody.
            drop(unsafe { Box::from_raw(new) });
        }
    }
}

impl<T> Drop for SetOnce<T> {
    fn drop(&mut self) {
        let value = *self.value.get_mut();
        if !value.is_null() {
            // SAFETY: it was made by `Box::into_raw` in `set`, and no reference outlives `self`.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use super::SetOnce;

    #[test]
    fn the_first_value_stays_and_all_are_dropped() {
        let (first, second) = (Arc::new(1), Arc::new(2));
        let once = SetOnce::new();
        assert!(once.get().is_none());
        once.set(Arc::clone(&first));
        once.set(Arc::clone(&second));
        assert_eq!(once.get(), Some(&first));
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (2, 1));
        drop(once);
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
