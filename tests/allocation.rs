//! After the first call of a size, encoding pictures allocates nothing.
#![cfg(feature = "std")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use vitrum::exec::Cx;
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::clip::Clip;
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions};

/// The system's allocator, counting allocations.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: forwards to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_second_image_allocates_nothing() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/clip/quickgelu-p32");
    let bundle = Bundle::open(&model, OpenOptions::default()).unwrap();
    // One thread: the pool of the operating system's threads has queues of its own.
    let clip = Clip::load(&Cx::serial(Level::detect()), &bundle).unwrap();
    let pixels = vec![77u8; 90 * 70 * 3];
    let image = ImageView::packed(&pixels, 90, 70, PixelFormat::Rgb8).unwrap();
    let mut out = vec![0.0; 2 * clip.embed_dim()];
    clip.encode_images_into(&[image, image], true, &mut out).unwrap();

    let before = ALLOCATIONS.load(Relaxed);
    clip.encode_images_into(&[image, image], true, &mut out).unwrap();
    assert_eq!(ALLOCATIONS.load(Relaxed) - before, 0);
}
