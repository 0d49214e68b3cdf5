//! `vitrum everything`.

use std::ops::ControlFlow;
use std::path::Path;

use vitrum::exec::Monitor;
use vitrum::pipelines::sam::MaskRecord;

use super::files::{Files, Results};
use super::masks::{self, Record, tinted};
use crate::args::Machine;
use crate::args::sam::EverythingArgs;
use crate::draw::{Canvas, Overlay, color};
use crate::failure::{Exit, OrExit, Result};
use crate::model;
use crate::output::{Inputs, Output};
use crate::picture::Picture;
use crate::progress;

/// Finds all masks of a picture, prints a line or an object for each as it comes and writes the files asked for.
pub(crate) fn run(args: &EverythingArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    let mut inputs = Inputs::default();
    inputs.add(&args.image);
    inputs.add(Path::new(&args.model.model));
    let files = Files::new(&args.output, false, &inputs, None, output)?;
    let picture = Picture::open(&args.image, &args.pictures.options_for_masks())?;
    let cx = machine.cx()?;
    let sam = model::load_sam(&args.model.model, args.model.image_size, machine.load, &cx)?;
    let options = args.automatic.options(&sam);
    let view = picture.view()?;

    let (mut records, mut printed) = (Vec::new(), Ok(()));
    let found = progress::watch("everything", |bar, monitor: &Monitor<'_>| {
        sam.everything(&view, &options, monitor, &mut |record| {
            let record = Record { orientation: picture.orientation(), ..Record::from(record) };
            printed = record.outlined(files.form()).and_then(|record| {
                bar.suspend(|| print(&record, output))?;
                records.push(record);
                Ok(())
            });
            if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    });
    printed?;
    found.or_exit(Exit::Usage)?;

    let draw = || -> Result<Canvas> {
        let masks = records.iter().enumerate().map(|(i, record)| (&record.segmentation, color(i)));
        tinted(&cx, &picture, 1.0, masks).map(Overlay::into_canvas)
    };
    let answers: Vec<usize> = (0..records.len()).collect();
    masks::notice_none(&records);
    files.write(&Results {
        records: &records,
        answers: &answers,
        image: &args.image,
        picture: &picture,
        texts: &[],
        prediction: None,
        draw: &draw,
    })
}

fn print(record: &Record<'_>, output: &mut Output) -> Result<()> {
    if output.json() {
        output.object(record)?;
    } else {
        let Record { area, predicted_iou: iou, stability_score: stability, .. } = record;
        let ([x, y, width, height], [[px, py]]) = (record.bbox, record.point_coords.unwrap_or_default());
        output.line(format_args!("{area}\t{iou:.4}\t{stability:.4}\t{x},{y},{width},{height}\t{px},{py}"))?;
    }
    output.flush()
}

impl From<MaskRecord> for Record<'_> {
    fn from(record: MaskRecord) -> Self {
        let MaskRecord { segmentation, predicted_iou, stability_score, .. } = record;
        Self {
            bbox: record.bounding_box,
            point_coords: Some([record.point_coords]),
            crop_box: Some(record.crop_box),
            ..Self::new(segmentation, predicted_iou, stability_score)
        }
    }
}
