//! `vitrum index`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use vitrum::pipelines::clip::Clip;

use super::batch::Pictures;
use crate::args::{BatchArgs, IndexArgs, Machine};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::index::{Entry, Form, Index, Maker, Stamp};
use crate::inputs::{self, Input};
use crate::output::{self, Output, interrupt};
use crate::{model, name};

/// Least time between two writes of the index while it grows. A process that is killed loses as much work.
const BETWEEN_WRITES: Duration = Duration::from_secs(30);
/// The part of the time that goes into these writes at most.
const WRITING: u32 = 20;

/// What was done.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Report<'a> {
    output: &'a str,
    /// Pictures in the index.
    pictures: usize,
    added: usize,
    changed: usize,
    unchanged: usize,
    removed: usize,
    failed: usize,
    dim: usize,
}

/// Brings an index of pictures up to date, and says what was done: a line, or an object.
pub(crate) fn run(args: &IndexArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    let path = args.output.as_path();
    if path.as_os_str() == "-" {
        return Err(Failure::usage("--output -: an index is a file, which a later run brings up to date"));
    }
    output::check_writable(path)?;
    let inputs = inputs::expand(&args.images, true, false)?;
    let mut read = output::Inputs::default();
    inputs::lists(&args.images).for_each(|list| read.add(&list));
    inputs.iter().filter(|input| input.problem.is_none()).for_each(|input| read.add(&input.path));
    read.check("--output", path)?;

    let earlier = if path.exists() && !args.fresh { Some(earlier(path)?) } else { None };
    let default = || earlier.as_ref().map_or(model::DEMO, |index| &index.maker.name).to_owned();
    let model = args.model.clone().unwrap_or_else(default);
    let bundle = model::open(&model, machine.load)?;
    let fingerprint = bundle.archive().fingerprint().or_exit(Exit::Model)?;
    if let Some(index) = &earlier {
        index.maker.check(path, &model, fingerprint)?;
        if args.form.is_some_and(|form| form != index.form()) {
            let message = format!("{}: its embeddings are kept in another form", path.display());
            return Err(Failure::usage(message).hint("leave --form out, or begin again with --fresh"));
        }
    }
    let clip = model::bind(&model, &bundle, machine.load, &machine.cx()?)?;
    let form = args.form.unwrap_or(Form::F32);
    let new = || Index::new(Maker { name: model.clone(), fingerprint }, clip.embed_dim(), form);
    let index = earlier.unwrap_or_else(new);
    if index.dim != clip.embed_dim() {
        let message = format!("{}: embeddings of {} values", path.display(), index.dim);
        return Err(Failure::new(Exit::Input, format!("{message} for a model of {}", clip.embed_dim())));
    }
    Update { args, clip: &clip, index, report: Report::default() }.run(inputs, output)
}

/// The index that is there already.
fn earlier(path: &Path) -> Result<Index> {
    Index::read(path).map_err(|failure| failure.hint("--fresh makes the index anew, in its place"))
}

/// An index on its way from an earlier state to the present one.
struct Update<'a> {
    args: &'a IndexArgs,
    clip: &'a Clip,
    index: Index,
    report: Report<'a>,
}

impl Update<'_> {
    fn run(mut self, inputs: Vec<Input>, output: &mut Output) -> Result<()> {
        let path = self.args.output.as_path();
        let (todo, coming) = self.sort_out(inputs)?;
        interrupt::finish_in_order();
        let batch = BatchArgs { recursive: true, fail_fast: false };
        let mut pictures = Pictures::new(self.clip, &todo, true, (&batch, &self.args.pictures));
        let (mut written, mut cost) = (Instant::now(), Duration::ZERO);
        let (mut at, dim) = (0, self.index.dim);
        while interrupt::signal().is_none() {
            let Some(batch) = pictures.next()? else { break };
            pictures.show(&batch, output, |_, index, _| {
                match index {
                    Err(_) => self.report.failed += 1,
                    Ok(i) => {
                        let Coming { entry, is_known } = &coming[at];
                        self.index.push(entry.clone(), &batch.embeddings[i * dim..][..dim])?;
                        let count = if *is_known { &mut self.report.changed } else { &mut self.report.added };
                        *count += 1;
                    }
                }
                at += 1;
                Ok(())
            })?;
            if written.elapsed() > BETWEEN_WRITES.max(cost * WRITING) {
                let begin = Instant::now();
                self.index.write(path)?;
                (written, cost) = (Instant::now(), begin.elapsed());
            }
        }
        self.index.write(path)?;
        if let Some(signal) = interrupt::signal() {
            output::notice(format_args!(
                "stopped: {} of {} pictures are in {}; the same command goes on",
                self.index.entries.len(),
                self.index.entries.len() + todo.len() - at,
                path.display()
            ));
            return Err(Failure::Told(Exit::of_signal(signal)));
        }
        let has_others = self.report.unchanged > 0;
        self.tell(output)?;
        match pictures.verdict() {
            Err(Failure::Told(Exit::Input)) if has_others => Err(Failure::Told(Exit::Partial)),
            verdict => verdict,
        }
    }

    /// Keeps of the index what is still so, and returns what is to be embedded.
    fn sort_out(&mut self, inputs: Vec<Input>) -> Result<(Vec<Input>, Vec<Coming>)> {
        let mut names = Names::default();
        let roots: Vec<PathBuf> = self.args.images.iter().map(|path| names.root(path)).collect();
        let known: HashMap<&Path, Stamp> =
            self.index.entries.iter().map(|entry| (entry.path.as_path(), entry.stamp)).collect();
        // Whether the state of a picture that is there is that of the index.
        let mut present: HashMap<PathBuf, bool> = HashMap::new();
        let (mut todo, mut coming) = (Vec::new(), Vec::new());
        for input in inputs {
            if input.path.as_os_str() == "-" {
                return Err(Failure::usage("standard input has no name to be found by: give files"));
            }
            let path = names.of(&input.path);
            // A file that is gone meanwhile fails when it is read.
            let stamp = Stamp::of(&path).unwrap_or(Stamp { size: 0, time: 0 });
            let earlier = known.get(path.as_path());
            if input.problem.is_none() {
                let is_same = earlier == Some(&stamp);
                if present.insert(path.clone(), is_same).is_some() {
                    continue;
                }
                if is_same {
                    self.report.unchanged += 1;
                    continue;
                }
            }
            let is_known = earlier.is_some();
            todo.push(input);
            coming.push(Coming { entry: Entry { path, stamp }, is_known });
        }
        // What lies elsewhere stays: an index may be made of several directories, one after the other.
        let is_gone = |entry: &Entry| roots.iter().any(|root| entry.path.starts_with(root));
        let gone = |entry: &&Entry| !present.contains_key(&entry.path) && is_gone(entry);
        self.report.removed = self.index.entries.iter().filter(gone).count();
        self.index.retain(|entry| present.get(&entry.path).copied().unwrap_or_else(|| !is_gone(entry)));
        Ok((todo, coming))
    }

    fn tell(mut self, output: &mut Output) -> Result<()> {
        let path = self.args.output.as_path();
        let shown = path.to_string_lossy();
        (self.report.pictures, self.report.dim) = (self.index.entries.len(), self.index.dim);
        let report = Report { output: &shown, ..self.report };
        if output.json() {
            return output.object(&report);
        }
        let Report { pictures, added, changed, unchanged, removed, failed, .. } = report;
        output.line(format_args!(
            "{}\t{pictures} pictures: {added} added, {changed} changed, {unchanged} unchanged, {removed} removed, \
             {failed} failed",
            name::shown(path),
        ))
    }
}

/// A picture that is embedded for the index.
struct Coming {
    entry: Entry,
    /// Whether it is in the index in an earlier state.
    is_known: bool,
}

/// Names that stay right wherever the command is called: absolute, and one for each directory, whatever links lead there.
#[derive(Default)]
struct Names {
    directories: HashMap<PathBuf, PathBuf>,
}

impl Names {
    fn of(&mut self, path: &Path) -> PathBuf {
        let Some(name) = path.file_name() else { return self.root(path) };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !self.directories.contains_key(parent) {
            let directory = self.root(parent);
            self.directories.insert(parent.to_owned(), directory);
        }
        self.directories[parent].join(name)
    }

    fn root(&self, path: &Path) -> PathBuf {
        let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if path.is_dir() { fs::canonicalize(path).unwrap_or_else(|_| absolute()) } else { absolute() }
    }
}
