//! The thread pool of a context: the only file that names rayon.
//!
//! # Soundness
//!
//! One caller at a time has the team, and only its thread has the leader's index; during a region nobody leads, so that
//! lanes that begin a region run it alone. So at most one thread is in [`Team::run`].
//!
//! Tests: `pool::teams_run_every_lane_once`, `pool::threads_end_before_drop_returns`.

use alloc::vec::Vec;
use core::mem;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::io;

use super::cx::Runner;
use super::fallible::{TryCollect, try_with_capacity};
use super::team::Team;
use super::worker::Worker;
use crate::error::{Result, err};

pub(super) struct RayonPool {
    /// `None` only while it is made and dropped.
    pool: Option<rayon::ThreadPool>,
    workers: Vec<Worker>,
    team: Team,
    /// Whether a caller has the team.
    is_taken: AtomicBool,
    /// The index of the thread that leads the team between regions; `NOBODY` otherwise.
    leader: AtomicUsize,
    /// Which threads lead or follow. One that waits for another pool, in a callback, looks for work meanwhile, and may be handed
    /// a second place in the team: it would wait there for a region to end that its first place has to finish.
    in_team: Vec<AtomicBool>,
    /// The process that has the threads. One that it forks has none of them, and works on the calling thread alone.
    process: u32,
}

const NOBODY: usize = usize::MAX;

impl RayonPool {
    pub(super) fn new(threads: usize) -> Result<Self> {
        let mut this = Self {
            pool: None,
            workers: try_with_capacity(threads)?,
            team: Team::new(),
            is_taken: AtomicBool::new(false),
            leader: AtomicUsize::new(NOBODY),
            in_team: (0..threads).map(|_| AtomicBool::new(false)).try_to_vec()?,
            process: super::fork_lock::process(),
        };
        // Started here, because rayon does not join the threads that it starts itself.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .spawn_handler(|worker| {
                let started = Worker::spawn(worker.index(), || worker.run());
                this.workers.push(started.map_err(io::Error::other)?);
                Ok(())
            })
            .build()
            .map_err(|error| err!(OutOfMemory, "cannot start {threads} threads: {error}"))?;
        this.pool = Some(pool);
        Ok(this)
    }

    /// Whether this is the process that has the threads, and not one that it forked.
    fn is_here(&self) -> bool {
        super::fork_lock::process() == self.process
    }

    fn pool(&self) -> &rayon::ThreadPool {
        self.pool.as_ref().expect("taken only by drop")
    }

    /// The index of the calling thread.
    fn own_index(&self) -> usize {
        self.pool().current_thread_index().expect("on a thread of the pool")
    }

    /// Follows the leader with as many threads as are free, up to `count`, unless this thread is in the team already: one that
    /// waits for another pool may be given this as work meanwhile. It must not wait for a follower then, who would wait for the
    /// leader, who may be that thread.
    fn follow(&self, count: usize) {
        let in_team = &self.in_team[self.own_index()];
        if in_team.load(Ordering::Relaxed) {
            return;
        }
        match count {
            0 => (),
            1 => {
                in_team.store(true, Ordering::Relaxed);
                let _leave = OnDrop(|| in_team.store(false, Ordering::Relaxed));
                self.team.follow();
            }
            _ => drop(rayon::join(|| self.follow(count / 2), || self.follow(count - count / 2))),
        }
    }
}

impl Drop for RayonPool {
    /// Ends the threads and waits for them: afterwards a host may unload the library.
    fn drop(&mut self) {
        if !self.is_here() {
            // Threads of another process: there is nothing to end, and locks of the pool may be held for good.
            mem::forget((self.pool.take(), mem::take(&mut self.workers)));
            return;
        }
        // A thread cannot wait for itself.
        let own = self.pool.as_ref().and_then(rayon::ThreadPool::current_thread_index);
        drop(self.pool.take());
        for (_, worker) in self.workers.drain(..).enumerate().filter(|(i, _)| Some(*i) != own) {
            worker.join();
        }
    }
}

impl Runner for RayonPool {
    fn threads(&self) -> usize {
        self.pool().current_num_threads()
    }

    fn run(&self, lanes: usize, lane: &(dyn Fn(usize) + Sync)) {
        if !self.is_here() {
            return (0..lanes).for_each(lane);
        }
        match self.pool().current_thread_index() {
            Some(index) if index == self.leader.load(Ordering::Relaxed) => {
                // Regions do not nest: while this one runs, nobody leads.
                self.leader.store(NOBODY, Ordering::Relaxed);
                let _lead = OnDrop(|| self.leader.store(index, Ordering::Relaxed));
                // SAFETY: only the thread with the leader's index gets here, and not from a lane, since nobody leads there.
                unsafe { self.team.run(lanes, lane) };
            }
            // Inside a region, or a second caller beside the team: no other thread is free.
            Some(_) if self.is_taken.load(Ordering::Relaxed) => (0..lanes).for_each(lane),
            _ => self.pool().install(|| split(0..lanes, lane)),
        }
    }

    fn enter(&self, work: &mut (dyn FnMut() + Send)) {
        if !self.is_here() {
            return work();
        }
        if self.is_taken.swap(true, Ordering::Acquire) {
            return self.pool().install(work);
        }
        let _give_back = OnDrop(|| self.is_taken.store(false, Ordering::Release));
        self.pool().install(|| {
            let index = self.own_index();
            self.team.assemble();
            let lead = || {
                self.in_team[index].store(true, Ordering::Relaxed);
                self.leader.store(index, Ordering::Relaxed);
                let _dismiss = OnDrop(|| {
                    self.leader.store(NOBODY, Ordering::Relaxed);
                    self.in_team[index].store(false, Ordering::Relaxed);
                    self.team.dismiss();
                });
                work();
            };
            rayon::join(lead, || self.follow(self.threads() - 1));
        });
    }
}

/// Calls `call` for each of `lanes`, on as many threads as are free.
///
/// `join` keeps its jobs on the stack: unlike `spawn`, it allocates nothing.
fn split(lanes: Range<usize>, call: &(dyn Fn(usize) + Sync)) {
    match lanes.len() {
        0 => (),
        1 => call(lanes.start),
        n => {
            let middle = lanes.start + n / 2;
            rayon::join(|| split(lanes.start..middle, call), || split(middle..lanes.end, call));
        }
    }
}

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use core::cell::RefCell;
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Regions inside `enter`: every lane once, results seen by the leader, nested and concurrent use.
    #[test]
    fn teams_run_every_lane_once() {
        let pool = RayonPool::new(3).unwrap();
        let lanes_run = AtomicUsize::new(0);
        let region = |lanes: usize| {
            let before = lanes_run.load(Ordering::Relaxed);
            let runs: Vec<AtomicUsize> = (0..lanes).map(|_| AtomicUsize::new(0)).collect();
            pool.run(lanes, &|lane| {
                runs[lane].fetch_add(1, Ordering::Relaxed);
                lanes_run.fetch_add(1, Ordering::Relaxed);
            });
            assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
            assert!(lanes_run.load(Ordering::Relaxed) >= before + lanes);
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        pool.enter(&mut || (0..100).for_each(|i| region(1 + i % 3)));
                        region(3);
                    }
                });
            }
        });
        assert_eq!(lanes_run.load(Ordering::Relaxed), 4 * 50 * (34 + 33 * 2 + 33 * 3 + 3));
        pool.enter(&mut || pool.run(3, &|_| region(3)));
    }

    #[test]
    fn a_panic_in_a_lane_reaches_the_caller_and_the_pool_goes_on() {
        let pool = RayonPool::new(3).unwrap();
        for bad in 0..3 {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pool.enter(&mut || pool.run(3, &|lane| assert_ne!(lane, bad, "a bad lane")));
            }));
            assert!(panic.is_err());
        }
        let count = AtomicUsize::new(0);
        pool.enter(&mut || pool.run(3, &|_| _ = count.fetch_add(1, Ordering::Relaxed)));
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }

    /// What a panic leaves may panic when it is dropped: no lane may outlive its region for that.
    #[test]
    fn panics_that_panic_when_they_are_dropped_leave_no_lane_behind() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                assert!(thread::panicking(), "dropped a bomb");
            }
        }
        let pool = RayonPool::new(3).unwrap();
        for _ in 0..if cfg!(miri) { 1 } else { 20 } {
            let ended = AtomicUsize::new(0);
            let all_running = Barrier::new(3);
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pool.enter(&mut || {
                    pool.run(3, &|lane| {
                        all_running.wait();
                        if lane < 2 {
                            ended.fetch_add(1, Ordering::Relaxed);
                            std::panic::panic_any(Bomb);
                        }
                        thread::sleep(core::time::Duration::from_millis(2));
                        ended.fetch_add(1, Ordering::Relaxed);
                    });
                });
            }));
            assert_eq!(ended.load(Ordering::Relaxed), 3, "a lane is left");
            mem::forget(panic.unwrap_err());
        }
    }

    /// A lane, or the leader between regions, that waits for another pool is given work of its own pool meanwhile.
    #[test]
    fn a_thread_that_waits_for_another_pool_is_no_second_member_of_its_team() {
        let (pool, other) = (RayonPool::new(3).unwrap(), RayonPool::new(2).unwrap());
        let work = || other.enter(&mut || other.run(2, &|_| thread::sleep(Duration::from_micros(50))));
        let lanes = AtomicUsize::new(0);
        for _ in 0..200 {
            pool.enter(&mut || {
                work();
                pool.run(3, &|_| {
                    lanes.fetch_add(1, Ordering::Relaxed);
                    work();
                });
            });
        }
        assert_eq!(lanes.into_inner(), 600);
    }

    #[test]
    fn threads_end_before_drop_returns() {
        std::thread_local!(static KEPT: RefCell<Option<Arc<()>>> = const { RefCell::new(None) });
        let witness = Arc::new(());
        let pool = RayonPool::new(3).unwrap();
        let all_running = Barrier::new(3);
        pool.run(3, &|_| {
            KEPT.set(Some(witness.clone()));
            all_running.wait();
        });
        assert_eq!(Arc::strong_count(&witness), 4);
        drop(pool);
        assert_eq!(Arc::strong_count(&witness), 1);
    }
}
