"""How energies and forces move with the parameters: the rows of a linearised model.

Their derivatives are held in one array, or computed whenever they are read (`Computed`) where that
array would not fit the memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from kshot.core.errors import OptionError
from kshot.core.seeds import named_generator
from kshot.fewshot.computed import Computed, Part
from kshot.fewshot.products import products_of, squares_of
from kshot.fewshot.slopes import ahead, sizes, slopes
from kshot.potentials import Potential
from kshot.potentials.model_predict import prepare
from kshot.potentials.packed import Piece

MOST_ROWS = 1500  # of all labelled frames: bounds the time of factorising their covariance
GB = 1e9
MEMORY = 2.5 * GB  # bytes of derivatives, which are held once; beyond either bound, forces are seen
# along fewer directions per frame
FEW = 16  # directions: with fewer, derivatives are computed whenever they are read
MOST_WORK = 2.5e12  # rows² times parameters: bounds the time of their products

Jacobian = Float[np.ndarray, "rows params"] | Computed
"""Derivatives of rows by parameters: held, or computed whenever they are read."""


class Rows(NamedTuple):
    """A linearised model on labelled frames: one row per energy and per force along a direction.

    Args:
        jacobian: ∂(prediction)/∂(parameter), flat parameters; energies in eV, forces in eV/Å.
        residual: prediction less label at the parameters linearised at.
        frame: which frame a row belongs to.
        is_energy: which rows are energies.
        counts: of each frame, atoms of each of the potential's elements.
        ways: of each frame, the directions of its force rows.
    """

    jacobian: Jacobian
    residual: Float[np.ndarray, " rows"]
    frame: Int[np.ndarray, " rows"]
    is_energy: np.ndarray
    counts: Float[np.ndarray, "frames kinds"]
    ways: tuple[np.ndarray, ...]

    def of(self, frames: Sequence[int] | np.ndarray) -> Rows:
        """Return the rows of some frames, in their order, frames counted anew."""
        order = [np.flatnonzero(self.frame == number) for number in frames]
        places = np.concatenate(order)
        anew = np.repeat(np.arange(len(order)), [len(rows) for rows in order])
        return Rows(
            rows_at(self.jacobian, places),
            self.residual[places],
            anew,
            self.is_energy[places],
            self.counts[list(frames)],
            tuple(self.ways[number] for number in frames),
        )


def rows_at(
    jacobian: Jacobian, places: Int[np.ndarray, " some"]
) -> Float[np.ndarray, "some params"] | Computed:
    """Return some rows of a matrix of gigabytes: a view where they follow one another."""
    if isinstance(jacobian, Computed):
        return jacobian.at(places)
    if len(places) and (np.diff(places) == 1).all():
        return jacobian[places[0] : places[-1] + 1]
    return jacobian[places]


def joined(
    first: Float[np.ndarray, "first params"] | Computed,
    second: Float[np.ndarray, "second params"] | Computed,
) -> Float[np.ndarray, "all params"] | Computed:
    """Return the rows of both, one after the other."""
    if isinstance(first, Computed):
        assert isinstance(second, Computed), "rows that are held beside some that are not"
        return first.joined(second)
    return np.concatenate([first, held(second)])


def held(jacobian: Float[np.ndarray, "any params"] | Computed) -> Float[np.ndarray, "any params"]:
    """Return derivatives that are known to be held."""
    assert not isinstance(jacobian, Computed), "derivatives that are not held"
    return jacobian


def products(
    jacobian: Jacobian, variances: Sequence[Float[np.ndarray, " params"]]
) -> list[Float[np.ndarray, "rows rows"]]:
    """Return J V Jᵀ for several V."""
    if isinstance(jacobian, Computed):
        return jacobian.products(variances)
    return products_of(jacobian, variances)


def squares(
    jacobian: Jacobian, weights: Float[np.ndarray, " rows"]
) -> Float[np.ndarray, " params"]:
    """Return the weighted sum of the squares of all rows."""
    if isinstance(jacobian, Computed):
        return jacobian.squares(weights)
    return squares_of(jacobian, weights)


def sums(
    jacobian: Jacobian, weights: Float[np.ndarray, "several rows"]
) -> Float[np.ndarray, "several params"]:
    """Return weighted sums of all rows."""
    if isinstance(jacobian, Computed):
        return jacobian.sums(weights)
    return weights.astype(jacobian.dtype) @ jacobian


class Bounds(NamedTuple):
    """What the derivatives of labelled frames may take.

    Args:
        directions: of motion per frame, along which forces are seen.
        memory: bytes of them that are held at once; all of them if None.
    """

    directions: int
    memory: float | None


def within_bounds(frames: int, params: PyTree, memory: float = MEMORY) -> Bounds:
    """Return along how many directions forces are seen, and whether derivatives are held.

    Args:
        frames: all that are labelled.
        params: of the model, whose size bounds the number of rows.
        memory: bytes of derivatives that may be held at once.

    Raises:
        OptionError: the memory is too small for the derivatives of one frame.
    """
    row = sum(np.size(leaf) * np.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(params))
    directions = min(MOST_ROWS, int(memory / max(row, 1))) // frames - 1
    if directions >= min(FEW, MOST_ROWS // frames - 1):
        return Bounds(max(1, directions), None)
    if memory < (least := 2 * row):  # an energy, and a force along one direction
        todo = f"Allow {least / GB:.2g} GB or more, or adapt a smaller model."
        expected = f"memory for the derivatives of one frame, {least / GB:.2g} GB at least"
        raise OptionError(expected, f"{memory / GB:.2g} GB", todo)
    quick = min(MOST_ROWS, math.isqrt(int(MOST_WORK / max(row // 4, 1)))) // frames
    return Bounds(max(1, min(quick, int(memory / row)) - 1), memory)


def rows(
    potential: Potential,
    params: PyTree,
    frames: Sequence[Piece],
    *,
    directions: int | None = None,
    seed: int = 0,
    one_size: bool = False,
    memory: float | None = None,
) -> Rows:
    """Return the rows of labelled frames.

    Args:
        potential: what predicts.
        params: where to linearise.
        frames: with energies and forces; NaN where one is not known gives no row.
        directions: of motion per frame, along which forces are seen; all 3N if None or more.
        seed: of directions, where they are fewer.
        one_size: give all frames the room of the largest: one program, for few rows each.
        memory: bytes of derivatives that are held at once; all of them if None.
    """
    graphs = [frame.graph for frame in frames]
    predicted = prepare(potential, graphs).predict(params)
    rooms = sizes(graphs, one_size=one_size)
    ways = [_directions(frame, number, directions, seed) for number, frame in enumerate(frames)]
    off = [_residual(*each) for each in zip(frames, ways, predicted, strict=True)]
    residual = np.concatenate(off)
    known = np.isfinite(residual)
    ends = np.cumsum([len(part) for part in off])
    parts = list(map(Part, graphs, rooms, ways, np.split(known, ends[:-1])))
    if memory is None:
        running = (slopes(potential, params, *part[:3]) for part in parts)
        jacobian = _filled(ahead(running), [part.known for part in parts])
    else:
        jacobian = Computed(potential, params, tuple(parts), memory)
    owner = np.repeat(np.arange(len(off)), [len(part) for part in off])
    first = np.isin(np.arange(len(residual)), [0, *ends[:-1]])
    kinds = np.asarray(potential.elements)
    counts = [(frame.graph.numbers[:, None] == kinds).sum(0).astype(float) for frame in frames]
    return Rows(
        jacobian, residual[known], owner[known], first[known], np.array(counts), tuple(ways)
    )


def _filled(
    computed: Iterator[Float[Array | np.ndarray, "room params"]], known: Sequence[np.ndarray]
) -> Float[np.ndarray, "rows params"]:
    """Return the derivatives of all frames in one array: there is no second copy of them.

    Args:
        computed: of one frame after another, with more rows than are wanted at the end.
        known: which rows of each frame are wanted.
    """
    jacobian, end = None, 0
    for part, wanted in zip(computed, known, strict=True):
        if jacobian is None:
            shape = (sum(int(mask.sum()) for mask in known), part.shape[1])
            jacobian = np.empty(shape, part.dtype)
        begin, end = end, end + int(wanted.sum())
        jacobian[begin:end] = np.asarray(part)[: len(wanted)][wanted]
    assert jacobian is not None, "no frames"
    return jacobian


def _residual(
    frame: Piece, ways: Float[np.ndarray, "ways atoms 3"], predicted: tuple[float, np.ndarray]
) -> Float[np.ndarray, " rows"]:
    """Return prediction less label of one frame's rows; NaN where a label is not known."""
    energy, forces = predicted
    along = np.einsum("mac,ac->m", ways, forces - frame.forces)
    return np.concatenate([[energy - frame.energy], along])


def _directions(
    frame: Piece, number: int, wanted: int | None, seed: int
) -> Float[np.ndarray, "ways atoms 3"]:
    """Return orthonormal directions: every coordinate, or random ones that mix them all."""
    atoms = len(frame.graph.numbers)
    full, kind = 3 * atoms, frame.graph.positions.dtype
    if wanted is None or wanted >= full:
        return np.eye(full, dtype=kind).reshape(full, atoms, 3)
    rng = named_generator(seed, "directions", number)
    basis = np.linalg.qr(rng.standard_normal((full, wanted)))[0]
    return basis.T.reshape(wanted, atoms, 3).astype(kind)
