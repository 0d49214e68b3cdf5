//! `vitrum search`.

mod duplicates;
mod page;
mod thumbnail;

use std::path::Path;

use serde::Serialize;
use vitrum::Hit;
use vitrum::pipelines::clip::{Clip, EncodeOptions};

use super::embed_texts;
use crate::args::{Machine, SearchArgs};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::index::{Entry, Index, Stamp, Stored};
use crate::name::{self, ImageName};
use crate::output::{self, Output};
use crate::picture::Picture;
use crate::{model, picture};
use page::{Page, Section};

/// A picture that was found.
#[derive(Debug, Serialize)]
struct Found<'a> {
    #[serde(flatten)]
    image: ImageName<'a>,
    /// The cosine of the embeddings.
    score: f32,
    /// `gone` or `changed`, if the file is not what it was when it was embedded.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip)]
    path: &'a Path,
}

impl<'a> Found<'a> {
    fn new(entry: &'a Entry, score: f32) -> Self {
        let state = match Stamp::of(&entry.path) {
            None => Some("gone"),
            Some(stamp) if stamp != entry.stamp => Some("changed"),
            Some(_) => None,
        };
        Self { image: ImageName::of(&entry.path), score, state, path: &entry.path }
    }
}

/// What is searched for.
#[derive(Clone, Copy, Debug)]
enum Query<'a> {
    Text(&'a str),
    Image(&'a Path),
}

/// Lines or objects of what was found, and a page of it.
pub(crate) fn run(args: &SearchArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    if let Some(page) = &args.html {
        let mut read = output::Inputs::default();
        read.add(&args.index);
        args.images.iter().for_each(|image| read.add(image));
        read.check("--html", page)?;
        output::check_writable(page)?;
        if page.as_os_str() == "-" {
            output.give_way();
        }
    }
    // Which `sections` point into.
    let (index, entries);
    let sections = match args.duplicates {
        Some(threshold) => {
            index = Index::read(&args.index)?;
            duplicates(&index, threshold, machine, output)?
        }
        None => {
            let found = search(args, machine)?;
            entries = found.1;
            show_all(args, &found.0, &entries, output)?
        }
    };
    let gone = sections.iter().flat_map(|it| &it.found).filter(|found| found.state.is_some()).count();
    if gone > 0 {
        let message = format!("{gone} of the pictures that were found are gone or have changed");
        output::complain(&message, Some("vitrum index brings the index up to date"));
    }
    let Some(path) = &args.html else { return Ok(()) };
    let options = args.pictures.options();
    let cx = machine.cx()?;
    let page = Page { title: &args.index.to_string_lossy(), cx: &cx, options: &options };
    output::create(path, |out| page.write(out, &sections))?;
    output::notice(format_args!("wrote {}: a page with thumbnails", super::files::shown(path)));
    Ok(())
}

/// Searches for texts and pictures: what was found for each, and the pictures of the index.
fn search(args: &SearchArgs, machine: &Machine) -> Result<(Vec<Vec<Hit>>, Vec<Entry>)> {
    let index = Stored::open(&args.index)?;
    let model = args.model.as_deref().unwrap_or(&index.maker.name);
    let bundle = model::open(model, machine.load)?;
    let fingerprint = bundle.archive().fingerprint().or_exit(Exit::Model)?;
    index.maker.check(&args.index, model, fingerprint)?;
    let cx = machine.cx()?;
    let clip = model::bind(model, &bundle, machine.load, &cx)?;
    drop(bundle);
    if clip.embed_dim() != index.dim {
        let message = format!("{}: embeddings of {} values", args.index.display(), index.dim);
        return Err(Failure::new(Exit::Input, format!("{message} for a model of {}", clip.embed_dim())));
    }
    let mut embeddings = match &args.texts[..] {
        [] => Vec::new(),
        texts => embed_texts(&clip, texts, true)?,
    };
    for path in &args.images {
        embeddings.extend(embed_picture(args, path, &clip)?);
    }
    index.search(&cx, &embeddings, args.top as usize)
}

/// Shows what was found for each text and picture.
fn show_all<'a>(
    args: &'a SearchArgs,
    hits: &[Vec<Hit>],
    entries: &'a [Entry],
    output: &mut Output,
) -> Result<Vec<Section<'a>>> {
    let texts = args.texts.iter().map(|text| Query::Text(text));
    let queries = texts.chain(args.images.iter().map(|path| Query::Image(path)));
    let mut sections = Vec::new();
    for (query, hits) in queries.zip(hits) {
        let found = hits.iter().map(|hit| Found::new(&entries[hit.index], hit.score)).collect();
        let title = match query {
            Query::Text(text) => text.to_owned(),
            Query::Image(path) => name::shown(path).into_owned(),
        };
        let section = Section { title, found };
        show(query, &section, output)?;
        sections.push(section);
    }
    Ok(sections)
}

fn embed_picture(args: &SearchArgs, path: &Path, clip: &Clip) -> Result<Vec<f32>> {
    let (loaded, notes) = Picture::load(path, &args.pictures.options())?;
    picture::tell(path, &notes);
    let embedding = clip.encode_images(&[loaded.view()?], &EncodeOptions::default());
    embedding.map_err(|error| error.within(path.display())).or_exit(Exit::Input)
}

/// What was found for a query.
fn show(query: Query<'_>, section: &Section<'_>, output: &mut Output) -> Result<()> {
    #[derive(Serialize)]
    struct Searched<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(flatten)]
        image: Option<ImageName<'a>>,
        found: &'a [Found<'a>],
    }
    if output.json() {
        let (text, image) = match query {
            Query::Text(text) => (Some(text), None),
            Query::Image(path) => (None, Some(ImageName::of(path))),
        };
        return output.object(&Searched { text, image, found: &section.found });
    }
    let asked = match query {
        Query::Text(text) => name::field(text),
        Query::Image(path) => name::shown(path),
    };
    section
        .found
        .iter()
        .try_for_each(|it| output.line(format_args!("{asked}\t{:.4}\t{}", it.score, name::shown(it.path))))
}

/// Searches for pictures that are there more than once.
fn duplicates<'a>(
    index: &'a Index,
    threshold: f32,
    machine: &Machine,
    output: &mut Output,
) -> Result<Vec<Section<'a>>> {
    #[derive(Serialize)]
    struct Group<'a> {
        group: usize,
        found: &'a [Found<'a>],
    }
    let groups = duplicates::groups(&machine.cx()?, index, threshold)?;
    let mut sections = Vec::new();
    for (group, members) in (1..).zip(groups) {
        let found = members.iter().map(|&(i, score)| Found::new(&index.entries[i], score)).collect();
        let section = Section { title: format!("Group {group}"), found };
        if output.json() {
            output.object(&Group { group, found: &section.found })?;
        } else {
            section.found.iter().try_for_each(|it| {
                output.line(format_args!("{group}\t{:.4}\t{}", it.score, name::shown(it.path)))
            })?;
        }
        sections.push(section);
    }
    Ok(sections)
}
