//! A tracker that is misused, cancelled, saved, damaged: clear errors, and nothing is lost.
#![cfg(feature = "std")]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::path;
use scenario::{HEIGHT, Video, WIDTH, disc, frame};
#[cfg(feature = "parallel")]
use vitrum::exec::CxOptions;
use vitrum::exec::{Cx, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::sam::{Point, Prompt, Sam, SamOptions};
use vitrum::pipelines::tracker::{
    Direction, FrameSource, MAX_FRAMES, MAX_TRACKER_POINTS, PromptOptions, Propagation, Tracker,
    TrackerOptions,
};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, Fnv64, OpenOptions};
use vitrum::{ErrorCode, Result};

mod common;
#[path = "common/scenario.rs"]
mod scenario;

const SIZE: [usize; 2] = [WIDTH, HEIGHT];
const NONE: Monitor<'static> = Monitor::none();

fn load(name: &str) -> Arc<Sam> {
    let bundle = Bundle::open(&path(name), OpenOptions::default()).unwrap();
    Arc::new(Sam::load(&Cx::serial(Level::detect()), &bundle, &SamOptions::default()).unwrap())
}

fn tracker(options: &TrackerOptions) -> Tracker {
    Tracker::new(load("tracker/sam2.1"), SIZE, options).unwrap()
}

fn push(tracker: &mut Tracker, video: &mut Video) -> u64 {
    let next = tracker.frame().map_or(0, |frame| frame + 1);
    tracker.push(&video.image(next), &NONE).unwrap()
}

/// A tracker in the middle of its work: three objects, a correction that waits, a mask, two frames held.
fn busy() -> Tracker {
    let options = TrackerOptions::default().with_held_frames(2).with_max_objects(3);
    let mut tracker = tracker(&options);
    let mut video = Video::default();
    push(&mut tracker, &mut video);
    scenario::click(&mut tracker, 0, 1);
    tracker
        .add_prompt(0, 2, &Prompt::bounding_box([48.0, 10.0, 66.0, 30.0]), &PromptOptions::default(), &NONE)
        .unwrap();
    tracker.step(&NONE).unwrap();
    for _ in 0..3 {
        push(&mut tracker, &mut video);
        tracker.step(&NONE).unwrap();
    }
    tracker.add_mask(3, 9, &disc(70, 50, 6), SIZE, &NONE).unwrap();
    let more = [Point::background(5.0, 5.0), Point::foreground(57.0, 23.0)];
    tracker.add_prompt(2, 2, &Prompt::points(&more), &PromptOptions::default(), &NONE).unwrap();
    tracker
}

/// The code of an error, which must leave `tracker` as it was and usable.
#[track_caller]
fn refused<T>(tracker: &mut Tracker, call: impl FnOnce(&mut Tracker) -> Result<T>) -> ErrorCode {
    let before = tracker.save().unwrap();
    let error = call(tracker).err().expect("an error");
    assert!(tracker.save().unwrap() == before, "{error}: the tracker has changed");
    assert!(!error.message().is_empty());
    error.code()
}

#[test]
fn models_that_cannot_track() {
    for (model, expected) in [("sam_encoder/vit-huggingface", ErrorCode::Unsupported)] {
        let bundle = Bundle::open(&path(model), OpenOptions::default()).unwrap();
        let cx = Cx::serial(Level::detect());
        let Ok(sam) = Sam::load(&cx, &bundle, &SamOptions::default()) else { continue };
        let sam = Arc::new(sam);
        assert_eq!(Tracker::new(sam, SIZE, &TrackerOptions::default()).unwrap_err().code(), expected);
    }
    let sam = load("tracker/sam2.1");
    for options in [
        TrackerOptions::default().with_max_objects(0),
        TrackerOptions::default().with_held_frames(usize::MAX),
    ] {
        let code = Tracker::new(sam.clone(), SIZE, &options).unwrap_err().code();
        assert_eq!(code, ErrorCode::InvalidArgument);
    }
    assert_eq!(Tracker::new(sam, [5, 0], &TrackerOptions::default()).unwrap_err().code(), ErrorCode::Limit);
}

#[test]
fn bad_frames() {
    let mut tracker = busy();
    let pixels = frame(0);
    let narrow = ImageView::packed(&pixels, WIDTH - 1, HEIGHT, PixelFormat::Rgb8).unwrap();
    assert_eq!(refused(&mut tracker, |tracker| tracker.push(&narrow, &NONE)), ErrorCode::Image);
    let image = ImageView::packed(&pixels, WIDTH, HEIGHT, PixelFormat::Rgb8).unwrap();
    for index in [MAX_FRAMES, u64::MAX] {
        let code = refused(&mut tracker, |tracker| tracker.push_at(index, &image, &NONE));
        assert_eq!(code, ErrorCode::InvalidArgument, "{index}");
    }
    for direction in [Direction::Forward, Direction::Backward] {
        let code = refused(&mut tracker, |tracker| tracker.step_at(0, direction, &NONE));
        assert_eq!(code, ErrorCode::InvalidArgument, "a frame that is not held any more");
    }
    // Far beyond what is remembered, and at the end of what 32 bits can say.
    for index in [u64::from(u32::MAX) - 1, u64::from(u32::MAX), u64::from(u32::MAX) + 1, MAX_FRAMES - 1] {
        tracker.push_at(index, &image, &NONE).unwrap();
        tracker.step(&NONE).unwrap();
        tracker.step_at(index, Direction::Backward, &NONE).unwrap();
    }
    let code = refused(&mut tracker, |tracker| tracker.push(&image, &NONE));
    assert_eq!(code, ErrorCode::InvalidArgument, "the end of time");
    let mut mask = vec![0; HEIGHT * WIDTH];
    tracker.mask_into(1, None, 0.0, &mut mask).unwrap();
}

#[test]
fn a_video_of_known_length_has_no_more_frames() {
    let mut tracker = tracker(&TrackerOptions::default().with_num_frames(2));
    let mut video = Video::default();
    assert_eq!(refused(&mut tracker, |tracker| tracker.step(&NONE)), ErrorCode::InvalidArgument);
    push(&mut tracker, &mut video);
    assert_eq!(refused(&mut tracker, |tracker| tracker.step(&NONE)), ErrorCode::InvalidArgument);
    scenario::click(&mut tracker, 0, 1);
    push(&mut tracker, &mut video);
    tracker.step(&NONE).unwrap();
    let image = video.image(2);
    assert_eq!(refused(&mut tracker, |tracker| tracker.push(&image, &NONE)), ErrorCode::InvalidArgument);
}

#[test]
fn bad_prompts() {
    let mut tracker = busy();
    let ask = |tracker: &mut Tracker, frame: u64, object: u32, prompt: &Prompt<'_>, keep: bool| {
        let options = PromptOptions::default().with_keep_earlier(keep);
        refused(tracker, |tracker| tracker.add_prompt(frame, object, prompt, &options, &NONE))
    };
    let click = [Point::foreground(5.0, 5.0)];
    let good = Prompt::points(&click);
    for frame in [0, 1, 4, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(ask(&mut tracker, frame, 1, &good, false), ErrorCode::InvalidArgument, "frame {frame}");
    }
    assert_eq!(ask(&mut tracker, 3, 77, &good, false), ErrorCode::Limit, "one object too many");
    for point in [
        Point::foreground(f32::NAN, 1.0),
        Point::background(1.0, f32::INFINITY),
        Point::foreground(1e30, 0.0),
    ] {
        let bad = [click[0], point];
        assert_eq!(ask(&mut tracker, 3, 1, &Prompt::points(&bad), false), ErrorCode::InvalidArgument);
    }
    let bounds = [1.0, 1.0, 9.0, 9.0];
    let logits = vec![0.0; tracker.mask_side() * tracker.mask_side()];
    for (prompt, keep, what) in [
        (Prompt::default(), false, "nothing"),
        (Prompt::default(), true, "nothing more"),
        (Prompt::bounding_box([9.0, 1.0, 1.0, 9.0]), false, "an inverted box"),
        (Prompt::bounding_box([f32::NAN; 4]), false, "a box of NaN"),
        (Prompt::bounding_box(bounds), true, "a box after points"),
        (good.with_mask(&logits[..]), false, "logits"),
    ] {
        assert_eq!(ask(&mut tracker, 3, 1, &prompt, keep), ErrorCode::InvalidArgument, "{what}");
    }
    let many = vec![click[0]; MAX_TRACKER_POINTS + 1];
    assert_eq!(ask(&mut tracker, 3, 1, &Prompt::points(&many), false), ErrorCode::Limit);
    tracker.add_prompt(3, 1, &Prompt::points(&many[1..]), &PromptOptions::default(), &NONE).unwrap();
    assert_eq!(ask(&mut tracker, 3, 1, &good, true), ErrorCode::Limit, "points add up");
    tracker.step(&NONE).unwrap();
}

#[test]
fn bad_masks() {
    let mut tracker = busy();
    let mask = disc(20, 30, 9);
    for (mask, size) in [
        (&mask[..], [WIDTH + 1, HEIGHT]),
        (&mask[..], [HEIGHT, WIDTH]),
        (&mask[1..], SIZE),
        (&[], SIZE),
        (&[], [0, 0]),
    ] {
        let code = refused(&mut tracker, |tracker| tracker.add_mask(3, 9, mask, size, &NONE));
        assert_eq!(code, ErrorCode::InvalidArgument, "{size:?}");
    }
    let code = refused(&mut tracker, |tracker| tracker.add_mask(0, 9, &mask, SIZE, &NONE));
    assert_eq!(code, ErrorCode::InvalidArgument, "a frame that is not held any more");
    let code = refused(&mut tracker, |tracker| tracker.add_mask(3, 4, &mask, SIZE, &NONE));
    assert_eq!(code, ErrorCode::Limit, "one object too many");

    // No pixel at all says that the object is not there.
    tracker.add_mask(3, 9, &vec![0; HEIGHT * WIDTH], SIZE, &NONE).unwrap();
    assert_eq!(tracker.object_score(9, None).unwrap(), -10.0);
    assert!(tracker.low_res(9, None).unwrap().iter().all(|logit| (logit + 10.0).abs() < 1e-5));
    assert_eq!(tracker.rle(9, None, 0.0).unwrap().area(), 0);
    tracker.step(&NONE).unwrap();
}

#[test]
fn unknown_objects_and_masks() {
    let mut tracker = busy();
    let mut mask = vec![0; HEIGHT * WIDTH];
    let mut logits = vec![0.0; HEIGHT * WIDTH];
    assert_eq!(refused(&mut tracker, |tracker| tracker.remove_object(5)), ErrorCode::InvalidArgument);
    assert_eq!(refused(&mut tracker, |tracker| tracker.clear_prompts(3, 5)), ErrorCode::InvalidArgument);
    for (object, frame) in [(5, None), (9, Some(2)), (1, Some(1)), (1, Some(u64::MAX))] {
        let code = tracker.mask_into(object, frame, 0.0, &mut mask).unwrap_err().code();
        assert_eq!(code, ErrorCode::InvalidArgument, "{object} {frame:?}");
        assert_eq!(tracker.low_res(object, frame).unwrap_err().code(), ErrorCode::InvalidArgument);
        assert_eq!(tracker.rle(object, frame, 0.0).unwrap_err().code(), ErrorCode::InvalidArgument);
    }
    assert!(tracker.has_mask(1, 3) && tracker.has_mask(2, 2) && !tracker.has_mask(9, 2));
    assert_eq!(
        tracker.mask_into(1, None, f32::NAN, &mut mask).unwrap_err().code(),
        ErrorCode::InvalidArgument
    );
    assert_eq!(tracker.rle(1, None, f32::NAN).unwrap_err().code(), ErrorCode::InvalidArgument);
    let short = &mut mask[1..];
    assert_eq!(tracker.mask_into(1, None, 0.0, short).unwrap_err().code(), ErrorCode::BufferTooSmall);
    let short = &mut logits[1..];
    assert_eq!(tracker.logits_into(1, None, short).unwrap_err().code(), ErrorCode::BufferTooSmall);

    tracker.logits_into(1, None, &mut logits).unwrap();
    tracker.mask_into(1, None, 0.0, &mut mask).unwrap();
    assert!(logits.iter().zip(&mask).all(|(&logit, &set)| (logit > 0.0) == (set == 1)));
    let area = mask.iter().map(|&set| u32::from(set)).sum::<u32>();
    assert_eq!(tracker.rle(1, None, 0.0).unwrap().area(), area);
}

#[test]
fn an_object_without_prompts_cannot_be_followed() {
    let mut tracker = busy();
    tracker.clear_prompts(3, 9).unwrap();
    assert_eq!(refused(&mut tracker, |tracker| tracker.step(&NONE)), ErrorCode::InvalidArgument);
    tracker.remove_object(9).unwrap();
    assert_eq!(tracker.objects(), [1, 2]);
    tracker.step(&NONE).unwrap();
    // The conditioning frame of object 2 is long gone from the window: its prompts are taken back all the same.
    tracker.clear_prompts(0, 2).unwrap();
    assert_eq!(refused(&mut tracker, |tracker| tracker.step(&NONE)), ErrorCode::InvalidArgument);
    let click = [Point::foreground(5.0, 5.0)];
    let correct = |tracker: &mut Tracker| {
        tracker.add_prompt(3, 2, &Prompt::points(&click), &PromptOptions::default(), &NONE)
    };
    assert_eq!(refused(&mut tracker, correct), ErrorCode::InvalidArgument, "nothing to correct by");
    push(&mut tracker, &mut Video::default());
    tracker.add_prompt(4, 2, &Prompt::points(&click), &PromptOptions::default(), &NONE).unwrap();
    tracker.step(&NONE).unwrap();
    tracker.reset();
    assert!(tracker.objects().is_empty());
    assert_eq!(tracker.held().collect::<Vec<_>>(), [3, 4]);
    assert_eq!(refused(&mut tracker, |tracker| tracker.step(&NONE)), ErrorCode::InvalidArgument);
}

/// Memories are packed in blocks, so that an object with fewer of them may need more scratch memory.
#[cfg(feature = "parallel")]
#[test]
fn objects_with_different_numbers_of_memories_share_a_step() {
    let bundle = Bundle::open(&path("tracker/sam2.1"), OpenOptions::default()).unwrap();
    let cx = Cx::new(&CxOptions::default().with_threads(4)).unwrap();
    for size in [64, 128, 192] {
        let options = SamOptions::default().with_image_size(size);
        let sam = Arc::new(Sam::load(&cx, &bundle, &options).unwrap());
        let mut tracker = Tracker::new(sam, SIZE, &TrackerOptions::default()).unwrap();
        let mut video = Video::default();
        for object in 0..8 {
            push(&mut tracker, &mut video);
            scenario::click(&mut tracker, object.into(), object + 1);
            tracker.step(&NONE).unwrap();
        }
        assert_eq!(tracker.objects().len(), 8);
    }
}

#[test]
fn prompts_beyond_the_cap_replace_the_second() {
    let options = TrackerOptions::default().with_max_prompted_frames(3).with_held_frames(8);
    let mut tracker = tracker(&options);
    let mut video = Video::default();
    let mut sizes = Vec::new();
    for frame in 0..8 {
        push(&mut tracker, &mut video);
        scenario::click(&mut tracker, frame, 1);
        if frame >= 3 {
            tracker.step(&NONE).unwrap();
            sizes.push(tracker.save().unwrap().len());
        }
    }
    // Of the waiting prompts one was forgotten, of those taken up one became a tracked frame.
    assert!(tracker.bytes() <= Tracker::memory_bytes(tracker.sam(), SIZE, &options).unwrap());
    // The first stays: cleared one after the other, it is the last to go.
    for frame in [7, 6] {
        tracker.clear_prompts(frame, 1).unwrap();
        tracker.step(&NONE).unwrap();
    }
    tracker.clear_prompts(0, 1).unwrap();
    assert_eq!(refused(&mut tracker, |tracker| tracker.step(&NONE)), ErrorCode::InvalidArgument);
}

/// Calls `call` again and again, cancelled at its first report, its second, and so on, until it comes to its end.
#[track_caller]
fn cancel_everywhere(tracker: &Tracker, call: impl Fn(&mut Tracker, &Monitor<'_>) -> Result<()>) -> usize {
    let before = tracker.save().unwrap();
    for allowed in 0..10_000 {
        let mut copy = Tracker::restore(tracker.sam().clone(), &before).unwrap();
        let reports = AtomicUsize::new(0);
        let stop = |_: f32| match reports.fetch_add(1, Ordering::Relaxed) < allowed {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        match call(&mut copy, &Monitor::new(&stop)) {
            Ok(()) => return allowed,
            Err(error) => assert_eq!(error.code(), ErrorCode::Cancelled),
        }
        assert!(copy.save().unwrap() == before, "cancelled at report {allowed}");
    }
    panic!("no end");
}

#[test]
fn a_cancelled_call_leaves_no_trace() {
    let tracker = busy();
    let pixels = frame(4);
    let image = ImageView::packed(&pixels, WIDTH, HEIGHT, PixelFormat::Rgb8).unwrap();
    // The push makes frame 2 leave, whose correction has to be remembered then.
    assert!(cancel_everywhere(&tracker, |tracker, monitor| tracker.push(&image, monitor).map(drop)) > 3);
    assert!(cancel_everywhere(&tracker, |tracker, monitor| tracker.step(monitor)) > 3);
    let click = [Point::foreground(24.0, 30.0)];
    for frame in [2, 3] {
        let prompt = Prompt::points(&click);
        let reports = cancel_everywhere(&tracker, |tracker, monitor| {
            tracker.add_prompt(frame, 1, &prompt, &PromptOptions::default(), monitor)
        });
        assert!(reports > 0);
    }
    let mask = disc(20, 30, 8);
    let reports =
        cancel_everywhere(&tracker, |tracker, monitor| tracker.add_mask(3, 1, &mask, SIZE, monitor));
    assert!(reports > 0);
}

#[test]
fn a_propagation_that_ends_keeps_the_frames_it_finished() {
    struct Short(Video);
    impl FrameSource for Short {
        fn frames(&self) -> Option<u64> {
            None
        }
        fn frame(&mut self, index: u64) -> Result<Option<ImageView<'_>>> {
            match index {
                0..6 => Ok(Some(self.0.image(index))),
                6 => Err(vitrum::Error::new(ErrorCode::Io, "unreadable")),
                _ => Ok(None),
            }
        }
    }
    let mut tracker = busy();
    let mut source = Short(Video::default());
    let from = |start: u64| Propagation::default().with_start(start);
    let mut frames = Vec::new();
    let mut note = |_: &Tracker, frame: u64| {
        frames.push(frame);
        ControlFlow::Continue(())
    };
    let error = tracker.propagate(&mut source, &from(2), &NONE, &mut note).unwrap_err();
    assert_eq!((error.code(), tracker.frame()), (ErrorCode::Io, Some(5)));
    assert!(error.message().contains("frame 6"), "{error}");
    assert_eq!(frames, [2, 3, 4, 5]);
    assert_eq!(source.0.reads, 2, "frames 2 and 3 were held");

    tracker.propagate(&mut source, &from(7), &NONE, &mut |_, _| panic!("the video has ended")).unwrap();
    let back = Propagation::default().with_start(5).with_direction(Direction::Backward);
    let mut count = 0;
    let mut stop_at_third = |_: &Tracker, _: u64| {
        count += 1;
        if count == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    tracker.propagate(&mut source, &back, &NONE, &mut stop_at_third).unwrap();
    assert_eq!((count, tracker.frame()), (3, Some(3)));
    let back = back.with_start(0);
    tracker.propagate(&mut source, &back, &NONE, &mut |_, _| panic!("nothing is before frame 0")).unwrap();
}

#[test]
fn a_restored_tracker_goes_on_alike() {
    let mut tracker = busy();
    let saved = tracker.save().unwrap();
    let mut restored = Tracker::restore(tracker.sam().clone(), &saved).unwrap();
    assert!(restored.save().unwrap() == saved);
    assert_eq!((restored.objects(), restored.frame()), (tracker.objects(), tracker.frame()));
    let mut video = Video::default();
    for tracker in [&mut tracker, &mut restored] {
        let more = [Point::foreground(58.0, 24.0)];
        tracker
            .add_prompt(
                2,
                2,
                &Prompt::points(&more),
                &PromptOptions::default().with_keep_earlier(true),
                &NONE,
            )
            .unwrap();
        tracker.step(&NONE).unwrap();
        push(tracker, &mut video);
        tracker.step(&NONE).unwrap();
    }
    assert!(tracker.save().unwrap() == restored.save().unwrap());
}

/// `bytes` with a checksum that fits.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let content = bytes.len() - 8;
    let mut hash = Fnv64::default();
    hash.write(&bytes[..content]);
    bytes[content..].copy_from_slice(&hash.finish().to_le_bytes());
    bytes
}

#[test]
fn damaged_trackers_are_refused() {
    let tracker = busy();
    let (sam, saved) = (tracker.sam().clone(), tracker.save().unwrap());
    let restore = |bytes: &[u8]| Tracker::restore(sam.clone(), bytes).map(drop).map_err(|error| error.code());
    assert_eq!(restore(&saved), Ok(()));
    assert_eq!(restore(&resealed(saved.clone())), Ok(()));
    let cut = Err(ErrorCode::Format);
    for len in (0..200).chain((200..saved.len()).step_by(saved.len() / 97)) {
        assert_eq!(restore(&saved[..len]), cut, "cut to {len}");
        if len > 40 {
            assert!(restore(&resealed(saved[..len].to_vec())).is_err(), "cut to {len}, and sealed");
        }
    }
    assert_eq!(restore(&[&saved[..], &[0]].concat()), cut);
    assert_eq!(restore(&resealed([&saved[..], &[0]].concat())), cut);
    let mut later = saved.clone();
    later[8] = 9;
    assert_eq!(restore(&later), Err(ErrorCode::Unsupported));
    let other =
        Tracker::new(load("tracker/sam2.0"), SIZE, &TrackerOptions::default()).unwrap().save().unwrap();
    assert_eq!(restore(&other), Err(ErrorCode::InvalidArgument));
}

/// Bytes changed at random: without a new checksum each is refused. With one, what is not refused can be used.
#[test]
fn forged_trackers_do_no_harm() {
    let tracker = busy();
    let (sam, saved) = (tracker.sam().clone(), tracker.save().unwrap());
    let mut state = 1_u32;
    let mut next = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    let pixels = frame(4);
    let image = ImageView::packed(&pixels, WIDTH, HEIGHT, PixelFormat::Rgb8).unwrap();
    let (mut used, mut refused) = (0, 0);
    for round in 0..400 {
        let mut forged = saved.clone();
        for _ in 0..=next(3) {
            // Mostly in the header, and where counts and flags are: before and between the tensors.
            let at = if next(2) == 0 { next(120) } else { next(saved.len() - 8) };
            forged[at] = [0, 1, 0x7f, 0xff, next(256) as u8][next(5)];
        }
        if forged == saved {
            continue;
        }
        assert!(Tracker::restore(sam.clone(), &forged).is_err(), "round {round}");
        match Tracker::restore(sam.clone(), &resealed(forged)) {
            Err(_) => refused += 1,
            Ok(mut tracker) => {
                used += 1;
                if used % 16 == 0 && tracker.size() == SIZE {
                    // Whether this works depends on what was changed; it must not panic.
                    let _ = tracker.push(&image, &NONE).and_then(|_| tracker.step(&NONE));
                }
            }
        }
    }
    assert!(used > 50 && refused > 50, "{used} used, {refused} refused");
}
