"""How trackers behave, and what they tell about masks."""

from __future__ import annotations

from typing import Any, NamedTuple, TypedDict

from ._ffi import count, struct


class TrackerOptions(TypedDict, total=False):
    """How a tracker behaves. The defaults are those of sam2's ``build_sam2_video_predictor``."""

    #: Most objects at the same time, 1 to 1024; 16.
    max_objects: int
    #: Most prompted frames of an object to which later frames attend, 1 to 4096; 8.
    max_prompted_frames: int
    #: How many of the frames pushed last are held, 1 to 4096; 1. They can be prompted and tracked, and their masks read.
    held_frames: int
    #: Number of frames of the video, or 0 if it is not known; 0. It changes results only if it is less than 16.
    num_frames: int
    #: Holes of at most this area in the low-resolution masks are filled; 8.
    fill_hole_area: int
    #: Frames after the prompted ones and then those before them can be tracked; False.
    both_directions: bool
    #: Every pixel goes to one object at most in the masks that are read; False.
    non_overlap_output: bool
    #: The same in the masks that the memory encoder gets; False.
    non_overlap_memory: bool
    #: The memory encoder gets masks of prompted frames as 0 and 1, not as probabilities; True.
    binarize_clicked_masks: bool
    #: Prompts on a frame that was tracked already make it a conditioning frame; False.
    corrections_are_conditioning: bool
    #: Tracked frames around a prompted one are forgotten; False.
    clear_memory_around_input: bool
    #: The best of three masks is taken where a single mask is not stable; True.
    dynamic_multimask_via_stability: bool


class TrackStats(NamedTuple):
    """Area, box and scores of an object's mask on a frame."""

    #: Pixels of the mask; 0 if the object is not visible.
    area: int
    #: x, y, width and height in pixels; all 0 if the mask is empty.
    bbox: tuple[int, int, int, int]
    #: Logit of the probability that the object is visible: above 0 if it is more likely than not.
    object_score: float
    #: The IoU of mask and object that the model predicts.
    score: float


def tracker_options(options: TrackerOptions) -> Any:
    """The C struct."""
    c_options = struct("tracker_options")
    for name, value in options.items():
        if name not in TrackerOptions.__annotations__:
            known = ", ".join(TrackerOptions.__annotations__)
            raise TypeError(f"{name}: no such option; there are {known}")
        setattr(c_options, name, count(name, value, 2**64 - 1 if name == "num_frames" else 2**32 - 1))
    return c_options
