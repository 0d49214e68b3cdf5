//! Timing, with the peak measured in between.

use std::time::Instant;

use vitrum::exec::Cx;

use super::peak::Peak;

/// Seconds for one benchmark, about.
const BUDGET: f64 = 0.4;
/// Seconds that a sample takes at least, so that the clock's resolution does not matter.
const SAMPLE: f64 = 3e-4;
/// Times that the peak is measured during one benchmark.
const PEAKS: usize = 20;
/// Seconds for one benchmark at most, if runs are slow, but for a few runs.
const PATIENCE: f64 = 10.0;
const FEW: usize = 3;

/// What a benchmark measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampled {
    /// Seconds of a run: the median.
    pub(super) seconds: f64,
    /// From the first to the third quartile of the seconds, over their median.
    pub(super) spread: f64,
    /// The peak during it in 10⁹ operations per second: the median.
    pub(super) peak: f64,
    /// The peak with operands from the first-level cache, likewise.
    pub(super) peak_with_loads: f64,
}

/// Times `run` again and again, and the peak in between, because the clock of a CPU varies with heat and
/// neighbours.
pub(super) fn sample(cx: &Cx, peak: &Peak, mut run: impl FnMut() + Send) -> Sampled {
    cx.enter(move || {
        let mut time = |runs: usize| {
            let start = Instant::now();
            (0..runs).for_each(|_| run());
            start.elapsed().as_secs_f64() / runs as f64
        };
        time(1);
        let once = time(1).max(1e-9);
        let runs = (SAMPLE / once).ceil() as usize;
        let least = ((PATIENCE / once) as usize).clamp(FEW, PEAKS);
        let samples = ((BUDGET / (once * runs as f64)) as usize).clamp(least, 400);
        let (mut seconds, mut peaks, mut with_loads) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..samples {
            if i % (samples / PEAKS).max(1) == 0 {
                peaks.push(peak.gflops(cx));
                with_loads.push(peak.gflops_with_loads(cx));
            }
            seconds.push(time(runs.max(1)));
        }
        let spread = spread(&mut seconds);
        Sampled { seconds: median(seconds), spread, peak: median(peaks), peak_with_loads: median(with_loads) }
    })
}

/// From the first to the third quartile, over the median.
fn spread(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let quartile = |quarters: usize| values[(values.len() - 1) * quarters / 4];
    (quartile(3) - quartile(1)) / quartile(2)
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_between_the_quartiles() {
        assert_eq!(spread(&mut [9.0, 2.0, 4.0, 3.0, 5.0]), 0.5);
        assert_eq!(spread(&mut [7.0]), 0.0);
        assert_eq!(median(vec![9.0, 2.0, 4.0]), 4.0);
    }
}
