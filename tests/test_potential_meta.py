"""Meta-learning through forces: the trap, finite differences, and strategies that must agree.

The trap: forces are a derivative in the positions. Where the same positions also made φ, a careless
second inner step has forces that pick up a path through φ. So support and query are the same arrays
here, and what the differentiated program computes is held against differences of the energy at φ
as a number.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase.build import molecule
from jaxtyping import PyTree

from kshot import meta
from kshot.atoms import Labelled, Structure
from kshot.core import trees
from kshot.labelers import labeler
from kshot.meta.learner import make_learner
from kshot.meta.loss import as_objective
from kshot.potentials import EnergyForces, Frames, Potential, energy, frames, potentials, predict
from kshot.testing.witnesses import difference_quotient

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")

ALL = ["morse", pytest.param("mace", marks=pytest.mark.slow)]
RATES = {"morse": 1e-5, "mace": 1e-3}
STEP = 1e-4  # Å


class Case(NamedTuple):
    """A potential with parameters, and labelled displacements of acetone, ten atoms."""

    potential: Potential
    loss: EnergyForces
    learner: meta.Learner
    support: Frames
    query: Frames


def case(name: str, steps: int, shots: int, **weights: float) -> Case:
    options = {} if name == "morse" else {"size": "tiny"}
    potential = potentials.get(name)((1, 6, 8), **options)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(leaf, jnp.float64), potential.init(jax.random.key(1))
    )
    learner = make_learner(params, meta.rules.sgd(RATES[name]), steps)
    here, rng = molecule("CH3COCH3"), np.random.default_rng(3)
    engine, labelled = labeler("analytic"), []
    for _ in range(2 * shots):
        moved = here.positions + 0.05 * rng.normal(size=here.positions.shape)
        one = Structure(here.numbers, moved)
        labelled.append(Labelled(one, engine.label(one)))
    mean = float(np.mean([one.labels.energy for one in labelled]))
    halves = labelled[:shots], labelled[shots:]
    made = [frames(half, potential, sums=[mean] * shots, dtype=np.float64) for half in halves]
    return Case(potential, EnergyForces(potential, **weights), learner, *made)


def difference_forces(potential: Potential, params: PyTree, data: Frames) -> np.ndarray:
    """Return forces by central differences of the energy; parameters are numbers."""
    energies = jax.jit(jax.vmap(lambda graph: energy(potential, params, graph)))
    forces = np.zeros(data.graph.positions.shape)
    for atom, axis in np.ndindex(*forces.shape[1:]):
        ends = []
        for step in (STEP, -STEP, 2 * STEP, -2 * STEP):
            positions = np.array(data.graph.positions)
            positions[:, atom, axis] += step
            ends.append(np.asarray(energies(data.graph._replace(positions=positions))))
        forces[:, atom, axis] = -(8 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12 * STEP)
    return np.where(np.asarray(data.graph.real)[..., None], forces, 0)


@pytest.mark.parametrize("name", ALL)
def test_forces_in_every_inner_step_are_those_of_a_fixed_phi(name):
    """In the very program that differentiates through the steps, exactly and with shared arrays."""
    steps = 3
    given = case(name, steps, shots=2, energy_weight=0.0, forces_weight=1.0)
    objective = as_objective(lambda p, d: (given.loss(p, d), predict(given.potential, p, d)[1]))
    task = meta.Task(given.support, given.support)
    metagrad = meta.metagrads.exact(steps)
    outcome, _ = jax.jit(lambda one: metagrad(given.learner, objective, one))(task)
    adapt = jax.jit(
        lambda support, k: metagrad.adapt(given.learner, objective, support, k).params,
        static_argnums=1,
    )
    real = np.asarray(given.support.graph.real)
    for done in range(steps + 1):
        phi = adapt(given.support, done)
        forces = difference_forces(given.potential, phi, given.support)
        if done == steps:
            np.testing.assert_allclose(outcome.aux, forces, atol=1e-7)
            continue
        # the support loss before this step, of forces alone
        expected = np.mean((forces - given.support.forces)[real] ** 2)
        assert float(outcome.support_losses[done]) == pytest.approx(expected, rel=1e-8)
    moved = trees.subtract(phi, given.learner.params)
    assert float(trees.norm(moved)) > 1e-5


@pytest.mark.parametrize("name", ALL)
def test_the_exact_meta_gradient_is_the_slope_however_it_is_taken(name):
    """k = 5, ten configurations to adapt on and ten to judge by."""
    steps = 5
    given = case(name, steps, shots=10)
    objective, task = as_objective(given.loss), meta.Task(given.support, given.query)
    ways = {
        "auto": meta.metagrads.exact(steps),
        "first order": meta.metagrads.first_order(steps),
    }
    if name == "morse":  # each compiles for minutes with a network
        ways |= {
            "unrolled, per step": meta.metagrads.unrolled(steps, memory="per_step"),
            "mixed mode, nested": meta.metagrads.mixed_mode(steps, memory="nested"),
        }
    found = {
        kind: jax.jit(lambda part, one, way=way: way(part, objective, one))(given.learner, task)[1]
        for kind, way in ways.items()
    }
    size = float(trees.norm(found["auto"].params))
    away = {
        kind: float(trees.norm(trees.subtract(one.params, found["auto"].params))) / size
        for kind, one in found.items()
    }
    assert away.pop("first order") > 1e-3
    assert all(distance < 1e-11 for distance in away.values())

    @jax.jit
    def judged(params: PyTree) -> jax.Array:
        moved = make_learner(params, given.learner.rule, steps)
        phi = ways["auto"].adapt(moved, objective, task.support).params
        return given.loss(phi, task.query)

    rng = np.random.default_rng(5)
    for _ in range(2):
        way = jax.tree.map(
            lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), found["auto"].params
        )
        quotient = difference_quotient(
            lambda step, way=way: judged(trees.add(given.learner.params, trees.scale(step, way)))
        )
        assert float(trees.dot(found["auto"].params, way)) == pytest.approx(quotient, rel=1e-6)
