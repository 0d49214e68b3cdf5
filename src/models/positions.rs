//! Position embeddings for another input size than a checkpoint was made for.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, try_zeroed};
use crate::kernels::resize::interpolate::{Interpolate, Mode};

/// Interpolates `embeddings: [from.0, from.1, dim]` to `[to.0, to.1, dim]`, as
/// `torch.nn.functional.interpolate(…, align_corners=False)` does, with or without `antialias`.
///
/// # Errors
/// As [`Interpolate::new`], and `OutOfMemory`.
///
/// # Panics
/// If `embeddings` does not have that shape.
pub(super) fn resize(
    cx: &Cx,
    (mode, antialias): (Mode, bool),
    embeddings: &[f32],
    from: (usize, usize),
    to: (usize, usize),
) -> Result<Vec<f32>> {
    let dim = embeddings.len() / (from.0 * from.1);
    let resize = Interpolate::new(from, to, mode, antialias)?;
    // The interpolation works on planes, [dim, rows, columns].
    let mut planes = try_zeroed(embeddings.len())?;
    transpose(embeddings, dim, &mut planes);
    let mut resized = try_zeroed(dim * to.0 * to.1)?;
    let mut workspace = cx.workspace(resize.scratch_req(cx))?;
    resize.run(cx, dim, &planes, &mut resized, workspace.scratch());
    let mut out = try_zeroed(resized.len())?;
    transpose(&resized, to.0 * to.1, &mut out);
    Ok(out)
}

/// `to: [columns, n / columns]` ← transpose of `from: [n / columns, columns]`.
fn transpose(from: &[f32], columns: usize, to: &mut [f32]) {
    let rows = from.len() / columns;
    for (r, row) in from.chunks_exact(columns).enumerate() {
        to[r..].iter_mut().step_by(rows).zip(row).for_each(|(to, from)| *to = *from);
    }
}
