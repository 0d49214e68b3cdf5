//! Many pictures at once: directories, lists, names of all kinds, bad ones among good ones.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::Value;

use super::{demo_file, fails, json, octopus, run, scratch, scratch_file, stdout, vitrum};

/// A new, empty directory.
fn directory(name: &str) -> PathBuf {
    let path = scratch(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// Copies of a sample picture.
fn pictures(directory: &std::path::Path, names: &[&str]) {
    for name in names {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(octopus(), path).unwrap();
    }
}

/// The names of the pictures that `classify` is done with, below `directory`, and what it says on standard error.
fn classified(directory: &std::path::Path, args: &[&str]) -> (Vec<String>, String) {
    let args = [&["classify"], args, &["--labels", "octopus,cat", "--top", "1", "--json"]].concat();
    let output = vitrum(&args).current_dir(directory).output().unwrap();
    (names(&output), String::from_utf8(output.stderr).unwrap())
}

fn names(output: &Output) -> Vec<String> {
    let rows = str::from_utf8(&output.stdout).unwrap().lines();
    rows.map(|row| serde_json::from_str::<Value>(row).unwrap()["image"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn directories_are_their_pictures_in_the_order_of_counting() {
    let root = directory("batch-directory");
    pictures(
        &root,
        &["a/10.png", "a/2.PNG", "a/1.png", "a/b/3.png", "a/b/c/4.png", "a/.hidden.png", "z.png"],
    );
    fs::write(root.join("a/notes.txt"), "notes").unwrap();
    let (names, stderr) = classified(&root, &["a", "z.png"]);
    assert_eq!(names, ["a/1.png", "a/2.PNG", "a/10.png", "z.png"]);
    assert!(stderr.contains("notes.txt") && stderr.contains("1 directories (--recursive"), "{stderr}");
    let (names, stderr) = classified(&root, &["--recursive", "a"]);
    assert_eq!(names, ["a/1.png", "a/2.PNG", "a/10.png", "a/b/3.png", "a/b/c/4.png"]);
    assert!(stderr.contains("notes.txt") && !stderr.contains("--recursive"), "{stderr}");

    // What is a picture by its name and none inside is an error, not passed over.
    fs::write(root.join("a/b/5.heic"), "\0\0\0\x18ftypheic").unwrap();
    let output =
        vitrum(&["classify", "a/b", "--labels", "cat", "--json"]).current_dir(&root).output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    assert!(String::from_utf8_lossy(&output.stderr).contains("5.heic: "), "{output:?}");
    fs::create_dir(root.join("empty")).unwrap();
    let (names, stderr) = classified(&root, &["empty", "z.png"]);
    assert_eq!(names, ["empty", "z.png"]);
    assert!(stderr.contains("empty: no pictures are in this directory"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn links_that_lead_back_are_not_followed_for_ever() {
    let root = directory("batch-links");
    pictures(&root, &["a/1.png", "a/b/2.png"]);
    std::os::unix::fs::symlink("..", root.join("a/b/up")).unwrap();
    std::os::unix::fs::symlink("1.png", root.join("a/3.png")).unwrap();
    let (names, _) = classified(&root, &["--recursive", "a"]);
    assert_eq!(names, ["a/1.png", "a/3.png", "a/b/2.png"]);
}

#[test]
fn lists_name_pictures() {
    let root = directory("batch-list");
    pictures(&root, &["1.png", "2 b.png", "d/3.png", "@x.png"]);
    let classified = |list: &[u8], args: &[&str]| {
        fs::write(root.join("list.txt"), list).unwrap();
        classified(&root, args)
    };
    let all = ["1.png", "2 b.png", "d/3.png"];
    for list in [
        &b"1.png\n2 b.png\nd\n"[..],
        b"\xef\xbb\xbf1.png\r\n\r\n2 b.png\r\n  \r\nd/3.png",
        b"1.png\r2 b.png\rd/",
        b"1.png\x002 b.png\0d\0",
        b"\xff\xfe1\0.\0p\0n\0g\0\r\0\n\x002\0 \0b\0.\0p\0n\0g\0\n\0d\0",
    ] {
        let (names, stderr) = classified(list, &["@list.txt"]);
        assert_eq!((&names[..], &*stderr), (&all.map(String::from)[..], ""), "{list:?}");
    }
    // Lists in lists are refused, so that they cannot contain themselves.
    let (names, stderr) = classified(b"1.png\n@list.txt\n-\n./@x.png\n", &["@list.txt"]);
    assert_eq!(names, ["1.png", "@list.txt", "-", "./@x.png"]);
    assert!(stderr.contains("a file of this name is ./@list.txt") && stderr.contains("2 of 4"), "{stderr}");
    let (names, stderr) = classified(b"", &["@list.txt", "./@x.png", "@absent.txt", "@1.png", "@d"]);
    assert_eq!(names, ["@list.txt", "./@x.png", "@absent.txt", "@1.png", "@d"]);
    for culprit in ["no names are in this list", "absent.txt: ", "a PNG picture, not", "d: a directory, not"]
    {
        assert!(stderr.contains(culprit), "{culprit:?} is not in\n{stderr}");
    }
    fs::File::create(root.join("huge.txt")).unwrap().set_len(100 << 20).unwrap();
    let (_, stderr) = classified(b"", &["@huge.txt"]);
    assert!(stderr.contains("huge.txt: larger than 64 MB"), "{stderr}");

    let mut child = vitrum(&["classify", "@-", "--labels", "cat", "--json"])
        .current_dir(&root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"d/3.png\n1.png\n").unwrap();
    assert_eq!(names_of(child), ["d/3.png", "1.png"]);
    let mut child = vitrum(&["classify", "1.png", "--labels-file", "-", "--json"])
        .current_dir(&root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"octopus\r\ncat").unwrap();
    assert_eq!(names_of(child), ["1.png"]);
}

fn names_of(child: std::process::Child) -> Vec<String> {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    names(&output)
}

#[test]
fn thousands_of_pictures_with_bad_ones_among_them() {
    let root = directory("batch-many");
    pictures(&root, &["good.png"]);
    fs::write(root.join("bad.png"), "no picture").unwrap();
    let expected: Vec<&str> = (0..2000).map(|i| if i % 7 == 3 { "bad.png" } else { "good.png" }).collect();
    fs::write(root.join("list"), expected.join("\n")).unwrap();
    let (names, stderr) = classified(&root, &["@list"]);
    assert_eq!(names, expected);
    let bad = expected.iter().filter(|name| **name == "bad.png").count();
    assert_eq!(stderr.lines().filter(|line| line.contains("bad.png: ")).count(), bad);
    assert!(stderr.contains(&format!("{bad} of 2000 inputs failed")), "{stderr}");
}

#[cfg(unix)]
#[test]
fn results_come_before_the_last_picture_is_there() {
    use std::io::{BufRead, BufReader};
    use std::process::Command;
    let root = directory("batch-stream");
    pictures(&root, &["1.png"]);
    assert!(Command::new("mkfifo").arg(root.join("2.png")).status().unwrap().success());
    let args =
        [&["classify"], &["1.png"; 8][..], &["2.png", "--labels", "octopus,cat", "--top", "1"]].concat();
    let mut child = vitrum(&args).current_dir(&root).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The command is waiting for the last picture.
    for _ in 0..8 {
        assert!(lines.next().unwrap().unwrap().starts_with("1.png\t"));
    }
    fs::write(root.join("2.png"), fs::read(octopus()).unwrap()).unwrap();
    assert!(lines.next().unwrap().unwrap().starts_with("2.png\t"));
    assert!(child.wait().unwrap().success());
}

#[cfg(unix)]
#[test]
fn every_name_is_one_line() {
    use std::os::unix::ffi::OsStringExt;
    let root = directory("batch-names");
    for name in [&b"tab\there.png"[..], b"line\nbreak.png", b"back\\slash.png"] {
        fs::copy(octopus(), root.join(std::ffi::OsString::from_vec(name.into()))).unwrap();
    }
    let directory = root.to_str().unwrap();
    let lines = stdout(&["classify", directory, "--labels", "a\tb,cat", "--top", "2"]);
    let fields: Vec<Vec<&str>> = lines.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(fields.len(), 6);
    for (fields, name) in
        fields.iter().step_by(2).zip([r"back\\slash.png", r"line\nbreak.png", r"tab\there.png"])
    {
        assert_eq!((fields.len(), fields[0]), (3, &*format!("{directory}/{name}")));
    }
    assert!(fields.iter().any(|fields| fields[2] == r"a\tb"), "{lines}");
    // JSON loses nothing.
    let rows = json(&["classify", directory, "--labels", "cat", "--json"]);
    assert_eq!(rows[2]["image"], format!("{directory}/tab\there.png"));
    assert!(rows[2].get("image_bytes").is_none());
    // Messages are one line too.
    fs::write(root.join("bad\n\x1b[31m.png"), "x").unwrap();
    let output = run(&["classify", root.join("bad\n\x1b[31m.png").to_str().unwrap(), "--labels", "cat"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains(r"bad\n\x1B[31m.png: "), "{output:?}");
}

#[test]
fn rows_of_an_array_stay_those_of_the_inputs() {
    let root = directory("batch-array");
    pictures(&root, &["1.png", "3.png"]);
    fs::write(root.join("2.png"), "no picture").unwrap();
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    let (npy, list, array) = (path("x.npy"), path("x.txt"), path("x.json"));
    let directory = path("");
    let embed = |output: &str, names: &str| {
        let output = run(&["embed", "--image", &directory, "-o", output, "--names", names, "--json"]);
        assert_eq!(output.status.code(), Some(6), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str::<Value>(lines.lines().last().unwrap()).unwrap()
    };
    let said = embed(&npy, &list);
    assert_eq!((&said["shape"], &said["failed"]), (&vec![3, 192].into(), &vec![1].into()));
    let file = fs::read(&npy).unwrap();
    let values: Vec<f32> =
        file[file.len() - 3 * 192 * 4..].as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let is_nan: Vec<bool> = values.chunks(192).map(|row| row.iter().all(|x| x.is_nan())).collect();
    assert_eq!(is_nan, [false, true, false]);
    assert_eq!(values[..192], values[2 * 192..]);
    let expected: Vec<String> = ["1.png", "2.png", "3.png"].map(&path).into();
    assert_eq!(fs::read_to_string(&list).unwrap().lines().collect::<Vec<_>>(), expected);

    let names = path("names.json");
    embed(&array, &names);
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(&array).unwrap()).unwrap();
    let kinds: Vec<bool> = rows.iter().map(|row| row.get("error").is_some()).collect();
    assert_eq!(kinds, [false, true, false]);
    assert_eq!(serde_json::from_slice::<Vec<String>>(&fs::read(names).unwrap()).unwrap(), expected);

    // Nothing that is read is replaced.
    fs::write(&list, path("1.png")).unwrap();
    let from_list = format!("@{list}");
    fails(&["embed", "--image", &from_list, "-o", &npy, "--names", &list], 2, "would replace the input");
    fails(&["embed", "--image", &from_list, "-o", &array, "--names", &array], 2, "would replace the output");
    assert_eq!(fs::read_to_string(&list).unwrap(), path("1.png"));

    // Where nothing has a result, there is no file.
    let none = path("none.npy");
    fails(&["embed", "--image", &path("2.png"), "-o", &none], 4, "2.png: ");
    let bad = path("2.png");
    assert_eq!(run(&["embed", "--image", &bad, &bad, "-o", &none]).status.code(), Some(4));
    assert_eq!(
        run(&["embed", "--image", &path("1.png"), &bad, "-o", &none, "--fail-fast"]).status.code(),
        Some(4)
    );
    assert!(!std::path::Path::new(&none).exists());
}

#[test]
fn failures_are_told_once_and_at_once() {
    let (octopus, bad) = (octopus(), scratch_file("batch-bad.png", "no picture"));
    fails(&["classify", &bad, "--labels", "cat"], 4, "batch-bad.png: ");
    let output = run(&["classify", &bad, &octopus, &demo_file("labels.txt"), "--labels", "cat"]);
    assert_eq!(output.status.code(), Some(6));
    let stderr = String::from_utf8(output.stderr).unwrap();
    for culprit in ["batch-bad.png: ", "labels.txt: "] {
        assert_eq!(stderr.matches(culprit).count(), 1, "{stderr}");
    }
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
    let output = run(&["similarity", "--image", &bad, &octopus, "--text", "a", "--fail-fast"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(4), 0));
}
