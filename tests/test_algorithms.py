"""Meta-algorithms: the contract of each, then what they share."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from kshot import meta
from kshot.meta import rules
from kshot.meta.algorithms import registry
from kshot.meta.problems import mlp
from kshot.testing import check_algorithm, expect_close

pytestmark = pytest.mark.usefixtures("quick_compile")


def starts(name):
    """Parameters to start from, where a small perceptron does not do."""
    keys = jax.random.split(jax.random.key(0), 2)
    return jax.vmap(lambda key: mlp(key, (1, 5, 1)))(keys) if name == "ensemble" else None


@pytest.mark.parametrize("name", list(registry))
def test_contract(name):
    check_algorithm(lambda: registry.example(name), starts(name))


def line(params, data):
    x, y = data
    return jnp.mean((params["w"] * x + params["b"] - y) ** 2)


START = {"w": jnp.asarray(0.5), "b": jnp.asarray(-0.2)}


def lines(tasks, seed=0):
    rng = np.random.default_rng(seed)
    x, y = jnp.asarray(rng.normal(size=(2, 2, tasks, 6)), jnp.float32)
    return meta.Task((x[0], y[0]), (x[1], y[1]))


@pytest.mark.parametrize("reduce", ["mean", "sum"])
@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 9])
def test_chunks_are_all_at_once(chunk, reduce):
    options = {"steps": 2, "outer": optax.sgd(0.1), "reduce": reduce}
    whole, parts = meta.maml(line, **options), meta.maml(line, tasks_in_parallel=chunk, **options)
    expected, told = whole.step(whole.init(START), lines(5))
    state, info = parts.step(parts.init(START), lines(5))
    expect_close("parameters", state.params, expected.params, 1e-5)
    expect_close("info", info, told, 1e-5)


def rooted(params, data):
    """A loss that is finite everywhere, its gradient not: where a line meets its points exactly."""
    x, y = data
    return jnp.sqrt(jnp.sum((params["w"] * x + params["b"] * x - y) ** 2))


BAD = {
    # (the loss, what x and y of the bad task's query are)
    "loss and gradient": (line, np.float32(1e30)),
    "gradient only": (rooted, np.float32(0.0)),
}


@pytest.mark.parametrize("chunk", [None, 1, 2])
@pytest.mark.parametrize("reduce", ["mean", "sum"])
@pytest.mark.parametrize("case", BAD)
def test_bad_tasks_are_left_out(case, reduce, chunk):
    loss, value = BAD[case]
    good = lines(4)
    query = jax.tree.map(lambda leaf: leaf.at[1].set(value), good.query)
    options = {"outer": optax.adam(0.1), "reduce": reduce}
    algorithm = meta.maml(loss, tasks_in_parallel=chunk, **options)
    state, info = algorithm.step(algorithm.init(START), meta.Task(good.support, query))
    assert info.kept.tolist() == [True, False, True, True]
    assert int(info.skipped) == 1
    assert bool(jnp.isfinite(info.task_losses[1])) == (case == "gradient only")
    others = jax.tree.map(lambda leaf: jnp.delete(leaf, 1, axis=0), good)
    alone = meta.maml(loss, **options)
    expected, told = alone.step(alone.init(START), others)
    expect_close("parameters", state.params, expected.params, 1e-5)
    expect_close("loss", info.loss, told.loss, 1e-5)
    expect_close("optimiser", state.opt_state, expected.opt_state, 1e-5)


@pytest.mark.parametrize("case", BAD)
def test_nothing_moves_when_no_task_counts(case):
    loss, value = BAD[case]
    good = lines(3)
    bad = meta.Task(good.support, jax.tree.map(lambda leaf: jnp.full_like(leaf, value), good.query))
    algorithm = meta.maml(loss, outer=optax.adam(0.1))
    # once on good tasks, so that there is momentum to lose.
    state, _ = algorithm.step(algorithm.init(START), good)
    after, info = algorithm.step(state, bad)
    assert int(info.skipped) == 3
    assert bool(jnp.isnan(info.loss))
    expect_close("learner", after.learner, state.learner, 0.0)
    expect_close("optimiser", after.opt_state, state.opt_state, 0.0)
    assert int(after.step) == int(state.step) + 1


def told(params, data):
    x, y = data
    return line(params, data), {"worst": jnp.max(jnp.abs(params["w"] * x + params["b"] - y))}


@pytest.mark.parametrize("chunk", [None, 2])
def test_auxiliary_values_per_task(chunk):
    algorithm = meta.maml(told, tasks_in_parallel=chunk)
    state, tasks = algorithm.init(START), lines(3)
    _, info = algorithm.step(state, tasks)
    adapted = [algorithm.adapt(state, meta.take(tasks.support, i)) for i in range(3)]
    worst = [told(p, meta.take(tasks.query, i))[1]["worst"] for i, p in enumerate(adapted)]
    np.testing.assert_allclose(info.aux["worst"], worst, rtol=1e-5)


def centred(params, stats, data):
    """Inputs are centred by a running mean; one task's data decides nothing for another's."""
    x, y = data
    mean = 0.9 * stats["mean"] + 0.1 * jnp.mean(x)
    return line(params, (x - mean, y)), {"mean": mean}


@pytest.mark.parametrize("chunk", [None, 2])
def test_statistics_are_means_over_tasks_that_count(chunk):
    loss = meta.Stateful(centred, {"mean": jnp.zeros(())})
    algorithm = meta.maml(loss, rules.sgd(0.01), steps=2, tasks_in_parallel=chunk)
    tasks = lines(4)
    labels = tasks.query[1].at[2].set(1e30)
    state, info = algorithm.step(
        algorithm.init(START), meta.Task(tasks.support, (tasks.query[0], labels))
    )
    assert info.kept.tolist() == [True, True, False, True]
    kept = np.asarray([0, 1, 3])
    rows = [tasks.support[0]] * 2 + [tasks.query[0]]
    expected = [0.1 * np.mean(np.asarray(x)[kept]) for x in rows]
    np.testing.assert_allclose(state.stats["mean"], expected, rtol=1e-4)
    # the next step starts from these, each inner step from its own row.
    following, _ = algorithm.step(state, tasks)
    every = [0.9 * e + 0.1 * np.mean(np.asarray(x)) for e, x in zip(expected, rows, strict=True)]
    np.testing.assert_allclose(following.stats["mean"], every, rtol=1e-4)


def test_frozen_leaves_stay_and_adapting_leaves_adapt():
    algorithm = meta.maml(
        line, adapts=lambda p: p["w"], frozen=lambda p: p["w"], outer=optax.sgd(1.0)
    )
    state, tasks = algorithm.init(START), lines(3)
    after, _ = algorithm.step(state, tasks)
    assert float(after.params["w"]) == 0.5
    assert float(after.params["b"]) != -0.2
    adapted = algorithm.adapt(state, meta.take(tasks.support, 0))
    assert float(adapted["w"]) != 0.5
    assert float(adapted["b"]) == np.float32(-0.2)


def test_steps_under_vmap_are_steps_in_a_loop():
    algorithm = meta.maml(line, steps=2, outer=optax.adam(0.1))
    starts = [{"w": jnp.asarray(w), "b": jnp.asarray(0.1)} for w in (0.5, -1.0)]
    states = [algorithm.init(p) for p in starts]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    after, _ = jax.vmap(lambda state: algorithm.step(state, lines(3)))(stacked)
    for i, state in enumerate(states):
        expected, _ = algorithm.step(state, lines(3))
        expect_close(
            "member", jax.tree.map(lambda x, i=i: x[i], after.params), expected.params, 1e-5
        )


def test_a_clip_sees_the_reduced_gradient():
    # gradients are reduced first, then transformed: clipping bounds the whole step.
    outer = optax.chain(optax.clip_by_global_norm(1e-3), optax.sgd(1.0))
    algorithm = meta.maml(line, outer=outer)
    state = algorithm.init(START)
    after, info = algorithm.step(state, lines(3))
    moved = np.hypot(*(float(after.params[k] - START[k]) for k in START))
    assert float(info.grad_norm) > 1e-2
    assert moved == pytest.approx(1e-3, rel=1e-3)


def test_random_draws_depend_on_key_and_step_only():
    algorithm = meta.probabilistic(line, rules.sgd(0.05), steps=1, std=0.3)
    one, same, other = (algorithm.init(START, key=seed) for seed in (1, 1, 2))
    losses = [algorithm.step(state, lines(3))[1].loss for state in (one, same, other)]
    assert float(losses[0]) == float(losses[1])
    assert float(losses[0]) != float(losses[2])
    later = eqx.tree_at(lambda s: s.step, one, one.step + 1)
    assert float(algorithm.step(later, lines(3))[1].loss) != float(losses[0])
