//! Lengths of slices.

/// How many elements a slice of this shape has.
///
/// Kernels cut outputs into pieces that lanes own and write through bare pointers. Both rest on lengths that were asserted,
/// and a product that wraps around would make such an assertion say nothing.
///
/// # Panics
/// If there can be no such slice.
#[track_caller]
pub(super) fn len_of<const N: usize>(shape: [usize; N]) -> usize {
    match shape.into_iter().try_fold(1, usize::checked_mul) {
        Some(len) => len,
        None => panic!("{shape:?} is more than memory holds"),
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use alloc::string::String;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use crate::exec::{Cx, Workspace};
    use crate::kernels::conv::Patches;
    use crate::kernels::feature_panels::{LhsWeights, PackedLhs, PanelLayout, Plus, from_tokens};
    use crate::kernels::gemm::{Lhs, PackedPanels, PackedWeights, Packing, Rows};
    use crate::kernels::mask_decoder::{
        HighResLayout, ImageKeys, ImageSource, LayerNormParams, TokenToImageShape, UpscaleInputs,
        UpscaleWeights, token_to_image, upscale,
    };
    use crate::kernels::pool::max_pool;
    use crate::kernels::resize::interpolate::{Interpolate, Mode};
    use crate::kernels::rotary_attention::{MemoryShape, PackedMemories};
    use crate::simd::Level;

    /// Half of the bits of a length: its square wraps to 0.
    const ROOT: usize = 1 << (usize::BITS / 2);
    /// Twice this wraps to 0.
    const HALF: usize = 1 << (usize::BITS - 1);

    /// `call` panics because of a length, and not of something that happens later.
    #[track_caller]
    fn is_refused<R>(call: impl FnOnce() -> R) {
        let panic = catch_unwind(AssertUnwindSafe(call)).err().expect("a panic");
        let message = panic.downcast_ref::<String>().map_or("", String::as_str);
        assert!(message.ends_with("is more than memory holds"), "{message}");
    }

    struct Endless;

    impl Lhs for Endless {
        fn rows(&self) -> usize {
            ROOT
        }

        fn depth(&self) -> usize {
            ROOT
        }

        fn pack(&self, _: core::ops::Range<usize>, _: &mut [f32]) {}
    }

    #[test]
    fn shapes_whose_length_wraps_are_refused() {
        let level = Level::detect();
        let packing = Packing::from(level);
        is_refused(|| Rows::new(&[], ROOT, ROOT));
        is_refused(|| Rows::strided(&[], ROOT + 1, 0, ROOT));
        is_refused(|| PackedWeights::pack(packing, HALF, 2, &[]));
        is_refused(|| PackedWeights::pack_with(packing, ROOT, ROOT, |_, _| ()));
        is_refused(|| PackedWeights::memory_len(packing, ROOT, ROOT));
        is_refused(|| PackedPanels::pack_with(level, HALF, 2, |_, _| ()));
        is_refused(|| LhsWeights::pack(level, &Endless));
        is_refused(|| Patches::new(&[], ROOT, ROOT, 1, 1));
        is_refused(|| PanelLayout::new(level, ROOT).len(ROOT));
    }

    #[test]
    fn kernels_refuse_outputs_whose_length_wraps() {
        let cx = Cx::serial(Level::detect());
        let mut workspace = Workspace::default();
        let level = cx.level();
        is_refused(|| {
            let panels = PanelLayout::new(level, ROOT);
            from_tokens(&cx, panels, ROOT, &[], Plus::Nothing, &mut []);
        });
        is_refused(|| max_pool(&cx, [ROOT, ROOT], 1, &[0.0], 1, &mut []));
        is_refused(|| {
            let planes = Interpolate::new((2, 2), (2, 2), Mode::Bilinear, false).unwrap();
            planes.run_rows(&cx, HALF, &|_, _, _| (), &mut [], workspace.scratch());
        });
        is_refused(|| {
            let shape = MemoryShape { grid: [ROOT, ROOT], features: 1, spatial: 0, pointers: 1, bf16: false };
            let pointer = |_| unreachable!();
            PackedMemories::pack(&cx, shape, &[], |_| unreachable!(), pointer, &mut workspace.scratch())
        });
    }

    #[test]
    fn the_mask_decoder_refuses_images_whose_length_wraps() {
        let cx = Cx::serial(Level::detect());
        let mut workspace = Workspace::default();
        let level = cx.level();
        is_refused(|| HighResLayout::new(PanelLayout::new(level, 1), ROOT, [1, 1]));
        is_refused(|| HighResLayout::new(PanelLayout::new(level, 16), 4, [HALF, 1]).packed_len());
        is_refused(|| {
            let norm = LayerNormParams { weight: &[], bias: &[], eps: 0.0 };
            let conv = PackedLhs::new(0, 0, &[]);
            let weights = UpscaleWeights { conv1: conv, bias1: &[], norm, conv2: conv, bias2: &[] };
            let inputs = UpscaleInputs {
                prompts: 1,
                masks: 1,
                grid: ROOT,
                features: &[],
                mask_weights: &[],
                high_res: None,
            };
            upscale(&cx, &weights, &inputs, &mut [], None, workspace.scratch());
        });
        is_refused(|| {
            let shape = TokenToImageShape {
                prompts: 2,
                rows: 1,
                groups: 1,
                depth: 1,
                values: HALF,
                panels: PanelLayout::new(level, 1),
            };
            let image = ImageSource::Shared(ImageKeys { keys: &[0.0; 64], values: &[] });
            token_to_image(&cx, &shape, &[0.0; 32], image, &mut [], workspace.scratch());
        });
    }
}
