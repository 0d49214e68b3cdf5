//! Times and memory of one model in one format, as a JSON object: what `cargo run -p xtask -- models --measure` runs for every line
//! of docs/models.md.
//!
//! ```sh
//! cargo run --release --example measure -- demo/clip-nano int8 2
//! ```

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vitrum::{
    Bundle, Clip, ClipOptions, Context, ContextOptions, EncodeOptions, ImageView, Monitor, OpenOptions,
};
use vitrum::{
    PixelFormat, Point, PredictOptions, Prediction, Prompt, PromptOptions, Sam, SamOptions, Tracker,
};
use vitrum::{TrackerOptions, WeightFormat};

/// Runs of one measurement, and when it ends before.
const RUNS: usize = 9;
const PATIENCE: Duration = Duration::from_secs(8);
/// The picture, as a camera's.
const SIZE: [usize; 2] = [640, 480];

/// Milliseconds of a run: the median, after one that is not counted.
fn median(mut run: impl FnMut() -> vitrum::Result<()>) -> vitrum::Result<f64> {
    run()?;
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < RUNS && (times.is_empty() || begin.elapsed() < PATIENCE) {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn clip(clip: &Clip, view: &ImageView<'_>) -> vitrum::Result<Vec<(&'static str, f64)>> {
    let options = EncodeOptions::default();
    let mut times = Vec::new();
    if clip.config().vision.is_some() {
        times.push(("image_ms", median(|| clip.encode_images(&[*view], &options).map(drop))?));
    }
    if let Some(text) = clip.config().text {
        // A text as long as the context; where the end token pools, it is the highest of a vocabulary.
        let mut ids: Vec<u32> = (0..text.context_length).map(|i| 2 + (i * 37 % 97) as u32).collect();
        *ids.last_mut().expect("a context") = text.vocab_size as u32 - 1;
        times.push(("text_ms", median(|| clip.encode_tokens(&[&ids], &options).map(drop))?));
    }
    Ok(times)
}

fn sam(sam: Sam, view: &ImageView<'_>) -> vitrum::Result<Vec<(&'static str, f64)>> {
    let (sam, none) = (Arc::new(sam), Monitor::none());
    let encode = median(|| sam.encode(view, &none).map(drop))?;
    let embedding = sam.encode(view, &none)?;
    let click = [Point::foreground(320.0, 240.0)];
    let prompt = Prompt::points(&click);
    let mut prediction = Prediction::default();
    let click = median(|| sam.predict(&embedding, &[prompt], &PredictOptions::default(), &mut prediction))?;
    let mut times = vec![("encode_ms", encode), ("click_ms", click)];
    // A SAM follows nothing.
    if let Ok(mut tracker) = Tracker::new(sam.clone(), SIZE, &TrackerOptions::default()) {
        let frame = tracker.push(view, &none)?;
        tracker.add_prompt(frame, 1, &prompt, &PromptOptions::default(), &none)?;
        tracker.step(&none)?;
        // All memories are there after these.
        for _ in 0..7 {
            tracker.push(view, &none)?;
            tracker.step(&none)?;
        }
        let next = || {
            tracker.push(view, &none)?;
            tracker.step(&none)
        };
        times.push(("frame_ms", median(next)?));
    }
    Ok(times)
}

/// The most memory that this process had, in MiB; Linux says.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok().map(|kib: f64| kib / 1024.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, format, threads] = &args[..] else {
        return Err("usage: measure MODEL FORMAT THREADS".into());
    };
    let format = WeightFormat::ALL.into_iter().find(|it| it.name() == format).ok_or("no such format")?;
    let context = Context::new(&ContextOptions::default().with_threads(threads.parse::<usize>()?))?;
    let bundle = Bundle::open(Path::new(model), OpenOptions::new())?;
    let pixels: Vec<u8> = (0..SIZE[0] * SIZE[1] * 3).map(|i| (i * 31 % 251 + i / 4096) as u8).collect();
    let view = ImageView::packed(&pixels, SIZE[0], SIZE[1], PixelFormat::Rgb8)?;
    let (kind, times) = match Clip::load(&context, &bundle, &ClipOptions::default().with_weights(format)) {
        Ok(loaded) => {
            drop(bundle);
            ("clip", clip(&loaded, &view)?)
        }
        Err(not_a_clip) => {
            let loaded = Sam::load(&context, &bundle, &SamOptions::default().with_weights(format));
            let loaded = loaded.map_err(|error| format!("{not_a_clip}; {error}"))?;
            drop(bundle);
            ("sam", sam(loaded, &view)?)
        }
    };
    let times: String = times.iter().map(|(name, ms)| format!(", \"{name}\": {ms:.2}")).collect();
    let memory = peak_mib().map_or("null".into(), |mib| format!("{mib:.0}"));
    println!("{{\"kind\": \"{kind}\"{times}, \"memory_mib\": {memory}}}");
    Ok(())
}
