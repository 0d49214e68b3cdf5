"""Exact search, against a sort of all products."""

from __future__ import annotations

import numpy as np
import pytest

import vitrum


def unit(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    vectors = rng.standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("queries", [1, 5, 40])
def test_the_best_are_found(queries: int) -> None:
    rng = np.random.default_rng(queries)
    vectors, asked = unit(rng, 3000, 96), unit(rng, queries, 96)
    products = asked @ vectors.T
    expected = np.argsort(-products, axis=1, kind="stable")[:, :10]
    indices, scores = vitrum.topk(asked, vectors, 10)
    assert indices.dtype == np.uint32 and scores.dtype == np.float32
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(products, expected, axis=1), atol=1e-6)

    rounded = vitrum.quantize_vectors(vectors)
    decoded = rounded.scales[:, None] * rounded.codes
    assert np.abs(decoded - vectors).max() <= 0.501 * rounded.scales.max()
    indices, scores = vitrum.topk(asked, rounded, 10)
    np.testing.assert_allclose(scores, np.take_along_axis(asked @ decoded.T, indices.astype(int), axis=1), atol=1e-4)


def test_sizes() -> None:
    vectors = np.eye(4, dtype=np.float32)
    indices, scores = vitrum.topk(vectors[2], vectors, 99)
    assert indices.tolist() == [[2, 0, 1, 3]] and scores.tolist() == [[1, 0, 0, 0]]
    indices, scores = vitrum.topk(vectors, vectors[:0], 3)
    assert indices.shape == scores.shape == (4, 0)


def test_bad_calls() -> None:
    vectors = np.eye(4, dtype=np.float32)
    with pytest.raises(ValueError, match="features"):
        vitrum.topk(vectors, vectors[:, :3], 1)
    with pytest.raises(ValueError, match="shape"):
        vitrum.topk(vectors, vectors[0], 1)
    with pytest.raises(ValueError, match="k is 0"):
        vitrum.topk(vectors, vectors, 0)
    with pytest.raises(vitrum.NonFiniteError, match="vector 1"):
        vitrum.topk(vectors[0], np.array([[1, 0, 0, 0], [np.nan, 0, 0, 0]], np.float32), 1)
    with pytest.raises(vitrum.NonFiniteError):
        vitrum.quantize_vectors(vectors * np.inf)
    with pytest.raises(vitrum.Cancelled):
        vitrum.topk(vectors, vectors, 1, progress=lambda _: False)
