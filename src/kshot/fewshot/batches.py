"""Batches of structures of many families, as the engine's task streams want them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from kshot.atoms.graph import Size, rung
from kshot.meta import Task
from kshot.potentials.packed import Piece, pack

SPARE = 1.3  # room in a batch, of what structures take on average


class Families:
    """The pieces of each family; what a run's fingerprint keeps of them is their digest.

    Args:
        pieces: of each family; none empty.
    """

    def __init__(self, pieces: Mapping[str, Sequence[Piece]]) -> None:
        self.pieces = pieces

    @functools.cached_property
    def digest(self) -> str:
        """A digest of all atoms, positions and labels, in their order."""
        digest = hashlib.sha256()
        for name, frames in self.pieces.items():
            digest.update(f"{name} {len(frames)}\n".encode())
            for frame in frames:
                arrays = (frame.graph.numbers, frame.graph.positions, frame.forces)
                for array in (*arrays, np.float64(frame.energy)):
                    digest.update(array.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Batches:
    """Draws packs of structures; families are equally likely, whatever they have of frames.

    Args:
        families: the pieces of each family.
        digest: of the families.
        room: of one pack.
        places: most structures in one pack.
        cutoff: of the potential, in Å.
        dtype: of everything real-valued.
        packs: in one stack; each may have a device of its own.
    """

    families: Families
    digest: str
    room: Size
    places: int
    cutoff: float
    dtype: str = "float32"
    packs: int = 1

    def __call__(self, rng: np.random.Generator) -> Task:
        """Return a stack of tasks whose support sets are packs, and which have no query sets."""
        drawn = [self._draw(rng) for _ in range(self.packs)]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)

    def _draw(self, rng: np.random.Generator) -> Task:
        families = self.families.pieces
        names = list(families)
        chosen: list[Piece] = []
        atoms, edges = 1, 0
        while len(chosen) < self.places:
            frames = families[names[int(rng.integers(len(names)))]]
            one = frames[int(rng.integers(len(frames)))]
            atoms += one.graph.size.atoms
            edges += one.graph.size.edges
            if atoms > self.room.atoms or edges > self.room.edges:
                break
            chosen.append(one)
        return Task(pack(chosen, self.room, self.places, self.cutoff, self.dtype), None)


def batches(
    families: Mapping[str, Sequence[Piece]],
    structures: int,
    cutoff: float,
    dtype: str,
    packs: int = 1,
) -> Batches:
    """Return batches of about so many structures, and room for them.

    Args:
        families: the pieces of each family; none empty.
        structures: per pack, on average.
        cutoff: of the potential, in Å.
        dtype: of everything real-valued.
        packs: of a batch.
    """
    mean = lambda axis: np.mean(  # noqa: E731
        [np.mean([one.graph.size[axis] for one in pieces]) for pieces in families.values()]
    )
    largest = [max(p.graph.size[axis] for ps in families.values() for p in ps) for axis in (0, 1)]
    wanted = [SPARE * structures * mean(axis) for axis in (0, 1)]
    # the largest structure fits even into the smallest batch.
    room = Size(*(rung(int(max(w, n)) + 1) for w, n in zip(wanted, largest, strict=True)))
    held = Families(families)
    return Batches(held, held.digest, room, 2 * structures, cutoff, dtype, packs)
