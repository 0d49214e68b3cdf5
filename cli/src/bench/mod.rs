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
use vitrum::simd::Level;

use crate::args::{BenchArgs, LoadArgs, Machine, Subject};
use crate::failure::{Failure, Result};
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
    if !args.shapes.is_empty() && args.subject != Some(Subject::Gemm) {
        return Err(Failure::usage("--shape is for gemm: vitrum bench gemm --shape M,N,K"));
    }
    let have_sizes = [Subject::Sam, Subject::Sam2, Subject::Track];
    if args.image_size.is_some() && !args.subject.is_some_and(|subject| have_sizes.contains(&subject)) {
        return Err(Failure::usage("--image-size is for sam, sam2 and track"));
    }
    let table = output.is_terminal() && !output.json();
    if table && !args.breakdown {
        output.line(format_args!(
            "{:<20} {:<21} {:<8} {:>3} {:<5}{:>10} {:>6} {:>8} {:>8} {:>7} {:>8} {:>8}",
            "", "", "isa", "thr", "", "median ms", "spread", "GFLOP/s", "peak", "of peak", "w. loads", "GB/s"
        ))?;
    }
    let levels: Vec<Option<Level>> =
        if args.every_isa { Level::available().map(Some).collect() } else { vec![machine.isa] };
    for (level, threads) in
        levels.into_iter().flat_map(|level| threads.iter().map(move |&threads| (level, threads)))
    {
        let cx = Machine { isa: level, ..machine.clone() }.cx_with(threads)?;
        let peak = Peak::calibrate(&cx, machine.load.weights.unwrap_or_default());
        let profile = args.breakdown.then(|| Arc::new(Profile::default()));
        let cx = profile.iter().fold(cx, |cx, profile| cx.with_profile(profile.clone()));
        let (load, image_size) = (machine.load, args.image_size);
        let mut bench = Bench { cx: &cx, load, image_size, peak, table, profile, output };
        if table && args.breakdown {
            breakdown::header(&mut bench)?;
        }
        let all = Subject::value_variants();
        let model = |demo| args.model.as_deref().unwrap_or(demo);
        for subject in args.subject.as_ref().map_or(all, std::slice::from_ref) {
            match subject {
                Subject::Gemm => {
                    let shapes = if args.shapes.is_empty() { &kernels::SHAPES[..] } else { &args.shapes };
                    kernels::gemm(&mut bench, shapes)?;
                    if args.shapes.is_empty() {
                        kernels::gemm_cold(&mut bench)?;
                    }
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
    /// From the first to the third quartile, over the median.
    spread: f64,
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
    /// Side of the input of a SAM, if not its own.
    image_size: Option<usize>,
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
        Sampled { seconds, spread, peak, peak_with_loads }: Sampled,
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
            spread: rounded(spread, 3),
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
                "{name:<20} {:<21} {:<8} {:>3} {:<5}{:>10.4} {:>5.0}% {:>8.1} {:>8.1} {:>7.3} {:>8.1} {last:>8}",
                row.shape,
                row.isa,
                row.threads,
                row.weights.unwrap_or_default(),
                row.median_ms,
                1e2 * row.spread,
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
