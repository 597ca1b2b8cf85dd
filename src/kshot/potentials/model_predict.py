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
from kshot.atoms.graph import SMALLEST, Graph, Size, graph, rung
from kshot.core.errors import OptionError
from kshot.core.kept_programs import Settled, run_kept
from kshot.potentials.base import Potential
from kshot.potentials.host import HostPotential
from kshot.potentials.joined import Joined, join, predict_joined
from kshot.potentials.model_potential import about

SLACK = 1.15  # room for edges, of what is needed: compiling takes longer than thousands of runs
ROOMS = (Size(64, 960), Size(128, 1280))  # for several molecules: few, as each is a program, and
# small: beyond a thousand edges or so a core's cache is too small, and each takes twice as long


class Program(NamedTuple):
    """What one compiled program computes: so many structures of one size.

    Args:
        size: the room of all.
        structures: how many at most.
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


class Pack(NamedTuple):
    """Graphs that one call of one program predicts.

    Args:
        places: which of all graphs they are.
        joined: they as one.
        room: for so many structures.
    """

    places: tuple[int, ...]
    joined: Joined
    room: int


def packs(potential: Potential, graphs: Sequence[Graph]) -> list[Pack]:
    """Return graphs in packs: small ones share one of `ROOMS`, a large or lone one has its own.

    Args:
        potential: what is to predict.
        graphs: without padding.
    """
    alike: dict[tuple[int, int], list[int]] = {}
    for place, one in enumerate(graphs):
        alike.setdefault((int(one.charge), int(one.multiplicity)), []).append(place)
    found = []
    for places in alike.values():
        small = [place for place in places if _fits(graphs[place].size, ROOMS[-1])]
        together = small if len(small) > 1 else []
        alone = sorted({*places} - {*together})
        found += [_pack(potential, graphs, [place]) for place in alone]
        if together:
            size, groups = _shared([graphs[place].size for place in together])
            found += [_pack(potential, graphs, [small[i] for i in group], size) for group in groups]
    return found


def _fits(one: Size, room: Size) -> bool:
    # padding needs an atom of its own.
    return one.atoms < room.atoms and one.edges <= room.edges


def _shared(sizes: Sequence[Size]) -> tuple[Size, list[list[int]]]:
    """Return the room that wastes least, and which structures are together in it."""
    largest = Size(*(max(one[axis] for one in sizes) for axis in (0, 1)))
    ways = [(room, _filled(sizes, room)) for room in ROOMS if _fits(largest, room)]
    return min(ways, key=lambda way: len(way[1]) * way[0].edges)


def _filled(sizes: Sequence[Size], room: Size) -> list[list[int]]:
    """Return structures in the order given, as many together as there is room for."""
    groups: list[list[int]] = []
    left = Size(0, 0)
    for place, one in enumerate(sizes):
        if one.atoms > left.atoms or one.edges > left.edges:
            groups.append([])
            left = Size(room.atoms - 1, room.edges)
        groups[-1].append(place)
        left = Size(left.atoms - one.atoms, left.edges - one.edges)
    return groups


def _pack(
    potential: Potential, graphs: Sequence[Graph], places: Sequence[int], size: Size | None = None
) -> Pack:
    some = [graphs[place] for place in places]
    room = 1 if size is None else size.atoms
    size = size or ladder(potential).size(some)
    joined = join(some, size, room, potential.cutoff)
    own = joined.graph._replace(charge=some[0].charge, multiplicity=some[0].multiplicity)
    return Pack(tuple(places), joined._replace(graph=own), room)


class Prepared(NamedTuple):
    """Graphs that models of one potential predict again and again.

    Args:
        potential: what predicts.
        graphs: without padding.
        packed: the same for compiled programs; nothing for a potential that JAX does not compute.
    """

    potential: Potential
    graphs: tuple[Graph, ...]
    packed: tuple[Pack, ...]

    def predict(self, params: PyTree) -> list[tuple[float, Float[np.ndarray, "_ 3"]]]:
        """Return each graph's energy (eV, without E0s) and forces (eV/Å)."""
        if isinstance(self.potential, HostPotential):
            return [self.potential.predict(params, graph) for graph in self.graphs]
        return predict_packs(self.potential, params, self.packed)


def prepare(potential: Potential, graphs: Sequence[Graph]) -> Prepared:
    """Return graphs without padding, ready to be predicted."""
    packed = () if isinstance(potential, HostPotential) else tuple(packs(potential, graphs))
    return Prepared(potential, tuple(graphs), packed)


def predict_packs(
    potential: Potential, params: PyTree, prepared: Sequence[Pack]
) -> list[tuple[float, Float[np.ndarray, "_ 3"]]]:
    """Return each graph's energy (eV, without E0s) and forces (eV/Å), in the order of places."""
    # all are under way before the first is waited for: JAX works on several at once.
    running = [_run(potential, params, one) for one in prepared]
    found: dict[int, tuple[float, np.ndarray]] = {}
    for one, told in zip(prepared, running, strict=True):
        energies, forces = (np.asarray(each, np.float64) for each in told)
        for row, place in enumerate(one.places):
            found[place] = float(energies[row]), forces[one.joined.owner == row]
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
    return prepare(potential, graphs).predict(params)


def _run(potential: Potential, params: PyTree, one: Pack) -> tuple[jax.Array, jax.Array]:
    joined = one.joined
    kind = Program(joined.graph.size, one.room, str(joined.graph.positions.dtype))
    ladder(potential).programs[kind] = None
    settled = [Settled(potential, about(potential)), Settled(one.room, str(one.room))]
    return run_kept(predict_joined, settled, params, joined)
