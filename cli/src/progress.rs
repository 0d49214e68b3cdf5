//! Progress on standard error, if that is a terminal.

use std::ops::ControlFlow;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use vitrum::exec::Monitor;

/// A bar over `len` steps, named `what`. It is hidden if standard error is not a terminal, and disappears when it is
/// dropped.
pub(crate) fn bar(what: &'static str, len: usize) -> ProgressBar {
    styled(what, len, "{msg:>12} {wide_bar} {pos}/{len} {eta}")
}

/// Frames of a video named `what`, and how many a second; a bar if it is known how many there will be.
pub(crate) fn frames(what: &'static str, len: Option<u64>) -> ProgressBar {
    let template = match len {
        Some(_) => "{msg:>12} {wide_bar} {pos}/{len} frames, {per_sec} {eta}",
        None => "{msg:>12} {pos} frames, {per_sec}",
    };
    let bar = styled(what, len.unwrap_or(0) as usize, template);
    if len.is_none() {
        bar.unset_length();
    }
    bar
}

/// Does `work`, which tells the monitor how far it is, under a bar named `what`.
pub(crate) fn watch<T>(what: &'static str, work: impl FnOnce(&ProgressBar, &Monitor<'_>) -> T) -> T {
    const STEPS: usize = 1000;
    let bar = styled(what, STEPS, "{msg:>12} {wide_bar} {percent} % {eta}");
    let show = |done: f32| {
        bar.set_position((done * STEPS as f32) as u64);
        ControlFlow::Continue(())
    };
    work(&bar, &Monitor::new(&show))
}

fn styled(what: &'static str, len: usize, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    let bar = ProgressBar::with_draw_target(Some(len as u64), ProgressDrawTarget::stderr());
    let bar = bar.with_message(what).with_finish(ProgressFinish::AndClear);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
