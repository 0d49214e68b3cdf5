//! `vitrum bench SUBJECT --breakdown`: where a pass spends its time.

use std::time::Instant;

use serde::Serialize;
use vitrum::exec::{Profile, Span, Work};

use super::measure::median;
use super::{Bench, rounded};
use crate::failure::Result;

/// Passes of which the median of every kernel is taken.
const PASSES: usize = 7;

/// One line of the result: the calls of a kernel in a stage.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    shape: &'a str,
    threads: usize,
    isa: &'static str,
    /// Of the model; absent of what belongs to no stage, and of the sums over all stages.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'a str>,
    kernel: &'a str,
    calls: usize,
    median_ms: f64,
    /// Of the time of the pass.
    share: f64,
    gflops: f64,
    fraction_of_peak: f64,
    gb_per_s: f64,
}

/// Calls of a kernel that are told in one line.
struct Group<'a> {
    stage: Option<&'a str>,
    kernel: &'a str,
    calls: usize,
    seconds: f64,
    work: Work,
}

pub(super) fn header(bench: &mut Bench<'_>) -> Result<()> {
    let title = format!("{} with {} thread(s)", bench.cx.level().name(), bench.cx.threads());
    bench.output.line(format_args!(
        "{title:<44} {:<18} {:>5} {:>10} {:>6} {:>9} {:>8} {:>7}",
        "kernel", "calls", "median ms", "share", "GFLOP/s", "of peak", "GB/s"
    ))
}

/// Tells of the pass `run` every stage with its kernels, then every kernel over all stages, then what is spent outside of
/// kernels.
pub(super) fn run(
    bench: &mut Bench<'_>,
    profile: &Profile,
    name: &str,
    shape: &str,
    mut run: impl FnMut() + Send,
) -> Result<()> {
    let (cx, peak) = (bench.cx, bench.peak);
    let (mut passes, mut totals, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    run();
    for _ in 0..PASSES {
        peaks.push(peak.gflops(cx));
        profile.take();
        let start = Instant::now();
        run();
        totals.push(start.elapsed().as_secs_f64());
        passes.push(profile.take());
    }
    let (total, peak) = (median(totals), median(peaks));
    let spans = medians(&passes);

    let mut groups: Vec<Group<'_>> = Vec::new();
    let last = passes.last().map_or(&[][..], Vec::as_slice);
    for by_stage in [true, false] {
        let first = groups.len();
        for (span, &seconds) in last.iter().zip(&spans) {
            let stage = by_stage.then_some(span.stage.as_str()).filter(|stage| !stage.is_empty());
            let same = |group: &&mut Group<'_>| group.stage == stage && group.kernel == span.kernel;
            match groups[first..].iter_mut().find(same) {
                Some(group) => {
                    group.calls += 1;
                    group.seconds += seconds;
                    group.work.flops += span.work.flops;
                    group.work.bytes += span.work.bytes;
                }
                None => groups.push(Group { stage, kernel: span.kernel, calls: 1, seconds, work: span.work }),
            }
        }
        if by_stage {
            groups.retain(|group| group.stage.is_some());
        }
    }
    let rest = total - spans.iter().sum::<f64>();
    groups.push(Group { stage: None, kernel: "(no kernel)", calls: 1, seconds: rest, work: Work::default() });
    for group in groups {
        let rate = |amount: f64| amount / group.seconds / 1e9;
        let row = Row {
            name,
            shape,
            threads: cx.threads(),
            isa: cx.level().name(),
            stage: group.stage,
            kernel: group.kernel,
            calls: group.calls,
            median_ms: rounded(group.seconds * 1e3, 4),
            share: rounded(group.seconds / total, 4),
            gflops: rounded(rate(group.work.flops), 2),
            fraction_of_peak: rounded(rate(group.work.flops) / peak, 3),
            gb_per_s: rounded(rate(group.work.bytes), 2),
        };
        if bench.table {
            let place = format!("{name} {shape} {}", row.stage.unwrap_or("all"));
            bench.output.line(format_args!(
                "{place:<44} {:<18} {:>5} {:>10.4} {:>5.1}% {:>9.1} {:>8.3} {:>7.1}",
                row.kernel,
                row.calls,
                row.median_ms,
                1e2 * row.share,
                row.gflops,
                row.fraction_of_peak,
                row.gb_per_s
            ))?;
        } else {
            bench.output.object(&row)?;
        }
    }
    bench.output.flush()
}

/// The median seconds of every call; passes that did not make the same calls as the last one are left out.
fn medians(passes: &[Vec<Span>]) -> Vec<f64> {
    let Some(last) = passes.last() else { return Vec::new() };
    let is_same = |pass: &&Vec<Span>| {
        pass.len() == last.len() && pass.iter().zip(last).all(|(a, b)| a.kernel == b.kernel)
    };
    let same: Vec<&Vec<Span>> = passes.iter().filter(is_same).collect();
    (0..last.len()).map(|i| median(same.iter().map(|pass| pass[i].seconds).collect())).collect()
}
