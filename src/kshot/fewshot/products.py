"""Products J V Jᵀ of a Jacobian of gigabytes: it is read, and never copied."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

MOST_RUNS = 2000  # of equal variances, with a product each; leaves make a few hundred
BLOCK = 8192  # columns whose weighted copy is held at once


def products_of(
    jacobian: Float[np.ndarray, "all params"], variances: Sequence[Float[np.ndarray, " params"]]
) -> list[Float[np.ndarray, "all all"]]:
    """Return J V Jᵀ for several V: those of few values together, others each by itself."""
    by_runs = [np.count_nonzero(np.diff(variance)) < MOST_RUNS for variance in variances]
    of_runs = iter(_products_by_runs(jacobian, list(itertools.compress(variances, by_runs))))
    return [
        next(of_runs) if runs else _weighted_product(jacobian, variance)
        for variance, runs in zip(variances, by_runs, strict=True)
    ]


def squares_of(
    jacobian: Float[np.ndarray, "all params"], weights: Float[np.ndarray, " all"]
) -> Float[np.ndarray, " params"]:
    """Return the weighted sum of the squares of all rows, by blocks of columns."""
    total = np.empty(jacobian.shape[1])
    for block in column_blocks(len(total)):
        squares = np.square(jacobian[:, block])
        total[block] = weights.astype(squares.dtype) @ squares
    return total


def _weighted_product(
    jacobian: Float[np.ndarray, "all params"], variance: Float[np.ndarray, " params"]
) -> Float[np.ndarray, "all all"]:
    """Return J V Jᵀ as (J√V)(J√V)ᵀ, by blocks of columns: J is not copied."""
    product, root = np.zeros((len(jacobian), len(jacobian))), np.sqrt(variance)
    for block in column_blocks(len(variance)):
        part = jacobian[:, block] * root[block].astype(jacobian.dtype)
        product += part @ part.T
    return product


def column_blocks(params: int) -> Iterator[slice]:
    """Yield columns of a Jacobian, so many at once that copies of them are small."""
    for begin in range(0, params, BLOCK):
        yield slice(begin, min(begin + BLOCK, params))


def _products_by_runs(
    jacobian: Float[np.ndarray, "all params"], variances: Sequence[Float[np.ndarray, " params"]]
) -> list[Float[np.ndarray, "all all"]]:
    """Return J V Jᵀ for several V: one product per run of parameters that no V tells apart."""
    if not variances:
        return []
    together = np.stack(variances)
    changes = np.flatnonzero((np.diff(together, axis=1) != 0).any(axis=0)) + 1
    products = [np.zeros((len(jacobian), len(jacobian))) for _ in variances]
    for begin, end in itertools.pairwise([0, *changes, together.shape[1]]):
        if not together[:, begin].any():
            continue
        part = jacobian[:, begin:end]
        product = part @ part.T
        for variance, into in zip(together[:, begin], products, strict=True):
            if variance > 0:
                into += variance * product
    return products
