"""The two-body embedding: distance and the two elements become an edge's first scalars."""

from __future__ import annotations

from math import pi, sqrt

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from kshot.potentials.allegro.layers import ScalarMLP

Distances = Float[Array, " edge"]  # in units of the cutoff, above zero
Basis = Float[Array, "edge basis"]
Species = Int[Array, " edge"]


def envelope(x: Distances, power: int) -> Distances:
    """Fall from one to zero at the cutoff, with two derivatives (Gasteiger et al. 2020)."""
    p = power
    falling = (
        1
        - (p + 1) * (p + 2) / 2 * x**p
        + p * (p + 2) * x ** (p + 1)
        - p * (p + 1) / 2 * x ** (p + 2)
    )
    return jnp.where(x < 1, falling, 0)


def bessel(x: Distances, number: int) -> Basis:
    """Spherical Bessel functions of order zero, sin(nπx) / (πx), for n = 1 … number."""
    n = jnp.arange(1, number + 1, dtype=x.dtype)
    return jnp.sin(pi * n * x[:, None]) / (pi * x[:, None])


def bumps(x: Distances, number: int, span: int) -> Basis:
    """Smooth bumps sin⁴, equally spaced, `span` + 1 spacings wide; all vanish at the cutoff."""
    width = (span + 1) / number
    start = jnp.arange(-span, number - span, dtype=x.dtype) / number
    phase = jnp.clip((x[:, None] - start) / width, 0, 1)
    return jnp.where(phase < 1, jnp.sin(pi * phase) ** 4, 0)  # the sine of π is not quite zero


class BesselEmbedding(nn.Module):
    """Bessel functions under the envelope, mixed, times learned embeddings of both elements."""

    num_species: int
    features: int
    number: int
    power: int

    @nn.compact
    def __call__(
        self, x: Distances, centre: Species, neighbour: Species
    ) -> Float[Array, "edge feature"]:
        """Embed each edge: half of the features know the centre's element, half the neighbour's."""
        shape = (self.num_species, self.features // 2)
        table = [
            self.param(name, jax.nn.initializers.normal(1.0), shape)
            for name in ("centre", "neighbour")
        ]
        elements = jnp.concatenate([table[0][centre], table[1][neighbour]], axis=-1)
        basis = bessel(x, self.number) * envelope(x, self.power)[:, None]
        return elements.astype(x.dtype) * ScalarMLP((self.features,), name="mix")(basis)


class SplineEmbedding(nn.Module):
    """One learned curve per feature and ordered pair of elements."""

    num_species: int
    features: int
    number: int
    span: int

    @nn.compact
    def __call__(
        self, x: Distances, centre: Species, neighbour: Species
    ) -> Float[Array, "edge feature"]:
        """Evaluate each edge's curves."""
        shape = (self.num_species, self.num_species, self.number, self.features)
        curves = self.param("curves", jax.nn.initializers.normal(1.0), shape)
        basis = bumps(x, self.number, self.span) / sqrt(self.span)
        return jnp.einsum("eb,ebf->ef", basis, curves[centre, neighbour].astype(x.dtype))
