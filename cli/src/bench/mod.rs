//! `vitrum bench`: how fast kernels and models are here, beside what this machine could do.

mod breakdown;
mod clip;
mod kernels;
mod measure;
mod peak;
mod sam;
mod sam2;
mod sam2_work;
mod sam_work;
mod track;

use std::sync::Arc;
use std::thread::available_parallelism;

use clap::ValueEnum;
use serde::Serialize;
use vitrum::WeightFormat;
use vitrum::exec::{Cx, Profile};
use vitrum::kernels::gemm::Packing;

use crate::args::{BenchArgs, LoadArgs, Machine, Subject};
use crate::failure::Result;
use crate::model;
use crate::output::Output;
use measure::{Sampled, sample};
use peak::Peak;

/// The picture of which SAM and SAM 2 are asked.
const SCENE: &[u8] = include_bytes!("../../../demo/images/garden-scene-3d.png");

/// Times what `args` name, with the threads asked for, or with one and then with all.
pub(crate) fn run(args: &BenchArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    let threads = match machine.threads {
        Some(threads) => vec![threads.into()],
        None => match available_parallelism().map_or(1, usize::from) {
            1 => vec![1],
            all => vec![1, all],
        },
    };
    let table = output.is_terminal() && !output.json();
    for threads in threads {
        let cx = machine.cx_with(threads)?;
        let peak = Peak::calibrate(&cx, machine.load.weights.unwrap_or_default());
        let profile = args.breakdown.then(|| Arc::new(Profile::default()));
        let cx = profile.iter().fold(cx, |cx, profile| cx.with_profile(profile.clone()));
        let mut bench = Bench { cx: &cx, load: machine.load, peak, table, profile, output };
        bench.header()?;
        let all = Subject::value_variants();
        let model = |demo| args.model.as_deref().unwrap_or(demo);
        for subject in args.subject.as_ref().map_or(all, std::slice::from_ref) {
            match subject {
                Subject::Gemm => {
                    kernels::gemm(&mut bench)?;
                    kernels::gemm_cold(&mut bench)?;
                }
                Subject::Attention => kernels::attention(&mut bench)?,
                Subject::Conv => kernels::conv(&mut bench)?,
                Subject::Norm => kernels::norm(&mut bench)?,
                Subject::Clip => clip::run(model(model::DEMO), &mut bench)?,
                Subject::Sam => sam::run(model(model::DEMO_SAM), &mut bench)?,
                Subject::Sam2 => sam2::run(model(model::DEMO_SAM2), &mut bench)?,
                Subject::Track => track::run(model(model::DEMO_SAM2), &mut bench)?,
            }
        }
    }
    Ok(())
}

/// What a benchmark does in one run.
#[derive(Clone, Copy, Debug)]
struct Work {
    /// Multiplications and additions.
    flops: f64,
    /// Bytes that must come from or go to memory, where that is the limit.
    bytes: Option<f64>,
}

impl Work {
    /// A product `[m, k] · [k, n]`, or as many multiply-adds.
    fn product(factors: &[usize]) -> Self {
        Self { flops: 2.0 * factors.iter().map(|&n| n as f64).product::<f64>(), bytes: None }
    }
}

/// One line of the result.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    shape: String,
    threads: usize,
    isa: &'static str,
    /// The format of the weights, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<&'static str>,
    median_ms: f64,
    gflops: f64,
    peak_gflops: f64,
    fraction_of_peak: f64,
    /// What the tiles of the weights' format reach with operands from the first-level cache.
    peak_with_loads_gflops: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gb_per_s: Option<f64>,
    /// Of frames of a video.
    #[serde(skip_serializing_if = "Option::is_none")]
    frames_per_s: Option<f64>,
}

/// Runs benchmarks with one context and prints their lines.
struct Bench<'a> {
    cx: &'a Cx,
    load: LoadArgs,
    peak: Peak,
    table: bool,
    /// Where time is spent, if that is asked.
    profile: Option<Arc<Profile>>,
    output: &'a mut Output,
}

impl Bench<'_> {
    /// For the kernels of this run.
    fn packing(&self) -> Packing {
        Packing::new(self.cx, self.load.weights.unwrap_or_default())
    }

    fn header(&mut self) -> Result<()> {
        if !self.table {
            return Ok(());
        }
        if self.profile.is_some() {
            return breakdown::header(self);
        }
        let Self { cx, .. } = self;
        let weights = self.load.weights.map_or("", WeightFormat::name);
        let title = format!("{} with {} thread(s) {weights}", cx.level().name(), cx.threads());
        self.output.line(format_args!(
            "{title:<42} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "median ms", "GFLOP/s", "peak", "of peak", "with loads", "GB/s"
        ))
    }

    /// Times `run`, which does `work`.
    fn measure(&mut self, name: &str, shape: String, work: Work, run: impl FnMut() + Send) -> Result<()> {
        if let Some(profile) = self.profile.clone() {
            return breakdown::run(self, &profile, name, &shape, run);
        }
        let sampled = sample(self.cx, &self.peak, run);
        self.tell(name, shape, work, sampled, None)
    }

    /// Prints what was measured.
    fn tell(
        &mut self,
        name: &str,
        shape: String,
        work: Work,
        Sampled { seconds, peak, peak_with_loads }: Sampled,
        frames_per_s: Option<f64>,
    ) -> Result<()> {
        let rate = |amount: f64| amount / seconds / 1e9;
        let row = Row {
            name,
            shape,
            threads: self.cx.threads(),
            isa: self.cx.level().name(),
            weights: self.load.weights.map(WeightFormat::name),
            median_ms: rounded(seconds * 1e3, 5),
            gflops: rounded(rate(work.flops), 2),
            peak_gflops: rounded(peak, 2),
            fraction_of_peak: rounded(rate(work.flops) / peak, 4),
            peak_with_loads_gflops: rounded(peak_with_loads, 2),
            gb_per_s: work.bytes.map(|bytes| rounded(rate(bytes), 2)),
            frames_per_s: frames_per_s.map(|rate| rounded(rate, 3)),
        };
        if self.table {
            let gb_per_s = row.gb_per_s.map(|rate| format!("{rate:.1}"));
            let last = gb_per_s.or(row.frames_per_s.map(|rate| format!("{rate:.2} fps"))).unwrap_or_default();
            self.output.line(format_args!(
                "{name:<20} {:<21} {:>10.4} {:>9.1} {:>9.1} {:>9.3} {:>10.1} {last:>9}",
                row.shape,
                row.median_ms,
                row.gflops,
                row.peak_gflops,
                row.fraction_of_peak,
                row.peak_with_loads_gflops,
            ))?;
        } else {
            self.output.object(&row)?;
        }
        self.output.flush()
    }
}

fn rounded(x: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (x * scale).round() / scale
}

/// What succeeds once with the same arguments succeeds again, and nothing of it depends on the time.
fn done<T>(result: vitrum::Result<T>) {
    result.expect("the scene is a picture for any model");
}
