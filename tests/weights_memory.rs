//! Loading from a file allocates what it returns and a buffer of bounded size, not the file.
#![cfg(feature = "std")]

#[path = "malformed/files.rs"]
mod files;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use files::{Directory, safetensors};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions};

/// The system's allocator, counting bytes now and at most.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: forwards to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocated at most while `work` runs, beyond what was allocated before.
fn peak_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = work();
    (PEAK.load(Relaxed) - before, result)
}

#[test]
fn loading_allocates_its_result_and_little_more() {
    const SIDE: usize = 1 << 10;
    const COUNT: usize = 8;
    const SLACK: usize = 256 << 10;
    let directory = Directory::new();
    for (dtype, bytes) in [("F32", 4), ("F16", 2), ("BF16", 2)] {
        let size = SIDE * SIDE * bytes;
        let entry = |i| {
            format!(
                r#""{i}":{{"dtype":"{dtype}","shape":[{SIDE},{SIDE}],"data_offsets":[{},{}]}}"#,
                i * size,
                (i + 1) * size
            )
        };
        let json = format!("{{{}}}", (0..COUNT).map(entry).collect::<Vec<_>>().join(","));
        let path = directory.write("model.safetensors", &safetensors(&json, &vec![0; COUNT * size]));

        let (opening, bundle) = peak_of(|| Bundle::open(&path, OpenOptions::new()).unwrap());
        assert!(opening < SLACK, "opening {dtype}: {opening} bytes");

        let root = bundle.scope(Level::detect());
        let load =
            || (0..COUNT).map(|i| root.f32(&i.to_string(), &[SIDE, SIDE]).unwrap()).collect::<Vec<_>>();
        let (loading, weights) = peak_of(load);
        let result = COUNT * SIDE * SIDE * size_of::<f32>();
        assert!(loading < result + SLACK, "loading {dtype}: {loading} bytes for {result}");
        assert_eq!(weights.len(), COUNT);
    }
}
