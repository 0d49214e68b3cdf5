//! Saved embeddings and trackers. The checksum is put right, so that what is behind it is reached.

use vitrum::weights::Fnv64;
use vitrum::{ImageView, Monitor, PixelFormat, Point, Prompt, PromptOptions, Sam, Tracker};

use crate::accepted;
use crate::models::{pixels, sam, sam2};

/// `data` with its checksum behind it.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut hash = Fnv64::default();
    hash.write(data);
    [data, &hash.finish().to_le_bytes()].concat()
}

/// Pixels of a frame of a restored tracker at most, if it is to go on.
const RUN: usize = 1 << 12;

/// The first byte chooses SAM or SAM 2, the rest is the embedding without its checksum.
pub fn embedding(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let sam: &Sam = if first & 1 == 0 { sam() } else { sam2() };
    let bytes = sealed(data);
    accepted(sam.restore(data));
    let Some(embedding) = accepted(sam.restore(&bytes)) else { return };
    assert_eq!(embedding.saved_bytes(), bytes.len());
    assert!(embedding.save().expect("memory") == bytes, "saved again, it is another");
    let (width, height) = embedding.image_size();
    assert!((1..=1 << 28).contains(&(width * height)));
}

/// A saved tracker without its checksum.
pub fn tracker(data: &[u8]) {
    let bytes = sealed(data);
    accepted(Tracker::restore(sam2().clone(), data));
    let Some(mut tracker) = accepted(Tracker::restore(sam2().clone(), &bytes)) else { return };
    assert!(tracker.save().expect("memory") == bytes, "saved again, it is another");
    let [width, height] = tracker.size();
    if width * height > RUN {
        return;
    }
    let masks = |tracker: &Tracker| {
        for &object in tracker.objects() {
            for frame in tracker.held() {
                let mask = accepted(tracker.rle(object, Some(frame), 0.0));
                assert!(mask.is_none_or(|mask| (mask.width(), mask.height()) == (width, height)));
            }
        }
    };
    masks(&tracker);
    let picture = pixels(width, height);
    let picture = ImageView::packed(&picture, width, height, PixelFormat::Rgb8).expect("a picture");
    let Some(frame) = accepted(tracker.push(&picture, &Monitor::none())) else { return };
    let click = [Point::foreground(3.0, 2.0)];
    let object = tracker.objects().first().copied().unwrap_or(5);
    let prompt = Prompt::points(&click);
    accepted(tracker.step(&Monitor::none()));
    accepted(tracker.add_prompt(frame, object, &prompt, &PromptOptions::default(), &Monitor::none()));
    accepted(tracker.step(&Monitor::none()));
    masks(&tracker);
    let saved = tracker.save().expect("memory");
    let again = Tracker::restore(sam2().clone(), &saved).expect("what was just saved");
    assert!(again.save().expect("memory") == saved);
}
