//! Handles that several threads use, change, lend and free.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::handle::{Handle, exclusive, free, lend, new, shared};
use crate::model;

/// The struct that C knows.
struct Object;

impl Handle for Object {
    const NAME: &'static str = "vitrum_clip";
    type Value = Value;
}

/// What the handle leads to: its end counts as a change.
struct Value {
    count: UnsafeCell<usize>,
    ended: Arc<AtomicUsize>,
}

// SAFETY: that nobody reads while somebody changes it is what the model checker finds out.
unsafe impl Sync for Value {}

impl Value {
    fn read(&self) -> usize {
        // SAFETY: the model checker refuses a change meanwhile.
        self.count.with(|count| unsafe { *count })
    }

    fn change(&mut self) {
        // SAFETY: the model checker refuses another access meanwhile.
        self.count.with_mut(|count| unsafe { *count += 1 });
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.change();
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// A handle that threads pass on.
#[derive(Clone, Copy)]
struct Pointer(*mut Object);

// SAFETY: handles may be used by any thread.
unsafe impl Send for Pointer {}

impl Pointer {
    fn new(ended: &Arc<AtomicUsize>) -> Self {
        Self(new(Value { count: UnsafeCell::new(0), ended: ended.clone() }).unwrap())
    }

    /// Reads, if nobody changes it.
    fn read(self) -> Option<usize> {
        // SAFETY: the models free no handle before it is used.
        unsafe { shared::<Object>(self.0, "clip") }.ok().map(|value| value.read())
    }

    /// Changes, if nobody uses it.
    fn change(self) -> bool {
        // SAFETY: as above.
        unsafe { exclusive::<Object>(self.0, "clip") }.map(|mut value| value.change()).is_ok()
    }

    fn free(self) {
        // SAFETY: as above.
        unsafe { free(self.0) };
    }
}

/// Runs a model with a handle, and expects that its value has ended once.
fn with_handle(switches: Option<usize>, body: impl Fn(Pointer) + Sync + Send + 'static) {
    model(switches, move || {
        let ended = Arc::new(AtomicUsize::new(0));
        body(Pointer::new(&ended));
        assert_eq!(ended.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn two_threads_change_in_turn_or_one_is_refused() {
    with_handle(None, |handle| {
        let other = thread::spawn(move || usize::from({ handle }.change()));
        let own = usize::from(handle.change());
        let changes = own + other.join().unwrap();
        assert!(changes >= 1);
        assert_eq!(handle.read(), Some(changes));
        handle.free();
    });
}

#[test]
fn readers_and_a_change() {
    with_handle(Some(3), |handle| {
        let readers = [0; 2].map(|_| thread::spawn(move || { handle }.read()));
        let changed = handle.change();
        for seen in readers.map(|reader| reader.join().unwrap()) {
            assert!(matches!(seen, None | Some(0)) || changed && seen == Some(1));
        }
        handle.free();
    });
}

/// The last reader takes the value along.
#[test]
fn freed_while_it_is_read() {
    with_handle(Some(3), |handle| {
        // SAFETY: not freed yet.
        let [own, others] = [0; 2].map(|_| unsafe { shared::<Object>(handle.0, "clip") }.unwrap());
        let others = Moved(others);
        let reader = thread::spawn(move || {
            let Moved(value) = { others };
            assert_eq!(value.read(), 0);
        });
        let freeing = thread::spawn(move || { handle }.free());
        assert_eq!(own.read(), 0);
        drop(own);
        reader.join().unwrap();
        freeing.join().unwrap();
    });
}

#[test]
fn freed_while_it_is_changed() {
    with_handle(None, |handle| {
        // SAFETY: not freed yet.
        let mut value = unsafe { exclusive::<Object>(handle.0, "clip") }.unwrap();
        let freeing = thread::spawn(move || { handle }.free());
        value.change();
        drop(value);
        freeing.join().unwrap();
    });
}

/// A callback reads by the handle, and leaves a thread behind that does, too; then the call goes on to change the value.
#[test]
fn lent_to_a_callback_and_a_thread() {
    with_handle(Some(3), |handle| {
        // SAFETY: not freed yet.
        let mut value = unsafe { exclusive::<Object>(handle.0, "clip") }.unwrap();
        value.change();
        // SAFETY: the handle of `value`, and its value.
        let left = unsafe {
            lend(handle.0, &*value, |_| {
                assert_eq!(handle.read(), Some(1));
                assert!(!handle.change());
                thread::spawn(move || { handle }.read())
            })
        };
        value.change();
        drop(value);
        assert!(matches!(left.join().unwrap(), None | Some(1 | 2)));
        handle.free();
    });
}

/// A thread that the call knows nothing of reads before, while and after the value is lent, or is refused.
#[test]
fn lent_while_a_thread_tries_to_read() {
    with_handle(Some(3), |handle| {
        let reader = thread::spawn(move || { handle }.read());
        // SAFETY: not freed yet.
        if let Ok(mut value) = unsafe { exclusive::<Object>(handle.0, "clip") } {
            value.change();
            // SAFETY: the handle of `value`, and its value.
            unsafe { lend(handle.0, &*value, |_| thread::yield_now()) };
            value.change();
        }
        assert!(matches!(reader.join().unwrap(), None | Some(0..=2)));
        handle.free();
    });
}

/// A callback frees what is lent to it: the call that lent it still has the value.
#[test]
fn freed_by_a_callback() {
    with_handle(None, |handle| {
        // SAFETY: not freed yet.
        let mut value = unsafe { exclusive::<Object>(handle.0, "clip") }.unwrap();
        // SAFETY: the handle of `value`, and its value.
        unsafe { lend(handle.0, &*value, |_| thread::spawn(move || { handle }.free())) }.join().unwrap();
        value.change();
    });
}

/// Something of a call that another thread ends.
struct Moved<T>(T);

// SAFETY: what a call holds is a reference and a pointer to a value that threads share.
unsafe impl<T> Send for Moved<T> {}
