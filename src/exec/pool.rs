//! The thread pool of a context: the only file that names rayon.

use alloc::vec::Vec;
use std::thread::{self, JoinHandle};

use super::cx::Runner;
use crate::error::{Result, err};

pub(super) struct RayonPool {
    /// `None` only while it is made and dropped.
    pool: Option<rayon::ThreadPool>,
    workers: Vec<JoinHandle<()>>,
}

impl RayonPool {
    pub(super) fn new(threads: usize) -> Result<Self> {
        let mut this = Self { pool: None, workers: Vec::with_capacity(threads) };
        // Started here, because rayon does not join the threads that it starts itself.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .spawn_handler(|worker| {
                let name = alloc::format!("vitrum-{}", worker.index());
                this.workers.push(thread::Builder::new().name(name).spawn(|| worker.run())?);
                Ok(())
            })
            .build()
            .map_err(|error| err!(OutOfMemory, "cannot start {threads} threads: {error}"))?;
        this.pool = Some(pool);
        Ok(this)
    }

    fn pool(&self) -> &rayon::ThreadPool {
        self.pool.as_ref().expect("taken only by drop")
    }
}

impl Drop for RayonPool {
    /// Ends the threads and waits for them: afterwards a host may unload the library.
    fn drop(&mut self) {
        // A thread cannot wait for itself.
        let own = self.pool.as_ref().and_then(rayon::ThreadPool::current_thread_index);
        drop(self.pool.take());
        for (_, worker) in self.workers.drain(..).enumerate().filter(|(i, _)| Some(*i) != own) {
            // A worker's panic was passed on to the call that it happened in.
            let _ = worker.join();
        }
    }
}

impl Runner for RayonPool {
    fn threads(&self) -> usize {
        self.pool().current_num_threads()
    }

    fn run(&self, lanes: usize, lane: &(dyn Fn(usize) + Sync)) {
        // `join` keeps its jobs on the stack: unlike `spawn`, it allocates nothing.
        fn split(lanes: core::ops::Range<usize>, lane: &(dyn Fn(usize) + Sync)) {
            match lanes.len() {
                0 => (),
                1 => lane(lanes.start),
                n => {
                    let middle = lanes.start + n / 2;
                    rayon::join(|| split(lanes.start..middle, lane), || split(middle..lanes.end, lane));
                }
            }
        }
        self.pool().install(|| split(0..lanes, lane));
    }

    fn enter(&self, work: &mut (dyn FnMut() + Send)) {
        self.pool().install(work);
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use core::cell::RefCell;
    use std::sync::Barrier;

    use super::*;

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
