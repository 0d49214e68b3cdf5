//! However long a video is, a tracker holds the same memory, and no more than it said beforehand.
#![cfg(feature = "std")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use common::path;
use scenario::{HEIGHT, Video, WIDTH};
use vitrum::exec::{Cx, Monitor};
use vitrum::pipelines::sam::{Prompt, Sam, SamOptions};
use vitrum::pipelines::tracker::{PromptOptions, Tracker, TrackerOptions};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions};

mod common;
#[path = "common/scenario.rs"]
mod scenario;

/// The system's allocator, counting the live bytes of each thread: tests run side by side.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: forwards to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.set(LIVE.get() + layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Live bytes of a tracker of two objects after each of `counts` frames: those allocated since it was made, without
/// the scratch memory that the context keeps.
fn live_bytes(options: &TrackerOptions, counts: &[u64]) -> (Vec<isize>, Vec<usize>, usize) {
    // A small input: the number of frames matters here, not their size.
    let bundle = Bundle::open(&path("tracker/sam2.1"), OpenOptions::default()).unwrap();
    let sam = SamOptions::default().with_image_size(64);
    let sam = Arc::new(Sam::load(&Cx::serial(Level::detect()), &bundle, &sam).unwrap());
    let promised = Tracker::memory_bytes(&sam, [WIDTH, HEIGHT], options).unwrap();
    let mut video = Video::default();
    let (mut live, mut held) = (Vec::with_capacity(counts.len()), Vec::with_capacity(counts.len()));
    video.image(0);
    let before = LIVE.get();
    let mut tracker = Tracker::new(sam.clone(), [WIDTH, HEIGHT], options).unwrap();
    for frame in 0..*counts.last().unwrap() {
        tracker.push(&video.image(frame % scenario::FRAMES), &Monitor::none()).unwrap();
        if frame == 0 {
            scenario::click(&mut tracker, 0, 1);
            let bounds = Prompt::bounding_box([48.0, 10.0, 66.0, 30.0]);
            tracker.add_prompt(0, 2, &bounds, &PromptOptions::default(), &Monitor::none()).unwrap();
        }
        if frame == 30 {
            scenario::click(&mut tracker, 30, 3);
        }
        tracker.step(&Monitor::none()).unwrap();
        if counts.contains(&(frame + 1)) {
            sam.cx().trim();
            live.push(LIVE.get() - before);
            held.push(tracker.bytes());
        }
    }
    (live, held, promised)
}

#[test]
fn memory_is_flat() {
    for options in
        [TrackerOptions::default(), TrackerOptions::default().with_held_frames(3).with_both_directions(true)]
    {
        let (live, held, promised) = live_bytes(&options, &[100, 101, 250, 1000]);
        assert!(live.iter().all(|&bytes| bytes == live[0]), "{live:?}");
        assert!(held.iter().all(|&bytes| bytes == held[0]), "{held:?}");
        assert!(live[0] as usize <= promised, "{} bytes, {promised} promised", live[0]);
        assert!(held[0] <= live[0] as usize, "{} bytes told of {}", held[0], live[0]);
    }
}
