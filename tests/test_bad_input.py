"""Bad input is refused before anything is compiled; the message names the culprit and the cure."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from kshot import meta
from kshot.core.errors import (
    KshotError,
    LossError,
    OptionError,
    ParameterError,
    TaskError,
    UnknownNameError,
)
from kshot.meta import metagrads, rules

PARAMS = {"w": jnp.ones(2), "b": jnp.zeros(())}


def loss(params, data):
    x, y = data
    return jnp.mean((x @ params["w"] + params["b"] - y) ** 2)


def never(params, data):
    """A loss that no refused task may ever reach, not even to be traced."""
    raise AssertionError("the loss was reached")


def points(tasks, shots, seed=0, features=2):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(tasks, shots, features)), rng.normal(size=(tasks, shots))
    return jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)


def good():
    return meta.Task(points(3, 4), points(3, 6, 1))


def says(error: KshotError, *words):
    for word in words:
        assert word in str(error), f"{word!r} is not in: {error}"


BAD_TASKS = {
    "structure": (
        meta.Task(points(3, 4), {"x": points(3, 4)[0], "y": points(3, 4)[1]}),
        ["[0], [1]", "x, y", "drawn alike"],
    ),
    "per-example shape": (
        meta.Task(points(3, 4), points(3, 4, features=3)),
        ["[0]", "[3, 4, 2]", "[3, 4, 3]", "only their numbers of shots may differ"],
    ),
    "dtype": (
        meta.Task(points(3, 4), (points(3, 4)[0], points(3, 4)[1].astype(jnp.int32))),
        ["[1]", "float32", "int32"],
    ),
    "number of tasks": (meta.Task(points(3, 4), points(2, 4)), ["[0]", "[3, 4, 2]", "[2, 4, 2]"]),
    "shots of one set": (
        meta.Task((points(3, 4)[0], points(3, 5)[1]), points(3, 4)),
        ["support", "[1]", "[3, 5]", "same tasks and shots"],
    ),
    "empty support": (meta.Task(points(3, 0), points(3, 4)), ["support", "[3, 0, 2]", "one shot"]),
    "empty query": (meta.Task(points(3, 4), points(3, 0)), ["query", "[3, 0, 2]", "one shot"]),
    "no tasks": (meta.Task(points(0, 4), points(0, 4)), ["support", "[0, 4, 2]"]),
    "no arrays": (meta.Task((), ()), ["support", "no leaves"]),
    "not stacked": (meta.Task(points(3, 4), points(3, 4)[:1]), ["leaves [0], [1]", "leaves [0]"]),
    "no task axis": (
        meta.Task((jnp.ones(3), jnp.ones(3)), (jnp.ones(3), jnp.ones(3))),
        ["task axis", "[0] of shape [3]", "stack_tasks"],
    ),
    "no query": (meta.Task(points(3, 4)), ["query=None", "meta.reptile"]),
}


@pytest.mark.parametrize("case", BAD_TASKS)
def test_tasks(case):
    tasks, words = BAD_TASKS[case]
    algorithm = meta.maml(never)
    with pytest.raises(TaskError) as caught:
        algorithm.step(algorithm.init(PARAMS), tasks)
    says(caught.value, *words)


@pytest.mark.parametrize("where", ["support", "query"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_data(where, value):
    support, query = points(4, 7), points(4, 9)
    if where == "support":
        support = (support[0].at[2, 3, 1].set(value), support[1])
    else:
        query = (query[0].at[2, 3, 1].set(value), query[1])
    algorithm = meta.maml(never)
    with pytest.raises(TaskError) as caught:
        algorithm.step(algorithm.init(PARAMS), meta.Task(support, query))
    says(caught.value, where, "[0]", "task 2, shot 3", "Remove or repair")


def test_non_finite_support_is_always_refused():
    # adapting has no second task to fall back on: NaN in would be NaN out.
    x, y = meta.take(points(1, 5), 0)
    algorithm = meta.maml(loss)
    state = algorithm.init(PARAMS)
    algorithm.adapt(state, (x, y))
    with pytest.raises(TaskError) as caught:
        algorithm.adapt(state, (x.at[3].set(jnp.nan), y))
    says(caught.value, "support", "shot 3")


def test_empty_support_of_an_adaptation():
    algorithm = meta.maml(never)
    with pytest.raises(TaskError) as caught:
        algorithm.adapt(algorithm.init(PARAMS), (jnp.ones((0, 2)), jnp.ones(0)))
    says(caught.value, "support", "[0, 2]", "one shot")


def test_losses_without_a_query_set():
    algorithm = meta.maml(never)
    task = meta.Task(meta.take(points(1, 5), 0))
    with pytest.raises(TaskError) as caught:
        algorithm.losses(algorithm.init(PARAMS), task)
    says(caught.value, "query=None")


def test_reptile_needs_no_query_set():
    algorithm = meta.reptile(loss)
    state, info = algorithm.step(algorithm.init(PARAMS), meta.Task(points(3, 4)))
    assert bool(info.kept.all())
    assert not jnp.array_equal(state.params["w"], PARAMS["w"])


@pytest.mark.parametrize("k", [0, 5, -1])
def test_more_shots_than_there_are(k):
    with pytest.raises(TaskError) as caught:
        meta.first_shots(good(), k, task_axis=1)
    says(caught.value, "4 support shots", f"K = {k}")


def test_stacking_ragged_tasks():
    one, two = (meta.take(meta.Task(points(1, n), points(1, 3)), 0) for n in (4, 5))
    with pytest.raises(TaskError) as caught:
        meta.stack_tasks([one, one, two])
    says(caught.value, "task 2", "support[0]", "[4, 2]", "[5, 2]", "Pad or subsample")


def test_stacking_tasks_of_other_structure():
    x, y = meta.take(points(1, 4), 0)
    with pytest.raises(TaskError) as caught:
        meta.stack_tasks([meta.Task((x, y)), meta.Task([x, y])])
    says(caught.value, "task 1")


def test_stacking_nothing():
    with pytest.raises(TaskError, match="at least one task"):
        meta.stack_tasks([])


def rounded(params, data):
    return jnp.sum(jnp.round(params["w"]))


def argmaxed(params, data):
    return jnp.argmax(params["w"]).astype(jnp.float32) + jnp.sum(data[1])


BAD_LOSSES = {
    "one value per shot": (lambda p, d: (d[0] @ p["w"] - d[1]) ** 2, ["shape [4]", "jnp.mean"]),
    "of shape one": (lambda p, d: jnp.sum(p["w"])[None], ["shape [1]", "scalar"]),
    "nothing": (lambda p, d: None, ["scalar", "None"]),
    "a dictionary": (lambda p, d: {"loss": jnp.sum(p["w"])}, ["scalar", "(loss, aux)"]),
    "integer": (lambda p, d: jnp.sum(p["w"] > 0), ["floating", "int32"]),
    "boolean": (lambda p, d: jnp.all(p["w"] > 0), ["floating", "bool"]),
    "rounded": (rounded, ["the parameters influence", "always zero", "smooth"]),
    "argmax": (argmaxed, ["the parameters influence", "always zero"]),
    "cut": (lambda p, d: jnp.sum(jax.lax.stop_gradient(p["w"])), ["the parameters influence"]),
    "without parameters": (lambda p, d: jnp.sum(d[1]), ["the parameters influence"]),
}


@pytest.mark.parametrize("case", BAD_LOSSES)
def test_losses(case):
    fn, words = BAD_LOSSES[case]
    algorithm = meta.maml(fn)
    state = algorithm.init(PARAMS)
    with pytest.raises(LossError) as caught:  # from shapes alone: nothing has been compiled
        jax.eval_shape(algorithm.step, state, good())
    says(caught.value, *words)
    with pytest.raises(LossError):
        algorithm.adapt(state, meta.take(good().support, 0))


def test_losses_that_hold_arrays():
    class Holds(eqx.Module):
        x: jax.Array

        def __call__(self, params, data):
            return jnp.sum(self.x)

    with pytest.raises(LossError) as caught:
        meta.maml(Holds(jnp.ones(2)))
    says(caught.value, "hashable", "params or data")


@pytest.mark.parametrize(
    "rule", [rules.gauss_newton(), rules.levenberg_marquardt(), rules.ridge()], ids=repr
)
def test_least_squares_rules_need_residuals(rule):
    algorithm = meta.maml(loss, rule)
    with pytest.raises(LossError) as caught:
        jax.eval_shape(algorithm.step, algorithm.init(PARAMS), good())
    says(caught.value, "SumOfSquares", "Plain", "residuals(params, data)")


def test_ridge_refuses_leaves_that_do_not_enter_linearly():
    def residuals(params, data):
        x, y = data
        return jnp.tanh(x @ params["w"]) * params["b"] - y

    fine = meta.ridge(meta.SumOfSquares(residuals), head=lambda p: p["b"])
    jax.eval_shape(fine.step, fine.init(PARAMS), good())
    for head in (lambda p: p["w"], lambda p: p):  # each alone linear is not linear together
        algorithm = meta.ridge(meta.SumOfSquares(residuals), head=head)
        with pytest.raises(LossError) as caught:
            jax.eval_shape(algorithm.step, algorithm.init(PARAMS), good())
        says(caught.value, "linear in the adapted leaves", "adapts=", "gauss_newton")


BAD_PARAMS = {
    "integer": ({"w": jnp.ones(2), "n": jnp.arange(3)}, ["n", "int32", "Cast"]),
    "boolean": ({"w": jnp.ones(2), "mask": jnp.ones(2, bool)}, ["mask", "bool"]),
    "complex": ({"w": jnp.ones(2, jnp.complex64)}, ["w", "complex64"]),
    "function": ({"w": jnp.ones(2), "act": jnp.tanh}, ["act", "eqx.partition"]),
    "string": ({"w": jnp.ones(2), "name": "mlp"}, ["name", "str"]),
    "empty": ({}, ["no leaves"]),
    "none": (None, ["no leaves"]),
    "not finite": ({"w": jnp.asarray([1.0, jnp.nan])}, ["w", "finite"]),
}


@pytest.mark.parametrize("case", BAD_PARAMS)
def test_parameters(case):
    params, words = BAD_PARAMS[case]
    with pytest.raises(ParameterError) as caught:
        meta.maml(never).init(params)
    says(caught.value, *words)


def test_selections_of_leaves():
    for where, word in [
        (lambda p: p["head"], "KeyError"),
        (lambda p: (), "at least one leaf"),
        (lambda p: 2 * p["w"], "not a leaf"),
    ]:
        with pytest.raises(ParameterError, match=word):
            meta.anil(never, where).init(PARAMS)


BAD_RATES = [0.0, -0.1, float("nan"), float("inf")]
MAKERS = {
    "sgd": rules.sgd,
    "meta_sgd": rules.meta_sgd,
    "per_step": rules.per_step,
    "adam": rules.adam,
    "optax": lambda rate: rules.optax_rule(optax.sgd(0.1), rate),
    "proximal": lambda rate: rules.proximal(rate, rules.sgd(0.1)),
    "precision": rules.gauss_newton,
    "damping": lambda rate: rules.levenberg_marquardt(1.0, rate),
    "noise": lambda rate: rules.ridge(1.0, rate),
    "std": lambda rate: rules.gaussian_start(rules.sgd(0.1), rate),
}


@pytest.mark.parametrize("rate", BAD_RATES)
@pytest.mark.parametrize("maker", MAKERS)
def test_rates(maker, rate):
    with pytest.raises(OptionError) as caught:
        MAKERS[maker](rate)
    says(caught.value, "> 0", f"got {rate}")


def test_options():
    for make, word in [
        (lambda: metagrads.unrolled(-1), "inner steps ≥ 0"),
        (lambda: metagrads.reptile(0), "inner steps ≥ 1"),
        (lambda: metagrads.unrolled(3, exact_steps=4), "between 0 and 3"),
        (lambda: metagrads.annealed(metagrads.first_order(2), metagrads.unrolled(3), 1), "2 and 3"),
        (lambda: meta.mamlpp(loss, total=0), "total ≥ 1"),
    ]:
        with pytest.raises(OptionError, match=word):
            make()
    algorithm = meta.maml(never, tasks_in_parallel=0)
    with pytest.raises(OptionError, match="tasks_in_parallel ≥ 1"):
        algorithm.step(algorithm.init(PARAMS), good())


def test_rules_that_a_meta_gradient_cannot_take():
    for metagrad, word in [
        (metagrads.implicit(2), "rules.proximal"),
        (metagrads.predictive(1), "leaves a posterior"),
        (metagrads.probabilistic(1), "gaussian_start"),
    ]:
        algorithm = meta.bilevel(loss, rules.sgd(0.1), metagrad)
        with pytest.raises(OptionError, match=word):
            jax.eval_shape(algorithm.step, algorithm.init(PARAMS), good())


def test_a_pull_on_a_least_squares_rule():
    # the pull would be dropped silently: least-squares rules have a prior of their own.
    def residuals(params, data):
        return data[0] @ params["w"] - data[1]

    rule = rules.proximal(1.0, rules.gauss_newton())
    algorithm = meta.maml(meta.SumOfSquares(residuals), rule)
    with pytest.raises(LossError, match="precision"):
        jax.eval_shape(algorithm.step, algorithm.init(PARAMS), good())


@pytest.mark.parametrize(
    ("registry", "name", "meant"),
    [(rules.registry, "sgdd", "sgd"), (metagrads.registry, "unroled", "unrolled")],
)
def test_unknown_names(registry, name, meant):
    with pytest.raises(UnknownNameError) as caught:
        registry.get(name)
    says(caught.value, repr(name), f"Did you mean {meant!r}?", "Known:")
