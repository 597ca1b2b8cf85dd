"""Structures as the device wants them: arrays of few fixed shapes, padded.

One graph is one structure. Graphs of one size stack along a leading axis, which `jax.vmap` maps
over; so a support set is a stack, and a batch of tasks a stack of stacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from kshot.atoms.neighbours import neighbours
from kshot.atoms.structure import Structure
from kshot.core.errors import InputError

SMALLEST = 8  # atoms or edges; sizes above it grow by an eighth of a power of two
STEPS = 4  # sizes per doubling: padding wastes 19 % at most, 10 % on average


class Size(NamedTuple):
    """How many atoms and edges a padded graph has room for."""

    atoms: int
    edges: int


class Graph(NamedTuple):
    """A structure with its neighbours, padded; arrays of NumPy or of JAX.

    Padding atoms have atomic number 0 and stand at the origin. A padding edge joins the last atom
    to an image of itself beyond the cutoff: every smooth cutoff function gives it the weight zero,
    with zero derivatives, so that no potential needs a mask over edges.

    Args:
        numbers: atomic numbers, 0 for padding.
        positions: in Å.
        senders: of each edge; an edge stands in both directions.
        receivers: of each edge, in ascending order.
        shifts: of the sender's image, in Å: the edge's vector, from receiver to sender, is
            ``positions[senders] + shifts - positions[receivers]``.
        edges: how many edges are real; they come first.
        charge: in elementary charges.
        multiplicity: 2S + 1.
        cell: rows in Å; zeros where nothing repeats.
        owner: which structure an atom belongs to: 0 where there is one only, −1 for padding.
    """

    numbers: Int[np.ndarray | jax.Array, "*batch atoms"]
    positions: Float[np.ndarray | jax.Array, "*batch atoms 3"]
    senders: Int[np.ndarray | jax.Array, "*batch edges"]
    receivers: Int[np.ndarray | jax.Array, "*batch edges"]
    shifts: Float[np.ndarray | jax.Array, "*batch edges 3"]
    edges: Int[np.ndarray | jax.Array, "*batch"]
    charge: Int[np.ndarray | jax.Array, "*batch"]
    multiplicity: Int[np.ndarray | jax.Array, "*batch"]
    cell: Float[np.ndarray | jax.Array, "*batch 3 3"]
    owner: Int[np.ndarray | jax.Array, "*batch atoms"]

    @property
    def real(self) -> Bool[np.ndarray | jax.Array, "*batch atoms"]:
        """Which atoms are real."""
        return self.numbers > 0

    @property
    def size(self) -> Size:
        """The room it has."""
        return Size(self.numbers.shape[-1], self.senders.shape[-1])

    @property
    def together(self) -> Bool[np.ndarray | jax.Array, "*batch atoms atoms"]:
        """Which atoms are real and of one structure, each with itself too."""
        same = self.owner[..., :, None] == self.owner[..., None, :]
        return same & (self.owner >= 0)[..., None]

    def vectors(self) -> Float[np.ndarray | jax.Array, "edges 3"]:
        """Return each edge's vector in Å, of one graph that is not stacked."""
        return self.positions[self.senders] + self.shifts - self.positions[self.receivers]


def graph(structure: Structure, cutoff: float, dtype: np.typing.DTypeLike = np.float32) -> Graph:
    """Return a structure's graph, without padding.

    Args:
        structure: the structure.
        cutoff: in Å.
        dtype: of everything real-valued.
    """
    near = neighbours(structure, cutoff)
    cell = np.zeros((3, 3)) if structure.cell is None else structure.cell
    # integer arithmetic of the neighbour search is in cells; ours is in Å.
    shifts = near.shifts @ cell
    whole = lambda value: np.asarray(value, np.int32)  # noqa: E731
    return Graph(
        numbers=whole(structure.numbers),
        positions=structure.positions.astype(dtype),
        senders=whole(near.senders),
        receivers=whole(near.receivers),
        shifts=shifts.astype(dtype),
        edges=whole(len(near.senders)),
        charge=whole(structure.charge),
        multiplicity=whole(structure.multiplicity),
        cell=cell.astype(dtype),
        owner=np.zeros(len(structure), np.int32),
    )


def pad(one: Graph, size: Size, cutoff: float) -> Graph:
    """Return a graph padded to a size.

    Args:
        one: a graph, not stacked.
        size: the room to give it.
        cutoff: the one it was made with, in Å.
    """
    atoms, edges = (room - has for room, has in zip(size, one.size, strict=True))
    if atoms < 0 or edges < 0:
        todo = "Take room() of all the structures that are to share a shape."
        raise InputError(f"a graph that fits into {size}", str(one.size), todo)
    shifts = np.zeros((edges, 3), one.shifts.dtype)
    shifts[:, 0] = 2 * cutoff
    last = np.full(edges, size.atoms - 1, np.int32)
    rest = lambda array: np.concatenate([array, last])  # noqa: E731
    return one._replace(
        numbers=np.pad(one.numbers, (0, atoms)),
        positions=np.concatenate([one.positions, np.zeros((atoms, 3), one.positions.dtype)]),
        senders=rest(one.senders),
        receivers=rest(one.receivers),
        shifts=np.concatenate([one.shifts, shifts]),
        owner=np.pad(one.owner, (0, atoms), constant_values=-1),
    )


def room(graphs: Sequence[Graph]) -> Size:
    """Return the smallest size of the ladder that holds each of the graphs."""
    return Size(*(rung(max(one.size[axis] for one in graphs)) for axis in (0, 1)))


def rung(count: int) -> int:
    """Return the least of 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, … that is not below ``count``.

    Shapes come from this ladder only, so that the number of compilations stays small.
    """
    step, size = SMALLEST // STEPS, SMALLEST
    while size < count:
        size += step
        if size == 2 * STEPS * step:
            step *= 2
    return size


def stack(graphs: Sequence[Graph], cutoff: float, size: Size | None = None) -> Graph:
    """Return graphs padded to one size and stacked.

    Args:
        graphs: at least one; none of them stacked.
        cutoff: the one they were made with, in Å.
        size: the room each gets; `room` of all of them if None.
    """
    size = room(graphs) if size is None else size
    padded = [pad(one, size, cutoff) for one in graphs]
    return Graph(*(np.stack(column) for column in zip(*padded, strict=True)))


def unpad(one: Graph) -> Structure:
    """Return the structure of one graph: what `graph` was given, but for names and masses."""
    real = np.asarray(one.real)
    cell = np.asarray(one.cell, np.float64)
    periodic = np.abs(cell).sum(axis=1) > 0
    return Structure(
        np.asarray(one.numbers, np.int64)[real],
        np.asarray(one.positions, np.float64)[real],
        charge=int(one.charge),
        multiplicity=int(one.multiplicity),
        cell=cell if periodic.any() else None,
        pbc=periodic,
    )
