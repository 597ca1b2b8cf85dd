"""How energies and forces move with the parameters: the rows of a linearised model.

Forces are differentiated forwards, one direction of motion at a time: ∂F·d/∂θ = −d/dt ∂E/∂θ(R+td).
Nothing of third order is ever taken.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

from kshot.atoms.graph import Graph, Size, pad, rung
from kshot.core.kept_programs import Settled, run_kept
from kshot.core.seeds import named_generator
from kshot.potentials import Potential
from kshot.potentials.derived import energy
from kshot.potentials.model_potential import about
from kshot.potentials.model_predict import packs, predict_packs, step
from kshot.potentials.packed import Piece

WAYS = 16  # directions are filled up to a multiple of it, as each number is a program; below it,
# to a power of two
AHEAD = 4  # frames under way while one is waited for: JAX works on several at once
MOST_ROWS = 1500  # of all labelled frames: bounds the time of factorising their covariance
MOST_BYTES = 2.5e9  # of all derivatives, which are held once; beyond either bound, forces are seen
# along fewer directions per frame


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

    jacobian: Float[np.ndarray, "rows params"]
    residual: Float[np.ndarray, " rows"]
    frame: Int[np.ndarray, " rows"]
    is_energy: np.ndarray
    counts: Float[np.ndarray, "frames kinds"]
    ways: tuple[np.ndarray, ...]

    def of(self, frames: Sequence[int] | np.ndarray) -> Rows:
        """Return the rows of some frames, in their order, frames counted anew."""
        order = [np.flatnonzero(self.frame == one) for one in frames]
        place = np.concatenate(order)
        anew = np.repeat(np.arange(len(order)), [len(one) for one in order])
        return Rows(
            rows_at(self.jacobian, place),
            self.residual[place],
            anew,
            self.is_energy[place],
            self.counts[list(frames)],
            tuple(self.ways[one] for one in frames),
        )


def rows_at(
    jacobian: Float[np.ndarray, "rows params"], places: Int[np.ndarray, " some"]
) -> Float[np.ndarray, "some params"]:
    """Return some rows of a matrix of gigabytes: a view where they follow one another."""
    if len(places) and (np.diff(places) == 1).all():
        return jacobian[places[0] : places[-1] + 1]
    return jacobian[places]


def directions_within_bounds(frames: int, params: PyTree) -> int:
    """Return along how many directions per frame forces are seen, of so many frames.

    Args:
        frames: all that are labelled.
        params: of the model, whose size bounds the number of rows.
    """
    row = sum(np.size(leaf) * np.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(params))
    most = min(MOST_ROWS, int(MOST_BYTES) // max(row, 1))
    return max(1, most // frames - 1)


def rows(
    potential: Potential,
    params: PyTree,
    frames: Sequence[Piece],
    *,
    directions: int | None = None,
    seed: int = 0,
    one_size: bool = False,
) -> Rows:
    """Return the rows of labelled frames.

    Args:
        potential: what predicts.
        params: where to linearise.
        frames: with energies and forces; NaN where one is not known gives no row.
        directions: of motion per frame, along which forces are seen; all 3N if None or more.
        seed: of directions, where they are fewer.
        one_size: give all frames the room of the largest: one program, for few rows each.
    """
    graphs = [one.graph for one in frames]
    said = predict_packs(potential, params, packs(potential, graphs))
    sizes = _sizes(graphs, one_size)
    ways = [_directions(one, place, directions, seed) for place, one in enumerate(frames)]
    off = [_residual(*each) for each in zip(frames, ways, said, strict=True)]
    residual = np.concatenate(off)
    known = np.isfinite(residual)
    ends = np.cumsum([len(part) for part in off])
    running = (_slopes(potential, params, *each) for each in zip(graphs, sizes, ways, strict=True))
    jacobian = _filled(_ahead(running), np.split(known, ends[:-1]))
    frame = np.repeat(np.arange(len(off)), [len(part) for part in off])
    first = np.isin(np.arange(len(residual)), [0, *ends[:-1]])
    kinds = np.asarray(potential.elements)
    counts = [(one.graph.numbers[:, None] == kinds).sum(0).astype(float) for one in frames]
    return Rows(
        jacobian, residual[known], frame[known], first[known], np.array(counts), tuple(ways)
    )


def _sizes(graphs: Sequence[Graph], one_size: bool) -> list[Size]:
    """Return the room each graph gets: that of the largest of its `step`, or of all."""
    steps = [0 if one_size else step(one.size.atoms) for one in graphs]
    of_step: dict[int, Size] = {}
    for one, here in zip(graphs, steps, strict=True):
        known = of_step.get(here, Size(0, 0))
        atoms, edges = step(one.size.atoms), rung(one.size.edges)
        of_step[here] = Size(max(known.atoms, atoms), max(known.edges, edges))
    return [of_step[here] for here in steps]


def _slopes(
    potential: Potential,
    params: PyTree,
    graph: Graph,
    size: Size,
    ways: Float[np.ndarray, "ways atoms 3"],
) -> Float[Array, "rows params"]:
    """Return the derivatives of one frame's rows; more rows than asked for, at the end."""
    padded = pad(graph, size, potential.cutoff)
    count, atoms = ways.shape[:2]
    room = np.zeros((_room(count), size.atoms, 3), padded.positions.dtype)
    room[:count, :atoms] = ways
    settled = [Settled(potential, about(potential))]
    return run_kept(_linearise, settled, params, padded, room)


def _ahead(running: Iterator[Array]) -> Iterator[Array]:
    """Yield results in their order, a few of them under way before the first is waited for."""
    waiting = deque(itertools.islice(running, AHEAD))
    while waiting:
        yield waiting.popleft()
        waiting.extend(itertools.islice(running, 1))


def _filled(
    slopes: Iterator[Float[Array, "room params"]], known: Sequence[np.ndarray]
) -> Float[np.ndarray, "rows params"]:
    """Return the derivatives of all frames in one array: there is no second copy of them.

    Args:
        slopes: of one frame after another, with more rows than are wanted at the end.
        known: which rows of each frame are wanted.
    """
    jacobian, end = None, 0
    for part, wanted in zip(slopes, known, strict=True):
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


def _room(count: int) -> int:
    return 1 << (count - 1).bit_length() if count < WAYS else -(-count // WAYS) * WAYS


def _directions(
    one: Piece, place: int, wanted: int | None, seed: int
) -> Float[np.ndarray, "ways atoms 3"]:
    """Return orthonormal directions: every coordinate, or random ones that mix them all."""
    atoms = len(one.graph.numbers)
    full, kind = 3 * atoms, one.graph.positions.dtype
    if wanted is None or wanted >= full:
        return np.eye(full, dtype=kind).reshape(full, atoms, 3)
    rng = named_generator(seed, "directions", place)
    basis = np.linalg.qr(rng.standard_normal((full, wanted)))[0]
    return basis.T.reshape(wanted, atoms, 3).astype(kind)


def _linearise(
    potential: Potential, params: PyTree, graph: Graph, ways: Array
) -> Float[Array, "rows params"]:
    """Return the derivative by the parameters of the energy, and of forces along directions."""
    flat, unravel = ravel_pytree(params)

    def slope(positions: Array) -> Array:
        at = graph._replace(positions=positions)
        return jax.grad(lambda theta: energy(potential, unravel(theta), at))(flat)

    first, push = jax.linearize(slope, jnp.asarray(graph.positions))
    return jnp.concatenate([first[None], -jax.vmap(push)(ways)])
