"""Energies and forces of structures of any sizes, by few compiled programs."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from kshot.atoms import Structure
from kshot.atoms.graph import SMALLEST, Graph, Size, graph, rung, stack
from kshot.core.errors import OptionError
from kshot.potentials.base import Potential
from kshot.potentials.derived import energy_and_forces

SLACK = 1.15  # room for edges, of what is needed: compiling takes longer than thousands of runs
BATCHES = (1, 8, 64)  # structures of one batch: few, as each is a program
MOST_EDGES = 32_768  # of one batch: bounds its memory


class Program(NamedTuple):
    """What one compiled program computes: so many structures of one size.

    Args:
        size: the room of each.
        structures: how many.
        dtype: in which type.
    """

    size: Size
    structures: int
    dtype: str


@dataclass
class Ladder:
    """The sizes used so far: one number of edges for each number of atoms, which only grows.

    Atoms go by powers of two, coarser than `kshot.atoms.graph.rung`.
    """

    edges: dict[int, int] = field(default_factory=dict)
    programs: dict[Program, None] = field(default_factory=dict)

    def size(self, graphs: Sequence[Graph]) -> Size:
        """Return the size that holds graphs of one step, as roomy as any used before."""
        atoms = step(max(one.size.atoms for one in graphs))
        edges = max(one.size.edges for one in graphs)
        if edges > self.edges.get(atoms, 0):
            self.edges[atoms] = rung(math.ceil(SLACK * edges))
        return Size(atoms, self.edges[atoms])


def step(atoms: int) -> int:
    """Return the least of 8, 16, 32, 64, … that is not below ``atoms``."""
    return max(SMALLEST, 1 << (atoms - 1).bit_length())


@functools.lru_cache(maxsize=64)
def ladder(potential: Potential) -> Ladder:
    """Return the sizes of a potential, shared by all of its models."""
    del potential
    return Ladder()


def programs(potential: Potential) -> tuple[Program, ...]:
    """Return what has been compiled for a potential, in order."""
    return tuple(ladder(potential).programs)


def require_precision(dtype: np.typing.DTypeLike) -> None:
    """Raise unless JAX computes in this type: it turns float64 into float32 silently.

    Raises:
        OptionError: float64 is asked for while JAX's x64 is off.
    """
    if np.dtype(dtype) == np.float64 != jnp.result_type(float):
        todo = 'Set JAX_ENABLE_X64=1, or call jax.config.update("jax_enable_x64", True) first.'
        raise OptionError("JAX with 64-bit numbers for float64", "jax_enable_x64 off", todo)


class Stack(NamedTuple):
    """Graphs of one size, ready to be predicted by one call of one program.

    Args:
        places: which of all graphs they are; what fills the stack up at its end has none.
        graphs: stacked.
    """

    places: tuple[int, ...]
    graphs: Graph


def stacks(potential: Potential, graphs: Sequence[Graph], *, one_size: bool = False) -> list[Stack]:
    """Return graphs in stacks: one program for each `step` that occurs.

    More only where a later call needs more edges, or another number of structures at once.

    Args:
        potential: what is to predict.
        graphs: without padding.
        one_size: give all the room of the largest: one program, for few structures.
    """
    largest = max((one.size.atoms for one in graphs), default=0)
    steps: dict[int, list[int]] = {}
    for place, one in enumerate(graphs):
        steps.setdefault(step(largest if one_size else one.size.atoms), []).append(place)
    found = []
    for places in steps.values():
        size = ladder(potential).size([graphs[place] for place in places])
        batch = _batch(len(places), size)
        for start in range(0, len(places), batch):
            some = places[start : start + batch]
            filled = [graphs[place] for place in (*some, *[some[-1]] * (batch - len(some)))]
            found.append(Stack(tuple(some), stack(filled, potential.cutoff, size)))
    return found


def predict_stacks(
    potential: Potential, params: PyTree, prepared: Sequence[Stack]
) -> list[tuple[float, Float[np.ndarray, "_ 3"]]]:
    """Return each graph's energy (eV, without E0s) and forces (eV/Å), in the order of places."""
    # all are under way before the first is waited for: JAX works on several at once.
    running = [_run(potential, params, one.graphs) for one in prepared]
    found: dict[int, tuple[float, np.ndarray]] = {}
    for one, told in zip(prepared, running, strict=True):
        energies, forces = map(np.asarray, told)
        for row, place in enumerate(one.places):
            atoms = one.graphs.real[row]
            found[place] = float(energies[row]), np.asarray(forces[row, atoms], np.float64)
    return [found[place] for place in range(len(found))]


def predict_all(
    potential: Potential,
    params: PyTree,
    structures: Sequence[Structure],
    dtype: np.typing.DTypeLike,
) -> list[tuple[float, Float[np.ndarray, "_ 3"]]]:
    """Return each structure's energy (eV, without E0s) and forces (eV/Å)."""
    require_precision(dtype)
    graphs = [graph(one, potential.cutoff, dtype) for one in structures]
    return predict_stacks(potential, params, stacks(potential, graphs))


def _batch(count: int, size: Size) -> int:
    """Return the largest of `BATCHES` that is filled at least once, and has not too many edges."""
    return max(one for one in BATCHES if one == 1 or one <= min(count, MOST_EDGES // size.edges))


def _run(potential: Potential, params: PyTree, graphs: Graph) -> tuple[jax.Array, jax.Array]:
    count, dtype = len(graphs.positions), str(graphs.positions.dtype)
    ladder(potential).programs[Program(graphs.size, count, dtype)] = None
    return _compiled(potential, params, graphs)


@functools.partial(jax.jit, static_argnums=0)
def _compiled(potential: Potential, params: PyTree, graphs: Graph) -> tuple[jax.Array, jax.Array]:
    return jax.vmap(lambda one: energy_and_forces(potential, params, one))(graphs)
