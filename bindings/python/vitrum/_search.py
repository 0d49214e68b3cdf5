"""Exact search among embeddings."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._context import Context, context_or_default
from ._ffi import call, contiguous, count, ffi, lib, readable, struct, writable
from ._long import Progress, refuse_in_progress, run_short

_HIT = np.dtype([("index", np.uint32), ("score", np.float32)])


class QuantizedVectors(NamedTuple):
    """Vectors as 8-bit integers: row ``i`` is ``scales[i] * codes[i]``."""

    #: int8 ``[n, dim]``.
    codes: NDArray[np.int8]
    #: float32 ``[n]``.
    scales: NDArray[np.float32]


def quantize_vectors(vectors: ArrayLike) -> QuantizedVectors:
    """Rounds each row of ``vectors``, ``[n, dim]``, to 8-bit integers with a scale: a quarter of the memory, and of the time of a
    :func:`topk` that memory bounds.

    Raises:
        ValueError: An array of another shape.
        NonFiniteError: A value that is NaN or infinite.
    """
    values = _rows(vectors, "vectors")
    codes, scales = np.empty(values.shape, np.int8), np.empty(len(values), np.float32)
    if values.size:
        out = writable(codes, "int8_t"), writable(scales, "float")
        call(lib.vitrum_quantize_vectors, readable(values, "float"), *values.shape, *out)
    return QuantizedVectors(codes, scales)


def topk(
    queries: ArrayLike,
    vectors: ArrayLike | QuantizedVectors,
    k: int,
    *,
    context: Context | None = None,
    progress: Progress | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """For each query the ``k`` vectors with the largest dot product, or all if they are fewer: their indices, and the products.

    ``queries`` and ``vectors`` are ``[n, dim]``, or ``[dim]`` for one query; ``vectors`` may be what :func:`quantize_vectors`
    returns. Of vectors of length 1, as embeddings are, products are cosines. Both results are ``[queries, k]``, the best first;
    of equal products the earlier vector first. Every vector is compared.

    Raises:
        Cancelled: ``progress`` returned ``False``.
        ValueError: Arrays that do not fit together, no queries, or a ``k`` of 0.
        NonFiniteError: A product that is NaN or infinite, unless the context's limits allow it.
    """
    refuse_in_progress()
    asked = _rows(np.atleast_2d(np.asarray(queries)), "queries")
    among = struct("vectors")
    if isinstance(vectors, QuantizedVectors):
        codes, scales = contiguous(vectors.codes, np.int8), contiguous(vectors.scales, np.float32)
        if codes.ndim != 2 or scales.shape != (len(codes),):
            raise ValueError("vectors: codes of shape [n, dim] and scales of shape [n] are needed")
        kept: list[Any] = [readable(codes, "int8_t"), readable(scales, "float")]
        among.codes, among.scales = kept
        shape = codes.shape
    else:
        values = _rows(vectors, "vectors")
        kept = [readable(values, "float")]
        among.values, shape = kept[0], values.shape
    among.count, among.dim = shape
    if asked.shape[1] != shape[1]:
        raise ValueError(f"queries of {asked.shape[1]} features among vectors of {shape[1]}")
    wanted = count("k", k, 2**32 - 1)
    hits = np.empty((len(asked), min(wanted, shape[0])), _HIT)
    options, place = struct("topk_options"), context_or_default(context)
    out = writable(hits, "vitrum_hit") if hits.size else ffi.new("vitrum_hit[1]")

    def run(report: Any, user: Any, error: Any, _kept: Any = kept) -> int:
        options.progress, options.progress_user = report, user
        with place._handle as handle:
            given = handle, readable(asked, "float"), len(asked), among, wanted, options
            return int(lib.vitrum_topk(*given, out, hits.size, ffi.NULL, error))

    run_short(run, progress)
    return np.ascontiguousarray(hits["index"]), np.ascontiguousarray(hits["score"])


def _rows(values: ArrayLike, argument: str) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = contiguous(values, np.float32)
    if rows.ndim != 2:
        raise ValueError(f"{argument}: an array of shape [n, dim] is needed, not {np.shape(values)}")
    return rows
