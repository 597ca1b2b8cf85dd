"""Graphs that do not meet, as one graph: no padding between them, one program for any mixture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from kshot.atoms.graph import Graph, Size, pad
from kshot.potentials.base import Potential


class Joined(NamedTuple):
    """Several structures in one padded graph.

    Args:
        graph: of all of them; of their charge and spin where all have the same, else neutral and
            closed-shell, as one graph has one charge only.
        owner: which structure an atom belongs to; what padding belongs to is the number of places.
    """

    graph: Graph
    owner: Int[Array | np.ndarray, " atoms"]


def join(graphs: Sequence[Graph], size: Size, places: int, cutoff: float) -> Joined:
    """Return graphs as one.

    Args:
        graphs: without padding; at most as many as there are places.
        size: room for all atoms and edges, and one padding atom at least.
        places: room for so many structures.
        cutoff: of the potential, in Å.
    """
    sizes = [one.size.atoms for one in graphs]
    starts = np.cumsum([0, *sizes])
    owner = np.full(size.atoms, places, np.int32)
    owner[: starts[-1]] = np.repeat(np.arange(len(graphs)), sizes)
    return Joined(pad(_counted_through(graphs, starts), size, cutoff), owner)


def predict_joined(
    potential: Potential, places: int, params: PyTree, one: Joined
) -> tuple[Float[Array, " places"], Float[Array, "atoms 3"]]:
    """Return the energies (eV) of all structures, and forces (eV/Å) on all atoms."""

    def total(positions: Array) -> tuple[Array, Array]:
        shares = potential.energies(params, one.graph._replace(positions=positions))
        # the last segment takes what padding adds: nothing.
        owner = jnp.asarray(one.owner)
        return shares.sum(), jax.ops.segment_sum(shares, owner, places + 1)[:-1]

    slope, energies = jax.grad(total, has_aux=True)(jnp.asarray(one.graph.positions))
    return energies, -slope


def _counted_through(graphs: Sequence[Graph], starts: Int[np.ndarray, " n"]) -> Graph:
    kinds = {(int(each.charge), int(each.multiplicity)) for each in graphs}
    charge, multiplicity = kinds.pop() if len(kinds) == 1 else (0, 1)
    one = {
        "charge": np.asarray(charge, np.int32),
        "multiplicity": np.asarray(multiplicity, np.int32),
    }
    one["cell"] = np.zeros((3, 3), graphs[0].cell.dtype)
    for name in ("numbers", "positions", "shifts"):
        one[name] = np.concatenate([getattr(g, name) for g in graphs])
    for name in ("senders", "receivers"):
        moved = [getattr(g, name) + start for g, start in zip(graphs, starts[:-1], strict=True)]
        one[name] = np.concatenate(moved).astype(np.int32)
    one["owner"] = np.repeat(np.arange(len(graphs)), np.diff(starts)).astype(np.int32)
    return Graph(edges=np.asarray(len(one["senders"]), np.int32), **one)
