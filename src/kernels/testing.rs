//! What the kernel tests share: buffers between guard pages, reproducible numbers, comparison with f64 oracles.

use alloc::vec::Vec;
use core::mem::{size_of, size_of_val};
use core::ops::{Deref, DerefMut, RangeInclusive};

use crate::exec::{Cx, CxOptions, ScratchReq, Workspace};
use crate::simd::Level;

/// Lengths that reach every tail of a vector loop unrolled up to three times, and two long ones.
pub(crate) fn lengths(level: Level) -> impl Iterator<Item = usize> {
    (0..=3 * level.lanes() + 1).chain([257, 1000])
}

/// Which end of a [`Guarded`] buffer touches an inaccessible page.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The first element follows a guard page; the buffer is page-aligned.
    Start,
    /// The last element precedes a guard page; the buffer is aligned to its element only.
    End,
}

impl Place {
    /// Both, to loop over.
    pub(crate) const ALL: [Self; 2] = [Self::Start, Self::End];
}

/// A buffer between guard pages: touching a byte before (or after) it kills the test.
///
/// On targets without `mmap` it is an ordinary vector.
pub(crate) struct Guarded<T> {
    map: map::Map,
    offset: usize,
    len: usize,
    element: core::marker::PhantomData<T>,
}

impl<T: bytemuck::Pod> Guarded<T> {
    /// A copy of `data` with a guard page directly before or after it, as `place` says.
    pub(crate) fn new(data: &[T], place: Place) -> Self {
        let bytes = size_of_val(data);
        let map = map::Map::new(bytes);
        let offset = match place {
            Place::Start => 0,
            Place::End => map.len() - bytes,
        };
        let mut buffer = Self { map, offset, len: data.len(), element: core::marker::PhantomData };
        buffer.copy_from_slice(data);
        buffer
    }

    /// `len` elements with all bits set (NaN for floats), so that results left unwritten are noticed.
    pub(crate) fn unwritten(len: usize, place: Place) -> Self {
        let mut buffer = Self::new(&alloc::vec![T::zeroed(); len], place);
        bytemuck::cast_slice_mut::<T, u8>(&mut buffer).fill(0xff);
        buffer
    }
}

impl<T: bytemuck::Pod> Deref for Guarded<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.map.bytes()[self.offset..][..size_of::<T>() * self.len])
    }
}

impl<T: bytemuck::Pod> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.map.bytes_mut()[self.offset..][..size_of::<T>() * self.len])
    }
}

#[cfg(unix)]
mod map {
    /// Whole pages with one inaccessible page before and one after.
    pub(super) struct Map {
        pages: *mut u8,
        len: usize,
        page: usize,
    }

    impl Map {
        pub(super) fn new(len: usize) -> Self {
            // SAFETY: `sysconf` has no preconditions.
            let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("a page size");
            let len = len.next_multiple_of(page);
            let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
            // SAFETY: a fresh anonymous mapping overlaps nothing.
            let base =
                unsafe { libc::mmap(core::ptr::null_mut(), len + 2 * page, libc::PROT_NONE, flags, -1, 0) };
            assert_ne!(base, libc::MAP_FAILED);
            // SAFETY: the first page lies inside the mapping just made.
            let pages = unsafe { base.byte_add(page) };
            if len > 0 {
                // SAFETY: `pages..pages + len` lies inside the mapping just made.
                assert_eq!(unsafe { libc::mprotect(pages, len, libc::PROT_READ | libc::PROT_WRITE) }, 0);
            }
            Self { pages: pages.cast(), len, page }
        }

        pub(super) fn len(&self) -> usize {
            self.len
        }

        pub(super) fn bytes(&self) -> &[u8] {
            // SAFETY: `len` bytes are mapped, zero-initialised and owned by `self`.
            unsafe { core::slice::from_raw_parts(self.pages, self.len) }
        }

        pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
            // SAFETY: as in `bytes`; `&mut self` makes the access unique.
            unsafe { core::slice::from_raw_parts_mut(self.pages, self.len) }
        }
    }

    impl Drop for Map {
        fn drop(&mut self) {
            // SAFETY: exactly what `new` mapped, no longer borrowed.
            unsafe { libc::munmap(self.pages.sub(self.page).cast(), self.len + 2 * self.page) };
        }
    }
}

#[cfg(not(unix))]
mod map {
    use alloc::vec::Vec;

    /// Ordinary memory, 8-byte aligned.
    pub(super) struct Map(Vec<u64>);

    impl Map {
        pub(super) fn new(len: usize) -> Self {
            Self(alloc::vec![0; len.div_ceil(8)])
        }

        pub(super) fn len(&self) -> usize {
            8 * self.0.len()
        }

        pub(super) fn bytes(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }

        pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
            bytemuck::cast_slice_mut(&mut self.0)
        }
    }
}

/// Scratch memory of exactly `req`, all NaN, so that reading what was never written is noticed.
pub(crate) fn nan_workspace(req: ScratchReq) -> Workspace {
    let mut workspace = Workspace::default();
    workspace.reserve(req).unwrap();
    workspace.scratch().take(req.len()).fill(f32::NAN);
    workspace
}

/// Reproducible pseudo-random numbers (SplitMix64).
pub(crate) struct Rng(u64);

impl Rng {
    /// The sequence of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `range`.
    pub(crate) fn uniform(&mut self, range: RangeInclusive<f32>) -> f32 {
        let unit = (self.bits() >> 40) as f32 / (1u32 << 24) as f32;
        range.start() + (range.end() - range.start()) * unit
    }

    /// `len` values uniform in `range`.
    pub(crate) fn vec(&mut self, len: usize, range: RangeInclusive<f32>) -> Vec<f32> {
        (0..len).map(|_| self.uniform(range.clone())).collect()
    }
}

/// Every `stride`-th f32 between `range`'s non-negative ends, in the order of their bits, each with both signs.
pub(crate) fn floats(range: RangeInclusive<f32>, stride: usize) -> impl Iterator<Item = f32> {
    let bits = range.start().to_bits()..=range.end().to_bits();
    bits.step_by(stride).map(f32::from_bits).flat_map(|x| [x, -x])
}

/// `|got − exact|` in units of the last place of an f32 of `exact`'s magnitude (2⁻¹⁴⁹ for subnormals and zero).
/// NaN matches NaN, and infinity matches whatever rounds to it.
pub(crate) fn ulp_error(got: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if got == rounded || (got.is_nan() && exact.is_nan()) {
        return if exact.is_finite() && rounded.is_finite() { ulps(got, exact) } else { 0.0 };
    }
    if !got.is_finite() || !rounded.is_finite() { f64::INFINITY } else { ulps(got, exact) }
}

fn ulps(got: f32, exact: f64) -> f64 {
    let exponent = libm::ilogb(exact).max(f32::MIN_EXP - 1);
    (f64::from(got) - exact).abs() / libm::scalbn(1.0, exponent - (f32::MANTISSA_DIGITS as i32 - 1))
}

/// Panics unless `|got[i] − exact[i]| <= tolerance(i)` for all `i`; NaN must meet NaN, infinity the same infinity.
#[track_caller]
pub(crate) fn assert_near(got: &[f32], exact: &[f64], tolerance: impl Fn(usize) -> f64) {
    assert_eq!(got.len(), exact.len());
    for (i, (&got, &exact)) in got.iter().zip(exact).enumerate() {
        let equal = f64::from(got) == exact || (got.is_nan() && exact.is_nan());
        let error = (f64::from(got) - exact).abs();
        assert!(
            equal || error <= tolerance(i),
            "at {i}: got {got:e}, exact {exact:e}, error {error:e} > {:e}",
            tolerance(i)
        );
    }
}

/// Panics unless `compute` gives the same bits with 1, 2, 3, 5 and 8 threads.
#[track_caller]
pub(crate) fn assert_same_for_any_threads(level: Level, compute: impl Fn(&Cx) -> Vec<f32>) {
    let bits = |cx: &Cx| compute(cx).into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let expected = bits(&Cx::serial(level));
    // Without the feature `parallel` only one thread exists.
    let counts: &[usize] = if cfg!(feature = "parallel") { &[1, 2, 3, 5, 8] } else { &[1] };
    for &threads in counts {
        let cx = Cx::new(&CxOptions::default().with_threads(threads).with_level(level)).expect("a context");
        assert!(bits(&cx) == expected, "{}: {threads} threads change the result", level.name());
    }
}

#[test]
fn guarded_buffers_hold_their_data() {
    for place in Place::ALL {
        for len in [0, 1, 7, 1024, 5000] {
            let data = Rng::new(len as u64).vec(len, -1.0..=1.0);
            assert_eq!(*Guarded::new(&data, place), *data);
        }
    }
}

#[test]
fn ulp_error_counts_units_in_the_last_place() {
    assert_eq!(ulp_error(1.0, 1.0), 0.0);
    assert_eq!(ulp_error(1.0 + f32::EPSILON, 1.0), 1.0);
    assert_eq!(ulp_error(0.0, f64::from(f32::from_bits(3))), 3.0);
    assert_eq!(ulp_error(f32::INFINITY, 1e39), 0.0);
    assert_eq!(ulp_error(f32::NAN, f64::NAN), 0.0);
    assert_eq!(ulp_error(f32::NAN, 1.0), f64::INFINITY);
}

#[test]
#[should_panic = "at 1: got 2e0, exact 2.5e0"]
fn assert_near_notices_a_difference() {
    assert_near(&[1.0, 2.0], &[1.0, 2.5], |_| 0.4);
}

#[cfg(feature = "parallel")]
#[test]
#[should_panic = "2 threads change the result"]
fn assert_same_for_any_threads_notices_a_difference() {
    assert_same_for_any_threads(Level::detect(), |cx| alloc::vec![cx.threads() as f32]);
}
