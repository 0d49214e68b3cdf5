//! `vitrum demo`.

mod classified;
mod segmented;
mod tracked;

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use serde::Serialize;

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
/// pictures and an animation.
pub(crate) fn run(args: &DemoArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    let cx = machine.cx()?;
    let scene = Picture::decode(SCENE.0, SCENE.1)?;
    let mut sheets = Sheets { directory: &args.output, written: Vec::new() };
    classified::run(&cx, &scene, &mut sheets, output)?;
    segmented::run(&cx, &scene, &mut sheets, output)?;
    tracked::run(&cx, &mut sheets, output)?;
    sheets.tell(output)
}

/// The pictures that the demo writes.
struct Sheets<'a> {
    directory: &'a Path,
    written: Vec<PathBuf>,
}

impl Sheets<'_> {
    fn write(&mut self, name: &str, canvas: &Canvas) -> Result<()> {
        self.create(name, |out| picture::write_canvas(out, canvas))
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
        Ok(())
    }
}
