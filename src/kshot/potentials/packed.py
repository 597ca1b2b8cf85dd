"""Many structures in one graph: no padding between them, one program for any mixture of sizes.

Right for joint training on many families; `kshot.potentials.Frames` keeps shots apart instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from kshot.atoms import Labelled
from kshot.atoms.graph import Graph, Size, graph, rung
from kshot.core.errors import InputError
from kshot.potentials.base import Potential
from kshot.potentials.compare import Compared, element_counts
from kshot.potentials.joined import Joined, join, predict_joined


class Packed(NamedTuple):
    """Packs of labelled structures; every leaf has a leading axis of packs.

    Args:
        graph: one graph per pack, of structures that do not meet.
        owner: which structure of its pack an atom belongs to.
        energy: of each structure in eV, less the sum of E0s; zero where it is not known.
        forces: of each atom in eV/Å; zero where they are not known.
        known: whether an energy is known; False for places that are empty.
        felt: whether an atom is real and its forces are known.
    """

    graph: Graph
    owner: Int[Array | np.ndarray, "packs atoms"]
    energy: Float[Array | np.ndarray, "packs structures"]
    forces: Float[Array | np.ndarray, "packs atoms 3"]
    known: Bool[Array | np.ndarray, "packs structures"]
    felt: Bool[Array | np.ndarray, "packs atoms"]

    def predict(
        self, potential: Potential, params: PyTree
    ) -> tuple[Float[Array, "packs structures"], Float[Array, "packs atoms 3"]]:
        """Return energies (eV) of all structures and forces (eV/Å) on all atoms."""
        places = self.energy.shape[1]

        def one(pack: Graph, owner: Array) -> tuple[Array, Array]:
            return predict_joined(potential, places, params, Joined(pack, owner))

        return jax.vmap(one)(self.graph, jnp.asarray(self.owner))

    def compare(self, potential: Potential, params: PyTree) -> Compared:
        """Return predictions less labels, packs one after another."""
        data: Packed = jax.tree.map(jnp.asarray, self)
        energy, forces = data.predict(potential, params)
        rows = element_counts(jnp.asarray(data.graph.numbers), potential.elements, energy.dtype)
        places = energy.shape[1]
        count = lambda row, owner: jax.ops.segment_sum(row, owner, places + 1)[:-1]  # noqa: E731
        counts = jax.vmap(count)(rows, data.owner)
        return Compared(
            energy=(energy - data.energy).ravel(),
            known=jnp.asarray(data.known).ravel(),
            counts=counts.reshape(-1, counts.shape[-1]),
            forces=(forces - data.forces).reshape(-1, 3),
            felt=jnp.asarray(data.felt).ravel(),
        )


class Piece(NamedTuple):
    """A structure made ready to be packed again and again.

    Args:
        graph: without padding.
        energy: in eV, less the sum of E0s; NaN where it is not known.
        forces: in eV/Å; NaN where they are not known.
    """

    graph: Graph
    energy: float
    forces: Float[np.ndarray, "atoms 3"]


def pieces(
    labelled: Sequence[Labelled],
    cutoff: float,
    sums: Sequence[float] | np.ndarray,
    dtype: np.typing.DTypeLike = np.float32,
) -> list[Piece]:
    """Return labelled structures as pieces.

    Args:
        labelled: the structures.
        cutoff: of the potential, in Å.
        sums: of E0s in eV, subtracted in float64.
        dtype: of everything real-valued.
    """
    return [
        Piece(
            graph(one.structure, cutoff, dtype),
            float(one.labels.energy) - float(total),
            one.labels.forces.astype(dtype),
        )
        for one, total in zip(labelled, sums, strict=True)
    ]


def size_of(chosen: Sequence[Piece]) -> Size:
    """Return the smallest size of the ladder that holds all of them together."""
    atoms = sum(one.graph.size.atoms for one in chosen)
    edges = sum(one.graph.size.edges for one in chosen)
    return Size(rung(atoms + 1), rung(edges))


def pack(
    chosen: Sequence[Piece], size: Size, places: int, cutoff: float, dtype: np.typing.DTypeLike
) -> Packed:
    """Return one pack (leading axis 1).

    Args:
        chosen: what goes in.
        size: room for all atoms and edges, and one padding atom at least.
        places: room for so many structures.
        cutoff: of the potential, in Å.
        dtype: of everything real-valued.
    """
    if len(chosen) > places:
        raise InputError(f"at most {places} structures", str(len(chosen)), "Take more places.")
    whole, owner = join([one.graph for one in chosen], size, places, cutoff)
    atoms = int((owner < places).sum())
    energy, forces = np.full(places, np.nan), np.full((size.atoms, 3), np.nan, dtype)
    energy[: len(chosen)] = [one.energy for one in chosen]
    forces[:atoms] = np.concatenate([one.forces for one in chosen])
    known, felt = np.isfinite(energy), np.asarray(np.isfinite(forces).all(axis=1))
    made = Packed(
        whole, owner, np.nan_to_num(energy).astype(dtype), np.nan_to_num(forces), known, felt
    )
    return jax.tree.map(lambda leaf: np.asarray(leaf)[None], made)
