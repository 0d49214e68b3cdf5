//! Signals: what runs may end in good order, and half-written files do not stay.
//!
//! The first signal (Ctrl-C, SIGTERM, SIGHUP) of a command that asked for it by [`finish_in_order`] only sets a flag; any
//! other ends the command at once, without its temporary files. A signal that the caller had ignored (`nohup`) stays so.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use crate::failure::Exit;

/// Whether the first signal waits for the command.
static IN_ORDER: AtomicBool = AtomicBool::new(false);
/// The first signal.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
static TEMPORARY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Listens from now on. That fails only where threads cannot be made: signals then end the command as they always do.
pub(super) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = platform::listen();
    });
}

/// Ends the command with its code for that, and not by a signal, when there is no memory where the reserve cannot help: in the
/// readers of pictures, for instance. What happened has been said then.
pub(crate) fn exit_without_memory() {
    let _ = platform::exit_on_abort(Exit::Other as i32);
}

/// Lets the first signal wait until the command has looked at [`signal`] and ended in good order.
pub(crate) fn finish_in_order() {
    listen();
    IN_ORDER.store(true, Ordering::SeqCst);
}

/// The signal that asked the command to end.
pub(crate) fn signal() -> Option<i32> {
    Some(SIGNAL.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
}

/// For a [`vitrum::exec::Monitor`]: stops once there was a signal.
pub(crate) fn stop(_done: f32) -> ControlFlow<()> {
    if signal().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// A file to be removed if the command is stopped.
pub(super) fn remember(path: &Path) {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).insert(path.into());
}

pub(super) fn forget(path: &Path) {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
}

/// Whether the command goes on for a while.
#[cfg_attr(not(unix), expect(dead_code, reason = "there are no signals"))]
fn is_first(signal: i32) -> bool {
    IN_ORDER.load(Ordering::SeqCst)
        && SIGNAL.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_ok()
}

#[cfg_attr(not(unix), expect(dead_code, reason = "there are no signals"))]
fn remove_temporary() {
    for path in &*TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(unix)]
mod platform {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::{fs, io, thread};

    use signal_hook::consts::{SIGABRT, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    pub(super) fn exit_on_abort(code: i32) -> io::Result<()> {
        flag::register_conditional_shutdown(SIGABRT, code, Arc::new(AtomicBool::new(true))).map(drop)
    }

    pub(super) fn listen() -> io::Result<()> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = super::ignored(&status);
        // A file that grows too large ends the command by a signal, unless there is a handler: then the write fails.
        let mut wanted = vec![SIGINT, SIGTERM, SIGXFSZ];
        if ignored.is_some() {
            wanted.push(SIGHUP);
        }
        wanted.retain(|signal| ignored.unwrap_or(0) >> (signal - 1) & 1 == 0);
        let mut signals = Signals::new(wanted)?;
        let react = move || {
            for signal in signals.forever() {
                if signal != SIGXFSZ && !super::is_first(signal) {
                    super::remove_temporary();
                    let _ = emulate_default_handler(signal);
                }
            }
        };
        thread::Builder::new().name("signals".into()).spawn(react).map(drop)
    }
}

#[cfg(not(unix))]
mod platform {
    pub(super) fn exit_on_abort(_: i32) -> std::io::Result<()> {
        Ok(())
    }

    pub(super) fn listen() -> std::io::Result<()> {
        Ok(())
    }
}

/// The bits of ignored signals, the lowest for signal 1, as Linux tells them of a process.
#[cfg(unix)]
fn ignored(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read() {
        assert_eq!(ignored("Name:\tx\nSigBlk:\t00\nSigIgn:\t0000000000001003\nSigCgt:\t01\n"), Some(0x1003));
        assert_eq!(ignored("Name:\tx\n"), None);
    }
}
