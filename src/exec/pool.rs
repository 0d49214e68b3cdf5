//! The thread pool of a context: the only file that names rayon.

use super::cx::Runner;
use crate::error::{Result, err};

pub(super) struct RayonPool(rayon::ThreadPool);

impl RayonPool {
    pub(super) fn new(threads: usize) -> Result<Self> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| alloc::format!("vitrum-{i}"))
            .build()
            .map(Self)
            .map_err(|error| err!(OutOfMemory, "cannot start {threads} threads: {error}"))
    }
}

impl Runner for RayonPool {
    fn threads(&self) -> usize {
        self.0.current_num_threads()
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
        self.0.install(|| split(0..lanes, lane));
    }

    fn enter(&self, work: &mut (dyn FnMut() + Send)) {
        self.0.install(work);
    }
}
