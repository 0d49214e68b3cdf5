//! Preprocessing against transformers' `CLIPImageProcessorPil`: `golden/resize/clip_preprocess.*`; and what
//! impossible configurations answer.

use safetensors::SafeTensors;
use vitrum::ErrorCode;
use vitrum::exec::Cx;
use vitrum::image::{ImageView, PixelFormat, YuvEncoding, YuvMatrix, YuvRange};
use vitrum::pipelines::preprocess::Preprocess;
use vitrum::simd::Level;
use vitrum::weights::Config;

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/resize/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn profile(json: &[u8], image_size: usize) -> vitrum::Result<Preprocess> {
    Preprocess::from_config(&Config::parse("preprocessor_config.json", json)?, image_size)
}

fn cx() -> Cx {
    Cx::serial(Level::detect())
}

fn run(profile: &Preprocess, image: &ImageView<'_>) -> Vec<f32> {
    let (height, width) = profile.output_size();
    let mut out = vec![f32::NAN; 3 * height * width];
    profile.run(&cx(), image, &mut out).unwrap();
    out
}

#[test]
fn clip_pixels_are_equal_to_the_bit() {
    let bytes = golden("clip_preprocess.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let configs: serde_json::Value = serde_json::from_slice(&golden("clip_preprocess.json")).unwrap();
    let configs = configs.as_object().unwrap();
    assert!(configs.len() >= 10);
    for (name, config) in configs {
        let config = serde_json::to_vec(config).unwrap();
        let profile = profile(&config, 224).unwrap();
        let input = tensors.tensor(&format!("{name}.input")).unwrap();
        let (height, width) = (input.shape()[0], input.shape()[1]);
        let image = ImageView::packed(input.data(), width, height, PixelFormat::Rgb8).unwrap();
        let expected = tensors.tensor(&format!("{name}.pixels")).unwrap();
        assert_eq!(expected.shape(), [3, profile.output_size().0, profile.output_size().1], "{name}");
        let actual: Vec<u8> = run(&profile, &image).iter().flat_map(|value| value.to_le_bytes()).collect();
        assert!(actual == expected.data(), "{name}");
    }
}

#[test]
fn every_pixel_format_gives_the_same_input() {
    let rgb: Vec<u8> = (0..50 * 30 * 3).map(|i| (i * 37 % 251) as u8).collect();
    let grey: Vec<u8> = (0..50 * 30).map(|i| (i * 41 % 253) as u8).collect();
    let pixels = || rgb.chunks(3);
    let clip = Preprocess::clip(32).unwrap();
    let input = |bytes: &[u8], format| run(&clip, &ImageView::packed(bytes, 50, 30, format).unwrap());
    let expected = input(&rgb, PixelFormat::Rgb8);
    let bgr: Vec<u8> = pixels().flat_map(|p| [p[2], p[1], p[0]]).collect();
    let rgba: Vec<u8> = pixels().flat_map(|p| [p[0], p[1], p[2], 9]).collect();
    let bgra: Vec<u8> = pixels().flat_map(|p| [p[2], p[1], p[0], 9]).collect();
    assert!(input(&bgr, PixelFormat::Bgr8) == expected);
    assert!(input(&rgba, PixelFormat::Rgba8) == expected);
    assert!(input(&bgra, PixelFormat::Bgra8) == expected);
    let triple: Vec<u8> = grey.iter().flat_map(|&v| [v, v, v]).collect();
    assert!(input(&grey, PixelFormat::Gray8) == input(&triple, PixelFormat::Rgb8));
}

#[test]
fn nv12_gives_the_input_of_its_rgb() {
    // Odd sides: the last column and the last row have pairs of their own.
    let (width, height) = (51_usize, 29_usize);
    let luma: Vec<u8> = (0..64 * height).map(|i| (i * 37 % 251) as u8).collect();
    let chroma: Vec<u8> = (0..52 * height.div_ceil(2)).map(|i| (i * 41 % 253) as u8).collect();
    for matrix in [YuvMatrix::Bt601, YuvMatrix::Bt709] {
        for range in [YuvRange::Limited, YuvRange::Full] {
            let encoding = YuvEncoding::default().with_matrix(matrix).with_range(range);
            let image = ImageView::nv12((&luma, 64), (&chroma, 52), width, height, encoding).unwrap();
            let mut rgb = vec![0; 3 * width * height];
            rgb.chunks_exact_mut(3 * width).enumerate().for_each(|(y, row)| image.row_rgb(y, row));
            let rgb = ImageView::packed(&rgb, width, height, PixelFormat::Rgb8).unwrap();
            let profiles = [
                Preprocess::clip(32).unwrap(),
                Preprocess::sam(64).unwrap(),
                Preprocess::sam2(64).unwrap(),
                Preprocess::sam2_video(64).unwrap(),
            ];
            for profile in profiles {
                assert!(run(&profile, &image) == run(&profile, &rgb), "{encoding:?}");
            }
        }
    }
}

#[test]
fn absent_configuration_is_openai_clip() {
    let clip = Preprocess::clip(224).unwrap();
    assert_eq!(clip.output_size(), (224, 224));
    let black = run(&clip, &ImageView::packed(&[0; 3], 1, 1, PixelFormat::Rgb8).unwrap());
    let (means, stds): ([f64; 3], [f64; 3]) =
        ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]);
    for (plane, (mean, std)) in black.chunks(224 * 224).zip(means.into_iter().zip(stds)) {
        assert!(plane.iter().all(|&value| value == -(mean as f32) / std as f32));
    }
    let legacy = br#"{"size": 64, "crop_size": 60, "feature_extractor_type": "CLIPFeatureExtractor"}"#;
    assert_eq!(profile(legacy, 224).unwrap().output_size(), (60, 60));
    let squashed = br#"{"do_center_crop": false, "size": {"height": 30, "width": 40}, "resample": 2}"#;
    assert_eq!(profile(squashed, 224).unwrap().output_size(), (30, 40));
}

#[test]
fn open_clip_modes() {
    let open_clip = |cfg: &str| {
        let json = format!("{{\"model_cfg\": {{}}, \"preprocess_cfg\": {cfg}}}");
        profile(json.as_bytes(), 32).unwrap()
    };
    let picture: Vec<u8> = (0..40 * 20 * 3).map(|i| (i * 53 % 241) as u8).collect();
    let image = ImageView::packed(&picture, 40, 20, PixelFormat::Rgb8).unwrap();
    let plain = open_clip("{}");
    assert_eq!(plain.output_size(), (32, 32));
    let longest =
        open_clip(r#"{"resize_mode": "longest", "fill_color": 255, "mean": 0.5, "std": [0.5, 0.5, 0.5]}"#);
    let longest = run(&longest, &image);
    // 40x20 fits as 32x16: 8 rows of white above and below.
    assert!(longest[..8 * 32].iter().chain(&longest[24 * 32..32 * 32]).all(|&value| value == 1.0));
    assert!(longest[8 * 32..24 * 32].iter().any(|&value| value != 1.0));
    let squash = run(&open_clip(r#"{"resize_mode": "squash"}"#), &image);
    assert!(squash != run(&plain, &image));
    assert_eq!(open_clip(r#"{"size": [16, 48], "interpolation": "bilinear"}"#).output_size(), (16, 48));
}

/// SAM 2 squeezes the picture into its input; only the bounds of `preprocessor_config.json` matter, the size is the
/// model's.
#[test]
fn sam2_profiles() {
    let picture: Vec<u8> = (0..40 * 20 * 3).map(|i| (i * 53 % 241) as u8).collect();
    let image = ImageView::packed(&picture, 40, 20, PixelFormat::Rgb8).unwrap();
    let config = |json: &str| {
        let config = Config::parse("preprocessor_config.json", json.as_bytes()).unwrap();
        Preprocess::sam2_from_config(&config, 64)
    };
    let [floats, frames] = [Preprocess::sam2(64), Preprocess::sam2_video(64)].map(Result::unwrap);
    assert_eq!(floats.resized(20, 40).unwrap(), (64, 64));
    let bytes = config(r#"{"size": {"height": 1024, "width": 1024}}"#).unwrap();
    let [floats, frames, bytes] = [floats, frames, bytes].map(|profile| run(&profile, &image));
    // Bytes are rounded after each axis, by half a level of 1 / 255 / 0.225 each; cubic is another filter.
    let most = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!((0.001..0.02).contains(&most(&floats, &bytes)), "{}", most(&floats, &bytes));
    assert!(most(&frames, &bytes) > 0.02);
    let cubic = config(r#"{"resample": 3}"#).unwrap();
    assert!(most(&run(&cubic, &image), &frames) < 1e-6);

    for (json, code) in [
        (r#"{"image_processor_type": "SamImageProcessor"}"#, ErrorCode::Unsupported),
        (r#"{"do_resize": false}"#, ErrorCode::Unsupported),
        (r#"{"size": {"height": 0, "width": 8}}"#, ErrorCode::Config),
        (r#"{"image_std": [0.2, 0, 0.2]}"#, ErrorCode::Config),
    ] {
        assert_eq!(config(json).unwrap_err().code(), code, "{json}");
    }
    assert_eq!(Preprocess::sam2(0).unwrap_err().code(), ErrorCode::Config);
    assert!(config(r#"{"image_processor_type": "Sam2ImageProcessorFast"}"#).is_ok());
}

#[test]
fn impossible_configurations_name_the_key() {
    let many = [
        (r#"{"image_std": [0.2, 0, 0.2]}"#, "image_std"),
        (r#"{"image_std": [0.2, -1, 0.2]}"#, "image_std"),
        (r#"{"image_std": 1e-60}"#, "image_std"),
        (r#"{"image_std": [0.2, 0.2]}"#, "image_std"),
        (r#"{"image_std": "0.2"}"#, "image_std"),
        (r#"{"image_mean": [0, 0, null]}"#, "image_mean"),
        (r#"{"image_mean": 1e300}"#, "image_mean"),
        (r#"{"rescale_factor": 1e300}"#, "rescale_factor"),
        (r#"{"rescale_factor": "1/255"}"#, "rescale_factor"),
        (r#"{"size": 0}"#, "size"),
        (r#"{"size": -224}"#, "size"),
        (r#"{"size": 224.5}"#, "size"),
        (r#"{"size": "224"}"#, "size"),
        (r#"{"size": {}}"#, "size"),
        (r#"{"size": {"shortest_edge": 2147483648}}"#, "size.shortest_edge"),
        (r#"{"size": {"shortest_edge": 224, "longest_edge": 300}}"#, "size"),
        (r#"{"size": {"height": 224}}"#, "size"),
        (r#"{"size": {"height": 224, "width": 0}}"#, "size.width"),
        (r#"{"crop_size": {"height": 1e9, "width": 224}}"#, "crop_size.height"),
        (r#"{"crop_size": [1, 2, 3]}"#, "crop_size"),
        (r#"{"resample": 1}"#, "resample"),
        (r#"{"resample": 17}"#, "resample"),
        (r#"{"resample": "bicubic"}"#, "resample"),
        (r#"{"do_resize": 1}"#, "do_resize"),
        (r#"{"do_center_crop": false}"#, "do_center_crop"),
        (r#"{"do_convert_rgb": "yes"}"#, "do_convert_rgb"),
        (r#"{"preprocess_cfg": []}"#, "preprocess_cfg"),
        (r#"{"preprocess_cfg": {"std": [0, 1, 1]}}"#, "preprocess_cfg.std"),
        (r#"{"preprocess_cfg": {"size": -1}}"#, "preprocess_cfg.size"),
        (r#"{"preprocess_cfg": {"interpolation": "lanczos"}}"#, "preprocess_cfg.interpolation"),
        (r#"{"preprocess_cfg": {"resize_mode": "other"}}"#, "preprocess_cfg.resize_mode"),
        (r#"{"preprocess_cfg": {"resize_mode": "longest", "fill_color": 256}}"#, "preprocess_cfg.fill_color"),
        (r#"{"preprocess_cfg": {"mode": "L"}}"#, "preprocess_cfg.mode"),
        (r#"{"image_std": [1e400, 1, 1]}"#, "preprocessor_config.json"),
        (r#"{"image_std": NaN}"#, "preprocessor_config.json"),
        ("[]", "preprocessor_config.json"),
        ("", "preprocessor_config.json"),
    ];
    for (json, key) in many {
        let error = profile(json.as_bytes(), 224).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Config, "{json}: {error}");
        assert!(error.message().contains(key), "{json}: {error}");
    }
    for image_size in [0, 1 << 31] {
        assert_eq!(Preprocess::clip(image_size).unwrap_err().code(), ErrorCode::Config);
    }
    let other = br#"{"image_processor_type": "SamImageProcessor"}"#;
    assert_eq!(profile(other, 224).unwrap_err().code(), ErrorCode::Unsupported);
}

#[test]
fn extreme_pictures() {
    let clip = Preprocess::clip(224).unwrap();
    let line: Vec<u8> = (0..32768 * 3).map(|i| (i % 256) as u8).collect();
    for (width, height) in [(32768, 1), (1, 32768)] {
        let image = ImageView::packed(&line, width, height, PixelFormat::Rgb8).unwrap();
        assert!(run(&clip, &image).iter().all(|value| value.is_finite()));
        let fit = profile(br#"{"preprocess_cfg": {"resize_mode": "longest"}}"#, 224).unwrap();
        let mut out = vec![0.0; 3 * 224 * 224];
        assert_eq!(fit.run(&cx(), &image, &mut out).unwrap_err().code(), ErrorCode::Image);
    }
    let image = ImageView::packed(&line, 100, 100, PixelFormat::Rgb8).unwrap();
    let error = clip.run(&cx(), &image, &mut [0.0; 100]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::BufferTooSmall);
}
