//! Writes the corpora that fuzzing begins with: `seeds DIRECTORY` makes a directory for each target, from the repository's
//! golden files, demo and test cases. What is there already stays.

use std::path::{Path, PathBuf};
use std::{env, fs};

use vitrum::{ImageView, Monitor, PixelFormat, Point, Prompt, PromptOptions, Tracker, TrackerOptions};
use vitrum_fuzz::configs::{CLIP_FILES, CLIPS, SAM_FILES, SAM2S, SAMS};
use vitrum_fuzz::models::{Files, pixels, sam, sam2};
use vitrum_fuzz::quantized::WRITTEN;
use vitrum_fuzz::tokenizers::SIDES;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Bytes of a seed at most: larger inputs are slower than what they find is worth.
const MOST: u64 = 40_000;

/// Where the seeds go.
struct Corpora(PathBuf);

impl Corpora {
    fn add(&self, target: &str, name: &str, contents: &[u8]) {
        let directory = self.0.join(target);
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join(format!("seed-{name}")), contents).expect("a file");
    }

    /// All files below `directory` of the repository whose name ends in one of `endings` and that are small enough.
    fn add_files(&self, target: &str, directory: &str, endings: &[&str]) {
        for path in files(&Path::new(ROOT).join(directory)) {
            let name = path.strip_prefix(ROOT).expect("below the root").to_string_lossy().replace('/', "-");
            if endings.iter().any(|ending| name.ends_with(ending))
                && fs::metadata(&path).expect("a file").len() <= MOST
            {
                self.add(target, &name, &read(&path));
            }
        }
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// `parts` with NULs between them, behind a byte that chooses.
fn chosen(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[first], &parts.join(&0)[..]].concat()
}

fn main() {
    let directory = env::args_os().nth(1).expect("usage: seeds DIRECTORY");
    let corpora = Corpora(directory.into());
    weights(&corpora);
    configs(&corpora);
    tokenizers(&corpora);
    sessions(&corpora);
    masks(&corpora);
    command(&corpora);
    // These make sense of any bytes: different lengths are a beginning.
    for target in ["images", "prompts", "everything", "calls", "masks"] {
        for (name, len) in [("short", 8), ("long", 200), ("longest", 1000)] {
            let bytes: Vec<u8> = (0..len).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            corpora.add(target, name, &bytes);
        }
    }
}

fn weights(corpora: &Corpora) {
    corpora.add_files("safetensors", "tests/golden", &[".safetensors"]);
    corpora.add_files("torch", "tests/golden/torch", &[".pt", ".pth"]);
    let header = br#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},"b":{"dtype":"I64","shape":[],"data_offsets":[12,20]}}"#;
    let small = [&(header.len() as u64).to_le_bytes()[..], header, &[7; 20]].concat();
    corpora.add("safetensors", "small", &small);
    for (i, written) in WRITTEN.iter().enumerate() {
        for (first, name) in [(i as u8, "strict"), (i as u8 | 128, "lenient")] {
            corpora.add("quantized", &format!("{name}-{i}"), &chosen(first, &[&written.header]));
            corpora.add(
                "quantized",
                &format!("{name}-{i}-changed"),
                &chosen(first, &[&written.header, &[9, 3, 0, 0, 255]]),
            );
        }
    }
}

fn configs(corpora: &Corpora) {
    let all: [(&str, &[&Files], [&str; 4]); 3] = [
        ("clip_config", &CLIPS, CLIP_FILES),
        ("sam_config", &SAMS, SAM_FILES),
        ("sam2_config", &SAM2S, SAM_FILES),
    ];
    for ((target, models, names), family) in all.into_iter().zip([0, 0x40, 0x60]) {
        for (i, model) in models.iter().enumerate() {
            let of = |name: &str| {
                model.sides.iter().find(|(side, _)| *side == name).map_or(&[][..], |(_, text)| text)
            };
            let parts = names.map(of);
            // A smaller input, with which the model runs.
            let small = parts.map(|text| String::from_utf8_lossy(text).replace("128", "64").into_bytes());
            for (target, family) in [(target, 0), ("configured", family)] {
                for lenient in [0, 0x80] {
                    let first = i as u8 | family | lenient;
                    corpora.add(target, &format!("model-{first}"), &chosen(first, &parts));
                    let small = small.each_ref().map(|it| &it[..]);
                    corpora.add(target, &format!("model-{first}-small"), &chosen(first, &small));
                }
            }
        }
        // Configurations of published models, which ask for more than the weights have.
        for (i, path) in
            files(&Path::new(ROOT).join("demo")).iter().filter(|it| it.ends_with("config.json")).enumerate()
        {
            let other = path.with_file_name("preprocessor_config.json");
            let parts = [&read(path)[..], &read(&other)];
            corpora.add(target, &format!("demo-{i}"), &chosen(129, &parts));
        }
    }
}

fn tokenizers(corpora: &Corpora) {
    let golden = |name: &str| read(&Path::new(ROOT).join("tests/golden/tokenizer").join(name));
    let sides = SIDES.map(|name| match name {
        "tokenizer_config.json" | "special_tokens_map.json" => {
            read(&Path::new(ROOT).join("demo/clip-nano").join(name))
        }
        "added_tokens.json" => br#"{"<new>":400}"#.to_vec(),
        _ => br#"{"model_cfg":{"text_cfg":{"tokenizer_kwargs":{"clean":"canonicalize"}}}}"#.to_vec(),
    });
    let beside = |first: u8, own: &[&[u8]]| {
        let parts: Vec<&[u8]> = own.iter().copied().chain(sides.iter().map(|side| &side[..])).collect();
        chosen(first, &parts)
    };
    corpora.add("tokenizer_json", "golden", &golden("tokenizer.json"));
    let clip = read(&Path::new(ROOT).join("tests/golden/clip/quickgelu-p32/tokenizer.json"));
    corpora.add("tokenizer_json", "clip", &clip);
    corpora.add("tokenizer_lists", "openai", &chosen(0, &[&golden("bpe_simple_vocab.txt")]));
    let (vocabulary, merges) = (golden("vocab.json"), golden("merges.txt"));
    corpora.add("tokenizer_lists", "lists", &chosen(1, &[&vocabulary, &merges]));
    corpora.add("tokenizer_lists", "lists-beside", &beside(1, &[&vocabulary, &merges]));
    corpora.add("tokenizer_lists", "json-beside", &beside(2, &[&golden("tokenizer.json")]));
    corpora.add("tokenizer_lists", "openai-beside", &beside(3, &[&golden("bpe_simple_vocab.txt")]));
    let parts = |name: &str| read(&Path::new(ROOT).join("tests/golden/tokenizer_parts").join(name));
    for name in ["gemma", "gemma-unknown", "siglip", "t5-bytes", "xlm-r", "other", "bert"] {
        corpora.add("tokenizer_json", name, &parts(&format!("{name}/tokenizer.json")));
    }
    for (name, file) in PARTS {
        corpora.add("tokenizer_json", &format!("small-{name}"), file.as_bytes());
        corpora.add("tokenizer_lists", &format!("small-{name}"), &chosen(2, &[file.as_bytes()]));
    }
    corpora.add("tokenizer_lists", "spiece", &chosen(4, &[&parts("siglip-spiece/spiece.model")]));
    corpora.add("tokenizer_lists", "spiece-small", &chosen(4, &[SPIECE]));
    corpora.add("tokenizer_lists", "vocab-txt", &chosen(5, &[b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n"]));
    for (i, line) in parts("t5/ids.json").split(|&byte| byte == b'\n').skip(220).enumerate() {
        corpora.add("tokenize", &format!("parts-{i}"), &line[..line.len().min(500)]);
    }
    // Small ones, of which more are tried in the same time.
    let small =
        br#"{"!":0,"a":1,"b":2,"a</w>":3,"b</w>":4,"ab</w>":5,"<|startoftext|>":6,"<|endoftext|>":7}"#;
    corpora.add("tokenizer_lists", "small", &chosen(1, &[small, b"#version: 0.2\na b</w>\n"]));
    corpora.add("tokenizer_lists", "gzip", &chosen(0, &[GZIP]));
    for name in ["tokens.json", "tokens_openai.json", "cleaning.json", "side_files.json"] {
        for (i, line) in golden(name).split(|&byte| byte == b'\n').take(200).enumerate() {
            corpora.add("tokenize", &format!("{name}-{i}"), &line[..line.len().min(500)]);
        }
    }
}

/// Small tokenizers in parts, every part once.
const PARTS: [(&str, &str); 3] = [
    (
        "bpe",
        r#"{"version":"1.0","normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"[a-c ]+"},"behavior":"MergedWithPrevious","invert":false},"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"<e>","type_id":0}}],"pair":[],"special_tokens":{"<e>":{"id":"<e>","ids":[0],"tokens":["<e>"]}}},"added_tokens":[{"id":0,"content":"<e>","special":true,"lstrip":true}],"model":{"type":"BPE","unk_token":"<e>","fuse_unk":true,"byte_fallback":true,"ignore_merges":true,"vocab":{"<e>":0,"a":1,"b":2,"ab":3,"<0x63>":4},"merges":["a b"]}}"#,
    ),
    (
        "unigram",
        r#"{"normalizer":{"type":"Sequence","normalizers":[{"type":"Precompiled","precompiled_charsmap":"BAAAAAAAAABhAA=="},{"type":"Nmt"},{"type":"NFD"},{"type":"StripAccents"},{"type":"NFC"},{"type":"Strip","strip_left":true,"strip_right":true},{"type":"Prepend","prepend":"b"},{"type":"Lowercase"}]},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Digits","individual_digits":true},{"type":"Punctuation","behavior":"MergedWithNext"},{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true}]},"post_processor":{"type":"BertProcessing","sep":["b",2],"cls":["a",1]},"model":{"type":"Unigram","unk_id":0,"byte_fallback":true,"vocab":[["<unk>",0],["a",-1.5],["b",-2],["ab",-2.5],["<0x63>",0.0]]}}"#,
    ),
    (
        "wordpiece",
        r###"{"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},"model":{"type":"WordPiece","unk_token":"[U]","continuing_subword_prefix":"##","max_input_chars_per_word":9,"vocab":{"[U]":0,"a":1,"##b":2,"##ab":3}}}"###,
    ),
];

/// A model of SentencePiece of five pieces.
const SPIECE: &[u8] = b"\x0a\x0e\x0a\x05<pad>\x15\0\0\0\0\x18\x03\x0a\x0d\x0a\x04</s>\x15\0\0\0\0\x18\x03\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02\x0a\x08\x0a\x01a\x15\0\0\x80\xbf\x0a\x0a\x0a\x01b\x15\0\0\0\xc0\x18\x04\x1a\x04\x18\x01\x20\x01";

/// A list of one merge, gzipped.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x53, 0x2e, 0x4b, 0x2d, 0x2a, 0xce, 0xcc, 0xcf, 0xb3, 0x52, 0x30,
    0xd0, 0x33, 0xe2, 0x4a, 0x54, 0x48, 0xb2, 0xd1, 0x2f, 0xb7, 0xe3, 2, 0, 0x70, 0x1c, 0x1d, 0x0b, 0x16, 0,
    0, 0,
];

fn sessions(corpora: &Corpora) {
    const SIZE: [usize; 2] = [24, 18];
    const CHECKSUM: usize = 8;
    let pixels = pixels(SIZE[0], SIZE[1]);
    let picture = ImageView::packed(&pixels, SIZE[0], SIZE[1], PixelFormat::Rgb8).expect("a picture");
    for (first, sam) in [(0, sam()), (1, sam2())] {
        let saved = sam.encode(&picture, &Monitor::none()).expect("an embedding").save().expect("memory");
        corpora.add("embedding", &first.to_string(), &chosen(first, &[&saved[..saved.len() - CHECKSUM]]));
    }
    let options = TrackerOptions::default().with_held_frames(2).with_both_directions(true);
    let mut tracker = Tracker::new(sam2().clone(), SIZE, &options).expect("a tracker");
    for frame in 0..4u64 {
        let none = Monitor::none();
        tracker.push(&picture, &none).expect("a frame");
        let click = [Point::foreground(5.0 + frame as f32, 6.0)];
        if frame != 1 {
            let (prompt, options) = (Prompt::points(&click), PromptOptions::default());
            tracker.add_prompt(frame, 1 + frame as u32 / 2, &prompt, &options, &none).expect("a prompt");
        }
        let saved = tracker.save().expect("memory");
        corpora.add("tracker", &format!("{frame}-pending"), &saved[..saved.len() - CHECKSUM]);
        tracker.step(&none).expect("a step");
        let saved = tracker.save().expect("memory");
        corpora.add("tracker", &frame.to_string(), &saved[..saved.len() - CHECKSUM]);
    }
}

fn masks(corpora: &Corpora) {
    // A choice, the sides, then a string of COCO's.
    corpora.add("masks", "coco", b"\x01\x06\x055P1O1O1O2N2N");
    corpora.add("masks", "counts", &[0, 6, 5, 3, 4, 5, 6, 7, 3, 2, 0]);
}

fn command(corpora: &Corpora) {
    let pictures =
        [".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"];
    let videos = [".gif", ".webp", ".y4m", ".mjpeg", ".mjpg"];
    for directory in ["tests/cases", "demo", "ffi-examples", "tests/golden"] {
        corpora.add_files("picture", directory, &pictures);
        corpora.add_files("mask_file", directory, &[".png", ".npy", ".pgm", ".bmp"]);
        corpora.add_files("gif", directory, &videos[..2]);
        corpora.add_files("y4m", directory, &videos[2..]);
    }
    corpora.add_files("index", "cli/tests/saved", &[".idx"]);
    for (i, header) in ["C420jpeg", "C444", "C420p10", "C411", "C422", "Cmono", "C444alpha XCOLORRANGE=FULL"]
        .iter()
        .enumerate()
    {
        let frame = [&b"FRAME\n"[..], &[77; 192]].concat();
        let stream = [format!("YUV4MPEG2 W5 H4 F25:1 Ip {header}\n").as_bytes(), &frame, &frame].concat();
        corpora.add("y4m", &format!("small-{i}"), &stream);
    }
    for (i, text) in [
        "cat\n dog \r\n\nbird",
        r#"["cat","dog"]"#,
        r#"{"0":"cat","1":"dog"}"#,
        r#"{"0":["n01440764","tench"]}"#,
        r#"{"cat":0,"dog":1}"#,
        "\u{feff}cat\ndog",
        "a.png\0b.png\0",
        "12.5,-3#4",
        "1,2,30,40",
        "mask.png#7",
    ]
    .iter()
    .enumerate()
    {
        corpora.add("texts", &i.to_string(), text.as_bytes());
    }
    let array = [
        &b"\x93NUMPY\x01\x00v\x00"[..],
        format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }").as_bytes(),
        &[0x3f; 24],
    ]
    .concat();
    corpora.add("mask_file", "array", &array);
    corpora.add("texts", "array", &array);
}
