//! The meaning of pixels: the table of [`super`].

use std::collections::{BTreeMap, BTreeSet};

use super::{Marks, listed};
use crate::draw::mask_png::{Facts, Ours};
use crate::draw::{Color, davis, is_davis};
use crate::picture::{RawPicture, RawPixels};

/// Values of a label map at most, and the largest single value that is taken for a number.
const MAX_LABELS: usize = 64;
/// Of JPEGs, channels of grey pixels may differ by so much.
const JPEG_TINT: u8 = 16;

/// What a picture marks, and what is to be said about it.
pub(super) type Meaning = (Marks, Option<String>);

pub(super) fn of_picture(picture: RawPicture, facts: &Facts, is_jpeg: bool) -> Result<Meaning, String> {
    let ours = facts.ours;
    match picture.pixels {
        RawPixels::Gray8(values) => {
            let values = values.into_iter().map(u16::from).collect();
            if ours == Some(Ours::Labels) { Ok(labels(values)) } else { of_gray(values, 255, is_jpeg) }
        }
        RawPixels::Gray16(values) if ours == Some(Ours::Labels) => Ok(labels(values)),
        RawPixels::Gray16(values) => of_gray(values, u16::MAX, false),
        RawPixels::Indexed { indices, palette } => of_indices(&indices, &palette, facts),
        RawPixels::Rgb8(data) => of_colors(data.as_chunks().0.to_vec(), is_jpeg),
        RawPixels::GrayAlpha8(data) => {
            let (colors, alpha) =
                data.as_chunks::<2>().0.iter().map(|&[gray, alpha]| ([gray; 3], alpha)).unzip();
            of_alpha(colors, alpha)
        }
        RawPixels::Rgba8(data) => {
            let split = |&[r, g, b, alpha]: &[u8; 4]| ([r, g, b], alpha);
            let (colors, alpha) = data.as_chunks().0.iter().map(split).unzip();
            of_alpha(colors, alpha)
        }
    }
}

/// Values that are known to be numbers.
pub(super) fn labels(pixels: Vec<u16>) -> Meaning {
    let numbers: BTreeSet<u16> = pixels.iter().copied().filter(|&value| value != 0).collect();
    if numbers.is_empty() {
        let pixels = vec![0; pixels.len()];
        let note = notable_shape(&pixels);
        return (Marks::Shape { pixels, number: None }, note);
    }
    (Marks::Labels { pixels, numbers }, None)
}

/// What is to be said of a mask that marks nothing, or everything.
pub(super) fn notable_shape(pixels: &[u8]) -> Option<String> {
    if pixels.iter().all(|&pixel| pixel == 0) {
        Some("nothing is marked in this mask".into())
    } else if pixels.iter().all(|&pixel| pixel == 255) {
        Some("everything is marked in this mask".into())
    } else {
        None
    }
}

/// Values from 0 to `white`.
pub(super) fn of_gray(values: Vec<u16>, white: u16, is_jpeg: bool) -> Result<Meaning, String> {
    let used: BTreeSet<u16> = values.iter().copied().filter(|&value| value != 0).collect();
    let shape = |number: Option<u16>, note: Option<String>| {
        let pixels: Vec<u8> = values.iter().map(|&value| if value == 0 { 0 } else { 255 }).collect();
        let note = notable_shape(&pixels).or(note);
        (Marks::Shape { pixels, number }, note)
    };
    let scaled = |note: Option<String>| {
        let pixels = values.iter().map(|&value| (u32::from(value) * 255 / u32::from(white)) as u8).collect();
        (Marks::Shape { pixels, number: None }, note)
    };
    let (Some(&first), Some(&last)) = (used.first(), used.last()) else { return Ok(shape(None, None)) };
    if is_jpeg {
        return match last {
            192.. => Ok(scaled(None)),
            _ => Err(format!("a JPEG whose brightest value is {last}: blurred numbers? Save masks as PNG")),
        };
    }
    let (half, nearly_white) = (white / 2, white - white / 16);
    let below: Vec<u16> = used.iter().copied().filter(|&value| value != white).collect();
    let counts_up = (1..).zip(&below).all(|(i, &value)| i == value);
    match used.len() {
        1 if last == white => Ok(shape(None, None)),
        1 => {
            let number = Some(last).filter(|&last| usize::from(last) <= MAX_LABELS);
            Ok(shape(number, Some(format!("values 0 and {last}: {last} is taken for the mask"))))
        }
        2 if used.contains(&white) && first == 1 => Err(format!(
            "values 0, 1 and {white}: the mask may be 1 (with {white} for what is void) or {white}"
        )),
        _ if used.contains(&white) && counts_up => {
            let pixels: Vec<u16> =
                values.iter().map(|&value| if value == white { 0 } else { value }).collect();
            let (marks, _) = labels(pixels);
            Ok((
                marks,
                Some(label_note(&below.iter().copied().collect(), &format!("; {white} is taken for void"))),
            ))
        }
        _ if last >= nearly_white => Ok(scaled(None)),
        n if last <= half && n <= MAX_LABELS => {
            let note = label_note(&used, "");
            Ok((labels(values).0, Some(note)))
        }
        n if last > half && n > MAX_LABELS => Ok(scaled(Some(format!(
            "taken for a soft mask, although its brightest value is {last} of {white}"
        )))),
        n => Err(format!(
            "{n} values between 0 and {last}: neither numbers of objects (at most {MAX_LABELS}, up to {half}) nor a mask \
             with white"
        )),
    }
}

fn label_note(numbers: &BTreeSet<u16>, more: &str) -> String {
    format!("a label map: each value is an object, {}{more}", listed(numbers))
}

/// Numbers of colours of a palette.
fn of_indices(indices: &[u8], palette: &[Color], facts: &Facts) -> Result<Meaning, String> {
    let mut seen = [false; 256];
    indices.iter().for_each(|&index| seen[usize::from(index)] = true);
    let mut used = BTreeMap::new();
    for index in (0..=255).filter(|&index| seen[usize::from(index)]) {
        used.insert(index, *palette.get(usize::from(index)).ok_or("a colour that its palette lacks")?);
    }
    let opaque = |index: u8| facts.palette_alpha.get(usize::from(index)).is_none_or(|&alpha| alpha == 255);
    if !used.keys().all(|&index| opaque(index)) {
        let alpha = |&index: &u8| facts.palette_alpha.get(usize::from(index)).copied().unwrap_or(255);
        let colors = indices.iter().map(|index| used[index]).collect();
        return of_alpha(colors, indices.iter().map(alpha).collect());
    }
    let numbers = || indices.iter().map(|&index| u16::from(index)).collect::<Vec<_>>();
    if facts.ours == Some(Ours::Labels) {
        return Ok(labels(numbers()));
    }
    let things: BTreeSet<u16> =
        used.keys().filter(|&&index| index != 0).map(|&index| u16::from(index)).collect();
    // Black, grey and white say more about a mask than their places in a palette, if that is not a label map's.
    let is_of_label_map =
        |(&index, &color): (&u8, &Color)| (1..22).contains(&index) && is_davis(index, color);
    if used.values().all(|[r, g, b]| r == g && g == b) && !used.iter().any(is_of_label_map) {
        return of_gray(indices.iter().map(|index| u16::from(used[index][0])).collect(), 255, false);
    }
    let is_void = |number: u16| number == 255 && things.len() > 1;
    let is_known = used.iter().all(|(&index, &color)| is_davis(index, color) || is_void(index.into()));
    let is_black = |color: &Color| *color == [0; 3];
    let only_first_is_black = used.iter().all(|(&index, color)| is_black(color) == (index == 0));
    if used.len() <= MAX_LABELS + 1 && (is_known || (only_first_is_black && used.contains_key(&0))) {
        let void = things.iter().any(|&number| is_void(number));
        let pixels =
            numbers().into_iter().map(|number| if void && number == 255 { 0 } else { number }).collect();
        let things: BTreeSet<u16> = things.into_iter().filter(|&number| !(void && number == 255)).collect();
        let more = if void { "; 255 is taken for void" } else { "" };
        let note = label_note(&things, more).replace("each value", "each colour of its palette");
        return Ok((labels(pixels).0, Some(note)));
    }
    of_colors(indices.iter().map(|index| used[index]).collect(), false)
}

/// Colours without alpha.
fn of_colors(colors: Vec<Color>, is_jpeg: bool) -> Result<Meaning, String> {
    let tint = if is_jpeg { JPEG_TINT } else { 0 };
    let is_gray = |[r, g, b]: &Color| r.abs_diff(*g).max(g.abs_diff(*b)).max(r.abs_diff(*b)) <= tint;
    if colors.iter().all(is_gray) {
        return of_gray(colors.iter().map(|color| u16::from(color[1])).collect(), 255, is_jpeg);
    }
    if is_jpeg {
        return Err("a JPEG in colours, which it blurs: a photograph? Save masks as PNG".into());
    }
    // So many that it does not matter how many.
    let mut used: BTreeSet<Color> = BTreeSet::new();
    for color in &colors {
        if used.len() > MAX_LABELS + 1 {
            break;
        }
        used.insert(*color);
    }
    let has_black = used.contains(&[0; 3]);
    let hex = |[r, g, b]: Color| format!("#{r:02x}{g:02x}{b:02x}");
    if used.len() == 2 && has_black {
        let color = used.last().copied().unwrap_or_default();
        let pixels = colors.iter().map(|&it| if it == color { 255 } else { 0 }).collect();
        let number = (1..=MAX_LABELS as u8).find(|&number| davis(number) == color).map(u16::from);
        let object =
            number.map_or(String::new(), |number| format!(" of object {number}, as in DAVIS's palette"));
        let note = format!("the colour {} on black is taken for the mask{object}", hex(color));
        return Ok((Marks::Shape { pixels, number }, Some(note)));
    }
    let number_of =
        |color: Color| (0..=MAX_LABELS as u8).find(|&number| is_davis(number, color)).map(u16::from);
    if has_black && used.len() <= MAX_LABELS && used.iter().all(|&color| number_of(color).is_some()) {
        let numbers: BTreeMap<Color, u16> =
            used.iter().filter_map(|&it| Some((it, number_of(it)?))).collect();
        let (marks, _) = labels(colors.iter().map(|color| numbers[color]).collect());
        let things = numbers.values().copied().filter(|&number| number != 0).collect();
        return Ok((
            marks,
            Some(label_note(&things, "").replace("each value", "each colour of DAVIS's palette")),
        ));
    }
    if let Some(brightest) = single_hue(&colors) {
        let top = brightest.into_iter().max().unwrap_or(1);
        let level = |color: &Color| {
            let value = color.iter().max().copied().unwrap_or(0);
            (u32::from(value) * 255 / u32::from(top)) as u8
        };
        let note = format!("shades of the colour {} on black are taken for a soft mask", hex(brightest));
        return Ok((Marks::Shape { pixels: colors.iter().map(level).collect(), number: None }, Some(note)));
    }
    Err(match used.len() {
        2 => {
            let both: Vec<String> = used.into_iter().map(hex).collect();
            format!("the colours {} and neither is black: which is the mask?", both.join(" and "))
        }
        n if n <= MAX_LABELS && has_black => {
            format!("{} colours on black: several objects, whose numbers are not known", n - 1)
        }
        n if n <= MAX_LABELS => format!("{n} colours, of which none is black: which is the background?"),
        _ => "a picture of many colours, not a mask".into(),
    })
}

/// The brightest of colours that are all shades of one, with black among them.
fn single_hue(colors: &[Color]) -> Option<Color> {
    let brightest = *colors.iter().max_by_key(|color| color.iter().max())?;
    let top = i32::from(*brightest.iter().max()?);
    if top < 128 || !colors.contains(&[0; 3]) {
        return None;
    }
    // Rounding costs a level, and so does whoever blended.
    let is_shade = |color: &Color| {
        let value = i32::from(color.iter().max().copied().unwrap_or(0));
        color
            .iter()
            .zip(brightest)
            .all(|(&channel, bright)| (i32::from(channel) * top - value * i32::from(bright)).abs() <= 2 * top)
    };
    colors.iter().all(is_shade).then_some(brightest)
}

/// Colours with alpha.
fn of_alpha(colors: Vec<Color>, alpha: Vec<u8>) -> Result<Meaning, String> {
    if alpha.windows(2).all(|pair| pair[0] == pair[1]) {
        return match alpha.first() {
            Some(0) => Err("a picture that is wholly transparent".into()),
            _ => of_colors(colors, false),
        };
    }
    let visible = || colors.iter().zip(&alpha).filter(|(_, alpha)| **alpha > 0).map(|(color, _)| color);
    let mut used = BTreeSet::new();
    for color in visible() {
        if used.len() > 2 {
            break;
        }
        used.insert(*color);
    }
    // Black that can be seen is the background of another shape, unless it is a photograph's.
    let has_black = visible().any(|color| *color == [0; 3]);
    if used.len() == 2 && has_black {
        return Err("a shape in its colours and another one in its alpha: which is the mask?".into());
    }
    let note = "its alpha is taken for the mask, opaque inside".to_owned();
    Ok((Marks::Shape { pixels: alpha, number: None }, Some(note)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(values: &[u16]) -> Result<Meaning, String> {
        of_gray(values.into(), 255, false)
    }

    fn colors(colors: &[Color]) -> Result<Meaning, String> {
        of_colors(colors.into(), false)
    }

    fn indices(indices: &[u8], palette: &[Color]) -> Result<Meaning, String> {
        of_indices(indices, palette, &Facts::default())
    }

    fn shape(pixels: &[u8], number: Option<u16>) -> Marks {
        Marks::Shape { pixels: pixels.into(), number }
    }

    fn label_map(pixels: &[u16]) -> Marks {
        labels(pixels.into()).0
    }

    /// Taken for `marks`, and the user is told so.
    fn noted(meaning: Result<Meaning, String>, marks: &Marks, note: &str) {
        let (found, said) = meaning.unwrap();
        assert_eq!(found, *marks);
        assert!(said.as_ref().is_some_and(|said| said.contains(note)), "{said:?} lacks {note:?}");
    }

    fn refused(meaning: Result<Meaning, String>, why: &str) {
        let message = meaning.unwrap_err();
        assert!(message.contains(why), "{message:?} lacks {why:?}");
    }

    #[test]
    fn plain_masks_need_no_words() {
        assert_eq!(gray(&[0, 255, 0]).unwrap(), (shape(&[0, 255, 0], None), None));
        assert_eq!(gray(&[0, 9, 128, 255]).unwrap(), (shape(&[0, 9, 128, 255], None), None));
        assert_eq!(of_gray(vec![0, 65535], 65535, false).unwrap(), (shape(&[0, 255], None), None));
        assert_eq!(
            of_gray(vec![0, 32768, 65535], 65535, false).unwrap(),
            (shape(&[0, 127, 255], None), None)
        );
        assert_eq!(colors(&[[0; 3], [255; 3]]).unwrap(), (shape(&[0, 255], None), None));
        // Palettes that optimisers made of black and white, in any order.
        assert_eq!(indices(&[0, 1], &[[0; 3], [255; 3]]).unwrap(), (shape(&[0, 255], None), None));
        assert_eq!(indices(&[0, 1], &[[255; 3], [0; 3]]).unwrap(), (shape(&[255, 0], None), None));
        let grays: Vec<Color> = (0..=255).map(|i| [i; 3]).collect();
        assert_eq!(indices(&[0, 255], &grays).unwrap(), (shape(&[0, 255], None), None));
        assert_eq!(of_gray(vec![0, 3, 250, 255], 255, true).unwrap(), (shape(&[0, 3, 250, 255], None), None));
    }

    #[test]
    fn other_masks_are_told() {
        noted(gray(&[0, 1, 1]), &shape(&[0, 255, 255], Some(1)), "1 is taken for the mask");
        noted(gray(&[0, 128]), &shape(&[0, 255], None), "128 is taken for the mask");
        noted(gray(&[0, 0]), &shape(&[0, 0], None), "nothing is marked");
        noted(gray(&[255, 255]), &shape(&[255, 255], None), "everything is marked");
        noted(colors(&[[0; 3], [255, 0, 0]]), &shape(&[0, 255], None), "#ff0000 on black");
        noted(colors(&[[0; 3], [0, 128, 0]]), &shape(&[0, 255], Some(2)), "of object 2");
        noted(
            colors(&[[0; 3], [200, 100, 0], [100, 50, 0], [51, 25, 0]]),
            &shape(&[0, 255, 127, 65], None),
            "shades of the colour #c86400",
        );
        let white = vec![[255; 3]; 3];
        noted(of_alpha(white, vec![0, 255, 7]), &shape(&[0, 255, 7], None), "alpha is taken for the mask");
        let photo: Vec<Color> = (0..9).map(|i| [i, 99, 7]).collect();
        noted(
            of_alpha(photo, vec![0, 0, 255, 255, 0, 0, 0, 0, 9]),
            &shape(&[0, 0, 255, 255, 0, 0, 0, 0, 9], None),
            "alpha",
        );
        // A cut-out picture is black where it is transparent.
        noted(of_alpha(vec![[0; 3], [9, 8, 7]], vec![0, 255]), &shape(&[0, 255], None), "alpha");
        assert_eq!(of_alpha(vec![[0; 3], [255; 3]], vec![255; 2]).unwrap().0, shape(&[0, 255], None));
        let transparent = Facts { palette_alpha: vec![0], ours: None };
        noted(of_indices(&[0, 1], &[[255; 3]; 2], &transparent), &shape(&[0, 255], None), "alpha");
    }

    #[test]
    fn label_maps_are_objects() {
        noted(gray(&[0, 1, 2, 2]), &label_map(&[0, 1, 2, 2]), "each value is an object, 1, 2");
        noted(gray(&[0, 1, 2, 255]), &label_map(&[0, 1, 2, 0]), "255 is taken for void");
        noted(of_gray(vec![0, 300, 7], 65535, false), &label_map(&[0, 300, 7]), "7, 300");
        let palette: Vec<Color> = (0..=255).map(davis).collect();
        noted(
            indices(&[0, 3, 1], &palette),
            &label_map(&[0, 3, 1]),
            "each colour of its palette is an object, 1, 3",
        );
        noted(indices(&[0, 7], &palette), &label_map(&[0, 7]), "7");
        noted(indices(&[0, 1, 255], &palette), &label_map(&[0, 1, 0]), "void");
        noted(indices(&[0, 2], &[[0; 3], [9; 3], [200, 10, 90]]), &label_map(&[0, 2]), "2");
        noted(
            colors(&[[0; 3], [128, 0, 0], [191, 0, 0]]),
            &label_map(&[0, 1, 9]),
            "DAVIS's palette is an object, 1, 9",
        );
        // What this program wrote is what it says, whatever it looks like.
        let ours = Facts { ours: Some(Ours::Labels), ..Facts::default() };
        let picture = |pixels| RawPicture { width: 3, height: 1, pixels };
        let of = |pixels| of_picture(picture(pixels), &ours, false).unwrap();
        assert_eq!(of(RawPixels::Gray8(vec![0, 1, 255])), (label_map(&[0, 1, 255]), None));
        assert_eq!(of(RawPixels::Gray16(vec![0, 1, 65535])), (label_map(&[0, 1, 65535]), None));
        let indexed = RawPixels::Indexed { indices: vec![0, 1, 255], palette };
        assert_eq!(of(indexed), (label_map(&[0, 1, 255]), None));
        assert!(of(RawPixels::Gray8(vec![0; 3])).1.unwrap().contains("nothing"));
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        refused(gray(&[0, 1, 255]), "values 0, 1 and 255");
        refused(gray(&[0, 50, 100, 150, 200]), "4 values between 0 and 200");
        refused(gray(&(0..100).collect::<Vec<_>>()), "99 values between 0 and 99");
        refused(of_gray(vec![0, 1, 2], 255, true), "a JPEG whose brightest value is 2");
        refused(of_colors(vec![[0; 3], [200, 0, 0]], true), "a JPEG in colours");
        refused(colors(&[[255; 3], [255, 0, 0]]), "neither is black");
        refused(colors(&[[0; 3], [255, 0, 0], [0, 255, 0]]), "2 colours on black");
        refused(colors(&[[1; 3], [255, 0, 0], [0, 255, 0]]), "none is black");
        let photo: Vec<Color> = (0..200).map(|i| [i, 255 - i, 7]).collect();
        refused(colors(&photo), "many colours");
        refused(indices(&(0..200).collect::<Vec<_>>(), &photo), "many colours");
        refused(indices(&[0, 1, 2], &[[9, 0, 0], [0; 3], [0, 9, 0]]), "2 colours on black");
        refused(indices(&[5], &[[0; 3]]), "its palette lacks");
        refused(of_alpha(vec![[0; 3], [255; 3]], vec![0; 2]), "wholly transparent");
        refused(of_alpha(vec![[0; 3], [255; 3], [255; 3]], vec![255, 255, 9]), "another one in its alpha");
        let soft: Vec<u16> = (0..=200).collect();
        noted(
            gray(&soft),
            &shape(&soft.iter().map(|&v| v as u8).collect::<Vec<_>>(), None),
            "brightest value is 200",
        );
    }
}
