"""How energies and forces move with the parameters: the rows of a linearised model.

Forces are differentiated forwards, one direction of motion at a time: ∂F·d/∂θ = −d/dt ∂E/∂θ(R+td).
Nothing of third order is ever taken.
"""

from __future__ import annotations

from collections.abc import Sequence
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
            self.jacobian[place],
            self.residual[place],
            anew,
            self.is_energy[place],
            self.counts[list(frames)],
            tuple(self.ways[one] for one in frames),
        )


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
    # all are under way before the first is waited for: JAX works on several at once.
    running = [_slopes(potential, params, *each) for each in zip(graphs, sizes, ways, strict=True)]
    parts = [_part(*each) for each in zip(frames, ways, said, running, strict=True)]
    return _joined(potential, frames, parts)


def _sizes(graphs: Sequence[Graph], one_size: bool) -> list[Size]:
    """Return the room each graph gets: that of the largest of its `step`, or of all."""
    steps = [0 if one_size else step(one.size.atoms) for one in graphs]
    of_step: dict[int, Size] = {}
    for one, here in zip(graphs, steps, strict=True):
        known = of_step.get(here, Size(0, 0))
        atoms, edges = step(one.size.atoms), rung(one.size.edges)
        of_step[here] = Size(max(known.atoms, atoms), max(known.edges, edges))
    return [of_step[here] for here in steps]


class _Part(NamedTuple):
    """What one frame adds."""

    jacobian: np.ndarray
    residual: np.ndarray
    ways: np.ndarray


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


def _part(
    one: Piece,
    ways: Float[np.ndarray, "ways atoms 3"],
    predicted: tuple[float, np.ndarray],
    slopes: Float[Array, "rows params"],
) -> _Part:
    """Return the rows of one frame."""
    energy, forces = predicted
    along = np.einsum("mac,ac->m", ways, forces - one.forces)
    residual = np.concatenate([[energy - one.energy], along])
    return _Part(np.asarray(slopes)[: len(residual)], residual, ways)


def _room(count: int) -> int:
    return 1 << (count - 1).bit_length() if count < WAYS else -(-count // WAYS) * WAYS


def _joined(potential: Potential, frames: Sequence[Piece], parts: Sequence[_Part]) -> Rows:
    sizes = [len(part.residual) for part in parts]
    frame = np.repeat(np.arange(len(parts)), sizes)
    first = np.concatenate([np.arange(size) == 0 for size in sizes])
    residual = np.concatenate([part.residual for part in parts])
    known = np.isfinite(residual)
    kinds = np.asarray(potential.elements)
    counts = [(one.graph.numbers[:, None] == kinds).sum(0).astype(float) for one in frames]
    jacobian = np.concatenate([part.jacobian for part in parts])
    if not known.all():
        jacobian = jacobian[known]
    ways = tuple(part.ways for part in parts)
    return Rows(jacobian, residual[known], frame[known], first[known], np.array(counts), ways)


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
