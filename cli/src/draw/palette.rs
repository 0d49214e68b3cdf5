//! Colours that differ from each other, as many as one needs, and those of label maps.

use super::Color;

/// The `index`-th colour: hues a golden angle apart in OKLCh, so that any run of them is spread around the circle;
/// every other round is lighter.
pub(crate) fn color(index: usize) -> Color {
    const FIRST: f32 = 255.0;
    const GOLDEN_ANGLE: f32 = 137.507_77;
    const LIGHTNESS: [f32; 3] = [0.69, 0.8, 0.6];
    let hue = (FIRST + GOLDEN_ANGLE * (index % 1024) as f32) % 360.0;
    oklch(LIGHTNESS[index / 8 % LIGHTNESS.len()], 0.19, hue)
}

/// sRGB of a colour in OKLCh (B. Ottosson, "A perceptual color space for image processing", 2020), hue in degrees.
/// What the screen cannot show is brought into its range by lowering the chroma.
fn oklch(lightness: f32, chroma: f32, hue: f32) -> Color {
    let (sin, cos) = hue.to_radians().sin_cos();
    let in_range = |channel: &f32| (-1e-3..=1.0 + 1e-3).contains(channel);
    let step =
        |i: u16| linear(lightness, cos * chroma * f32::from(i) / 32.0, sin * chroma * f32::from(i) / 32.0);
    let rgb = (0..=32).rev().map(step).find(|rgb| rgb.iter().all(in_range)).unwrap_or([lightness; 3]);
    rgb.map(|channel| {
        let encoded =
            if channel <= 0.003_130_8 { 12.92 * channel } else { 1.055 * channel.powf(1.0 / 2.4) - 0.055 };
        (encoded * 255.0).round().clamp(0.0, 255.0) as u8
    })
}

/// Linear light of OKLab.
fn linear(lightness: f32, a: f32, b: f32) -> [f32; 3] {
    let l = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
    let m = (lightness - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
    let s = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
    [
        4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s,
        -1.268_438 * l + 2.609_757_4 * m - 0.341_319_4 * s,
        -0.004_196_086 * l - 0.703_418_6 * m + 1.707_614_7 * s,
    ]
}

/// The colour of object `number` in a label map as DAVIS has them: PASCAL VOC's, whose channels have the bits of the
/// number, every third one, from the highest down (`VOClabelcolormap`, and the palette of SAM 2's `vos_inference.py`).
pub(crate) fn davis(number: u8) -> Color {
    let channel = |channel: u8| {
        let bit = |i: u8| (number >> (3 * i + channel) & 1) << (7 - i);
        (0..3).filter(|i| 3 * i + channel < 8).fold(0, |value, i| value | bit(i))
    };
    [0, 1, 2].map(channel)
}

/// Whether `color` is that of object `number` in label maps that people have: as above, or as in the files of DAVIS 2017,
/// which have 191 for 192 and greys from 22 on.
pub(crate) fn is_davis(number: u8, color: Color) -> bool {
    let ours = davis(number);
    let files = if number < 22 {
        ours.map(|channel| if channel == 192 { 191 } else { channel })
    } else {
        [number; 3]
    };
    color == ours || color == files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_maps_have_the_published_colours() {
        let published = [
            [0, 0, 0],
            [128, 0, 0],
            [0, 128, 0],
            [128, 128, 0],
            [0, 0, 128],
            [128, 0, 128],
            [0, 128, 128],
            [128, 128, 128],
            [64, 0, 0],
            [192, 0, 0],
            [64, 128, 0],
        ];
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(davis), published);
        assert_eq!((davis(20), davis(64), davis(255)), ([0, 64, 128], [32, 0, 0], [224, 224, 192]));
        assert!(is_davis(9, [191, 0, 0]) && is_davis(9, [192, 0, 0]) && is_davis(200, [200; 3]));
        assert!(!is_davis(1, [0, 128, 0]) && !is_davis(9, [9; 3]));
    }

    #[test]
    fn the_colour_space_has_its_published_corners() {
        // OKLCh of sRGB's white and pure red.
        assert_eq!(oklch(1.0, 0.0, 0.0), [255; 3]);
        assert_eq!(oklch(0.0, 0.0, 90.0), [0; 3]);
        let [r, g, b] = oklch(0.627_955, 0.257_683, 29.234);
        assert!(r >= 253 && g <= 12 && b <= 12, "{r} {g} {b}");
    }

    #[test]
    fn neighbours_differ() {
        let distance = |a: Color, b: Color| {
            a.into_iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum::<u32>()
        };
        for i in 0..64 {
            for j in i + 1..i + 5 {
                assert!(distance(color(i), color(j)) > 50 * 50, "{i} {:?} {j} {:?}", color(i), color(j));
            }
        }
    }
}
