//! Masks: run lengths, COCO strings, outlines, regions, boxes.

use vitrum::Rle;
use vitrum::mask::components::Components;
use vitrum::mask::parts::{joined, rasterized};
use vitrum::mask::{BitMask, Regions, nms, parts, polygons, remove_small_regions, replace_small_regions};

use crate::accepted;
use crate::source::Source;

/// Pixels at most of a mask that is looked at pixel by pixel.
const SMALL: usize = 1 << 12;

/// The first byte chooses what the rest is.
pub fn masks(data: &[u8]) {
    let mut source = Source::new(data);
    match source.below(5) {
        0 => counts(&mut source),
        1 => coco(&mut source),
        2 => pixels(&mut source),
        3 => boxes(&mut source),
        _ => logits(&mut source),
    }
}

fn sides(source: &mut Source<'_>) -> (usize, usize) {
    (source.count(40) as usize, source.count(40) as usize)
}

fn counts(source: &mut Source<'_>) {
    let (width, height) = sides(source);
    let mut counts = Vec::new();
    while !source.is_empty() && counts.len() < 4096 {
        counts.push(source.count(60));
    }
    // Often one that fits.
    if source.one_in(2)
        && let Some(rest) =
            (width.saturating_mul(height) as u64).checked_sub(counts.iter().map(|&n| u64::from(n)).sum())
    {
        counts.push(rest.try_into().unwrap_or(u32::MAX));
    }
    if let Some(mask) = accepted(Rle::from_counts(&counts, width, height)) {
        check(&mask, source);
    }
}

fn coco(source: &mut Source<'_>) {
    let (width, height) = sides(source);
    let text = String::from_utf8_lossy(source.rest());
    if let Some(mask) = accepted(Rle::from_coco_string(&text, width, height)) {
        let string = mask.to_coco_string().expect("memory");
        let again = Rle::from_coco_string(&string, width, height).expect("a string of our own");
        assert_eq!(again, mask);
        check(&mask, source);
    }
}

fn pixels(source: &mut Source<'_>) {
    let (width, height) = (1 + source.below(48), 1 + source.below(48));
    let mask: Vec<u8> = (0..width * height).map(|_| source.byte() & source.byte() & 1).collect();
    let rle = Rle::from_mask(&mask, width, height).expect("a mask");
    let bits = BitMask::from_mask(&mask, width, height).expect("a mask");
    assert_eq!((bits.to_rle().expect("memory"), bits.area()), (rle.clone(), rle.area()));
    let mut back = vec![2; mask.len()];
    rle.to_mask(&mut back).expect("room");
    assert_eq!(back, mask);
    bits.to_mask(&mut back).expect("room");
    assert_eq!(back, mask);
    check(&rle, source);
}

/// What must hold of every mask.
fn check(mask: &Rle, source: &mut Source<'_>) {
    let (width, height) = (mask.width(), mask.height());
    let pixels = width as u64 * height as u64;
    assert_eq!(mask.counts().iter().map(|&n| u64::from(n)).sum::<u64>(), pixels);
    assert!(u64::from(mask.area()) <= pixels);
    assert_eq!(u64::from(mask.complement().expect("memory").area()) + u64::from(mask.area()), pixels);
    assert_eq!(mask.intersection(mask).expect("of one size"), mask.area());
    if (1..=SMALL).contains(&(width * height)) {
        let mut bytes = vec![2; width * height];
        mask.to_mask(&mut bytes).expect("room");
        assert_eq!(bytes.iter().filter(|&&byte| byte == 1).count(), mask.area() as usize);
        assert_eq!(Rle::from_mask(&bytes, width, height).expect("a mask").area(), mask.area());
        let found = parts(mask).expect("memory");
        let area: i64 = polygons(mask).expect("memory").iter().map(|polygon| polygon.signed_area()).sum();
        assert_eq!(area.unsigned_abs(), u64::from(mask.area()));
        let outlines = found.iter().flat_map(|part| part.polygons()).map(|polygon| &polygon.points[..]);
        let filled = rasterized(outlines, width, height).expect("outlines of a mask");
        assert_eq!(filled.intersection(mask).expect("of one size"), mask.area());
        assert_eq!(filled.area(), mask.area());
        let tolerance = source.float();
        if tolerance >= 0.0 {
            found.iter().for_each(|part| _ = part.simplified(tolerance).expect("memory"));
        }
        _ = joined(&found).expect("memory");
        for (regions, value) in [(Regions::Holes, false), (Regions::Islands, true)] {
            _ = Components::of(mask, value).expect("memory").areas();
            if let Some(cleaned) = remove_small_regions(mask, source.count(20), regions).expect("memory") {
                assert_eq!((cleaned.width(), cleaned.height()), (width, height));
            }
        }
        let (x, y) = (source.count(4) as usize, source.count(4) as usize);
        let (wide, high) = (source.count(60) as usize, source.count(60) as usize);
        if let Some(placed) = accepted(mask.placed(x, y, wide, high)) {
            assert!(placed.area() <= mask.area());
        }
    }
}

fn boxes(source: &mut Source<'_>) {
    let count = source.below(40);
    let boxes: Vec<[f32; 4]> = (0..count).map(|_| std::array::from_fn(|_| source.float())).collect();
    let scores: Vec<f32> = (0..count).map(|_| source.float()).collect();
    let kept = nms(&boxes, &scores, source.fraction()).expect("memory");
    assert!(kept.iter().all(|&i| i < count) && kept.len() <= count);
}

fn logits(source: &mut Source<'_>) {
    let (width, height) = (1 + source.below(24), 1 + source.below(24));
    let mut logits: Vec<f32> = (0..width * height).map(|_| source.float()).collect();
    let regions = source.pick(&[Regions::Holes, Regions::Islands]);
    let (threshold, most, value) = (source.float(), source.count(30), source.float());
    replace_small_regions(&mut logits, width, regions, threshold, most, value).expect("memory");
}
