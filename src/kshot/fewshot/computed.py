"""Derivatives of many rows by many parameters that are not held: computed whenever they are read.

For models so large that the derivatives of K frames do not fit the memory. Products with them read
the frames once for each part that does fit; sums of rows are one derivative along one direction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, PyTree

from kshot.atoms.graph import Graph, Size
from kshot.fewshot.products import column_blocks
from kshot.fewshot.slopes import ahead, slopes
from kshot.potentials import Potential


class Part(NamedTuple):
    """One frame of a linearised model.

    Args:
        graph: without padding.
        size: the room it gets.
        ways: directions that its forces are seen along.
        known: which of its rows there are, the energy's first: those that have a label.
    """

    graph: Graph
    size: Size
    ways: Float[np.ndarray, "ways atoms 3"]
    known: Bool[np.ndarray, " rows"]


@dataclass(frozen=True, eq=False)
class Computed:
    """Rows of a linearised model, frame by frame, in the place of an array that holds them.

    Args:
        potential: what predicts.
        params: where it is linearised.
        parts: the frames.
        memory: bytes of derivatives that may be held at once.
    """

    potential: Potential
    params: PyTree
    parts: tuple[Part, ...]
    memory: float

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of parameters."""
        return int(self._ends[-1]), sum(np.size(leaf) for leaf in jax.tree.leaves(self.params))

    @property
    def dtype(self) -> np.dtype:
        """The type of its numbers, that of the parameters."""
        return np.result_type(*(leaf.dtype for leaf in jax.tree.leaves(self.params)))

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def at(self, places: Int[np.ndarray, " some"]) -> Computed:
        """Return the rows of some frames, which have to be whole."""
        owner = np.repeat(np.arange(len(self.parts)), np.diff(self._ends))[places]
        frames = owner[np.flatnonzero(np.diff(owner, prepend=-1))]
        chosen = replace(self, parts=tuple(self.parts[frame] for frame in frames))
        assert len(chosen) == len(places), "rows of a part of a frame"
        return chosen

    def joined(self, other: Computed) -> Computed:
        """Return these rows and then those of another."""
        return replace(self, parts=(*self.parts, *other.parts))

    def products(
        self, variances: Sequence[Float[np.ndarray, " params"]]
    ) -> list[Float[np.ndarray, "rows rows"]]:
        """Return J V Jᵀ for several V."""
        products = [np.zeros((len(self), len(self))) for _ in variances]
        for begin, end in self._held_together():
            top = slice(self._ends[begin], self._ends[end])
            held = np.empty((top.stop - top.start, self.shape[1]), self.dtype)
            for frame, rows in enumerate(self._rows(range(begin, end)), begin):
                held[self._ends[frame] - top.start : self._ends[frame + 1] - top.start] = rows
            for frame, rows in self._from(begin, end, held):
                side = slice(self._ends[frame], self._ends[frame + 1])
                for variance, product in zip(variances, products, strict=True):
                    product[top, side] = _weighted(held, variance, rows)
                    product[side, top] = product[top, side].T
        return products

    def squares(self, weights: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " params"]:
        """Return the weighted sum of the squares of all rows."""
        total = np.zeros(self.shape[1])
        for frame, rows in enumerate(self._rows(range(len(self.parts)))):
            weight = weights[self._ends[frame] : self._ends[frame + 1]]
            total += weight.astype(rows.dtype) @ np.square(rows)
        return total

    def sums(
        self, weights: Float[np.ndarray, "several rows"]
    ) -> Float[np.ndarray, "several params"]:
        """Return weighted sums of all rows: of each frame one derivative along one direction."""
        total = np.zeros((len(weights), self.shape[1]), self.dtype)
        energies, ways = [], []
        for frame, part in enumerate(self.parts):
            weight = np.zeros((len(weights), len(part.known)))
            weight[:, part.known] = weights[:, self._ends[frame] : self._ends[frame + 1]]
            energies.append(weight[:, 0])
            ways.append(np.einsum("sm,mac->sac", weight[:, 1:], part.ways))
        running = (
            slopes(self.potential, self.params, part.graph, part.size, way)
            for part, way in zip(self.parts, ways, strict=True)
        )
        for energy, rows in zip(energies, map(np.asarray, ahead(running)), strict=True):
            total += np.outer(energy, rows[0]) + rows[1 : 1 + len(weights)]
        return total

    @property
    def _ends(self) -> Int[np.ndarray, " ends"]:
        """Where the rows of each frame end, zero first."""
        return np.cumsum([0, *(int(part.known.sum()) for part in self.parts)])

    def _rows(self, frames: Sequence[int] | range) -> Iterator[Float[np.ndarray, "rows params"]]:
        """Yield the derivatives of some frames."""
        parts = [self.parts[frame] for frame in frames]
        running = (slopes(self.potential, self.params, *part[:3]) for part in parts)
        for part, rows in zip(parts, ahead(running), strict=True):
            yield np.asarray(rows)[: len(part.known)][part.known]

    def _held_together(self) -> Iterator[tuple[int, int]]:
        """Yield frames, first and last, whose derivatives fit the memory together."""
        most = max(1, int(self.memory / (4 * self.shape[1])))
        begin = 0
        for end in range(1, len(self.parts) + 1):
            if end == len(self.parts) or self._ends[end + 1] - self._ends[begin] > most:
                yield begin, end
                begin = end

    def _from(
        self, begin: int, end: int, held: Float[np.ndarray, "rows params"]
    ) -> Iterator[tuple[int, Float[np.ndarray, "rows params"]]]:
        """Yield the frames that are held, and all that come after them."""
        for frame in range(begin, end):
            first = self._ends[begin]
            yield frame, held[self._ends[frame] - first : self._ends[frame + 1] - first]
        yield from enumerate(self._rows(range(end, len(self.parts))), end)


def _weighted(
    held: Float[np.ndarray, "rows params"],
    variance: Float[np.ndarray, " params"],
    rows: Float[np.ndarray, "few params"],
) -> Float[np.ndarray, "rows few"]:
    """Return products of many rows and few: those get the weights, by blocks of columns."""
    product = np.zeros((len(held), len(rows)))
    for block in column_blocks(len(variance)):
        if variance[block].any():
            product += held[:, block] @ (rows[:, block] * variance[block].astype(rows.dtype)).T
    return product
