"""Spectral clustering (Ng, Jordan & Weiss 2001), with as many groups as the largest eigengap says.

This is how SpRAy groups maps (Lapuschkin et al. 2019). The eigenvalues are numpy's; groups are read off the
eigenvectors by a pivoted QR decomposition (Damle, Minden & Ying 2019), which needs no random start. It is short enough not to ask for
scikit-learn, with which a test compares it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
MOST_GROUPS = 8


def similarities(points: Array, others: Array) -> Array:
    """Cosine of every one of ``points`` (N, D) with every one of ``others`` (M, D), (N, M); 0 where one of the two is zero."""
    return unit(points) @ unit(others).T


def groups(points: Array, most: int = MOST_GROUPS) -> npt.NDArray[np.intp]:
    """The group of every point, numbers from 0.

    Args:
        points: (N, D), not negative; their distance is that of the cosine.
    """
    values, vectors = np.linalg.eigh(laplacian(neighbourhood(points)))
    count = int(np.diff(values[: most + 1]).argmax()) + 1 if len(points) > 2 else 1
    return read_off(vectors[:, :count])


def neighbourhood(points: Array) -> Array:
    """The graph (N, N): every point is joined to its √N most similar ones, with their cosine as weight."""
    alike = similarities(points, points).clip(0)
    np.fill_diagonal(alike, 0)
    farthest = np.sort(alike, 1)[:, -min(len(alike), math.ceil(math.sqrt(len(alike))))]
    near = np.where(alike >= farthest[:, None], alike, 0)
    return np.maximum(near, near.T)


def laplacian(weights: Array) -> Array:
    """1 − D^−½ W D^−½ of a graph; a point without neighbours is a component of its own."""
    scale = 1 / np.sqrt(weights.sum(1).clip(1e-12))
    return np.diag((weights.sum(1) > 0).astype(float)) - scale[:, None] * weights * scale


def read_off(vectors: Array) -> npt.NDArray[np.intp]:
    """Groups from the first eigenvectors (N, K): the K most independent points stand for one each, and the others follow by rotation."""
    rest, chosen = vectors.copy(), []
    for _ in range(vectors.shape[1]):
        chosen.append(int((rest**2).sum(1).argmax()))
        direction = rest[chosen[-1]] / np.linalg.norm(rest[chosen[-1]])
        rest = rest - np.outer(rest @ direction, direction)
    left, _, right = np.linalg.svd(vectors[chosen].T)
    return np.abs(vectors @ left @ right).argmax(1)


def unit(points: Array) -> Array:
    """Vectors (..., D) of length 1 in the same directions; what is zero stays so."""
    return points / np.linalg.norm(points, axis=-1, keepdims=True).clip(1e-300)
