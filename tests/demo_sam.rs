//! The demo model of SAM holds its figures: `demo/eval/scenes.*` are composed of pictures that training never saw.
#![cfg(feature = "std")]

mod demo_sets;

use demo_sets::numbers;
use demo_sets::scenes::{Scenes, best};
use serde_json::Value;
use vitrum::exec::{Cx, CxOptions};
use vitrum::pipelines::sam::{Point, Prompt, SamOptions};

/// Masks of the library and of the reference differ where a logit is almost 0.
const IOU_BOUND: f64 = 0.002;

fn load() -> Scenes {
    Scenes::load(&Cx::new(&CxOptions::default()).unwrap(), &SamOptions::default())
}

/// `scenes.json` says what `transformers` gets on the same files with the same clicks.
#[test]
fn sam_nano_is_as_good_as_in_the_reference() {
    let set = load();
    let objects = set.objects();
    // One, two, three clicks, and a box.
    let (mut found, mut reference) = ([0.0; 4], [0.0; 4]);
    for (object, answers) in objects.iter().zip(set.ask_all()) {
        let mut expected = numbers(&object["iou"]);
        expected.push(object["box_iou"].as_f64().unwrap());
        for i in 0..4 {
            found[i] += answers.iou[i];
            reference[i] += expected[i];
        }
    }
    for (what, (found, reference)) in
        ["1 click", "2 clicks", "3 clicks", "box"].into_iter().zip(found.into_iter().zip(reference))
    {
        let [found, reference] = [found, reference].map(|sum| sum / objects.len() as f64);
        println!("{what}: mean IoU {found:.4}, reference {reference:.4}");
        assert!((found - reference).abs() <= IOU_BOUND, "{what}: {found}, reference {reference}");
    }
}

/// One click that may mean a part or the whole: two of the three masks answer one each.
#[test]
fn a_click_means_a_part_or_the_whole() {
    let set = load();
    let facts = &set.sheet.facts["ambiguous"];
    let scene = set.len() - 1;
    let embedding = set.encode(scene);
    let click = numbers(&facts["click"]);
    let click = [Point::foreground(click[0] as f32, click[1] as f32)];
    let mut chosen = Vec::new();
    for (i, what) in ["part", "whole"].into_iter().enumerate() {
        let truth = set.mask(scene, &facts[what]);
        let (_, iou) = set.predict(&embedding, Prompt::points(&click), true, &truth);
        let reference = facts["iou"][i].as_f64().unwrap();
        let mask = best(&iou);
        assert!((iou[mask] - reference).abs() <= IOU_BOUND, "{what}: {}, reference {reference}", iou[mask]);
        chosen.push(mask as u64);
    }
    assert_ne!(chosen[0], chosen[1]);
    assert_eq!(Value::from(chosen), facts["masks"]);
}
