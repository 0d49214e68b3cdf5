//! Sequences of C calls, as any program may make them: over all handles, in any order, with wrong arguments, from callbacks
//! and from two threads. What a caller must never do, the sequences do not do either: no call begins with a freed handle,
//! and every pointer leads to as much memory as it says.
//!
//! After every call: its status is one of the header's, not that of a bug, and agrees with the error; a failed call has
//! written nothing; a successful one as much as it says. After every sequence: what the process has had from the beginning
//! computes what it did then.

mod arguments;
mod callbacks;
mod clip;
mod models;
mod outputs;
mod prediction;
mod sam;
mod topk;
mod tracker;
mod videos;
mod world;

use std::thread;

use vitrum::ffi::status::{VITRUM_E_PANIC, VITRUM_OK, vitrum_status};

use crate::source::Source;
use world::{Kind, World};

/// Calls of a sequence.
const LEAST: usize = 40;
const MORE: usize = 24;
/// How deep calls of callbacks and threads may nest.
const DEPTH: usize = 2;

/// Calls `$function` with an error behind `$argument`s, and checks what it says.
macro_rules! call {
    ($calls:expr, $function:path $(, $argument:expr)* $(,)?) => {{
        let mut report = $crate::calls::arguments::Report::new(&mut $calls.source);
        // SAFETY: handles are alive, and all memory that arguments lead to is as large as they say.
        let status = unsafe { $function($($argument,)* report.pointer()) };
        report.check(stringify!($function), status)
    }};
}
use call;

/// A sequence of `data`'s calls.
pub fn sequence(data: &[u8]) {
    let mut calls = Calls { world: World::new(), source: Source::new(data), depth: 0 };
    let count = LEAST + calls.source.below(MORE);
    (0..count).for_each(|_| calls.next());
    calls.world.free_all();
    models::check(&mut calls.source);
}

/// A caller.
struct Calls<'a> {
    world: World,
    source: Source<'a>,
    /// How many callbacks and threads it is inside of.
    depth: usize,
}

impl Calls<'_> {
    /// Some calls of another caller, a callback or a thread: it may use all handles, and frees only its own.
    fn elsewhere(world: &World, source: Source<'static>, depth: usize) {
        let mut calls = Calls { world: world.lent(), source, depth };
        (0..1 + calls.source.below(2)).for_each(|_| calls.next());
        calls.world.free_all();
    }

    /// One call.
    fn next(&mut self) {
        match self.source.below(64) {
            0..2 => self.new_context(),
            2 => self.look_at_context(),
            3..9 => self.clip_call(),
            9..22 => self.sam_call(),
            22..34 => self.prediction_call(),
            34..52 => self.tracker_call(),
            52..56 => self.video_call(),
            56 => self.load_call(),
            58 => self.init_call(),
            57 => self.polygons_call(),
            59 => self.topk_call(),
            60..62 => self.free_call(),
            _ => self.two_threads(),
        }
    }

    /// Calls from two threads at the same time. Not from a callback: it must not wait for others that may use its context.
    /// For the same reason, callbacks of these calls make none.
    fn two_threads(&mut self) {
        if self.depth > 0 {
            return;
        }
        let (world, depth) = (&self.world, DEPTH);
        let sources = [self.source.fork(), self.source.fork()];
        thread::scope(|scope| {
            for source in sources {
                scope.spawn(move || Self::elsewhere(world, source, depth));
            }
        });
    }

    /// Frees a handle of the sequence's own, or NULL, or asks the wrong function to free one.
    fn free_call(&mut self) {
        let kind = self.source.pick(&Kind::ALL);
        let handle = self.world.take(kind, &mut self.source);
        if handle.is_null() {
            let other = self.source.pick(&Kind::ALL);
            if other != kind {
                // Of another kind: it is left alone.
                other.free(self.world.any(kind, &mut self.source));
            }
        }
        kind.free(handle);
    }
}

/// What a status must be, whatever the call.
fn check_status(function: &str, status: vitrum_status) {
    assert!((VITRUM_OK..=VITRUM_E_PANIC).contains(&status), "{function}: status {status}");
    assert_ne!(status, VITRUM_E_PANIC, "{function}: a bug");
}
