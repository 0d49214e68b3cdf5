"""Trackers: prompts, masks, saving, misuse. What they compute is in test_golden.py."""

import pickle

import numpy as np
import pytest
from PIL import Image, ImageSequence

import vitrum


@pytest.fixture(scope="module")
def video(demo):
    with Image.open(demo / "clips/tree.gif") as gif:
        return [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)][:8]


@pytest.fixture
def tracker(sam2, video):
    tracker = vitrum.Tracker(sam2, 256, 256)
    tracker.push(video[0])
    tracker.add_points(1, [[36, 150]])
    return tracker


def test_a_frame_after_the_other(tracker, video):
    assert (tracker.frame, tracker.objects, tracker.held_frames, tracker.size) == (0, [1], [0], (256, 256))
    mask = tracker.mask(1)
    assert mask.shape == (256, 256) and mask.dtype == bool and mask.any()
    stats = tracker.stats(1)
    assert (stats.area, stats.bbox) == (mask.sum(), tracker.rle(1).bbox) and stats.object_score > 0
    assert np.array_equal(tracker.logits(1) > 1, tracker.mask(1, threshold=1))
    assert len(tracker.polygons(1, tolerance=1)) == len(tracker.rle(1).polygons())
    assert tracker.low_res(1).shape[0] == tracker.low_res(1).shape[1]
    tracker.step()
    assert tracker.push(video[1]) == 1
    assert not tracker.has_mask(1) and tracker.masks() == {}
    with pytest.raises(ValueError):
        tracker.mask(1)
    tracker.step()
    assert list(tracker.masks()) == [1]
    assert tracker.memory_bytes > 0


def test_propagate_is_push_and_step(tracker, sam2, video):
    propagated = list(tracker.propagate(video[1:]))
    assert [frame for frame, _ in propagated] == list(range(8))
    other = vitrum.Tracker(sam2, 256, 256)
    for image, (frame, masks) in zip(video, propagated):
        assert other.push(image) == frame
        if frame == 0:
            other.add_points(1, [[36, 150]])
        other.step()
        assert np.array_equal(other.mask(1), masks[1])
    assert list(tracker.propagate([])) == []


def test_prompts_between_frames(tracker, video):
    seen = {}
    for frame, masks in tracker.propagate(video[1:6]):
        seen[frame] = sorted(masks)
        if frame == 2:
            tracker.add_mask(7, np.pad(np.ones((40, 60)), ((100, 116), (20, 176))))
            assert tracker.mask(7).sum() > 1000
        if frame == 4:
            tracker.remove_object(1)
    assert seen == {0: [1], 1: [1], 2: [1], 3: [1, 7], 4: [1, 7], 5: [7]}
    tracker.reset()
    assert tracker.objects == []


def test_clicks_are_added_or_replaced(tracker):
    tracker.add_points(1, [[200, 200]], [0], keep_earlier=True)
    both = tracker.mask(1)
    tracker.add_points(1, [[36, 150], [200, 200]], [1, 0])
    assert np.array_equal(tracker.mask(1), both)
    tracker.add_points(1, [[200, 200]])
    assert not np.array_equal(tracker.mask(1), both)
    tracker.clear_prompts(1)
    with pytest.raises(ValueError):
        tracker.step()


def test_saved_trackers_go_on_the_same(tracker, sam2, video):
    for _ in tracker.propagate(video[1:4]):
        pass
    saved = tracker.save()
    restored = vitrum.Tracker.restore(sam2, saved)
    assert (restored.frame, restored.objects) == (3, [1])
    results = [list(it.propagate(video[4:])) for it in (tracker, restored)]
    assert len(results[0]) == 4
    for (frame, masks), (other_frame, other_masks) in zip(*results):
        assert frame == other_frame and np.array_equal(masks[1], other_masks[1])
    with pytest.raises(vitrum.ModelError):
        vitrum.Tracker.restore(sam2, saved[:-1])
    with pytest.raises(TypeError, match="Tracker.restore"):
        pickle.dumps(tracker)


def test_a_video_in_any_order(sam2, video):
    tracker = vitrum.Tracker(sam2, 256, 256, held_frames=8, both_directions=True)
    assert tracker.push(video[3], frame=3) == 3
    tracker.add_points(1, [[36, 150]], frame=3)
    forward = dict(tracker.propagate(video[4:6]))
    backward = dict(tracker.propagate(video[3::-1], "backward", first=3))
    assert (list(forward), list(backward)) == ([3, 4, 5], [3, 2, 1, 0])
    assert tracker.held_frames == [3, 4, 5, 2, 1, 0]
    assert np.array_equal(forward[5][1], tracker.mask(1, 5))
    assert np.array_equal(backward[0][1], tracker.mask(1))
    with pytest.raises(ValueError, match="direction: one of"):
        next(tracker.propagate(video, "sideways"))


def test_limits(sam2):
    limit = vitrum.Tracker.memory_limit(sam2, 256, 256, max_objects=2)
    assert limit < vitrum.Tracker.memory_limit(sam2, 256, 256, max_objects=3)
    assert vitrum.Tracker(sam2, 256, 256, max_objects=2).memory_bytes < limit


def test_what_is_refused(tracker, sam, sam2, video):
    with pytest.raises(NotImplementedError):
        vitrum.Tracker(sam, 256, 256)
    with pytest.raises(TypeError, match="max_object: no such option; there are max_objects"):
        vitrum.Tracker(sam2, 256, 256, max_object=3)
    with pytest.raises(ValueError, match="max_objects"):
        vitrum.Tracker(sam2, 256, 256, max_objects=-3)
    with pytest.raises(ValueError, match="width: -1"):
        vitrum.Tracker(sam2, -1, 256)
    with pytest.raises(ValueError):
        vitrum.Tracker(sam2, 0, 256)
    with pytest.raises(vitrum.ImageError):
        tracker.push(video[0][:100])
    with pytest.raises(ValueError, match=r"mask: the shape of the frames \(256, 256\)"):
        tracker.add_mask(1, np.zeros((3, 3)))
    with pytest.raises(ValueError):
        tracker.add_points(2)
    with pytest.raises(ValueError, match="object: -1"):
        tracker.mask(-1)
    with pytest.raises(ValueError, match="frame: -2"):
        tracker.mask(1, -2)
    with pytest.raises(ValueError):
        tracker.mask(2)
    with pytest.raises(ValueError):
        tracker.remove_object(2)
    with pytest.raises(ValueError):
        vitrum.Tracker(sam2, 256, 256).step()
    # Whatever failed, the tracker is as it was.
    assert tracker.objects == [1] and tracker.frame == 0
    with tracker:
        tracker.step()
    with pytest.raises(ValueError, match="this tracker is closed"):
        tracker.step()


def test_progress_and_cancellation(tracker, video):
    fractions = []
    tracker.push(video[1], progress=fractions.append)
    assert fractions and fractions == sorted(fractions)
    before = tracker.save()
    with pytest.raises(vitrum.Cancelled):
        tracker.push(video[2], progress=lambda fraction: False)
    assert tracker.frame == 1 and tracker.save() == before
    tracker.step(progress=fractions.append)


def test_one_call_at_a_time(tracker, video):
    seen = []

    def meanwhile(fraction):
        for use in (lambda: tracker.objects, lambda: tracker.step(), lambda: tracker.push(video[2])):
            with pytest.raises(RuntimeError, match="in use by another call|must not use models"):
                use()
            seen.append(fraction)

    tracker.push(video[1], progress=meanwhile)
    assert len(seen) >= 3
    tracker.step()
    assert tracker.has_mask(1)
