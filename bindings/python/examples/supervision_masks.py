"""Masks as supervision's Detections: of objects in boxes, drawn on the picture.

Usage: python supervision_masks.py path/to/sam-model photo.jpg overlay.png 10,20,200,220 240,30,400,210
"""

from __future__ import annotations

import sys

import numpy as np
import supervision as sv
from PIL import Image

import vitrum


def main(model: str, picture: str, output: str, *boxes: str) -> None:
    sam = vitrum.Sam(model)
    corners = np.array([[float(number) for number in box.split(",")] for box in boxes])
    with sam.encode(picture) as embedding:
        predictions = sam.predict_many(embedding, [vitrum.Prompt(box=box) for box in corners])
    masks = np.stack([prediction.best_mask for prediction in predictions])
    scores = np.array([prediction.scores.max() for prediction in predictions])
    detections = sv.Detections(
        xyxy=sv.mask_to_xyxy(masks), mask=masks, confidence=scores, class_id=np.arange(len(masks))
    )
    # Everything that can be segmented, as supervision takes it from segment-anything.
    records = sam.everything(picture, points_per_side=8, pred_iou_thresh=0.2)
    found = sv.Detections.from_sam([record.as_dict() for record in records])

    with Image.open(picture) as image:
        scene = np.array(image.convert("RGB"))[..., ::-1].copy()  # supervision draws in OpenCV's order.
    drawn = sv.MaskAnnotator().annotate(scene=scene, detections=detections)
    drawn = sv.BoxAnnotator().annotate(scene=drawn, detections=detections)
    Image.fromarray(drawn[..., ::-1]).save(output)
    for box, area, confidence in zip(detections.xyxy, detections.area, scores):
        print(f"box {box.astype(int).tolist()}, {area:.0f} pixels, score {confidence:.3f}")
    print(f"{len(found)} masks of everything; {output} shows those of the boxes")


if __name__ == "__main__":
    main(*sys.argv[1:])
