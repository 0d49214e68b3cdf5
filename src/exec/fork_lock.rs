//! A spin lock that a forked process does not wait for in vain (there is no mutex in `core`).

use core::sync::atomic::{AtomicU32, Ordering};

/// A lock for a few instructions at a time.
pub(super) struct ForkLock {
    /// The process that holds the lock; 0 for none. A forked process may find it held by a thread that it does not have.
    holder: AtomicU32,
}

/// Holds a [`ForkLock`] until it is dropped.
pub(super) struct Locked<'a> {
    lock: &'a ForkLock,
    /// Whether the lock was taken from another process, which may have been in the middle of a change.
    pub(super) is_inherited: bool,
}

/// Rounds of waiting for the lock before a thread asks whose it is.
const PATIENCE: u32 = 1 << 16;

impl ForkLock {
    pub(super) const fn new() -> Self {
        Self { holder: AtomicU32::new(0) }
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        let (own, mut rounds) = (process(), 0u32);
        let is_inherited = loop {
            match self.holder.compare_exchange_weak(0, own, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break false,
                Err(holder) if holder != 0 && holder != own && rounds > PATIENCE => {
                    if self.holder.compare_exchange(holder, own, Ordering::Acquire, Ordering::Relaxed).is_ok()
                    {
                        break true;
                    }
                }
                Err(_) => rounds = rounds.saturating_add(1),
            }
            core::hint::spin_loop();
        };
        Locked { lock: self, is_inherited }
    }
}

impl Default for ForkLock {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.lock.holder.store(0, Ordering::Release);
    }
}

/// The number of this process, by which a forked one knows that it is another. Numbers come back, but not while a parent lives.
pub(super) fn process() -> u32 {
    #[cfg(all(feature = "std", unix))]
    return std::process::id();
    #[cfg(not(all(feature = "std", unix)))]
    return 1; // Nothing forks.
}
