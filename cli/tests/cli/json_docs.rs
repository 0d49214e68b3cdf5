//! `docs/cli-json.md` says what the commands print: every field that is printed is in its tables with its type, and
//! every field that should always be there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{demo_file, golden, json, octopus, run, scratch, scratch_file};

/// A row of a table.
#[derive(Debug)]
struct Field {
    types: Vec<String>,
    is_always: bool,
}

/// The fields of an object, by path (`labels[].label`).
type Table = BTreeMap<String, Field>;

/// The objects of each command, by title.
type Commands = BTreeMap<String, BTreeMap<String, Table>>;

/// Reads the page. An object without a table of its own is the one of the same title that has one.
fn documented() -> Commands {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli-json.md");
    let page = fs::read_to_string(page).unwrap();
    let (mut commands, mut all) = (Commands::new(), BTreeMap::new());
    let (mut command, mut title) = (String::new(), String::new());
    for line in page.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            (command, title) = (name.to_owned(), String::new());
            commands.insert(command.clone(), BTreeMap::new());
        } else if let Some(name) = line.strip_prefix("### ") {
            title = name.to_owned();
            commands.get_mut(&command).unwrap().insert(title.clone(), Table::new());
        } else if let Some(row) = line.strip_prefix("| `").filter(|_| !title.is_empty()) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [name, types, there, ..] = cells[..] else { panic!("{line}") };
            let types = types.split(" or ").map(str::to_owned).collect();
            let field = Field { types, is_always: there == "always" };
            let table = commands.get_mut(&command).unwrap().get_mut(&title).unwrap();
            let name = name.trim_end_matches('`').to_owned();
            assert!(table.insert(name.clone(), field).is_none(), "{command}: {title}: {name} is there twice");
            all.entry(title.clone()).or_insert_with(|| command.clone());
        }
    }
    // Objects that are described elsewhere.
    let empty = commands.iter().flat_map(|(command, objects)| {
        objects
            .iter()
            .filter(|(_, table)| table.is_empty())
            .map(|(title, _)| (command.clone(), title.clone()))
    });
    for (command, title) in empty.collect::<Vec<_>>() {
        let origin = all.get(&title).unwrap_or_else(|| panic!("{command}: {title} has no table"));
        let table = commands[origin][&title].iter();
        let copy = |(name, field): (&String, &Field)| {
            (name.clone(), Field { types: field.types.clone(), is_always: field.is_always })
        };
        let table = table.map(copy).collect();
        commands.get_mut(&command).unwrap().insert(title, table);
    }
    commands
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What is wrong with `value`, the field `path` of an object of `table`; notes in `seen` what is there.
fn check(value: &Value, path: &str, table: &Table, seen: &mut BTreeSet<String>) -> Result<(), String> {
    if !path.is_empty() {
        let field = table.get(path).ok_or_else(|| format!("{path} is not documented"))?;
        let found = type_of(value);
        let is_right = |name: &String| name == found || name == "number" && found == "integer";
        if !field.types.iter().any(is_right) {
            return Err(format!("{path} is of type {found}, documented are {:?}", field.types));
        }
        seen.insert(path.to_owned());
    }
    match value {
        Value::Array(items) => {
            items.iter().try_for_each(|item| check(item, &format!("{path}[]"), table, seen))
        }
        Value::Object(fields) => {
            let dot = if path.is_empty() { "" } else { "." };
            // An element that is an object needs no row of its own.
            let is_data = table.contains_key(&format!("{path}{dot}*"));
            for (key, value) in fields {
                let key = if is_data { "*" } else { key };
                check(value, &format!("{path}{dot}{key}"), table, seen)?;
            }
            let depth = |name: &str| name.strip_prefix(path)?.strip_prefix(dot).map(str::to_owned);
            for (name, field) in table.iter().filter(|(_, field)| field.is_always) {
                let Some(rest) = depth(name) else { continue };
                let is_own = !rest.is_empty() && !rest.contains(['.', '[', '*']);
                if is_own && !fields.contains_key(&rest) {
                    return Err(format!("{name} should always be there ({:?})", field.types));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Checks objects of elements of arrays, whose rows are those of their fields.
fn matches(value: &Value, table: &Table, seen: &mut BTreeSet<String>) -> Result<(), String> {
    let mut whole = Table::new();
    for (name, field) in table {
        let field = Field { types: field.types.clone(), is_always: field.is_always };
        if let Some((array, _)) = name.rsplit_once("[].") {
            let element = Field { types: vec!["object".into()], is_always: false };
            whole.entry(format!("{array}[]")).or_insert(element);
        }
        whole.insert(name.clone(), field);
    }
    check(value, "", &whole, seen)
}

/// Checks that each of `objects` is one of those that the page says `command` prints, that they are those called
/// `titles`, and that together they have all documented fields but those of `others`.
fn check_all(commands: &Commands, command: &str, objects: &[Value], titles: &[&str], others: &[&str]) {
    let tables = &commands[command];
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for object in objects {
        let mut complaints = Vec::new();
        let fits = tables.iter().find_map(|(title, table)| {
            let mut seen = BTreeSet::new();
            match matches(object, table, &mut seen) {
                Ok(()) => Some((title, seen)),
                Err(complaint) => {
                    complaints.push(format!("not {title}: {complaint}"));
                    None
                }
            }
        });
        let Some((title, seen)) = fits else { panic!("{command}: {object}\n{}", complaints.join("\n")) };
        found.entry(title).or_default().extend(seen);
    }
    assert_eq!(found.keys().copied().collect::<BTreeSet<_>>(), titles.iter().copied().collect(), "{command}");
    for (title, seen) in found {
        let missing =
            tables[title].keys().find(|field| !seen.contains(*field) && !others.contains(&field.as_str()));
        assert_eq!(missing, None, "{command}: {title}: a field that nothing has");
    }
}

/// Runs `args`, which may fail for some inputs.
fn lines(args: &[&str]) -> Vec<Value> {
    let output = run(args);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn array(path: &str) -> Vec<Value> {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn object(path: &str) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A picture that is turned.
fn turned() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/cases/pictures/03-exif-orientation/6.png").to_owned()
}

#[test]
fn clip_objects_are_documented() {
    let commands = documented();
    let (octopus, bad) = (octopus(), scratch_file("docs-bad.png", "no picture"));
    let turned = turned();
    let absent = "@docs-no-such-list";
    let failed = "an input without a result";
    let others = &["image_bytes", "failed[]"];

    let classify = lines(&["classify", &octopus, &turned, &bad, absent, "--labels", "octopus,cat", "--json"]);
    check_all(&commands, "classify", &classify, &["a picture", failed], others);
    let similarity =
        lines(&["similarity", "--image", &octopus, &turned, absent, "--text", "an octopus", "--json"]);
    check_all(&commands, "similarity", &similarity, &["a compared picture", failed], others);
    let pictures = scratch("docs-pictures");
    fs::create_dir_all(&pictures).unwrap();
    for (from, to) in [(&octopus, "a.png"), (&octopus, "b.png"), (&bad, "bad.png")] {
        fs::copy(from, pictures.join(to)).unwrap();
    }
    let kept = scratch("docs.idx").to_str().unwrap().to_owned();
    let index = lines(&["index", pictures.to_str().unwrap(), "-o", &kept, "--fresh", "--json"]);
    check_all(&commands, "index", &index, &["an index", failed], others);
    fs::remove_file(pictures.join("b.png")).unwrap();
    let mut search = lines(&["search", &kept, "an octopus", "--image", &octopus, "--json"]);
    search.extend(lines(&["search", &kept, "--duplicates", "--json"]));
    check_all(&commands, "search", &search, &["a query", "a group"], &["image_bytes", "found[].image_bytes"]);
    let mut embed = lines(&["embed", "--image", &octopus, &turned, &bad, "--json"]);
    embed.extend(json(&["embed", "--text", "an octopus", "--json"]));
    let file = scratch("docs-embeddings.json").to_str().unwrap().to_owned();
    embed.extend(lines(&["embed", "--image", &octopus, absent, "--json", "--output", &file]));
    embed.extend(array(&file));
    let titles = ["an embedded picture", "an embedded text", "a file of embeddings", failed];
    check_all(&commands, "embed", &embed, &titles, &["image_bytes"]);
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf8_are_documented() {
    use std::os::unix::ffi::OsStrExt;
    let path = scratch("docs-names").join(std::ffi::OsStr::from_bytes(b"caf\xe9.png"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Some file systems take no such names.
    if fs::copy(octopus(), &path).is_err() {
        return;
    }
    let directory = scratch("docs-names").to_str().unwrap().to_owned();
    let classify = json(&["classify", &directory, "--labels", "octopus,cat", "--json"]);
    check_all(&documented(), "classify", &classify, &["a picture"], &["orientation"]);
    let name: Vec<u8> = (classify[0]["image_bytes"].as_str().unwrap().as_bytes().chunks(2))
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    assert_eq!(name, path.as_os_str().as_bytes());
}

#[test]
fn sam_objects_are_documented() {
    let commands = documented();
    let scene = demo_file("images/garden-scene-3d.png");
    let file = scratch("docs-masks.json").to_str().unwrap().to_owned();
    let click = ["segment", &scene, "--point", "65,331", "--json"];
    let mut masks = json(&[&click[..], &["--multimask", "-o", &file]].concat());
    masks.extend(array(&file));
    let [coco, labelme] =
        ["docs-coco.json", "docs-labelme.json"].map(|name| scratch(name).to_str().unwrap().to_owned());
    masks.extend(json(&[&click[..], &["--polygons", "-o", &coco, "-o", &labelme]].concat()));
    masks.extend([object(&coco), object(&labelme)]);
    let coarse = ["--points-per-side", "8", "--pred-iou-thresh", "0.4", "--stability-score-thresh", "0.5"];
    masks.extend(json(&[&["segment", &scene, "--text", "a red apple", "--json"], &coarse[..]].concat()));
    masks.extend(json(&["segment", &turned(), "--point", "9,5", "--json"]));
    // Of a video, and of masks with holes.
    let others = [
        "images[].frame_id",
        "annotations[].track_id",
        "polygons[].holes[]",
        "polygons[].holes[][]",
        "polygons[].holes[][][]",
    ];
    check_all(&commands, "segment", &masks, &["a mask", "a COCO data set", "a LabelMe annotation"], &others);
    let mut everything =
        json(&[&["everything", &scene, "-o", &file, "--polygons", "--json"], &coarse[..]].concat());
    everything.extend(array(&file));
    // EXIF data with one entry: orientation 2.
    let exif =
        b"\xff\xd8\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x02\0\0\0\0\0\0";
    let coffee = fs::read(demo_file("images/coffee.jpg")).unwrap();
    let mirrored = scratch_file("docs-mirrored.jpg", [exif, &coffee[2..]].concat());
    // A photograph, of which the demo's model is sure of nothing.
    let anything = ["--points-per-side", "8", "--pred-iou-thresh", "0", "--stability-score-thresh", "0"];
    everything.extend(json(&[&["everything", &mirrored, "--json"], &anything[..]].concat()));
    check_all(&commands, "everything", &everything, &["a mask of everything"], &others);

    let clip = demo_file("clips/tree.gif");
    let track = ["track", &clip, "--point", "36,150", "--frames", "2", "--json"];
    let mut tracked = json(&[&track[..], &["--polygons", "-o", &file, "-o", &coco]].concat());
    tracked.extend(array(&file));
    tracked.push(object(&coco));
    let frames = scratch("docs-turned-frames");
    fs::create_dir_all(&frames).unwrap();
    fs::copy(turned(), frames.join("0.png")).unwrap();
    tracked.extend(json(&["track", frames.to_str().unwrap(), "--point", "9,5", "--json"]));
    tracked.extend(json(&["track", frames.to_str().unwrap(), "--point", "9,5", "--json", "--live"]));
    check_all(&commands, "track", &tracked, &["an object on a frame", "a COCO data set"], &others[2..]);
}

#[test]
fn other_objects_are_documented() {
    let commands = documented();
    let mut clip = json(&["info", "demo:clip", "--tensors", "--json"]);
    for tower in ["resnet-openclip", "mobileclip-s0-timm", "naflex"] {
        clip.extend(json(&["info", &golden(&format!("clip/{tower}")), "--json"]));
    }
    check_all(&commands, "info", &clip, &["a tensor", "a CLIP"], &["unused_tensors[]", "extensions[]"]);
    let mut sam = json(&["info", "demo:sam", "--json"]);
    sam.extend(json(&["info", "demo:sam2", "--json"]));
    // There is no small model with a TinyViT.
    let others = ["unused_tensors[]", "encoder.stem", "extensions[]"];
    check_all(&commands, "info", &sam, &["a SAM or a SAM 2"], &others);
    let quantised = scratch("docs-quantize");
    let quantised = quantised.to_str().unwrap();
    let report = json(&["quantize", "demo:clip", "--weights", "int8", "--output", quantised, "--json"]);
    check_all(&commands, "quantize", &report, &["a model"], &[]);
    let bench = json(&["bench", "norm", "--threads", "1", "--weights", "int8", "--json"]);
    check_all(&commands, "bench", &bench, &["a measurement"], &["frames_per_s"]);
    let parts = json(&["bench", "clip", "--breakdown", "--threads", "1", "--json"]);
    check_all(&commands, "bench", &parts, &["a part of a pass"], &[]);
    let directory = scratch("docs-demo");
    let demo = json(&["demo", "--json", "--output", directory.to_str().unwrap()]);
    let titles = [
        "a classified part of a picture",
        "a segmented thing",
        "a followed animal on a frame",
        "a step",
        "a written file",
    ];
    check_all(&commands, "demo", &demo, &titles, &[]);
    let pages = json(&["man", "--json", "--output", directory.to_str().unwrap()]);
    check_all(&commands, "man", &pages, &["a written file"], &[]);
}

#[test]
fn every_command_is_documented() {
    let commands: BTreeSet<String> = documented().into_keys().collect();
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let names: BTreeSet<String> = list
        .lines()
        .map_while(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        // Neither prints objects.
        .filter(|name| !["help", "completions"].contains(name))
        .map(str::to_owned)
        .collect();
    assert_eq!(commands, names);
}

#[test]
fn what_is_not_documented_is_found() {
    let table = |rows: &[(&str, &str, bool)]| -> Table {
        let field = |&(name, types, is_always): &(&str, &str, bool)| {
            (name.to_owned(), Field { types: vec![types.to_owned()], is_always })
        };
        rows.iter().map(field).collect()
    };
    let table = table(&[
        ("a", "array", true),
        ("a[].b", "string", true),
        ("c", "object", false),
        ("c.d", "integer", true),
        ("e", "object", true),
        ("e.*", "number", true),
    ]);
    let check = |json: &str| matches(&serde_json::from_str(json).unwrap(), &table, &mut BTreeSet::new());
    assert_eq!(check(r#"{"a": [{"b": "x"}], "c": {"d": 1}, "e": {"x": 1, "y": 2.5}}"#), Ok(()));
    assert_eq!(check(r#"{"a": [], "e": {}}"#), Ok(()));
    for (json, expected) in [
        (r#"{"a": [], "e": {}, "f": 1}"#, "f is not documented"),
        (r#"{"a": [{}], "e": {}}"#, "a[].b should always be there"),
        (r#"{"a": [], "c": {}, "e": {}}"#, "c.d should always be there"),
        (r#"{"a": []}"#, "e should always be there"),
        (r#"{"a": 1, "e": {}}"#, "a is of type integer"),
        (r#"{"a": [], "e": {"x": "y"}}"#, "e.* is of type string"),
        (r#"{"a": [{"b": null}], "e": {}}"#, "a[].b is of type null"),
    ] {
        let complaint = check(json).unwrap_err();
        assert!(complaint.starts_with(expected), "{complaint}");
    }
}
