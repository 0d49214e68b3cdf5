//! Every call that takes a monitor, asked wherever it can be stopped: fractions never go back and end at 1; stopped anywhere,
//! it says so and leaves nothing behind: the next call gives the same bits.
#![cfg(feature = "std")]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scenario::{HEIGHT, Video, WIDTH, disc};
use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::kernels::gemm::WeightFormat;
use vitrum::pipelines::clip::{ClassifyOptions, Clip, ClipOptions, EncodeOptions};
use vitrum::pipelines::sam::{
    AutomaticOptions, Point, PredictOptions, Prediction, Prompt, Sam, SamOptions, TextPrompt,
};
use vitrum::pipelines::tracker::{Direction, PromptOptions, Propagation, Tracker, TrackerOptions};
use vitrum::weights::{Bundle, OpenOptions};
use vitrum::{ErrorCode, Result};

mod common;
#[path = "common/scenario.rs"]
mod scenario;

/// Places at which each call is stopped, at most.
const STOPS: usize = 12;

fn contexts() -> Vec<Cx> {
    let threads: &[usize] = if cfg!(feature = "parallel") { &[1, 3] } else { &[1] };
    threads.iter().map(|&n| Cx::new(&CxOptions::default().with_threads(n)).unwrap()).collect()
}

fn bundle(name: &str) -> Bundle<'static> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(name);
    Bundle::open(&path, OpenOptions::default()).unwrap()
}

/// 96 × 96 RGB, behind a header of 13 bytes.
fn strawberry() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ffi-examples/strawberry.ppm");
    fs::read(path).unwrap().split_off(13)
}

fn view(rgb: &[u8]) -> ImageView<'_> {
    ImageView::packed(rgb, 96, 96, PixelFormat::Rgb8).unwrap()
}

/// Calls `call` with a callback that says to stop at question number `allowed`. Returns how often it was asked, too, and the
/// last fraction.
fn stopped_at<T>(allowed: usize, call: impl Fn(&Monitor<'_>) -> Result<T>) -> (Result<T>, usize, f32) {
    let (asked, last) = (AtomicUsize::new(0), Mutex::new(0.0f32));
    let report = |fraction: f32| {
        // Locked from the first to the last line: two threads at a time would be noticed.
        let mut last = last.try_lock().expect("one thread at a time");
        assert!((*last..=1.0).contains(&fraction), "{fraction} after {last}");
        *last = fraction;
        let number = asked.fetch_add(1, Ordering::Relaxed);
        assert!(number <= allowed, "asked again after the answer");
        if number < allowed { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let result = call(&Monitor::new(&report).with_interval(Duration::ZERO));
    (result, asked.into_inner(), last.into_inner().unwrap())
}

/// Stops `call` at places all over its length. `call` begins from the same state each time, or checks that it does.
#[track_caller]
fn check<T: PartialEq>(name: &str, cx: &Cx, call: impl Fn(&Monitor<'_>) -> Result<T>) {
    let expected = call(&Monitor::none()).unwrap();
    let (result, all, last) = stopped_at(usize::MAX, &call);
    assert!(result.unwrap() == expected, "{name}: another result under a monitor");
    assert_eq!(last, 1.0, "{name}: the last fraction");
    let threads = cx.threads();
    println!("{name}, {threads} threads: asked {all} times");
    let stops = all.min(STOPS);
    for allowed in (0..stops).map(|i| i * (all - 1) / (stops - 1).max(1)) {
        match stopped_at(allowed, &call).0 {
            Err(error) => assert_eq!(error.code(), ErrorCode::Cancelled, "{name}: {error}"),
            // How many questions there are depends on which lane is in the callback when another would ask.
            Ok(result) => assert!(threads > 1 && allowed > 0 && result == expected, "{name}: not stopped"),
        }
        assert!(call(&Monitor::none()).unwrap() == expected, "{name}: another result after a stop");
    }
}

#[test]
fn loading() {
    let rgb = strawberry();
    for cx in contexts() {
        for format in [WeightFormat::F32, WeightFormat::Int8, WeightFormat::Q4] {
            let bundle = bundle("clip-nano");
            let options = ClipOptions::default().with_weights(format);
            check("Clip::load", &cx, |monitor| {
                let clip = Clip::load_monitored(&cx, &bundle, &options, monitor)?;
                clip.classify(&view(&rgb), &["strawberry", "octopus"], &ClassifyOptions::default())
            });
        }
        for name in ["sam-nano", "sam2-nano"] {
            let bundle = bundle(name);
            check("Sam::load", &cx, |monitor| {
                let sam = Sam::load_monitored(&cx, &bundle, &SamOptions::default(), monitor)?;
                Ok(sam.encode(&view(&rgb), &Monitor::none())?.save().unwrap())
            });
        }
    }
}

#[test]
fn clip() {
    let rgb = strawberry();
    for cx in contexts() {
        let clip = Clip::load(&cx, &bundle("clip-nano"), &ClipOptions::default()).unwrap();
        let options = EncodeOptions::default();
        let images = vec![view(&rgb); 20];
        let mut kept = vec![0.0; images.len() * clip.embed_dim()];
        let out = Mutex::new(&mut kept);
        check("Clip::encode_images", &cx, |monitor| {
            let out = &mut **out.lock().unwrap();
            clip.encode_images_monitored(&images, &options, out, monitor).map(|()| out.to_vec())
        });
        let texts: Vec<String> = (0..300).map(|i| format!("a photo of {i} strawberries")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        check("Clip::encode_texts", &cx, |monitor| {
            let mut out = vec![0.0; texts.len() * clip.embed_dim()];
            clip.encode_texts_monitored(&texts, &options, &mut out, monitor).map(|()| out)
        });
        let options = ClassifyOptions::default();
        check("Clip::classify", &cx, |monitor| {
            clip.classify_monitored(&images[0], &["strawberry", "octopus", "bicycle"], &options, monitor)
        });
    }
}

#[test]
fn pictures() {
    let rgb = strawberry();
    let clicks = [[30.0, 30.0], [60.0, 40.0], [48.0, 80.0]].map(|[x, y]| [Point::foreground(x, y)]);
    let mut prompts: Vec<Prompt<'_>> = clicks.iter().map(|click| Prompt::points(click)).collect();
    prompts.push(Prompt::bounding_box([10.0, 12.0, 80.0, 90.0]));
    for (cx, name) in contexts().iter().flat_map(|cx| ["sam-nano", "sam2-nano"].map(|name| (cx, name))) {
        let sam = Sam::load(cx, &bundle(name), &SamOptions::default()).unwrap();
        check("Sam::encode", cx, |monitor| Ok(sam.encode(&view(&rgb), monitor)?.save().unwrap()));

        let embedding = sam.encode(&view(&rgb), &Monitor::none()).unwrap();
        let prediction = Mutex::new(Prediction::default());
        check("Sam::predict", cx, |monitor| {
            let out = &mut *prediction.lock().unwrap();
            let options = PredictOptions::default().with_max_hole_area(4);
            if let Err(error) = sam.predict_monitored(&embedding, &prompts, &options, out, monitor) {
                assert_eq!(out.prompts(), 0, "masks of a stopped call");
                return Err(error);
            }
            let masks =
                (0..out.prompts()).flat_map(|prompt| (0..out.masks()).map(move |mask| (prompt, mask)));
            let low_res: Vec<Vec<f32>> = masks.map(|(i, mask)| out.low_res(i, mask).to_vec()).collect();
            Ok((low_res, (0..out.prompts()).map(|i| out.iou(i).to_vec()).collect::<Vec<_>>()))
        });

        let options = automatic(&sam).with_crop_n_layers(1).with_use_m2m(true).with_min_mask_region_area(9);
        check("Sam::everything", cx, |monitor| {
            let mut records = Vec::new();
            let mut emit = |record| {
                records.push(record);
                ControlFlow::Continue(())
            };
            let embedding = sam.everything(&view(&rgb), &options, monitor, &mut emit)?;
            assert!(!records.is_empty());
            Ok((records, embedding.save().unwrap()))
        });
    }
}

fn automatic(sam: &Sam) -> AutomaticOptions {
    let options = sam.model().automatic_options().with_points_per_side(2).with_points_per_batch(3);
    options.with_pred_iou_thresh(0.0).with_stability_score_thresh(0.0)
}

#[test]
fn words() {
    let rgb = strawberry();
    for cx in contexts() {
        let sam = Sam::load(&cx, &bundle("sam-nano"), &SamOptions::default()).unwrap();
        let clip = Clip::load(&cx, &bundle("clip-nano"), &ClipOptions::default()).unwrap();
        let prompt = TextPrompt::default().with_texts(&["a strawberry"]).with_automatic(automatic(&sam));
        check("Sam::ground", &cx, |monitor| {
            let (matches, embedding) = sam.ground(&clip, &view(&rgb), &prompt, monitor)?;
            assert!(!matches.is_empty());
            Ok((matches, embedding.save().unwrap()))
        });
    }
}

#[test]
fn videos() {
    for cx in contexts() {
        let model = Bundle::open(&common::path("tracker/sam2.1"), OpenOptions::default()).unwrap();
        let sam = Arc::new(Sam::load(&cx, &model, &SamOptions::default()).unwrap());
        let options = TrackerOptions::default().with_held_frames(2).with_max_objects(3);
        let mut tracker = Tracker::new(sam, [WIDTH, HEIGHT], &options).unwrap();
        let mut video = Video::default();
        for t in 0..3 {
            tracker.push(&video.image(t), &Monitor::none()).unwrap();
            if t == 0 {
                scenario::click(&mut tracker, 0, 1);
                let bounds = Prompt::bounding_box([48.0, 10.0, 66.0, 30.0]);
                tracker.add_prompt(0, 2, &bounds, &PromptOptions::default(), &Monitor::none()).unwrap();
            }
            tracker.step(&Monitor::none()).unwrap();
        }
        // Waits for the next step, or for its frame to leave.
        tracker.add_mask(1, 9, &disc(70, 50, 6), [WIDTH, HEIGHT], &Monitor::none()).unwrap();
        let before = tracker.save().unwrap();
        let check = |name: &str, call: &dyn Fn(&mut Tracker, &Monitor<'_>) -> Result<()>| {
            check(name, &cx, |monitor| {
                let mut tracker = Tracker::restore(tracker.sam().clone(), &before)?;
                if let Err(error) = call(&mut tracker, monitor) {
                    assert!(
                        tracker.save().unwrap() == before,
                        "{name}: a stopped call has changed the tracker"
                    );
                    return Err(error);
                }
                Ok(tracker.save().unwrap())
            });
        };
        let pixels = scenario::frame(3);
        let image = ImageView::packed(&pixels, WIDTH, HEIGHT, PixelFormat::Rgb8).unwrap();
        check("Tracker::push", &|tracker, monitor| tracker.push(&image, monitor).map(drop));
        check("Tracker::step_at", &|tracker, monitor| tracker.step_at(2, Direction::Forward, monitor));
        let click = [Point::foreground(24.0, 30.0)];
        check("Tracker::add_prompt", &|tracker, monitor| {
            tracker.add_prompt(2, 1, &Prompt::points(&click), &PromptOptions::default(), monitor)
        });
        let mask = disc(20, 30, 8);
        check("Tracker::add_mask", &|tracker, monitor| {
            tracker.add_mask(2, 1, &mask, [WIDTH, HEIGHT], monitor)
        });
    }
}

/// Frames that were finished stay, whatever stops the rest.
#[test]
fn a_propagation_keeps_whole_frames() {
    let cx = &contexts()[0];
    let model = Bundle::open(&common::path("tracker/sam2.1"), OpenOptions::default()).unwrap();
    let sam = Arc::new(Sam::load(cx, &model, &SamOptions::default()).unwrap());
    let mut tracker = Tracker::new(sam, [WIDTH, HEIGHT], &TrackerOptions::default()).unwrap();
    tracker.push(&Video::default().image(0), &Monitor::none()).unwrap();
    scenario::click(&mut tracker, 0, 1);
    let before = tracker.save().unwrap();
    let four = Propagation::default().with_max_frames(3);
    let run = |allowed: usize| {
        let states = Mutex::new(vec![before.clone()]);
        let ended = stopped_at(allowed, |monitor| {
            let mut tracker = Tracker::restore(tracker.sam().clone(), &before)?;
            let result = tracker.propagate(&mut Video::default(), &four, monitor, &mut |tracker, _| {
                states.lock().unwrap().push(tracker.save().unwrap());
                ControlFlow::Continue(())
            });
            Ok(result.err().map(|error| error.code()))
        });
        (ended.0.unwrap(), ended.1, states.into_inner().unwrap())
    };
    let (error, all, states) = run(usize::MAX);
    assert_eq!((error, states.len()), (None, 5));
    for allowed in (0..all).step_by(all / STOPS) {
        let (error, _, finished) = run(allowed);
        assert_eq!(error, Some(ErrorCode::Cancelled));
        assert!(finished[..] == states[..finished.len()], "stopped at {allowed}: other frames");
    }
}
