"""How energies and forces move with the parameters: the rows of a linearised model.

Forces are differentiated forwards, one direction of motion at a time: ∂F·d/∂θ = −d/dt ∂E/∂θ(R+td).
Nothing of third order is ever taken.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

from kshot.atoms.graph import Graph, room, stack
from kshot.core.seeds import named_generator
from kshot.potentials import Potential
from kshot.potentials.derived import energy, energy_and_forces
from kshot.potentials.packed import Piece


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
) -> Rows:
    """Return the rows of labelled frames.

    Args:
        potential: what predicts.
        params: where to linearise.
        frames: with energies and forces; NaN where one is not known gives no row.
        directions: of motion per frame, along which forces are seen; all 3N if None or more.
        seed: of directions, where they are fewer.
    """
    by_atoms: dict[int, list[int]] = {}
    for place, one in enumerate(frames):
        by_atoms.setdefault(len(one.graph.numbers), []).append(place)
    parts: dict[int, _Part] = {}
    for atoms, places in by_atoms.items():
        some = [frames[place] for place in places]
        size = room([one.graph for one in some])._replace(atoms=atoms)
        graphs = stack([one.graph for one in some], potential.cutoff, size)
        ways = _directions(atoms, len(some), directions, seed)
        kind = graphs.positions.dtype
        jacobians, predicted = _linearise(potential, params, graphs, ways.astype(kind))
        labels = np.array([one.energy for one in some])
        along = np.einsum("fmac,fac->fm", ways, np.stack([one.forces for one in some]))
        wanted = np.concatenate([labels[:, None], along], axis=1)
        differences = np.asarray(predicted, np.float64) - wanted
        for row, place in enumerate(places):
            parts[place] = _Part(np.asarray(jacobians[row]), differences[row], ways[row])
    return _joined(potential, frames, [parts[place] for place in range(len(frames))])


class _Part(NamedTuple):
    """What one frame adds."""

    jacobian: np.ndarray
    residual: np.ndarray
    ways: np.ndarray


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
    atoms: int, frames: int, wanted: int | None, seed: int
) -> Float[np.ndarray, "frames ways atoms 3"]:
    """Return orthonormal directions: every coordinate, or random ones that mix them all."""
    full = 3 * atoms
    if wanted is None or wanted >= full:
        every = np.eye(full, dtype=np.float32).reshape(full, atoms, 3)
        return np.broadcast_to(every, (frames, full, atoms, 3))
    rng = named_generator(seed, "directions")
    basis = np.linalg.qr(rng.standard_normal((frames, full, wanted)))[0]
    return basis.transpose(0, 2, 1).reshape(frames, wanted, atoms, 3).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def _linearise(
    potential: Potential, params: PyTree, graphs: Graph, ways: Array
) -> tuple[Float[Array, "frames rows params"], Float[Array, "frames rows"]]:
    flat, unravel = ravel_pytree(params)

    def one(given: tuple[Graph, Array]) -> tuple[Array, Array]:
        graph, directions = given

        def slope(positions: Array) -> Array:
            at = graph._replace(positions=positions)
            return jax.grad(lambda theta: energy(potential, unravel(theta), at))(flat)

        here = jnp.asarray(graph.positions)
        first, push = jax.linearize(slope, here)
        jacobian = jnp.concatenate([first[None], -jax.vmap(push)(directions)])
        value, forces = energy_and_forces(potential, params, graph)
        along = jnp.einsum("mac,ac->m", directions, forces)
        return jacobian, jnp.concatenate([value[None], along])

    return jax.lax.map(one, (graphs, ways))
