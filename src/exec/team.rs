//! Threads that stay awake while a model runs.
//!
//! A forward pass is some hundred short parallel regions. A pool's threads fall asleep between them, and waking one
//! takes longer than many a region. For the length of [`Runner::enter`](super::Runner::enter) they follow the
//! caller instead: they wait actively for its next region and take lanes of it.
//!
//! The caller, the *leader*, takes lanes as well, and needs nobody: a thread that never comes costs speed only.
//!
//! # Soundness
//!
//! What lanes borrow outlives them because [`Team::run`] leaves only when as many have returned as there are, also by a
//! panic: panics of lanes are caught, kept, and go on afterwards, and a second one is forgotten and not dropped, which
//! might panic. The pointer to the lanes is written before the region is opened, and read by who has claimed a lane, by
//! compare and exchange, of a region that cannot end before it returns.
//!
//! Tests: `pool::teams_run_every_lane_once`, `pool::a_panic_in_a_lane_reaches_the_caller_and_the_pool_goes_on`,
//! `pool::panics_that_panic_when_they_are_dropped_leave_no_lane_behind`; in every order that the memory model allows:
//! `team_models::regions_one_after_another`, `team_models::two_followers`, `team_models::a_panic_leaves_no_lane_behind`.

use alloc::boxed::Box;
use core::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::PoisonError;

use super::sync::{AtomicBool, AtomicU32, AtomicUsize, Mutex, Ordering, UnsafeCell, spin_loop, yield_now};

/// Rounds of active waiting before a thread offers its core to others, some 100 µs.
const SPINS: u32 = 4096;

/// The lanes of a region; outlives it because [`Team::run`] returns only when all are done.
type Lanes = *const (dyn Fn(usize) + Sync + 'static);

/// A leader's regions and who takes part in them.
pub(super) struct Team {
    /// The current region: its lanes, and how many are claimed: `lanes << 16 | claimed`.
    region: AtomicU32,
    /// Written by the leader before it opens a region, read by who has claimed a lane of it.
    lanes: UnsafeCell<Option<Lanes>>,
    /// Lanes of the region that have returned.
    returned: AtomicUsize,
    /// What the first panicking lane left.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// No more regions.
    over: AtomicBool,
}

// SAFETY: `lanes` is written only while no lane of a region is claimed but not returned, and read only by claimants.
unsafe impl Sync for Team {}
// SAFETY: as above; what `lanes` points to is `Sync`.
unsafe impl Send for Team {}

impl Team {
    pub(super) fn new() -> Self {
        Self {
            region: AtomicU32::new(0),
            lanes: UnsafeCell::new(None),
            returned: AtomicUsize::new(0),
            panic: Mutex::new(None),
            over: AtomicBool::new(true),
        }
    }

    /// Lets threads [`follow`](Self::follow) until [`dismiss`](Self::dismiss).
    pub(super) fn assemble(&self) {
        self.over.store(false, Ordering::Release);
    }

    /// Ends what [`follow`](Self::follow) does.
    pub(super) fn dismiss(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Takes lanes of the leader's regions until the team is dismissed.
    pub(super) fn follow(&self) {
        let mut waiting = Waiting::default();
        while !self.over.load(Ordering::Acquire) {
            if self.take_lane() {
                waiting = Waiting::default();
            } else {
                waiting.wait();
            }
        }
    }

    /// Runs a region of `count` lanes.
    ///
    /// # Safety
    /// No other thread is in this function, and none of the lanes calls it.
    pub(super) unsafe fn run(&self, count: usize, lanes: &(dyn Fn(usize) + Sync)) {
        let count = u16::try_from(count).expect("contexts have fewer threads");
        // SAFETY: only the lifetime is changed; no lane is called after this function has returned.
        let lanes: Lanes = unsafe { core::mem::transmute::<&(dyn Fn(usize) + Sync), Lanes>(lanes) };
        // SAFETY: every lane of the previous region has returned, so nobody reads.
        self.lanes.with_mut(|place| unsafe { *place = Some(lanes) });
        self.returned.store(0, Ordering::Relaxed);
        self.region.store(u32::from(count) << 16, Ordering::Release);
        while self.take_lane() {}
        let mut waiting = Waiting::default();
        while self.returned.load(Ordering::Acquire) < usize::from(count) {
            waiting.wait();
        }
        let panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Claims a lane of the current region and runs it, if one is left.
    pub(super) fn take_lane(&self) -> bool {
        let mut region = self.region.load(Ordering::Relaxed);
        let lane = loop {
            let (count, claimed) = (region >> 16, region & 0xffff);
            if claimed >= count {
                return false;
            }
            match self.region.compare_exchange_weak(region, region + 1, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => break claimed as usize,
                Err(now) => region = now,
            }
        };
        // SAFETY: a lane of this region is claimed and has not returned, so the leader is still in `run`: it does
        // not write `lanes`, and what it points to lives.
        let run = self.lanes.with(|lanes| unsafe { &*(*lanes).expect("a region is open") });
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(lane))) {
            // To drop what another lane's panic left could panic again, and leave the region before its lanes have returned.
            let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
            match &*first {
                None => *first = Some(panic),
                Some(_) => core::mem::forget(panic),
            }
        }
        self.returned.fetch_add(1, Ordering::Release);
        true
    }
}

/// Active waiting that gives the core away after a while.
#[derive(Default)]
struct Waiting(u32);

impl Waiting {
    fn wait(&mut self) {
        if self.0 < SPINS {
            self.0 += 1;
            spin_loop();
        } else {
            yield_now();
        }
    }
}
