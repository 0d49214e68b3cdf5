//! `track`: every input and output, prompts on frames and objects, and what damaged videos do.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json as value};
use vitrum::pipelines::mask::Rle;

use super::{demo_file, fails, json, run, scratch, scratch_file, stdout, vitrum};

const WIDTH: usize = 240;
const HEIGHT: usize = 180;
/// Frames of the clip and pixels from one to the next.
const FRAMES: usize = 6;
const STEP: usize = 10;
/// On the ball in frame 0.
const BALL_CLICK: &str = "135,130";

/// A camera that moves to the right over the scene: `[FRAMES, HEIGHT, WIDTH, 3]`.
fn clip() -> Vec<Vec<u8>> {
    let file = fs::read(demo_file("images/garden-scene-3d.png")).unwrap();
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().unwrap();
    let mut scene = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut scene).unwrap();
    let channels = info.color_type.samples();
    let crop = |frame: usize| {
        let (left, top) = (150 + frame * STEP, 200);
        let row = |y: usize| &scene[(y * info.width as usize + left) * channels..][..WIDTH * channels];
        (top..top + HEIGHT)
            .flat_map(|y| row(y).chunks(channels).flat_map(|pixel| &pixel[..3]))
            .copied()
            .collect()
    };
    (0..FRAMES).map(crop).collect()
}

/// The clip as a directory of PNGs, whose names are in order only if one counts: 6.png, 7.png … 10.png, 11.png.
fn directory(name: &str, clip: &[Vec<u8>]) -> String {
    let directory = scratch(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    for (i, frame) in clip.iter().enumerate() {
        let file = fs::File::create(directory.join(format!("{}.png", i + 6))).unwrap();
        let mut encoder = png::Encoder::new(file, WIDTH as u32, HEIGHT as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(frame).unwrap();
    }
    fs::write(directory.join(".notes.txt"), "no frame").unwrap();
    directory.to_str().expect("UTF-8").to_owned()
}

/// The clip as a Y4M stream in full range.
fn y4m(clip: &[Vec<u8>]) -> Vec<u8> {
    let mut file = format!("YUV4MPEG2 W{WIDTH} H{HEIGHT} F20:1 C444 XCOLORRANGE=FULL\n").into_bytes();
    for frame in clip {
        file.extend(b"FRAME\n");
        for [r, g, b, offset] in [
            [0.299, 0.587, 0.114, 0.0],
            [-0.168_736, -0.331_264, 0.5, 128.0],
            [0.5, -0.418_688, -0.081_312, 128.0],
        ] {
            let sample = |pixel: &[u8]| {
                let [red, green, blue] = [0, 1, 2].map(|channel| f64::from(pixel[channel]));
                (r * red + g * green + b * blue + offset).round().clamp(0.0, 255.0) as u8
            };
            file.extend(frame.chunks(3).map(sample));
        }
    }
    file
}

fn gif(clip: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, WIDTH as u16, HEIGHT as u16, &[]).unwrap();
    for frame in clip {
        let mut frame = gif::Frame::from_rgb_speed(WIDTH as u16, HEIGHT as u16, frame, 5);
        frame.delay = 5;
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    file
}

/// `track` of `input` with what is given on standard input.
fn piped(args: &[&str], stdin: &[u8]) -> Output {
    let mut command = vitrum(&[&["track", "-"], args].concat());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The command may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn mask(record: &Value) -> Rle {
    assert_eq!(record["segmentation"]["size"], value!([HEIGHT, WIDTH]));
    Rle::from_coco_string(record["segmentation"]["counts"].as_str().unwrap(), WIDTH, HEIGHT).unwrap()
}

/// Frames and objects of records.
fn places(records: &[Value]) -> Vec<[u64; 2]> {
    records.iter().map(|it| ["frame", "object"].map(|key| it[key].as_u64().unwrap())).collect()
}

#[test]
fn a_clicked_object_is_followed_in_every_kind_of_video() {
    let clip = clip();
    let (frames, file) = (directory("clip", &clip), scratch_file("clip.gif", gif(&clip)));
    let click = ["--point", BALL_CLICK, "--json"];
    let track = |input: &str| json(&[&["track", input], &click[..]].concat());
    let of_directory = track(&frames);
    let stream = y4m(&clip);
    let of_stream = piped(&click, &stream);
    assert!(
        of_stream.status.success() && of_stream.stderr.starts_with(b"tracked 6 frames: "),
        "{of_stream:?}"
    );
    let of_stream = lines(&of_stream);
    assert_eq!(track(&scratch_file("clip.y4m", &stream)), of_stream);

    for records in [&of_directory, &track(&file), &of_stream] {
        assert_eq!(places(records), [0, 1, 2, 3, 4, 5].map(|frame| [frame, 1]));
        for record in records {
            assert!(record["object_score"].as_f64().unwrap() > 0.0, "{record}");
            let mask = mask(record);
            assert_eq!(
                (&record["area"], &record["bbox"]),
                (&mask.area().into(), &value!(mask.bounding_box()))
            );
        }
    }
    // The same frames but for rounding.
    for (a, b) in of_directory.iter().zip(&of_stream) {
        assert!(mask(a).iou(&mask(b)).unwrap() > 0.9);
    }
    // The lines say the same, with any number of threads.
    let text = stdout(&["track", &frames, "--point", BALL_CLICK, "--threads", "1"]);
    for (line, record) in text.lines().zip(&of_directory) {
        let fields: Vec<&str> = line.split('\t').collect();
        assert_eq!(fields[..2], ["frame", "object"].map(|key| record[key].to_string()));
        assert!((fields[2].parse::<f64>().unwrap() - record["object_score"].as_f64().unwrap()).abs() < 1e-4);
        assert_eq!(fields[3], record["area"].to_string());
        let bounds: Vec<String> = record["bbox"].as_array().unwrap().iter().map(Value::to_string).collect();
        assert_eq!(fields[4], bounds.join(","));
    }
}

#[test]
fn a_live_video_is_kept_up_with() {
    let clip = clip();
    // The whole pipe may come while the first frame is worked on: frames with prompts and the last one stay.
    let prompt = format!("{BALL_CLICK}@1");
    let output = piped(&["--live", "--point", &prompt, "30,30@3#2", "--json"], &y4m(&clip));
    assert!(output.status.success(), "{output:?}");
    let records = lines(&output);
    let frames: Vec<u64> = records.iter().map(|it| it["frame"].as_u64().unwrap()).collect();
    assert!(frames.is_sorted() && frames[0] == 1 && frames.contains(&3), "{frames:?}");
    assert_eq!(frames.last(), Some(&(FRAMES as u64 - 1)));
    assert!(records.iter().all(|it| it["latency_ms"].as_f64().unwrap() > 0.0));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains(&format!(" of {FRAMES} frames: ")) && told.contains(" ms after its frame"),
        "{told}"
    );

    // The ball of frame 1 lies where it lies when no frame is left out.
    let whole = lines(&piped(&["--point", &prompt, "--json"], &y4m(&clip)));
    assert_eq!(records[0]["segmentation"], whole[0]["segmentation"]);
    assert!(whole.iter().all(|it| it["latency_ms"].is_null()));

    fails(&["track", "clip.gif", "--live", "--point", "60,100", "--backward"], 2, "--backward");
}

#[test]
fn prompts_name_frames_and_objects() {
    let frames = directory("clip-prompts", &clip());
    let mask_file = scratch("ball-%02d-mask.png");
    let mask_file = mask_file.to_str().unwrap();
    let ball = json(&["track", &frames, "--point", BALL_CLICK, "-o", mask_file, "--json"]);
    // What was found on frame 0 is what is looked for, from frame 2 on; another object is clicked and corrected.
    let painted = scratch("ball-00-mask.png");
    let painted = format!("{}@0#7", painted.to_str().unwrap());
    let corner = ["--box", "120,5,230,70@2#300", "--neg", "5,5@2#300", "--point", "150,40@4#300"];
    let records = json(&[&["track", &frames, "--mask", &painted], &corner[..], &["--json"]].concat());
    let expected = [[0, 7], [1, 7], [2, 7], [2, 300], [3, 7], [3, 300], [4, 7], [4, 300], [5, 7], [5, 300]];
    assert_eq!(places(&records), expected);
    // A mask prompt is its own answer, in the resolution of the model.
    assert!(mask(&records[0]).iou(&mask(&ball[0])).unwrap() > 0.85);

    // Backwards, the second object is also found before its first prompt.
    let both = json(&[&["track", &frames, "--backward"], &corner[..], &["--json"]].concat());
    assert_eq!(places(&both), [0, 1, 2, 3, 4, 5].map(|frame| [frame, 300]));
    let few = json(&["track", &frames, "--point", BALL_CLICK, "--frames", "2", "--json"]);
    assert_eq!(few[..], ball[..2]);
    // A threshold above all logits leaves nothing.
    let none =
        json(&["track", &frames, "--point", BALL_CLICK, "--frames", "1", "--threshold", "1e6", "--json"]);
    assert_eq!((&none[0]["area"], &none[0]["bbox"]), (&0.into(), &value!([0, 0, 0, 0])));
}

#[test]
fn results_are_written_in_every_form() {
    let clip = clip();
    let frames = directory("clip-outputs", &clip);
    let outputs =
        ["tracked.gif", "tracked.json", "tracked-overlays", "tracked-%03d-mask.png", "tracked-%d.png"];
    let outputs = outputs.map(|name| scratch(name).to_str().unwrap().to_owned());
    let options = outputs.each_ref().map(|file| ["-o", file]).concat();
    let prompts = ["--point", BALL_CLICK, "200,20@1#2", "--non-overlap", "--json"];
    let records = json(&[&["track", &frames], &prompts[..], &options[..]].concat());
    assert_eq!(records.len(), FRAMES + FRAMES - 1);
    assert_eq!(serde_json::from_slice::<Value>(&fs::read(&outputs[1]).unwrap()).unwrap(), value!(records));

    let mut animation = gif::DecodeOptions::new();
    animation.set_color_output(gif::ColorOutput::RGBA);
    let mut animation = animation.read_info(fs::File::open(&outputs[0]).unwrap()).unwrap();
    assert_eq!((usize::from(animation.width()), usize::from(animation.height())), (WIDTH, HEIGHT));
    let mut delays = Vec::new();
    while let Some(frame) = animation.read_next_frame().unwrap() {
        delays.push(frame.delay);
    }
    assert_eq!(delays, [10; FRAMES]);

    for frame in 0..FRAMES {
        let overlay = fs::read(Path::new(&outputs[2]).join(format!("{frame:05}.png"))).unwrap();
        assert_eq!(fs::read(scratch(&format!("tracked-{frame}.png"))).unwrap(), overlay);
        let labels = fs::read(scratch(&format!("tracked-{frame:03}-mask.png"))).unwrap();
        let mut labels = png::Decoder::new(Cursor::new(labels)).read_info().unwrap();
        let mut pixels = vec![0; labels.output_buffer_size().unwrap()];
        labels.next_frame(&mut pixels).unwrap();
        // Masks do not overlap, so that the picture of numbers holds all of them.
        for record in records.iter().filter(|record| record["frame"] == frame) {
            let area = pixels.iter().filter(|&&pixel| record["object"] == pixel).count();
            assert_eq!(record["area"], area);
        }
    }
}

#[test]
fn damaged_videos_end_with_an_error_after_their_whole_frames() {
    let clip = clip();
    let click = ["--point", BALL_CLICK, "--json"];
    let cut = |whole: &[u8]| whole[..whole.len() / 2].to_vec();
    let (stream, file) = (cut(&y4m(&clip)), cut(&gif(&clip)));
    let results = scratch("cut.json").to_str().unwrap().to_owned();
    let file = scratch_file("cut-clip.gif", file);
    let of_gif = run(&[&["track", &file, "-o", &results], &click[..]].concat());
    for (output, culprit) in [
        (
            piped(&[&click[..], &["-o", &results]].concat(), &stream),
            "standard input: frame 2: the stream ends",
        ),
        (of_gif, "damaged GIF"),
    ] {
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(culprit), "{output:?}");
        let records = lines(&output);
        assert!((2..=3).contains(&records.len()), "{records:?}");
        if culprit.contains("stream") {
            assert_eq!(
                serde_json::from_slice::<Value>(&fs::read(&results).unwrap()).unwrap(),
                value!(records)
            );
        }
    }
    let backward = run(&["track", &file, "--backward", "--point", "135,130@1", "--json"]);
    assert_eq!(
        (backward.status.code(), places(&lines(&backward))[..2].to_vec()),
        (Some(4), vec![[0, 1], [1, 1]])
    );

    // A directory whose last frame is of another size, or no picture.
    let frames = directory("clip-mixed", &clip[..2]);
    fs::copy(demo_file("images/octopus-3d.png"), Path::new(&frames).join("9.png")).unwrap();
    let mixed = run(&[&["track", &frames], &click[..]].concat());
    assert_eq!((mixed.status.code(), lines(&mixed).len()), (Some(4), 2));
    assert!(String::from_utf8_lossy(&mixed.stderr).contains("frame 2 is "), "{mixed:?}");
    fs::write(Path::new(&frames).join("9.png"), "").unwrap();
    let empty = run(&[&["track", &frames], &click[..]].concat());
    assert_eq!((empty.status.code(), lines(&empty).len()), (Some(4), 2));
    assert!(String::from_utf8_lossy(&empty.stderr).contains("9.png: the file is empty"), "{empty:?}");
}

#[test]
fn wrong_usage_and_unusable_files_have_their_exit_codes() {
    let frames = directory("clip-wrong", &clip()[..2]);
    let track = |args: &[&str], exit: i32, culprit: &str| {
        fails(&[&["track", &frames], args].concat(), exit, culprit);
    };
    track(&[], 2, "--point");
    track(&["--point", "12"], 2, "expected X,Y");
    track(&["--point", "1,2@x"], 2, "expected X,Y");
    track(&["--point", "1,2@2"], 2, "a prompt is about frame 2, before which the video ends");
    track(&["--point", "1,2@4294967295#4294967295"], 2, "a prompt is about frame 4294967295");
    track(
        &["--point", "1,2@1", "--frames", "1"],
        2,
        "a prompt is about frame 1, before which the video ends",
    );
    track(&["--point", "NaN,2"], 2, "expected X,Y");
    track(&["--point", "1e9,2"], 2, "frame 0, object 1");
    track(&["--box", "1,1,5,5", "2,2,9,9"], 2, "two boxes for object 1 on frame 0");
    track(&["--box", "9,9,5,20"], 2, "left upper");
    track(&["--point", "1,2", "-o", "x.mp4"], 2, "neither a directory nor");
    track(&["--point", "1,2", "-o", "x.png"], 2, "one picture for many frames");
    track(&["--point", "1,2", "-o", "x.npy"], 2, "no arrays of videos");
    track(&["--point", "1,2", "-o", "-", "--kind", "mask"], 2, "one picture for many frames");
    track(&["--point", "1,2#0"], 2, "begin with 1");
    track(&["--point", "1,2#70000", "3,4#1", "-o", "x-%d-mask.png"], 2, "object 70000");
    track(&["--point", "1,2#70000", "-o", "x-%d-labels.png"], 2, "object 70000");
    track(&["--point", "1,2", "--fps", "0"], 2, "frames per second");
    track(&["--point", "1,2", "--model", "demo:sam"], 3, "cannot track");
    track(&["--point", "1,2", "--image-size", "100"], 3, "image size 100");
    track(&["--mask", "no-such.png"], 4, "no-such.png: ");
    track(&["--mask", &demo_file("images/octopus-3d.png")], 4, "many colours, not a mask");
    let small = scratch_file("small-mask.pgm", b"P5 2 1 255\n\x00\xff");
    track(&["--mask", &small], 2, "frame 0, object 1");
    track(&["--point", "1,2", "-o", "/nonexistent/x.gif"], 5, "cannot write /nonexistent/x.gif");
    track(&["--point", "1,2", "-o", "/proc/x/"], 5, "cannot write /proc/x");
    let input = |input: &str, culprit: &str| fails(&["track", input, "--point", "1,2"], 4, culprit);
    input("no-such-clip", "no-such-clip: ");
    input(&demo_file("eval/labels.json"), "neither GIF, WebP, MJPEG nor Y4M");
    input(&demo_file("clip-nano"), "no frames: no file in this directory");
    input(&scratch_file("empty.y4m", ""), "there is nothing in it");
    input(&scratch_file("bad.y4m", "YUV4MPEG2 W9 H9 C420p11\n"), "colour space \"420p11\" is not supported");
    let stream = scratch_file("late.y4m", y4m(&clip()[..1]));
    fails(
        &["track", &stream, "--point", "1,2@3"],
        2,
        "a prompt is about frame 3, before which the video ends",
    );
    fails(&["track", &stream, "--point", "1,2", "--backward"], 2, "a stream cannot be read backwards");
}

/// `tree.json` has the visible part of the animal in each frame.
#[test]
fn the_demo_follows_an_animal_behind_a_tree() {
    let facts: Value = serde_json::from_slice(&fs::read(demo_file("clips/tree.json")).unwrap()).unwrap();
    let directory = scratch("demo-tracked").to_str().expect("UTF-8").to_owned();
    let rows = json(&["demo", "--output", &directory, "--json"]);
    let rows: Vec<&Value> = rows.iter().filter(|row| row["clip"] == "tree.gif").collect();
    let truth = facts["masks"].as_array().unwrap();
    assert_eq!((rows.len(), truth.len()), (28, 28));
    let side = facts["size"][0].as_u64().unwrap() as usize;
    let of = |counts: &Value| Rle::from_coco_string(counts.as_str().unwrap(), side, side).unwrap();
    let mut iou = Vec::new();
    for (frame, (row, truth)) in rows.iter().zip(truth).enumerate() {
        assert_eq!((&row["frame"], &row["object"]), (&frame.into(), &0.into()));
        iou.push(of(&row["segmentation"]["counts"]).iou(&of(truth)).unwrap());
    }
    println!("{iou:.2?}");
    let mean = |iou: &[f64]| iou.iter().sum::<f64>() / iou.len() as f64;
    // In sight, and again when it has come out from behind the tree.
    assert!(mean(&iou[..4]) >= BEFORE && mean(&iou[24..]) >= AFTER, "{iou:.2?}");

    // What is drawn is as large as promised, and the first frame is shown longer.
    let mut animation = gif::DecodeOptions::new();
    animation.set_color_output(gif::ColorOutput::RGBA);
    let file = fs::File::open(Path::new(&directory).join("tracked.gif")).unwrap();
    let mut animation = animation.read_info(file).unwrap();
    assert_eq!((usize::from(animation.width()), usize::from(animation.height())), (2 * side, 2 * side));
    let mut delays = Vec::new();
    while let Some(frame) = animation.read_next_frame().unwrap() {
        delays.push(frame.delay);
    }
    assert_eq!(delays, [&[108][..], &[8; 27]].concat());
}

#[test]
fn info_and_bench_know_sam2() {
    let info = &json(&["info", "demo:sam2", "--json"])[0];
    assert_eq!((&info["family"], &info["encoder"]["kind"]), (&"SAM 2".into(), &"hiera".into()));
    let memory = &info["memory"];
    assert_eq!(
        (&memory["version"], &memory["memories"], &memory["pointers"]),
        (&"2.1".into(), &7.into(), &16.into())
    );
    assert_eq!(memory["use_signed_tpos_enc_to_obj_ptrs"], true);
    let bytes = ["tracker_bytes", "object_bytes"].map(|key| memory[key].as_u64().unwrap());
    assert!(bytes[0] > bytes[1] && bytes[1] > 0, "{memory}");
    let text = stdout(&["info", &demo_file("sam2-nano")]);
    assert!(text.contains("version         2.1\nflags           no_obj_embed_spatial, "), "{text}");

    let rows = json(&["bench", "sam2", "--threads", "1"]);
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["sam2-encode", "sam2-click", "sam2-memory-encode", "sam2-memory-attend"]);
    let rows = json(&["bench", "track", "--threads", "1"]);
    let shapes: Vec<&str> = rows.iter().map(|row| row["shape"].as_str().unwrap()).collect();
    assert_eq!(shapes, ["1 object", "2 objects", "4 objects", "8 objects", "each of 7"]);
    assert!(rows[..4].iter().all(|row| row["frames_per_s"].as_f64().unwrap() > 0.0), "{rows:?}");
    fails(&["bench", "sam2", "--model", "demo:sam"], 3, "not a SAM 2");
    fails(&["bench", "track", "--model", "demo:sam"], 3, "cannot follow objects");
}

/// SAM 2 answers about pictures as SAM does.
#[test]
fn pictures_are_segmented_by_sam2_too() {
    let scene = demo_file("images/garden-scene-3d.png");
    let file = scratch("sam2-mask.png").to_str().unwrap().to_owned();
    let click = ["segment", &scene, "--model", "demo:sam2", "--point", "285,330", "--json"];
    let found = json(&[&click[..], &["-o", &file]].concat());
    let of = |record: &Value| {
        Rle::from_coco_string(record["segmentation"]["counts"].as_str().unwrap(), 512, 384).unwrap()
    };
    assert!(found.len() == 1 && of(&found[0]).area() > 0, "{found:?}");
    // A mask as a prompt lies where it was found: the input is not padded.
    let again = json(&[&click[..], &["--mask", &file]].concat());
    assert!(of(&again[0]).iou(&of(&found[0])).unwrap() > 0.5, "{again:?}");
    let unsure = ["--pred-iou-thresh", "0.3", "--stability-score-thresh", "0", "--points-per-side", "8"];
    let everything = ["everything", &scene, "--model", "demo:sam2", "--json"];
    let all = json(&[&everything[..], &unsure].concat());
    assert!(!all.is_empty() && all.iter().all(|record| record["predicted_iou"].as_f64().unwrap() > 0.3));
}

/// Least mean IoU of the first and of the last frames.
const BEFORE: f64 = 0.8;
const AFTER: f64 = 0.7;
