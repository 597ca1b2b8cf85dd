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


class Pairs(NamedTuple):
    """Pairs of one graph; padding has the weight zero.

    What is of both ends comes as two arrays: XLA makes slow code of one that holds both.

    Args:
        first: one atom of each pair.
        second: the other.
        distance: in Å.
        weight: the cutoff function.
        radial: the radial functions.
        harmonics: of the direction to the first atom from the second, and of the opposite one.
    """

    first: Int[Array, " pairs"]
    second: Int[Array, " pairs"]
    distance: Float[Array, " pairs"]
    weight: Float[Array, " pairs"]
    radial: Float[Array, "pairs radial"]
    harmonics: tuple[Float[Array, "pairs components"], Float[Array, "pairs components"]]

    def sums(
        self, firsts: Float[Array, "pairs width"], seconds: Float[Array, "pairs width"], atoms: int
    ) -> Float[Array, "atoms width"]:
        """Return for each atom the sum over the ends that it is.

        Args:
            firsts: what first atoms get.
            seconds: what second atoms get.
            atoms: how many there are.
        """
        sums = jax.ops.segment_sum(firsts, self.first, atoms)
        return sums + jax.ops.segment_sum(seconds, self.second, atoms)


def pairs_of(graph: Graph, cutoff: float, sizes: Sizes) -> Pairs:
    """Return the pairs of a graph without periodic images."""
    senders, receivers = jnp.asarray(graph.senders), jnp.asarray(graph.receivers)
    edges, positions = senders.shape[0], jnp.asarray(graph.positions)
    # a padding edge joins an atom to itself, and is the last one wherever there is any.
    chosen = jnp.nonzero(senders < receivers, size=(edges + 1) // 2, fill_value=edges - 1)[0]
    first, second = receivers[chosen], senders[chosen]
    vectors = positions[first] - positions[second] - jnp.asarray(graph.shifts)[chosen]
    distance = lengths(vectors)
    towards = harmonics(vectors / distance[:, None], sizes.degrees)
    signs = jnp.asarray(parity(sizes.degrees), towards.dtype)
    return Pairs(
        first,
        second,
        distance,
        quintic(distance, cutoff),
        bernstein(distance, sizes.radial, sizes.decay),
        (towards, signs * towards),
    )
