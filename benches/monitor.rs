//! How soon a call can be stopped: `cargo bench --bench monitor -- MODEL…`, with directories of SAM, SAM 2 or CLIP models; those
//! of `demo/` without any. `benches/peers` makes models of published sizes with random weights. `--only=load` leaves out all calls
//! but those whose names begin so.
//!
//! Each call runs once with a callback that is asked wherever that is possible: `gap` is the time between two questions, `wait` the
//! time from a random moment to the next one. Then it is stopped at moments all over its length: `stop` is the time from the
//! moment to its return. The benchmark fails where 99 of 100 waits, or stops, are not within 50 ms; it means something on a machine
//! that does nothing else.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::clip::{Clip, ClipOptions, EncodeOptions};
use vitrum::pipelines::sam::{Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};
use vitrum::pipelines::tracker::{Direction, PromptOptions, Tracker, TrackerOptions};
use vitrum::weights::{Bundle, OpenOptions};
use vitrum::{ErrorCode, Result};

/// The bound.
const MOST: Duration = Duration::from_millis(50);
/// Moments at which each call is stopped.
const STOPS: u32 = 40;
/// Side of the pictures.
const SIDE: usize = 1024;

/// Measures calls, and remembers whether all of them can be stopped in time.
struct Bench<'a> {
    /// What the names of the calls begin with that are measured.
    only: &'a str,
    threads: usize,
    in_time: bool,
}

impl Bench<'_> {
    fn measure(&mut self, name: &str, call: impl Fn(&Monitor<'_>) -> Result<()>) -> Result<()> {
        if !name.starts_with(self.only) {
            return Ok(());
        }
        // What is allocated once is allocated.
        call(&Monitor::none())?;
        let times = Mutex::new(Vec::with_capacity(1 << 20));
        let note = |_: f32| {
            times.lock().expect("no panic").push(Instant::now());
            ControlFlow::Continue(())
        };
        let start = Instant::now();
        call(&Monitor::new(&note).with_interval(Duration::ZERO))?;
        let whole = start.elapsed();
        let mut times = times.into_inner().expect("no panic");
        times.insert(0, start);
        times.push(start + whole);
        let mut gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_unstable();

        let mut stops = (0..STOPS)
            .map(|i| {
                let moment = Instant::now() + whole * (2 * i + 1) / (2 * STOPS);
                let stop = |_: f32| match Instant::now() < moment {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                };
                match call(&Monitor::new(&stop)) {
                    Err(error) if error.code() != ErrorCode::Cancelled => Err(error),
                    // One that is quicker this time ends before the moment.
                    _ => Ok(Instant::now().saturating_duration_since(moment)),
                }
            })
            .collect::<Result<Vec<Duration>>>()?;
        stops.sort_unstable();

        let (late, stop) = (wait(&gaps), percentile(&stops, 0.99));
        self.in_time &= late <= MOST && stop <= MOST;
        println!(
            "{name:<28}{:>3}{:>9.0}{:>9}{:>8.2}{:>8.2}{:>8.2}{:>8.2}{:>8.2}{:>8.2}",
            self.threads,
            ms(whole),
            gaps.len() - 1,
            ms(percentile(&gaps, 0.5)),
            ms(percentile(&gaps, 0.99)),
            ms(gaps[gaps.len() - 1]),
            ms(late),
            ms(percentile(&stops, 0.5)),
            ms(stop),
        );
        Ok(())
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn percentile(sorted: &[Duration], part: f64) -> Duration {
    sorted[((sorted.len() as f64 * part) as usize).min(sorted.len() - 1)]
}

/// The time within which, of 100 requests at random moments, 99 meet the next question.
fn wait(gaps: &[Duration]) -> Duration {
    let whole: f64 = gaps.iter().map(Duration::as_secs_f64).sum();
    let waits_longer = |than: f64| gaps.iter().map(|gap| (gap.as_secs_f64() - than).max(0.0)).sum::<f64>();
    let (mut low, mut high) = (0.0, gaps[gaps.len() - 1].as_secs_f64());
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if waits_longer(middle) > 0.01 * whole { low = middle } else { high = middle }
    }
    Duration::from_secs_f64(high)
}

fn picture(shift: usize) -> Vec<u8> {
    let square = |i: usize| (i % SIDE + shift) / 16 * 37 + i / SIDE / 16 * 101;
    (0..SIDE * SIDE).flat_map(|i| [7, 5, 3].map(|factor| (square(i) * factor) as u8)).collect()
}

fn view(rgb: &[u8]) -> Result<ImageView<'_>> {
    ImageView::packed(rgb, SIDE, SIDE, PixelFormat::Rgb8)
}

fn clip(bench: &mut Bench<'_>, cx: &Cx, bundle: &Bundle<'_>) -> Result<()> {
    let options = ClipOptions::default();
    bench.measure("load", |monitor| Clip::load_monitored(cx, bundle, &options, monitor).map(drop))?;
    let (clip, rgb, options) = (Clip::load(cx, bundle, &options)?, picture(0), EncodeOptions::default());
    let images = [view(&rgb)?; 16];
    bench.measure("16 pictures", |monitor| {
        let mut out = vec![0.0; images.len() * clip.embed_dim()];
        clip.encode_images_monitored(&images, &options, &mut out, monitor)
    })?;
    let texts = ["two red apples on a wooden table"; 64];
    bench.measure("64 texts", |monitor| {
        let mut out = vec![0.0; texts.len() * clip.embed_dim()];
        clip.encode_texts_monitored(&texts, &options, &mut out, monitor)
    })
}

fn sam(bench: &mut Bench<'_>, cx: &Cx, bundle: &Bundle<'_>) -> Result<()> {
    let options = SamOptions::default();
    bench.measure("load", |monitor| Sam::load_monitored(cx, bundle, &options, monitor).map(drop))?;
    let (sam, rgb) = (Arc::new(Sam::load(cx, bundle, &options)?), picture(0));
    bench.measure("encode", |monitor| sam.encode(&view(&rgb)?, monitor).map(drop))?;
    let embedding = sam.encode(&view(&rgb)?, &Monitor::none())?;
    let clicks: Vec<[Point; 1]> = (0..64).map(|i| [Point::foreground(i as f32 * 16.0, 500.0)]).collect();
    let prompts: Vec<Prompt<'_>> = clicks.iter().map(|click| Prompt::points(click)).collect();
    bench.measure("64 clicks", |monitor| {
        let mut out = Prediction::default();
        sam.predict_monitored(&embedding, &prompts, &PredictOptions::default(), &mut out, monitor)
    })?;
    let automatic = sam.model().automatic_options().with_points_per_side(8);
    bench.measure("everything, 8 x 8 clicks", |monitor| {
        sam.everything(&view(&rgb)?, &automatic, monitor, &mut |_| ControlFlow::Continue(())).map(drop)
    })?;
    match sam.sam2() {
        Some(model) if model.tracking().is_some() => track(bench, &sam),
        _ => Ok(()),
    }
}

fn track(bench: &mut Bench<'_>, sam: &Arc<Sam>) -> Result<()> {
    let none = Monitor::none();
    let mut tracker = Tracker::new(sam.clone(), [SIDE; 2], &TrackerOptions::default())?;
    for frame in 0..4 {
        tracker.push(&view(&picture(5 * frame))?, &none)?;
        if frame == 0 {
            for (object, click) in [[412.0, 530.0], [100.0, 200.0]].into_iter().enumerate() {
                let click = [Point::foreground(click[0], click[1])];
                let options = PromptOptions::default();
                tracker.add_prompt(0, object as u32, &Prompt::points(&click), &options, &none)?;
            }
        }
        tracker.step(&none)?;
    }
    // Whatever a step changes, the next one has as much to do.
    let tracker = Mutex::new(tracker);
    bench.measure("step, 2 objects", |monitor| {
        let mut tracker = tracker.lock().expect("no panic");
        let last = tracker.frame().unwrap_or_default();
        tracker.step_at(last, Direction::Forward, monitor)
    })
}

fn main() -> Result<ExitCode> {
    let (mut models, mut only) = (Vec::new(), String::new());
    for arg in std::env::args().skip(1).filter(|arg| arg != "--bench") {
        match arg.strip_prefix("--only=") {
            Some(name) => only = name.to_owned(),
            None => models.push(PathBuf::from(arg)),
        }
    }
    if models.is_empty() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
        models.extend(["clip-nano", "sam-nano", "sam2-nano"].map(|name| demo.join(name)));
    }
    let mut threads = vec![1, std::thread::available_parallelism().map_or(1, usize::from)];
    threads.dedup();
    let mut in_time = true;
    println!(
        "{:<28}{:>3}{:>9}{:>9}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "times in ms", "thr", "whole", "asked", "gap p50", "p99", "most", "wait p99", "stop p50", "p99"
    );
    for model in &models {
        println!("{}", model.display());
        let bundle = Bundle::open(model, OpenOptions::default())?;
        for &threads in &threads {
            let cx = Cx::new(&CxOptions::default().with_threads(threads))?;
            let mut bench = Bench { only: &only, threads, in_time };
            match Sam::load(&cx, &bundle, &SamOptions::default()) {
                Ok(_) => sam(&mut bench, &cx, &bundle)?,
                Err(_) => clip(&mut bench, &cx, &bundle)?,
            }
            in_time = bench.in_time;
        }
    }
    Ok(if in_time { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
