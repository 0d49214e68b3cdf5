//! How far a load is.

use core::cell::Cell;

use super::archive::Archive;
use crate::error::Result;
use crate::exec::{Cx, Monitor};

/// Told of every piece that is read, of so many bytes; its error ends the reading.
pub(super) type Progress<'p> = &'p dyn Fn(usize) -> Result<()>;

/// What a load has read of an archive so far, for a monitor.
#[derive(Debug)]
pub struct Loading<'a> {
    monitor: Monitor<'a>,
    read: Cell<u64>,
    total: u64,
}

impl<'a> Loading<'a> {
    /// Nothing is read yet.
    pub fn new(archive: &Archive<'_>, monitor: &Monitor<'a>) -> Self {
        Self { monitor: *monitor, read: Cell::new(0), total: archive.total_bytes().max(1) }
    }

    /// Counts bytes that were read.
    pub(super) fn add(&self, bytes: usize) -> Result<()> {
        self.read.set(self.read.get() + bytes as u64);
        // What is read twice must not count beyond the end.
        self.monitor.advance((self.read.get() as f32 / self.total as f32).min(1.0))
    }

    /// Computes something with `cx` between reading, so that it may be stopped.
    pub(super) fn compute<R: Send>(&self, cx: &Cx, work: impl FnOnce(&Cx) -> Result<R> + Send) -> Result<R> {
        cx.watched(&self.monitor.part(0.0, 0.0), |cx, _| work(cx))
    }
}
