//! The demo model holds its figures: `demo/eval` is a fixed set of pictures in a style that training never saw.
#![cfg(feature = "std")]

mod demo_sets;

use demo_sets::pictures::Pictures;
use vitrum::exec::{Cx, CxOptions};
use vitrum::pipelines::clip::ClipOptions;

/// `labels.json` says what `transformers` gets on the same files; a near tie may fall the other way.
#[test]
fn clip_nano_is_as_good_as_in_the_reference() {
    let set = Pictures::load();
    let found = set.embed(&Cx::new(&CxOptions::default()).unwrap(), &ClipOptions::default());
    for (what, found, reference) in
        [("top-1", found.top1, set.sheet.number("top1")), ("top-5", found.top5, set.sheet.number("top5"))]
    {
        assert!(found.abs_diff(reference) <= 1, "{what}: {found} of {}, reference {reference}", set.len());
    }
}
