//! How a tracker behaves. Defaults are those of the reference's `build_sam2_video_predictor`.

use crate::error::{Result, err};
use crate::setters::setters;

/// Most frames that a video may have: beyond it, frame numbers and their distances would not be exact everywhere.
pub const MAX_FRAMES: u64 = 1 << 48;
/// Most objects a tracker can be made for.
pub const MAX_OBJECTS: usize = 1 << 10;
/// Most prompted frames of an object, and most frames held, that a tracker can be made for.
pub const MAX_KEPT: usize = 1 << 12;
/// Most points of a prompt of a tracker, those kept from earlier prompts on the frame counted.
pub const MAX_TRACKER_POINTS: usize = 1 << 10;

/// How a [`Tracker`](super::Tracker) behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackerOptions {
    /// Number of frames of the video; `None` if it is not known, as with a camera. No frame beyond it can be pushed. As in
    /// the reference, a video with fewer frames than the model has object pointers (16) encodes their distances on a
    /// finer scale.
    pub num_frames: Option<u64>,
    /// Most objects at the same time.
    pub max_objects: usize,
    /// Most conditioning frames of each object. The reference keeps all, and so do most videos here; but one more than
    /// this replaces the earliest prompt after the first. The replaced frame then counts as tracked. The first prompt,
    /// which usually shows the object best, always stays.
    pub max_prompted_frames: usize,
    /// How many of the frames pushed last are held. Frames that are held can be prompted and tracked, and their masks
    /// read. In the released models each takes 17 MB, and 256 kB for every object.
    pub held_frames: usize,
    /// Also keeps the memories around conditioning frames, on both sides, so that a sweep that starts there in the
    /// other direction attends to what the first sweep left, as in the reference, which forgets nothing. Otherwise such
    /// memories live only as long as their frames are held or within reach of the latest frame.
    pub both_directions: bool,
    /// Holes of at most this area in the low-resolution masks are filled; 0 leaves them. (The reference fills them on GPUs
    /// only, transformers never.)
    pub fill_hole_area: u32,
    /// Gives every pixel to one object at most in the masks of the picture (`non_overlap_masks`).
    pub non_overlap_output: bool,
    /// The same for the masks that the memory encoder gets (`non_overlap_masks_for_mem_enc`), across objects, as in the
    /// reference's batched predictor.
    pub non_overlap_memory: bool,
    /// Gives the memory encoder masks of prompted frames as 0 and 1, not as probabilities
    /// (`binarize_mask_from_pts_for_mem_enc`).
    pub binarize_clicked_masks: bool,
    /// Makes conditioning frames of frames that are prompted after they were tracked
    /// (`add_all_frames_to_correct_as_cond`). Otherwise such a correction counts like the tracked frame it replaces,
    /// and tracking the frame once more replaces it.
    pub corrections_are_conditioning: bool,
    /// Forgets tracked frames around a prompted one (`clear_non_cond_mem_around_input`), of the prompted object.
    pub clear_memory_around_input: bool,
    /// Takes the best of three masks where a single mask is not stable.
    pub dynamic_multimask_via_stability: bool,
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self {
            num_frames: None,
            max_objects: 16,
            max_prompted_frames: 8,
            held_frames: 1,
            both_directions: false,
            fill_hole_area: 8,
            non_overlap_output: false,
            non_overlap_memory: false,
            binarize_clicked_masks: true,
            corrections_are_conditioning: false,
            clear_memory_around_input: false,
            dynamic_multimask_via_stability: true,
        }
    }
}

impl TrackerOptions {
    setters! {
        with_num_frames(num_frames: impl Into<Option<u64>>),
        with_max_objects(max_objects: usize),
        with_max_prompted_frames(max_prompted_frames: usize),
        with_held_frames(held_frames: usize),
        with_both_directions(both_directions: bool),
        with_fill_hole_area(fill_hole_area: u32),
        with_non_overlap_output(non_overlap_output: bool),
        with_non_overlap_memory(non_overlap_memory: bool),
        with_binarize_clicked_masks(binarize_clicked_masks: bool),
        with_corrections_are_conditioning(corrections_are_conditioning: bool),
        with_clear_memory_around_input(clear_memory_around_input: bool),
        with_dynamic_multimask_via_stability(dynamic_multimask_via_stability: bool),
    }

    /// Checks that every number is possible.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the option.
    pub fn check(&self) -> Result<()> {
        for (name, value, most) in [
            ("max_objects", self.max_objects, MAX_OBJECTS),
            ("max_prompted_frames", self.max_prompted_frames, MAX_KEPT),
            ("held_frames", self.held_frames, MAX_KEPT),
        ] {
            if !(1..=most).contains(&value) {
                return Err(err!(InvalidArgument, "{name} is {value}, expected 1 to {most}"));
            }
        }
        match self.num_frames {
            Some(frames) if !(1..=MAX_FRAMES).contains(&frames) => {
                Err(err!(InvalidArgument, "num_frames is {frames}, expected 1 to {MAX_FRAMES}"))
            }
            _ => Ok(()),
        }
    }

    /// How many options are yes or no.
    pub(super) const FLAGS: usize = 7;

    /// The options that are yes or no, as they are saved.
    pub(super) fn flags(&self) -> [bool; Self::FLAGS] {
        [
            self.both_directions,
            self.non_overlap_output,
            self.non_overlap_memory,
            self.binarize_clicked_masks,
            self.corrections_are_conditioning,
            self.clear_memory_around_input,
            self.dynamic_multimask_via_stability,
        ]
    }

    /// The same options with the [`flags`](Self::flags) that were saved.
    pub(super) fn with_flags(self, flags: [bool; Self::FLAGS]) -> Self {
        let [
            both_directions,
            non_overlap_output,
            non_overlap_memory,
            binarize_clicked_masks,
            corrections_are_conditioning,
            clear_memory_around_input,
            dynamic_multimask_via_stability,
        ] = flags;
        Self {
            both_directions,
            non_overlap_output,
            non_overlap_memory,
            binarize_clicked_masks,
            corrections_are_conditioning,
            clear_memory_around_input,
            dynamic_multimask_via_stability,
            ..self
        }
    }

    /// Checks that the video can have a frame of number `frame`.
    pub(super) fn check_frame(&self, frame: u64) -> Result<()> {
        let frames = self.num_frames.unwrap_or(MAX_FRAMES);
        if frame >= frames {
            return Err(err!(InvalidArgument, "frame {frame} of a video of at most {frames} frames"));
        }
        Ok(())
    }
}

/// How [`Tracker::add_prompt`](super::Tracker::add_prompt) takes a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PromptOptions {
    /// Adds the points to those of earlier prompts for the object on the frame. By default they replace them.
    pub keep_earlier: bool,
}

impl PromptOptions {
    setters! {
        with_keep_earlier(keep_earlier: bool),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    #[test]
    fn impossible_options_are_named() {
        let default = TrackerOptions::default();
        default.check().unwrap();
        for (options, name) in [
            (TrackerOptions { max_objects: 0, ..default }, "max_objects"),
            (TrackerOptions { max_prompted_frames: MAX_KEPT + 1, ..default }, "max_prompted_frames"),
            (TrackerOptions { held_frames: 0, ..default }, "held_frames"),
            (TrackerOptions { num_frames: Some(0), ..default }, "num_frames"),
            (TrackerOptions { num_frames: Some(u64::MAX), ..default }, "num_frames"),
        ] {
            let error = options.check().unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument);
            assert!(error.message().contains(name), "{error}");
        }
    }

    #[test]
    fn frames_beyond_the_video_are_refused() {
        let live = TrackerOptions::default();
        live.check_frame(u64::from(u32::MAX) + 1).unwrap();
        live.check_frame(u64::MAX).unwrap_err();
        let short = TrackerOptions { num_frames: Some(5), ..live };
        short.check_frame(4).unwrap();
        short.check_frame(5).unwrap_err();
    }
}
