"""Inner rules: the contract of each, then closed forms that share no code with the engine."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest

from kshot import meta
from kshot.meta import metagrads, rules
from kshot.meta.learner import make_learner
from kshot.meta.problems import quadratic_loss, quadratics
from kshot.meta.rules import registry
from kshot.testing import check_rule, expect_close, expect_same_type
from kshot.testing.problems import last_layer, sinusoid_problem

pytestmark = pytest.mark.usefixtures("quick_compile")

LINEAR = {"ridge": last_layer}  # rules that only move leaves which enter linearly


@pytest.mark.parametrize("name", list(registry))
def test_contract(name):
    check_rule(lambda: registry.example(name), LINEAR.get(name))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", list(registry))
def test_float32_parameters_stay_float32_in_float64(name):
    problem, adapts = sinusoid_problem(), LINEAR.get(name)
    both = (problem.params, problem.tasks)
    params, tasks = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), both)
    algorithm = meta.bilevel(
        problem.loss, registry.example(name), metagrads.mixed_mode(2), adapts=adapts
    )
    state = algorithm.init(params)
    after, info = jax.eval_shape(algorithm.step, state, tasks)
    expect_same_type("the state", state, after)
    assert info.loss.dtype == jnp.float32
    adapted = jax.eval_shape(algorithm.adapt, state, meta.take(tasks.support, 0))
    assert {leaf.dtype for leaf in jax.tree.leaves(adapted)} == {jnp.dtype(jnp.float32)}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["adam", "momentum"])
def test_optax_rules_do_what_optax_does(name):
    transform = {"adam": optax.adam(0.05), "momentum": optax.sgd(0.05, 0.9)}[name]
    rule = {"adam": rules.adam(0.05), "momentum": rules.optax_rule(transform)}[name]
    problem = sinusoid_problem()
    support = problem.task().support
    algorithm = meta.maml(problem.loss, rule, steps=4)
    adapted = algorithm.adapt(algorithm.init(problem.params), support)
    params, state = problem.params, transform.init(problem.params)
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(4):
            updates, state = transform.update(jax.grad(problem.loss)(params, support), state)
            params = optax.apply_updates(params, updates)
    expect_close(name, adapted, params, 1e-9)


@pytest.mark.usefixtures("x64")
def test_a_proximal_rule_ends_at_the_proximal_optimum():
    # ½ a (φ − θ*)² + ½ λ (φ − θ)² is least at (aθ* + λθ) / (a + λ).
    algorithm = meta.maml(quadratic_loss, rules.proximal(0.5, rules.sgd(0.2)), steps=200)
    support = meta.take(quadratics(jnp.asarray([2.0]), jnp.asarray([3.0])).support, 0)
    adapted = algorithm.adapt(algorithm.init(-1.0), support)
    assert float(adapted) == pytest.approx((2.0 * 3.0 + 0.5 * -1.0) / 2.5, rel=1e-12)


def test_rates_past_the_last_trained_step_are_the_last_ones():
    rule = rules.per_step(0.1)
    algorithm = meta.maml(quadratic_loss, rule, steps=2)
    state = algorithm.init(0.0)
    rates = jnp.log(jnp.asarray([0.1, 0.3]))
    state = eqx.tree_at(lambda s: s.learner.rule.log_rates, state, rates)
    support = meta.take(quadratics(jnp.asarray([1.0]), jnp.asarray([1.0])).support, 0)
    left = 1 - float(algorithm.adapt(state, support, steps=4))
    assert left == pytest.approx(0.9 * 0.7 * 0.7 * 0.7, rel=1e-5)


def test_losses_told_are_those_before_each_step():
    problem = sinusoid_problem()
    metagrad = metagrads.unrolled(3)
    learner = make_learner(problem.params, rules.sgd(0.05), 3)
    support = problem.task().support
    path = metagrad.adapt(learner, problem.loss, support)
    assert float(path.losses[0]) == pytest.approx(float(problem.loss(problem.params, support)))
    assert path.losses.shape == (3,)
    assert float(path.losses[-1]) > float(problem.loss(path.params, support))
