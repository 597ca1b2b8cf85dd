"""Every registered potential keeps its contract; networks compile for long, so they are slow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kshot.atoms import Labelled, Labels, Structure
from kshot.potentials import NETWORKS, EnergyForces, energy_and_forces, frames, potentials, stress
from kshot.potentials.classical import with_repulsion
from kshot.testing.potentials import NUMBERS, POSITIONS, check_potential

LARGE = {*NETWORKS, "so3krates"}
REGISTERED = [
    pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in potentials
]


@pytest.mark.usefixtures("quick_compile")
@pytest.mark.parametrize("name", REGISTERED)
def test_contract(name):
    check_potential(potentials.example(name))


def test_repulsion_can_be_added_to_any():
    check_potential(with_repulsion(potentials.example("morse")))


def acetamide(rng) -> Structure:
    return Structure(np.array(NUMBERS), np.array(POSITIONS) + 0.05 * rng.normal(size=(9, 3)))


def labelled(potential, params, structures, shift=0.0) -> list[Labelled]:
    from kshot.atoms.graph import graph

    found = []
    for one in structures:
        made = graph(one, potential.cutoff, np.float64)
        energy, forces = energy_and_forces(potential, params, made)
        found.append(Labelled(one, Labels(float(energy) + shift, np.asarray(forces))))
    return found


@pytest.fixture
def morse(x64):
    potential = potentials.example("morse")
    return potential, potential.init(jax.random.key(0))


def test_the_loss_vanishes_at_the_truth_and_a_fitted_shift_costs_nothing(morse, rng):
    potential, params = morse
    data = labelled(potential, params, [acetamide(rng) for _ in range(3)], shift=7.0)
    data = frames(data, potential, dtype=np.float64)
    plain, fitted = (EnergyForces(potential, shift=shift) for shift in ("none", "fitted"))
    assert float(plain(params, data)) == pytest.approx((7 / 9) ** 2, rel=1e-9)
    assert float(fitted(params, data)) < 1e-9


def test_weights_do_not_depend_on_size_or_number(morse, rng):
    potential, params = morse
    other = potential.init(jax.random.key(1))
    one = labelled(potential, params, [acetamide(rng)])
    loss = EnergyForces(potential)
    values = [float(loss(other, frames(one * n, potential, dtype=np.float64))) for n in (1, 4)]
    assert values[0] == pytest.approx(values[1])


def test_missing_labels_count_for_nothing(morse, rng):
    potential, params = morse
    other = potential.init(jax.random.key(1))
    whole = labelled(potential, params, [acetamide(rng), acetamide(rng)])
    blank = Labels(float("nan"), np.full((9, 3), np.nan))
    data = frames([whole[0], Labelled(whole[1].structure, blank)], potential, dtype=np.float64)
    loss = EnergyForces(potential)
    alone = frames(whole[:1], potential, dtype=np.float64)
    value, grad = jax.value_and_grad(loss)(other, data)
    assert float(value) == pytest.approx(float(loss(other, alone)))
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(grad))


def test_huber_is_a_square_near_zero_and_linear_far_away():
    from kshot.potentials.loss import _bounded

    small, large = _bounded(jnp.array([0.1, -3.0]), 1.0)
    assert float(small) == pytest.approx(0.1)
    assert float(large) == pytest.approx(-np.sqrt(2 * 3.0 - 1.0))
    slope = jax.grad(lambda x: _bounded(x, 1.0) ** 2)(jnp.array(-3.0))
    assert float(slope) == pytest.approx(-2.0)


def test_stress_is_the_derivative_along_a_strain(morse):
    from kshot.atoms.graph import graph

    potential, params = morse
    cell = np.array([[3.1, 0, 0], [0.2, 2.9, 0], [0, 0.1, 3.3]])
    places = np.array([[0, 0, 0], [1.4, 1.5, 1.6]])

    def strained(strain):
        deform = np.eye(3) + strain
        here = Structure(
            np.array([6, 8]), places @ deform, cell=cell @ deform, pbc=np.ones(3, bool)
        )
        return graph(here, potential.cutoff, np.float64)

    found = np.asarray(stress(potential, params, strained(np.zeros((3, 3)))))
    way = np.diag([1e-5, -2e-5, 1e-5])
    ends = [energy_and_forces(potential, params, strained(s * way))[0] for s in (1, -1)]
    slope = float(ends[0] - ends[1]) / 2 / np.linalg.det(cell)
    np.testing.assert_allclose(np.sum(found * way), slope, rtol=1e-5)
    np.testing.assert_allclose(found, found.T, atol=1e-10)
