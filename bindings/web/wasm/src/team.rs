//! The threads of the module: workers with an instance each on one memory, which take lanes of the regions that the library opens
//! on the thread that calls it, the *leader*.
//!
//! Nobody waits for a follower that has no lane: one that never comes costs speed only. A follower that stops in the middle of a
//! lane stops the leader, too.
//!
//! # Soundness
//!
//! One thread at a time has the team. What it writes to `job` comes before the region is opened, and is read by who has claimed a
//! lane, by compare and exchange, of a region that cannot end before that lane returns. After its last lane has returned, a
//! follower reads nothing but statics.
//!
//! Threads sleep on a word only if it still has the value after which they decided to, and they say so before they look: who
//! changes the word either sees that somebody sleeps, or is seen. All operations are sequentially consistent, as are
//! WebAssembly's own.

use core::arch::wasm32::{memory_atomic_notify, memory_atomic_wait32, unreachable};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicBool, AtomicU32};

use vitrum::ffi::runner::vitrum_work;

/// Rounds of active waiting before a thread sleeps. A model is some hundred short regions, and to wake a thread takes longer
/// than the time between two of them.
const SPINS: u32 = 20_000;

/// Most lanes of a region.
const MAX_LANES: usize = 0xffff;

type Work = unsafe extern "C" fn(data: *mut c_void, index: usize);

struct Team {
    /// Whether a region is open, or about to be.
    is_taken: AtomicBool,
    /// The region: its lanes, and how many are claimed: `lanes << 16 | claimed`.
    region: AtomicU32,
    job: UnsafeCell<Option<(Work, *mut c_void)>>,
    /// Lanes of the region that have returned.
    returned: AtomicU32,
    /// Followers that sleep until a region is opened.
    sleepers: AtomicU32,
    /// Whether the leader sleeps until the last lane has returned.
    leader_sleeps: AtomicBool,
    /// Whether a follower stopped in the middle of its work.
    is_lost: AtomicBool,
}

// SAFETY: `job` is written only while no lane of a region is claimed but not returned, and read only by claimants.
unsafe impl Sync for Team {}

static TEAM: Team = Team {
    is_taken: AtomicBool::new(false),
    region: AtomicU32::new(0),
    job: UnsafeCell::new(None),
    returned: AtomicU32::new(0),
    sleepers: AtomicU32::new(0),
    leader_sleeps: AtomicBool::new(false),
    is_lost: AtomicBool::new(false),
};

impl Team {
    /// Runs a region, with the followers that are there.
    ///
    /// # Safety
    /// The calling thread has the team. `work` may be called with `data` and every index below `lanes` until this returns.
    unsafe fn run(&self, lanes: u32, work: Work, data: *mut c_void) {
        // SAFETY: every lane of the previous region has returned, so nobody reads.
        unsafe { *self.job.get() = Some((work, data)) };
        self.returned.store(0, SeqCst);
        self.region.store(lanes << 16, SeqCst);
        if self.sleepers.load(SeqCst) > 0 {
            notify(&self.region, lanes - 1);
        }
        while self.take_lane() {}
        let mut spins = 0;
        loop {
            let returned = self.returned.load(SeqCst);
            if returned == lanes {
                break;
            }
            if self.is_lost.load(SeqCst) {
                unreachable(); // A lane will never return.
            }
            if spins < SPINS {
                spins += 1;
                continue;
            }
            self.leader_sleeps.store(true, SeqCst);
            // Not for good: who is lost may say so between the question above and this.
            wait(&self.returned, returned, 100_000_000);
            self.leader_sleeps.store(false, SeqCst);
        }
    }

    /// Claims a lane of the region and runs it, if one is left.
    fn take_lane(&self) -> bool {
        let claim = |region: u32| (region & 0xffff < region >> 16).then(|| region + 1);
        let Ok(region) = self.region.fetch_update(SeqCst, SeqCst, claim) else { return false };
        let (lanes, lane) = (region >> 16, region & 0xffff);
        // SAFETY: a lane of this region is claimed and has not returned: the leader, who is in `run`, does not write.
        if let Some((work, data)) = unsafe { *self.job.get() } {
            // SAFETY: the promise of `run`'s caller, who waits for this lane.
            unsafe { work(data, lane as usize) };
        }
        if self.returned.fetch_add(1, SeqCst) + 1 == lanes && self.leader_sleeps.load(SeqCst) {
            notify(&self.returned, 1);
        }
        true
    }

    /// Takes lanes of all regions to come.
    fn follow(&self) -> ! {
        let mut spins = 0;
        loop {
            if self.take_lane() {
                spins = 0;
            } else if spins < SPINS {
                spins += 1;
            } else {
                self.sleepers.fetch_add(1, SeqCst);
                let region = self.region.load(SeqCst);
                if region & 0xffff == region >> 16 {
                    wait(&self.region, region, -1);
                }
                self.sleepers.fetch_sub(1, SeqCst);
                spins = 0;
            }
        }
    }
}

/// Sleeps while `word` is `value`, until it is notified, or for so many nanoseconds unless they are negative.
fn wait(word: &AtomicU32, value: u32, nanoseconds: i64) {
    // SAFETY: an aligned address of the memory, which is shared: there is another thread.
    unsafe { memory_atomic_wait32(word.as_ptr().cast(), value.cast_signed(), nanoseconds) };
}

/// Wakes at most `count` threads that sleep on `word`.
fn notify(word: &AtomicU32, count: u32) {
    // SAFETY: an aligned address of the memory.
    unsafe { memory_atomic_notify(word.as_ptr().cast(), count) };
}

unsafe extern "C" fn parallel_for(_: *mut c_void, count: usize, data: *mut c_void, work: vitrum_work) {
    let Some(work) = work else { return };
    // Inside a region nobody else is free.
    if (2..=MAX_LANES).contains(&count) && !TEAM.is_taken.swap(true, SeqCst) {
        // SAFETY: the team was free; the library permits the calls until this returns.
        unsafe { TEAM.run(count as u32, work, data) };
        TEAM.is_taken.store(false, SeqCst);
    } else {
        // SAFETY: as above.
        (0..count).for_each(|index| unsafe { work(data, index) });
    }
}

/// The pointer for a `vitrum_parallel_for` that hands lanes to the threads in `vitrum_web_follow`.
#[unsafe(no_mangle)]
pub extern "C" fn vitrum_web_parallel_for() -> usize {
    parallel_for as *const () as usize
}

/// Takes lanes until the thread is ended from outside. The thread has a stack of its own, and the memory is shared.
#[unsafe(no_mangle)]
pub extern "C" fn vitrum_web_follow() {
    TEAM.follow()
}

/// Says that a thread left `vitrum_web_follow`, because WebAssembly stopped it: the call that waits for it stops, too.
#[unsafe(no_mangle)]
pub extern "C" fn vitrum_web_lost() {
    TEAM.is_lost.store(true, SeqCst);
    notify(&TEAM.returned, 1);
}
