"""Writes everything in a picture as COCO results, and reads them back with pycocotools.

Usage: python coco_results.py path/to/sam-model photo.jpg results.json [POINTS_PER_SIDE [PREDICTED_IOU [STABILITY]]]
"""

from __future__ import annotations

import json
import sys

from pycocotools import mask as coco

import vitrum


def main(model: str, picture: str, output: str, side: str = "32", iou: str = "0.88", stability: str = "0.95") -> None:
    options: vitrum.EverythingOptions = {
        "points_per_side": int(side),
        "pred_iou_thresh": float(iou),
        "stability_score_thresh": float(stability),
    }
    with vitrum.Sam(model) as sam:
        records = sam.everything(picture, **options)
    results = []
    for record in records:
        segmentation = record.rle.to_coco()
        # What pycocotools has as bytes is a text in JSON.
        segmentation["counts"] = segmentation["counts"].decode()
        results.append(
            {
                "image_id": 1,
                "category_id": 1,
                "segmentation": segmentation,
                "bbox": record.rle.bbox,
                "score": record.predicted_iou,
            }
        )
    with open(output, "w") as file:
        json.dump(results, file)

    with open(output) as file:
        read = json.load(file)
    for result, record in zip(read, records):
        assert coco.area(result["segmentation"]) == record.area
    print(f"{len(read)} masks in {output}, of {sum(it.area for it in records)} pixels")
    if not read:
        return
    segmentations = [result["segmentation"] for result in read]
    overlaps = coco.iou(segmentations, segmentations, [0] * len(read))
    print(f"{int((overlaps > 0.5).sum() - len(read)) // 2} pairs overlap by more than half")


if __name__ == "__main__":
    main(*sys.argv[1:])
