"""Classifies pictures by words, and counts how often that is right.

Usage: python zero_shot.py path/to/clip-model cat,dog cat=a.jpg dog=b.jpg ...
"""

from __future__ import annotations

import sys

import vitrum


def main(model: str, labels: str, *pictures: str) -> None:
    truth, paths = zip(*(picture.split("=", 1) for picture in pictures))
    with vitrum.Clip(model) as clip:
        classifier = vitrum.ZeroShotClassifier(clip, labels.split(","), ["a photo of a {}", "a drawing of a {}"])
        probabilities = classifier.predict_proba(paths)
        for path, row in zip(paths, probabilities):
            best = row.argsort()[::-1][:3]
            print(path, ", ".join(f"{classifier.classes_[i]} {row[i]:.3f}" for i in best))
        print(f"accuracy {classifier.score(paths, truth):.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
