//! `vitrum demo`.

mod classified;
mod page;
mod segmented;
mod tracked;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use self::page::Figure;
use crate::args::{DemoArgs, Machine};
use crate::draw::Canvas;
use crate::failure::{Failure, Result};
use crate::output::{self, Output};
use crate::picture::{self, Picture};
use crate::video::GifWriter;

/// A picture of several things, in a style that the models were not trained on.
const SCENE: (&str, &[u8]) =
    ("garden-scene-3d.png", include_bytes!("../../../demo/images/garden-scene-3d.png"));

/// Classifies the sample pictures, segments the scene, follows an animal through a clip, prints tables and writes
/// pictures, an animation and a page with all of them.
pub(crate) fn run(args: &DemoArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    let cx = machine.cx()?;
    let scene = Picture::decode(SCENE.0, SCENE.1)?;
    let mut sheets = Sheets { directory: &args.output, written: Vec::new(), figures: Vec::new() };
    step("classify", output, |output| classified::run(&cx, &scene, &mut sheets, output))?;
    step("segment", output, |output| segmented::run(&cx, &scene, &mut sheets, output))?;
    step("track", output, |output| tracked::run(&cx, &mut sheets, output))?;
    sheets.write_page()?;
    sheets.tell(output)
}

/// Runs a step and says how long it took.
fn step(name: &'static str, output: &mut Output, work: impl FnOnce(&mut Output) -> Result<()>) -> Result<()> {
    #[derive(Serialize)]
    struct Step {
        step: &'static str,
        seconds: f64,
    }
    let start = Instant::now();
    work(output)?;
    let seconds = start.elapsed().as_secs_f64();
    if output.json() {
        return output.object(&Step { step: name, seconds });
    }
    output.line(format_args!("  {seconds:.1} s, with loading the model and drawing"))
}

/// The pictures that the demo writes, and the page that shows them.
struct Sheets<'a> {
    directory: &'a Path,
    written: Vec<PathBuf>,
    figures: Vec<Figure>,
}

impl Sheets<'_> {
    fn write(&mut self, name: &str, canvas: &Canvas) -> Result<()> {
        self.create(name, |out| picture::write_canvas(out, canvas))
    }

    /// Puts a picture that was written on the page.
    fn show(
        &mut self,
        file: &'static str,
        title: &'static str,
        text: &'static str,
        before: Option<&'static str>,
    ) {
        self.figures.push(Figure { file, title, text, before });
    }

    fn write_page(&mut self) -> Result<()> {
        let page = page::html(&self.figures);
        self.create("index.html", |out| out.write_all(page.as_bytes()))
    }

    /// Writes frames, each with how many seconds it is shown.
    fn write_gif(&mut self, name: &str, frames: &[(Canvas, f64)]) -> Result<()> {
        let Some((first, _)) = frames.first() else { return Ok(()) };
        self.create(name, |out| {
            let mut gif = GifWriter::new(out, first.width(), first.height())?;
            frames.iter().try_for_each(|(canvas, seconds)| gif.write(canvas, *seconds))?;
            gif.finish().map(drop)
        })
    }

    fn create(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<()> {
        let path = self.directory.join(name);
        fs::create_dir_all(self.directory).map_err(|error| Failure::unwritable(path.display(), &error))?;
        output::create(&path, write)?;
        self.written.push(path);
        Ok(())
    }

    /// Says where they are.
    fn tell(&self, output: &mut Output) -> Result<()> {
        #[derive(Serialize)]
        struct Written<'a> {
            written: &'a str,
        }
        if !output.json() {
            output.line("")?;
        }
        for path in &self.written {
            let name = path.to_string_lossy();
            if output.json() {
                output.object(&Written { written: &name })?;
            } else {
                output.line(format_args!("written: {name}"))?;
            }
        }
        if !output.json() {
            let page = self.directory.join("index.html");
            output.line(format_args!("\nNext: open {} in a browser; then", page.display()))?;
            output.line("  vitrum classify PICTURE --labels cat,dog --model openai/clip-vit-base-patch32")?;
            output.line(
                "  vitrum segment PICTURE --point X,Y --model facebook/sam2.1-hiera-tiny -o mask.png",
            )?;
        }
        Ok(())
    }
}
