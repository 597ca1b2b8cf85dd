"""What the named sizes of the networks cost, measured on the machine that asks."""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from kshot.atoms import Labelled, Labels, Structure
from kshot.potentials.derived import energy_and_forces
from kshot.potentials.loss import EnergyForces, frames
from kshot.potentials.model_potential import NETWORKS
from kshot.potentials.networks import Network, network

ELEMENTS = (1, 6, 7, 8)
CUTOFF = 5.0  # Å
PARAMETERS = {
    "mace": {"tiny": 4_696, "small": 47_920, "medium": 269_136},
    "nequip": {"tiny": 3_140, "small": 35_728, "medium": 237_344},
    "allegro": {"tiny": 4_544, "small": 25_216, "medium": 136_448},
    "visnet": {"tiny": 10_210, "small": 56_290, "medium": 641_666},
    "esen": {"tiny": 6_065, "small": 51_585, "medium": 664_225},
}
"""How many each named size has, for `ELEMENTS`: counting them takes a minute, reading does not."""
MOLECULE = "CC(=O)N[C@@H](C)C(=O)NC"  # alanine dipeptide: 22 atoms
SECONDS = 1.0  # of repetitions, for one figure


class Cost(NamedTuple):
    """What one molecule costs.

    Args:
        energy_ms: milliseconds for energy and forces.
        gradient_ms: milliseconds for a training gradient: of the energy-force loss.
        compile_s: seconds to compile the two; little where they are in the cache.
    """

    energy_ms: float
    gradient_ms: float
    compile_s: float


def sizes() -> list[tuple[str, str]]:
    """Return every architecture with each of its named sizes."""
    return [(name, size) for name, one in NETWORKS.items() for size in one.sizes]


def named(architecture: str, size: str) -> Network:
    """Return a network of a named size, for hydrogen, carbon, nitrogen and oxygen."""
    return network(NETWORKS[architecture], ELEMENTS, size=size, cutoff=CUTOFF)


def parameters(potential: Network) -> int:
    """Return how many parameters it has; nothing is compiled or computed."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(_shapes(potential)))


def measure(potential: Network) -> Cost:
    """Return what a molecule of 22 atoms costs here, in float32, one at a time."""
    molecule = alanine_dipeptide()
    nothing = Labels(0.0, np.zeros((len(molecule), 3)))
    data = jax.device_put(frames([Labelled(molecule, nothing)], potential))
    params = _random(potential)
    single = jax.tree.map(lambda leaf: leaf[0], data.graph)
    start = time.perf_counter()
    predict = jax.jit(functools.partial(energy_and_forces, potential)).lower(params, single)
    gradient = jax.jit(jax.grad(EnergyForces(potential))).lower(params, data)
    ready = predict.compile(), gradient.compile()
    compiled = time.perf_counter() - start
    return Cost(_ms(ready[0], params, single), _ms(ready[1], params, data), compiled)


@functools.cache
def alanine_dipeptide() -> Structure:
    """Return the molecule that is measured."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    molecule = Chem.AddHs(Chem.MolFromSmiles(MOLECULE))
    embed: Any = AllChem  # its functions are made at run time
    embed.EmbedMolecule(molecule, randomSeed=0)
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    return Structure(numbers, np.array(molecule.GetConformer().GetPositions()))


def _ms(compiled: Callable[..., Any], *arguments: PyTree) -> float:
    """Return the median of repetitions, in milliseconds."""
    found: list[float] = []
    begin = time.perf_counter()
    while len(found) < 3 or (time.perf_counter() - begin < SECONDS and len(found) < 100):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        found.append(time.perf_counter() - start)
    return 1e3 * statistics.median(found)


def _shapes(potential: Network) -> PyTree:
    return jax.eval_shape(potential.init, jax.random.key(0))


def _random(potential: Network) -> PyTree:
    """Return parameters without compiling the network's own way to draw them."""
    rng = np.random.default_rng(0)
    draw = lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(leaf.dtype)  # noqa: E731
    return jax.device_put(jax.tree.map(draw, _shapes(potential)))
