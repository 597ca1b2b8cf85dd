"""Pairs of neighbours: each once, though a graph has an edge in both directions.

A filter depends on the distance and on the squared difference of features only: it is the same for
both directions, and is computed once for them.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from kshot.atoms.graph import Graph
from kshot.potentials.so3krates.harmonics import harmonics, parity
from kshot.potentials.so3krates.radial import bernstein, lengths, quintic
from kshot.potentials.so3krates.sizes import Sizes

MOST_DENSE = 32  # atoms: up to here a product with the matrix of who is in which pair is faster


class Pairs(NamedTuple):
    """Pairs of one graph; padding has the weight zero.

    Args:
        ends: the two atoms of each pair.
        distance: in Å.
        weight: the cutoff function.
        radial: the radial functions.
        harmonics: of the direction to the first atom from the second; those of the opposite
            direction come after.
    """

    ends: Int[Array, "2 pairs"]
    distance: Float[Array, " pairs"]
    weight: Float[Array, " pairs"]
    radial: Float[Array, "pairs radial"]
    harmonics: Float[Array, "2 pairs components"]


def pairs_of(graph: Graph, cutoff: float, sizes: Sizes) -> Pairs:
    """Return the pairs of a graph without periodic images."""
    senders, receivers = jnp.asarray(graph.senders), jnp.asarray(graph.receivers)
    edges = senders.shape[0]
    # a padding edge joins an atom to itself, and is the last one wherever there is any.
    chosen = jnp.nonzero(senders < receivers, size=(edges + 1) // 2, fill_value=edges - 1)[0]
    ends = jnp.stack([receivers[chosen], senders[chosen]])
    first, second = Ends(ends, graph.positions.shape[0]).take(jnp.asarray(graph.positions))
    vectors = first - second - jnp.asarray(graph.shifts)[chosen]
    distance = lengths(vectors)
    towards = harmonics(vectors / distance[:, None], sizes.degrees)
    signs = jnp.asarray(parity(sizes.degrees), towards.dtype)
    return Pairs(
        ends,
        distance,
        quintic(distance, cutoff),
        bernstein(distance, sizes.radial, sizes.decay),
        jnp.stack([towards, signs * towards]),
    )


class Ends:
    """From atoms to the ends of pairs, and back."""

    def __init__(self, ends: Int[Array, "2 pairs"], atoms: int) -> None:
        """Keep which atoms the ends are, and how many atoms there are."""
        self.ends, self.atoms = ends, atoms
        self.dense = atoms <= MOST_DENSE

    def take(self, values: Float[Array, "atoms width"]) -> Float[Array, "2 pairs width"]:
        """Return the values of the atoms at both ends."""
        if not self.dense:
            return values[self.ends]
        flat = self._matrix(values) @ values
        return flat.reshape(*self.ends.shape, values.shape[-1])

    def add(self, values: Float[Array, "2 pairs width"]) -> Float[Array, "atoms width"]:
        """Return for each atom the sum over all ends that it is."""
        flat = values.reshape(-1, values.shape[-1])
        if not self.dense:
            return jax.ops.segment_sum(flat, self.ends.ravel(), self.atoms)
        return self._matrix(values).T @ flat

    def _matrix(self, like: Array) -> Float[Array, "ends atoms"]:
        return jax.nn.one_hot(self.ends.ravel(), self.atoms, dtype=like.dtype)
