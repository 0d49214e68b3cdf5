//! The tables of docs/models.md, from benches/page/models.json, which is written by hand, and benches/page/measured.json, which
//! `models --measure` writes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

const PAGE: &str = "docs/models.md";
const MODELS: &str = "benches/page/models.json";
const MEASURED: &str = "benches/page/measured.json";
/// Around what is made.
const BEGIN: &str = "<!-- made by `cargo run -p xtask -- models`; compared in every run -->\n";
const END: &str = "<!-- end -->\n";
const FORMATS: [&str; 3] = ["f32", "bf16", "int8"];
const THREADS: &str = "2";

/// Writes the tables into the page.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    let page = page(root)?;
    fs::write(root.join(PAGE), page).map_err(|error| format!("{PAGE}: {error}"))
}

/// Fails if the page has other tables.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    match page(root)? == read(root, PAGE)? {
        true => Ok(()),
        false => Err(format!("{PAGE} is not what `cargo run -p xtask -- models` writes")),
    }
}

/// The page with the tables as they should be.
fn page(root: &Path) -> Result<String, String> {
    let page = read(root, PAGE)?;
    let marks = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = marks.ok_or_else(|| format!("{PAGE}: no {BEGIN}"))?;
    let models = parse(root, MODELS)?;
    let models = models.as_array().ok_or_else(|| format!("{MODELS}: no list"))?;
    let tables = format!("{}\n{}", list(models)?, measurements(models, &parse(root, MEASURED)?)?);
    Ok(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

fn read(root: &Path, name: &str) -> Result<String, String> {
    fs::read_to_string(root.join(name)).map_err(|error| format!("{name}: {error}"))
}

fn parse(root: &Path, name: &str) -> Result<Value, String> {
    serde_json::from_str(&read(root, name)?).map_err(|error| format!("{name}: {error}"))
}

fn text<'a>(model: &'a Value, key: &str) -> Result<&'a str, String> {
    model[key].as_str().ok_or_else(|| format!("{MODELS}: no {key} of {}", model["name"]))
}

fn list(models: &[Value]) -> Result<String, String> {
    let mut table =
        "| Model | Image tower | Files at Hugging Face | Licence of the weights | Parameters, 10⁶ |\n"
            .to_owned();
    table += "|---|---|---|---|--:|\n";
    for model in models {
        let files = model["files"].as_array().ok_or_else(|| format!("{MODELS}: files"))?;
        let files: Vec<_> = files.iter().filter_map(Value::as_str).map(|it| format!("`{it}`")).collect();
        let count = model["parameters"].as_u64().ok_or_else(|| format!("{MODELS}: parameters"))?;
        let licence = match text(model, "licence")? {
            "" => "see there",
            licence => licence,
        };
        let (name, architecture) = (text(model, "name")?, text(model, "architecture")?);
        let millions = count as f64 / 1e6;
        let _ =
            writeln!(table, "| {name} | {architecture} | {} | {licence} | {millions:.1} |", files.join(", "));
    }
    Ok(table)
}

fn measurements(models: &[Value], measured: &Value) -> Result<String, String> {
    let mut out = String::new();
    let runs = measured.as_object().ok_or_else(|| format!("{MEASURED}: no object"))?;
    if runs.is_empty() {
        return Ok("No CPU is measured yet.\n".into());
    }
    for (cpu, run) in runs {
        let _ = writeln!(out, "{cpu}, {} threads; f32, bf16, int8:\n", text(run, "threads")?);
        out += "| Model | File, MB | Milliseconds | Memory, MiB |\n|---|--:|---|--:|\n";
        for model in models {
            let row = &run["models"][text(model, "name")?];
            if row.is_null() {
                continue;
            }
            let of = |key: &str, digits: usize| {
                let values: Option<Vec<String>> = FORMATS
                    .iter()
                    .map(|format| row[format][key].as_f64().map(|value| format!("{value:.digits$}")))
                    .collect();
                values.map(|values| values.join(", "))
            };
            let times = [("image", "image_ms"), ("text", "text_ms"), ("encode", "encode_ms")].into_iter();
            let times = times.chain([("click", "click_ms"), ("frame", "frame_ms")]);
            let times: Vec<_> =
                times.filter_map(|(name, key)| Some(format!("{name} {}", of(key, 1)?))).collect();
            let missing = || format!("{MEASURED}: {} is not whole", model["name"]);
            let (file, memory) = (of("file_mb", 0), of("memory_mib", 0));
            let (file, memory) = file.zip(memory).ok_or_else(missing)?;
            let _ = writeln!(out, "| {} | {file} | {} | {memory} |", text(model, "name")?, times.join("; "));
        }
        out.push('\n');
    }
    Ok(out.trim_end().to_owned() + "\n")
}

/// Measures the models that are to be measured, or those of these names, on this CPU, and writes benches/page/measured.json and the
/// page. Random weights are made in `cache`, one model after the other, and are removed again.
pub(crate) fn measure(root: &Path, cache: &Path, names: &[&str]) -> Result<(), String> {
    let models = parse(root, MODELS)?;
    let models = models.as_array().ok_or_else(|| format!("{MODELS}: no list"))?;
    let name_of = |model: &Value| model["name"].as_str().unwrap_or_default().to_owned();
    if let Some(name) = names.iter().find(|name| !models.iter().any(|model| name_of(model) == **name)) {
        return Err(format!("{MODELS} has no model {name:?}"));
    }
    let is_asked = |model: &&Value| match names {
        [] => model["measured"] == json!(true),
        names => names.contains(&name_of(model).as_str()),
    };
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let build = ["build", "--quiet", "--release", "--package"];
    output(Command::new(&cargo).current_dir(root).args(build).args(["vitrum-cli", "--bin", "vitrum"]))?;
    output(Command::new(&cargo).current_dir(root).args(build).args(["vitrum", "--example", "measure"]))?;
    let target = std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root.join("target"), |it| root.join(it));
    let release = target.join("release");
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let cpu = cpu();
    for model in models.iter().filter(is_asked) {
        let name = name_of(model);
        eprintln!("{name}");
        let directory = cache.join("weights");
        let _ = fs::remove_dir_all(&directory);
        let script = root.join("benches/page/weights.py");
        output(Command::new(&python).arg(script).arg(model["recipe"].to_string()).arg(&directory))?;
        let mut row = Map::new();
        for format in FORMATS {
            let quantized = cache.join(format);
            let _ = fs::remove_dir_all(&quantized);
            let file = match format {
                "f32" => &directory,
                _ => {
                    let mut quantize = Command::new(release.join("vitrum"));
                    quantize.arg("quantize").arg(&directory).args(["--weights", format, "--output"]);
                    output(quantize.arg(&quantized))?;
                    &quantized
                }
            };
            let mut run = Command::new(release.join("examples/measure"));
            let printed = output(run.arg(file).args([format, THREADS]))?;
            let mut values: Value =
                serde_json::from_str(&printed).map_err(|error| format!("{name}: {error}: {printed}"))?;
            values["file_mb"] = json!((weights_bytes(file)? as f64 / 1e5).round() / 10.0);
            row.insert(format.into(), values);
            let _ = fs::remove_dir_all(&quantized);
        }
        let _ = fs::remove_dir_all(&directory);
        // After every model, so that one that fails loses nothing.
        let mut measured = parse(root, MEASURED)?;
        measured[&cpu]["threads"] = json!(THREADS);
        measured[&cpu]["models"][&name] = row.into();
        let text = serde_json::to_string_pretty(&measured).expect("JSON") + "\n";
        fs::write(root.join(MEASURED), text).map_err(|error| format!("{MEASURED}: {error}"))?;
    }
    write(root)
}

/// What a program printed, if it succeeded.
fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => String::from_utf8(output.stdout).map_err(|error| format!("{program}: {error}")),
        false => {
            let message = String::from_utf8_lossy(&output.stderr);
            let last: Vec<_> = message.lines().rev().take(8).collect();
            let last: Vec<_> = last.into_iter().rev().collect();
            Err(format!("{program}: {}\n{}", output.status, last.join("\n")))
        }
    }
}

/// Bytes of the weights in `directory`.
fn weights_bytes(directory: &Path) -> Result<u64, String> {
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let weights = entries.flatten().filter(|it| it.path().extension().is_some_and(|it| it == "safetensors"));
    Ok(weights.filter_map(|it| it.metadata().ok()).map(|it| it.len()).sum())
}

/// What the CPU calls itself.
fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let fields: BTreeMap<&str, &str> = info
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    let name = fields.get("model name").copied().unwrap_or(std::env::consts::ARCH);
    let has = |flag: &str| fields.get("flags").is_some_and(|flags| flags.split(' ').any(|it| it == flag));
    let extensions = [("avx512_bf16", "AVX512-BF16"), ("avx512_vnni", "VNNI")];
    let extensions: Vec<_> = extensions.into_iter().filter(|it| has(it.0)).map(|it| it.1).collect();
    if extensions.is_empty() { name.into() } else { format!("{name} with {}", extensions.join(" and ")) }
}
