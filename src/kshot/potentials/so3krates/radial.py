"""Functions of a distance: the radial basis, the short cutoff, and the smooth switch."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

NEAREST = 1e-12  # Å², of a squared distance: atoms in one place have finite derivatives
FLAT = 1e-3  # exp(−1/x) is zero below, in float64 too


def lengths(vectors: Float[Array, "*pairs 3"]) -> Float[Array, "*pairs"]:
    """Return lengths in Å, at least a millionth, with finite derivatives everywhere."""
    squares = jnp.sum(vectors**2, axis=-1)
    return jnp.sqrt(jnp.where(squares > NEAREST, squares, NEAREST))


def quintic(distance: Float[Array, " pairs"], cutoff: float) -> Float[Array, " pairs"]:
    """Return the cutoff function 1 − 10x³ + 15x⁴ − 6x⁵ of x = distance/cutoff, and 0 beyond."""
    x = distance / cutoff
    return jnp.where(x < 1, 1 - x**3 * (10 - 15 * x + 6 * x**2), 0)


def bernstein(
    distance: Float[Array, " pairs"], count: int, decay: float
) -> Float[Array, "pairs radial"]:
    """Return the Bernstein polynomials of exp(−decay · distance), of degree ``count`` − 1."""
    order = np.arange(count)
    logs = [math.lgamma(count) - math.lgamma(k + 1) - math.lgamma(count - k) for k in order]
    # single precision, in which such networks are trained, whatever they run in.
    binomials = jnp.asarray(np.asarray(logs, np.float32), distance.dtype)
    powers = jnp.asarray(order, distance.dtype)
    decayed = -decay * distance[:, None]
    rest = jnp.log(-jnp.expm1(decayed))
    return jnp.exp(binomials + powers * decayed + powers[::-1] * rest)


def switch(distance: Float[Array, "*pairs"], onset: float, end: float) -> Float[Array, "*pairs"]:
    """Return 1 before the onset and 0 beyond the end, with all derivatives between."""
    x = (distance - onset) / (end - onset)
    rising, falling = _bump(x), _bump(1 - x)
    return falling / (falling + rising)


def _bump(x: Float[Array, "*pairs"]) -> Float[Array, "*pairs"]:
    """Return exp(−1/x), and 0 for x ≤ 0."""
    there = x > FLAT
    return jnp.where(there, jnp.exp(-1 / jnp.where(there, x, 1)), 0)
