"""A loss that holds a derivative with respect to its data: forces, F = −∂E/∂R.

The trap: if the positions that φˢ was made from were the same traced input that the forces are
derived by, later steps' forces would pick up a path through φ, and cost would grow exponentially.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kshot import meta
from kshot.meta import metagrads, rules
from kshot.meta.learner import make_learner
from kshot.meta.loss import Plain
from kshot.testing import difference_slope, expect_close, expect_slopes
from kshot.testing.metagrads import filled_in

pytestmark = pytest.mark.usefixtures("quick_compile")


def energy(params, positions):
    """A smooth energy of a few coordinates."""
    hidden = jnp.tanh(positions @ params["in"])
    return jnp.sum(hidden @ params["out"]) + 0.1 * jnp.sum(positions**4) * params["scale"]


def loss(params, data):
    positions, energies, forces = data
    found, gradients = jax.vmap(jax.value_and_grad(energy, argnums=1), (None, 0))(params, positions)
    return jnp.mean((found - energies) ** 2) + jnp.mean((-gradients - forces) ** 2)


def problem():
    rng = np.random.default_rng(0)
    params = {"in": rng.normal(size=(3, 4)), "out": rng.normal(size=4), "scale": np.ones(())}
    shots = [(rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=(4, 3))) for _ in "SQ"]
    return jax.tree.map(jnp.asarray, params), meta.Task(*jax.tree.map(jnp.asarray, shots))


def difference_forces(params, positions, step=1e-4):
    """F = −∂E/∂R by central differences of NumPy's energy at fixed parameters."""
    p = jax.tree.map(np.asarray, params)

    def at(r):
        return np.sum(np.tanh(r @ p["in"]) @ p["out"]) + 0.1 * np.sum(r**4) * p["scale"]

    forces = np.zeros_like(positions)
    for index in np.ndindex(positions.shape):
        shot, axis = index
        shift = np.zeros(3)
        shift[axis] = step
        r = positions[shot]
        near, far = (at(r + n * shift) - at(r - n * shift) for n in (1, 2))
        forces[index] = -(8 * near - far) / (12 * step)
    energies = np.asarray([at(r) for r in positions])
    return energies, forces


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("make", [metagrads.unrolled, metagrads.mixed_mode, metagrads.first_order])
def test_forces_along_the_inner_loop(make):
    # the support losses of every step, as the inner loop saw them, from differences at fixed φˢ.
    params, task = problem()
    metagrad, rule = make(4), rules.sgd(0.02)
    learner = make_learner(params, rule, 4)
    outcome, _ = jax.jit(lambda one: metagrad(one, Plain(loss), task))(learner)
    positions, energies, forces = (np.asarray(x) for x in task.support)
    adapt = jax.jit(
        lambda k: metagrad.adapt(learner, Plain(loss), task.support, k), static_argnums=0
    )
    for step in range(4):
        found, differences = difference_forces(adapt(step).params, positions)
        expected = np.mean((found - energies) ** 2) + np.mean((differences - forces) ** 2)
        assert float(outcome.support_losses[step]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.usefixtures("x64")
def test_third_derivatives_are_right():
    params, task = problem()
    learner = make_learner(params, rules.per_step(0.02), 3)
    mixed = filled_in(metagrads.mixed_mode(3), Plain(loss))
    reverse = filled_in(metagrads.unrolled(3), Plain(loss))
    expect_close("mixed", mixed(learner, task)[1], reverse(learner, task)[1], 1e-10)
    expect_slopes(mixed, learner, task, difference_slope)


@pytest.mark.parametrize("make", [metagrads.unrolled, metagrads.mixed_mode])
def test_cost_is_linear_in_the_number_of_steps(make):
    params, task = problem()

    def operations(k):
        metagrad = make(k, memory="none")
        learner = make_learner(params, rules.sgd(0.02), k)
        lowered = jax.jit(lambda one: metagrad(one, Plain(loss), task)).lower(learner)
        return lowered.cost_analysis()["flops"]

    # every step is unrolled at these sizes, so the count sees all of them.
    two, four, eight = operations(2), operations(4), operations(8)
    assert two < four < eight
    assert eight - four < 2.2 * (four - two)
