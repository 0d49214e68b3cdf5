//! Loading from a file allocates what it returns and a buffer of bounded size, not the file.
#![cfg(feature = "std")]

#[cfg(feature = "torch")]
#[path = "torch/build.rs"]
mod build;
#[path = "malformed/files.rs"]
mod files;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
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

/// Held by each test: the counts are everybody's.
static TURN: Mutex<()> = Mutex::new(());

/// Allocated at most while `work` runs, beyond what was allocated before.
fn peak_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = work();
    (PEAK.load(Relaxed) - before, result)
}

const SIDE: usize = 1 << 10;
const COUNT: usize = 8;
const SLACK: usize = 256 << 10;

#[test]
fn loading_allocates_its_result_and_little_more() {
    let _turn = TURN.lock();
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
        check(&path, dtype, SLACK);
    }
}

/// Opens the file of `COUNT` square tensors at `path` and loads them.
fn check(path: &std::path::Path, dtype: &str, slack: usize) {
    let (opening, bundle) = peak_of(|| Bundle::open(path, OpenOptions::new()).unwrap());
    assert!(opening < slack, "opening {dtype}: {opening} bytes");

    let root = bundle.scope(Level::detect());
    let load = || (0..COUNT).map(|i| root.f32(&i.to_string(), &[SIDE, SIDE]).unwrap()).collect::<Vec<_>>();
    let (loading, weights) = peak_of(load);
    let result = COUNT * SIDE * SIDE * size_of::<f32>();
    assert!(loading < result + slack, "loading {dtype}: {loading} bytes for {result}");
    assert_eq!(weights.len(), COUNT);
}

/// The same of checkpoints, transposed tensors too, which go through a window on the file.
#[cfg(feature = "torch")]
#[test]
fn checkpoints_are_not_read_whole() {
    use build::{checkpoint, dict, pickle, storage, tensor, text};
    let _turn = TURN.lock();
    let directory = Directory::new();
    let side = SIDE as i64;
    for (class, bytes) in [("Float", 4), ("Half", 2), ("Double", 8)] {
        for strides in [[side, 1], [1, side]] {
            let name = |i: usize| i.to_string();
            let entry = |i| {
                (text(&name(i)), tensor(storage(class, &name(i), side * side), 0, &[side, side], &strides))
            };
            let pickle = pickle(&dict(&(0..COUNT).map(entry).collect::<Vec<_>>()));
            let (keys, data) = ((0..COUNT).map(name).collect::<Vec<_>>(), vec![0; SIDE * SIDE * bytes]);
            let storages: Vec<_> = keys.iter().map(|key| (&key[..], &data[..])).collect();
            let path = directory.write("model.pt", &checkpoint(&pickle, &storages));
            // Windows of F32, and staging of F64: 64 Ki elements each.
            check(&path, class, SLACK + (768 << 10));
        }
    }
}

/// The largest pickle that is read, made of nothing but values, and one of nothing but texts.
#[cfg(feature = "torch")]
#[test]
fn pickles_cost_memory_in_proportion() {
    use build::checkpoint;
    let _turn = TURN.lock();
    let directory = Directory::new();
    for (unit, count, most) in [
        (&b")"[..], 16 << 20, 160 << 20),
        (b"]q\0", 1 << 19, 160 << 20),
        (b"}(", 1 << 12, 1 << 20),
        (b"N", 1000, 1 << 18),
    ] {
        let pickle = [b"\x80\x02", &unit.repeat(count)[..(unit.len() * count).min((16 << 20) - 2)]].concat();
        let path = directory.write("model.pt", &checkpoint(&pickle, &[]));
        let (peak, result) = peak_of(|| Bundle::open(&path, OpenOptions::new()).map(drop));
        assert!(result.is_err());
        assert!(peak < most, "{} bytes of {unit:?}: {peak}", pickle.len());
    }
}
