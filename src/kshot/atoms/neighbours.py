"""Who is near whom, on the host."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from kshot.atoms.structure import Structure

ALL_PAIRS = 600
"""Molecules up to this many atoms are searched pair by pair; ASE's cell list does the others."""


class Neighbours(NamedTuple):
    """Directed pairs of atoms; each pair stands in both directions.

    Args:
        senders: of each pair, sorted by receiver and then sender.
        receivers: of each pair.
        vectors: from receiver to the sender's image, in Å.
        shifts: of that image, in cell vectors.
    """

    senders: Int64[np.ndarray, " pairs"]
    receivers: Int64[np.ndarray, " pairs"]
    vectors: Float64[np.ndarray, "pairs 3"]
    shifts: Float64[np.ndarray, "pairs 3"]


def neighbours(structure: Structure, cutoff: float) -> Neighbours:
    """Return all pairs nearer than ``cutoff`` (Å), images included where the structure repeats."""
    if structure.pbc.any() or len(structure) > ALL_PAIRS:
        return _cell_list(structure, cutoff)
    x = structure.positions
    vectors = x[None, :, :] - x[:, None, :]
    near = np.einsum("ijk,ijk->ij", vectors, vectors) < cutoff**2
    np.fill_diagonal(near, False)
    receivers, senders = np.nonzero(near)
    pairs = vectors[receivers, senders]
    return Neighbours(senders, receivers, pairs, np.zeros_like(pairs))


def _cell_list(structure: Structure, cutoff: float) -> Neighbours:
    from ase.geometry import complete_cell
    from ase.neighborlist import primitive_neighbor_list

    cell = complete_cell(np.zeros((3, 3)) if structure.cell is None else structure.cell)
    receivers, senders, vectors, shifts = primitive_neighbor_list(
        "ijDS", structure.pbc, cell, structure.positions, cutoff, numbers=structure.numbers
    )
    order = np.lexsort((*shifts.T, senders, receivers))
    columns = (senders.astype(np.int64), receivers.astype(np.int64), vectors, shifts.astype(float))
    return Neighbours(*(column[order] for column in columns))
