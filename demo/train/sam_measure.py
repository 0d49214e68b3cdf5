"""How masks are measured and clicked on, in validation and in evaluation."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from sam_scenes import Scene

LEAST_AREA, LEAST_VISIBLE = 0.003, 0.35  # of the square; of the object


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU over the last two axes."""
    return (a & b).sum((-2, -1)) / np.maximum(1, (a | b).sum((-2, -1)))


def middle(mask: np.ndarray) -> tuple[int, int]:
    """`(x, y)` of the pixel farthest from the mask's edge."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), mask.shape)
    return int(x), int(y)


def next_click(mask: np.ndarray, truth: np.ndarray) -> tuple[int, int, int]:
    """In the middle of the error region, or of the object if there is no error; the label is the truth there."""
    wrong = mask ^ truth
    x, y = middle(wrong if wrong.any() else truth)
    return x, y, int(truth[y, x])


def objects_of(scene: Scene) -> np.ndarray:
    """The visible masks worth asking for, `[n, h, w]`."""
    area = max(scene.picture.shape[:2]) ** 2
    asked = [item.visible for item in scene.objects
             if item.visible.sum() >= max(LEAST_AREA * area, LEAST_VISIBLE * item.opaque)]
    return np.array(asked, bool).reshape(-1, *scene.picture.shape[:2])
