"""Real spherical harmonics of degrees 1 to 4, and the invariants of features that are like them."""

from __future__ import annotations

from math import pi, sqrt

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def harmonics(unit: Float[Array, "pairs 3"], degrees: int) -> Float[Array, "pairs components"]:
    """Return the harmonics of unit vectors, orders −l to l within each degree l."""
    x, y, z = unit[:, 0], unit[:, 1], unit[:, 2]
    by_degree = (_first, _second, _third, _fourth)
    rows = [row for degree in by_degree[:degrees] for row in degree(x, y, z)]
    return jnp.stack(rows, axis=1)


def spread(degrees: int) -> Float[np.ndarray, "degrees components"]:
    """Return the matrix that gives each component the number of its degree."""
    owner = np.repeat(np.arange(degrees), [2 * degree + 1 for degree in range(1, degrees + 1)])
    return np.eye(degrees)[:, owner]


def invariants(
    features: Float[Array, "rows components"], degrees: int
) -> Float[Array, "rows degrees"]:
    """Return each degree's squared norm, over √(2l + 1): the coupling to a scalar."""
    norms = [1 / sqrt(2 * degree + 1) for degree in range(1, degrees + 1)]
    sums = spread(degrees).T * norms
    return features**2 @ jnp.asarray(sums, features.dtype)


def parity(degrees: int) -> Float[np.ndarray, " components"]:
    """Return the sign that the opposite vector gives each component."""
    signs = [(-1.0) ** degree for degree in range(1, degrees + 1)]
    return np.asarray(signs) @ spread(degrees)


def _first(x: Array, y: Array, z: Array) -> list[Array]:
    scale = sqrt(3 / (4 * pi))
    return [scale * y, scale * z, scale * x]


def _second(x: Array, y: Array, z: Array) -> list[Array]:
    mixed = sqrt(15 / pi) / 2
    return [
        mixed * x * y,
        mixed * y * z,
        sqrt(5 / pi) / 4 * (3 * z**2 - 1),
        mixed * x * z,
        mixed / 2 * (x**2 - y**2),
    ]


def _third(x: Array, y: Array, z: Array) -> list[Array]:
    outer, inner, mixed = sqrt(35 / (2 * pi)) / 4, sqrt(21 / (2 * pi)) / 4, sqrt(105 / pi) / 2
    return [
        outer * y * (3 * x**2 - y**2),
        mixed * x * y * z,
        inner * y * (5 * z**2 - 1),
        sqrt(7 / pi) / 4 * (5 * z**3 - 3 * z),
        inner * x * (5 * z**2 - 1),
        mixed / 2 * (x**2 - y**2) * z,
        outer * x * (x**2 - 3 * y**2),
    ]


def _fourth(x: Array, y: Array, z: Array) -> list[Array]:
    outer, third = 3 / 4 * sqrt(35 / pi), 3 / 4 * sqrt(35 / (2 * pi))
    second, first = 3 / 4 * sqrt(5 / pi), 3 / 4 * sqrt(5 / (2 * pi))
    return [
        outer * x * y * (x**2 - y**2),
        third * y * (3 * x**2 - y**2) * z,
        second * x * y * (7 * z**2 - 1),
        first * y * (7 * z**3 - 3 * z),
        3 / 16 / sqrt(pi) * (35 * z**4 - 30 * z**2 + 3),
        first * x * (7 * z**3 - 3 * z),
        second / 2 * (x**2 - y**2) * (7 * z**2 - 1),
        third * x * (x**2 - 3 * y**2) * z,
        outer / 4 * (x**2 * (x**2 - 3 * y**2) - y**2 * (3 * x**2 - y**2)),
    ]
