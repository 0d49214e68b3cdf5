//! Calls that are stopped wherever they ask.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use vitrum::image::ImageView;
use vitrum::pipelines::clip::{Clip, EncodeOptions};
use vitrum::{ErrorCode, Monitor};

/// Embeds `images`: asked more than `least` times, with fractions that grow to 1; stopped at every fifth question, or done;
/// with the same bits each time, also afterwards.
pub(crate) fn check_pictures(clip: &Clip, images: &[ImageView<'_>], least: usize) {
    let encode = EncodeOptions::default();
    let expected = clip.encode_images(images, &encode).unwrap();
    let mut out = vec![0.0; expected.len()];
    let fractions = Mutex::new(Vec::new());
    let note = |fraction: f32| {
        fractions.lock().unwrap().push(fraction);
        ControlFlow::Continue(())
    };
    let monitor = Monitor::new(&note).with_interval(Duration::ZERO);
    clip.encode_images_monitored(images, &encode, &mut out, &monitor).unwrap();
    assert_eq!(out, expected);
    let fractions = fractions.into_inner().unwrap();
    assert!(fractions.is_sorted() && fractions.last() == Some(&1.0), "{fractions:?}");
    assert!(fractions.len() > least, "asked {} times", fractions.len());
    for stop in (0..fractions.len()).step_by(5) {
        let left = AtomicUsize::new(stop);
        let stop = |_: f32| match left.fetch_sub(1, Ordering::Relaxed) {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let monitor = Monitor::new(&stop).with_interval(Duration::ZERO);
        match clip.encode_images_monitored(images, &encode, &mut out, &monitor) {
            Err(error) => assert_eq!(error.code(), ErrorCode::Cancelled),
            Ok(()) => assert_eq!(out, expected),
        }
    }
    assert_eq!(clip.encode_images(images, &encode).unwrap(), expected);
}
