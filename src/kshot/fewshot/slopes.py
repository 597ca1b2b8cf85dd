"""Derivatives of one frame's energy and forces by the parameters.

Forces are differentiated forwards, one direction of motion at a time: ∂F·d/∂θ = −d/dt ∂E/∂θ(R+td).
Nothing of third order is ever taken.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from kshot.atoms.graph import Graph, Size, pad, rung
from kshot.core.kept_programs import Settled, run_kept
from kshot.potentials import Potential
from kshot.potentials.derived import energy
from kshot.potentials.host import HostPotential
from kshot.potentials.model_potential import about
from kshot.potentials.model_predict import step

WAYS = 16  # directions are filled up to a multiple of it, as each number is a program; below it,
# to a power of two
AHEAD = 4  # frames under way while one is waited for: JAX works on several at once


def slopes(
    potential: Potential,
    params: PyTree,
    graph: Graph,
    size: Size,
    ways: Float[np.ndarray, "ways atoms 3"],
) -> Float[Array | np.ndarray, "rows params"]:
    """Return the derivatives of a frame's energy and of its forces along directions.

    Args:
        potential: what predicts.
        params: where to linearise.
        graph: of the frame, without padding.
        size: the room it gets.
        ways: directions; more rows than they ask for are at the end.
    """
    if isinstance(potential, HostPotential):
        return potential.slopes(params, graph, ways)
    padded = pad(graph, size, potential.cutoff)
    count, atoms = ways.shape[:2]
    room = np.zeros((_room(count), size.atoms, 3), padded.positions.dtype)
    room[:count, :atoms] = ways
    settled = [Settled(potential, about(potential))]
    return run_kept(_linearise, settled, params, padded, room)


def sizes(graphs: Sequence[Graph], *, one_size: bool) -> list[Size]:
    """Return the room each graph gets: that of the largest of its `step`, or of all."""
    steps = [0 if one_size else step(graph.size.atoms) for graph in graphs]
    of_step: dict[int, Size] = {}
    for graph, rung_of in zip(graphs, steps, strict=True):
        known = of_step.get(rung_of, Size(0, 0))
        atoms, edges = step(graph.size.atoms), rung(graph.size.edges)
        of_step[rung_of] = Size(max(known.atoms, atoms), max(known.edges, edges))
    return [of_step[rung_of] for rung_of in steps]


def ahead(running: Iterator[Array | np.ndarray]) -> Iterator[Array | np.ndarray]:
    """Yield results in their order, a few of them under way before the first is waited for."""
    waiting = deque(itertools.islice(running, AHEAD))
    while waiting:
        yield waiting.popleft()
        waiting.extend(itertools.islice(running, 1))


def _room(count: int) -> int:
    return 1 << (count - 1).bit_length() if count < WAYS else -(-count // WAYS) * WAYS


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
