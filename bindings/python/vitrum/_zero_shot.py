"""Zero-shot classification of many pictures, in the manner of scikit-learn's classifiers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._clip import DEFAULT_TEMPLATE, Clip
from ._image import Format, Image

if TYPE_CHECKING:
    from typing_extensions import Self


class ZeroShotClassifier:
    """Classifies pictures by labels in words. It has scikit-learn's methods and needs no scikit-learn.

    Labels are embedded once, when they are first needed; then a picture costs one pass of the image tower.

    Args:
        clip: The model.
        labels: The classes, in words.
        template: A sentence with ``{}`` in the place of the label, or several, whose embeddings are averaged.
        format: The order of channels in arrays.
    """

    def __init__(
        self,
        clip: Clip,
        labels: Sequence[str],
        template: str | Sequence[str] = DEFAULT_TEMPLATE,
        *,
        format: Format = "rgb",
    ) -> None:
        self.clip, self.labels, self.template, self.format = clip, labels, template, format
        self._weights: NDArray[np.float32] | None = None

    @property
    def classes_(self) -> NDArray[np.str_]:
        """The labels as an array, in the order of the columns of ``predict_proba``."""
        return np.array(list(self.labels), dtype=np.str_)

    def fit(self, X: object = None, y: object = None) -> Self:
        """Embeds the labels. There is nothing to learn: ``X`` and ``y`` are ignored."""
        labels = list(self.labels)
        if isinstance(self.labels, str) or not labels or not all(isinstance(it, str) and it for it in labels):
            raise ValueError("labels: a list of texts that are not empty is needed")
        templates = [self.template] if isinstance(self.template, str) else list(self.template)
        if not templates or not all("{}" in it for it in templates):
            raise ValueError("template: a sentence with {} in it is needed")
        texts = [it.replace("{}", label) for label in labels for it in templates]
        weights = self.clip.encode_texts(texts).reshape(len(labels), len(templates), -1).mean(axis=1)
        self._weights = weights / np.linalg.norm(weights, axis=1, keepdims=True)
        return self

    def decision_function(self, X: Iterable[Image] | Image) -> NDArray[np.float32]:
        """Logits of pictures and labels: float32 ``[n, labels]``."""
        if self._weights is None:
            self.fit()
        assert self._weights is not None
        return self.clip.similarity(self.clip.encode_images(X, format=self.format), self._weights)

    def predict_proba(self, X: Iterable[Image] | Image) -> NDArray[np.float32]:
        """Probabilities of the labels among each other: float32 ``[n, labels]``; each row sums to 1, whatever the model."""
        logits = self.decision_function(X)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float32] = exponentials / exponentials.sum(axis=1, keepdims=True)
        return probabilities

    def predict(self, X: Iterable[Image] | Image) -> NDArray[np.str_]:
        """The most probable label of each picture: an array of ``[n]`` texts."""
        predicted: NDArray[np.str_] = self.classes_[self.decision_function(X).argmax(axis=1)]
        return predicted

    def score(self, X: Iterable[Image], y: Sequence[str]) -> float:
        """The share of pictures whose label in ``y`` is predicted."""
        return float(np.mean(self.predict(X) == np.asarray(y)))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor, for scikit-learn's ``clone`` and pipelines."""
        return {"clip": self.clip, "labels": self.labels, "template": self.template, "format": self.format}

    def set_params(self, **params: Any) -> Self:
        """Changes arguments of the constructor; labels are embedded anew."""
        for name, value in params.items():
            if name not in self.get_params():
                raise ValueError(f"{name}: not a parameter of ZeroShotClassifier")
            setattr(self, name, value)
        self._weights = None
        return self
