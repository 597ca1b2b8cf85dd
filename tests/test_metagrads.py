"""Meta-gradients: the contract of each, then rival strategies and richer losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kshot import meta
from kshot.core.errors import OptionError
from kshot.meta import metagrads, rules
from kshot.meta.learner import make_learner
from kshot.meta.loss import Plain
from kshot.meta.metagrads import When
from kshot.testing import (
    check_metagrad,
    difference_slope,
    expect_close,
    expect_slopes,
    first_order_slope,
    reptile_slope,
)
from kshot.testing.metagrads import filled_in
from kshot.testing.problems import last_layer, sinusoid_problem
from kshot.testing.rules import EveryLeafLearned
from kshot.testing.witnesses import difference_quotient

pytestmark = pytest.mark.usefixtures("quick_compile")

# what each is tried with, where the default (sgd, all leaves, central differences) does not do.
SPECIAL = {
    "first_order": {"witness": first_order_slope},
    "reptile": {"witness": reptile_slope},
    # near the optimum only: a strongly convex inner problem.
    "implicit": {"rule": lambda: rules.proximal(1.0, rules.sgd(0.1)), "adapts": last_layer},
    "predictive": {"rule": lambda: rules.ridge(0.1), "adapts": last_layer},
    "probabilistic": {"rule": lambda: rules.gaussian_start(rules.sgd(0.05))},
}


@pytest.mark.parametrize("name", list(metagrads.registry))
def test_contract(name):
    check_metagrad(lambda: metagrads.registry.example(name), **SPECIAL.get(name, {}))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("make", [metagrads.unrolled, metagrads.mixed_mode])
def test_memory_modes_agree(make):
    problem = sinusoid_problem()
    learner = make_learner(problem.params, rules.per_step(0.05), 5)
    kept = None
    for memory in ("none", "per_step", "nested"):
        graded = filled_in(make(5, memory=memory), problem.loss)
        outcome = graded(learner, problem.task())
        kept = outcome if kept is None else kept
        expect_close(f"{memory} = none", outcome, kept, 1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("adapts", [last_layer, lambda layers: layers[0]], ids=["anil", "boil"])
def test_leaves_that_do_not_adapt(adapts):
    # mixed partials: still leaves get their gradient through every inner step, in both routes.
    problem = sinusoid_problem(adapts)
    rule = EveryLeafLearned(rules.proximal(0.3, rules.meta_sgd(0.05)))
    learner = make_learner(problem.params, rule, 2, adapts)
    mixed = filled_in(metagrads.mixed_mode(2), problem.loss)
    reverse = filled_in(metagrads.unrolled(2), problem.loss)
    task = problem.task()
    expect_close("mixed", mixed(learner, task)[1], reverse(learner, task)[1], 1e-10)
    expect_slopes(mixed, learner, task, difference_slope)
    adapted = metagrads.unrolled(2).adapt(learner, problem.loss, task.support).params
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), adapted, problem.params)
    assert jax.tree.leaves(moved) == list(learner.moves)


@pytest.mark.usefixtures("x64")
def test_implicit_is_unrolled_at_convergence():
    problem = sinusoid_problem(last_layer)
    rule = rules.proximal(1.0, rules.sgd(0.1))
    learner = make_learner(problem.params, rule, 1, last_layer)
    task = problem.task()
    outcome, implicit = filled_in(metagrads.implicit(400), problem.loss)(learner, task)
    _, unrolled = filled_in(metagrads.unrolled(400), problem.loss)(learner, task)
    expect_close("implicit = unrolled", implicit.params, unrolled.params, 1e-8)

    # the strength of the pull is no learned leaf by default; its slope is there all the same.
    value = filled_in(metagrads.implicit(400), problem.loss)

    def stronger(size):
        longer = make_learner(
            problem.params, rules.proximal(1.0 + size, rules.sgd(0.1)), 1, last_layer
        )
        return value(longer, task)[0].loss

    slope = difference_quotient(stronger, 1e-3)
    assert float(implicit.rule.strength) == pytest.approx(slope, rel=1e-6)
    assert outcome.support_losses.shape == (400,)


@pytest.mark.usefixtures("x64")
def test_annealed_switches_at_its_step():
    problem = sinusoid_problem()
    learner = make_learner(problem.params, rules.meta_sgd(0.05), 2)
    early, late = metagrads.first_order(2), metagrads.mixed_mode(2)
    annealed = metagrads.annealed(early, late, switch_at=7)

    @jax.jit
    def graded(step):
        return annealed(learner, problem.loss, problem.task(), When(step, jax.random.key(0)))

    for step, expected in [(0, early), (6, early), (7, late), (8, late)]:
        expect_close(
            f"step {step}",
            graded(jnp.asarray(step, jnp.int32)),
            filled_in(expected, problem.loss)(learner, problem.task()),
            1e-12,
        )


def test_annealing_needs_equal_steps():
    with pytest.raises(OptionError, match="3 and 2"):
        metagrads.annealed(metagrads.first_order(3), metagrads.unrolled(2), 5)


def with_aux(params, data):
    x, y = data
    error = x * params["w"] - y
    return jnp.mean(error**2), {"worst": jnp.max(jnp.abs(error)), "shots": len(x)}


TRIED = {
    "unrolled": (metagrads.unrolled(2), rules.sgd(0.05)),
    "mixed_mode": (metagrads.mixed_mode(2), rules.sgd(0.05)),
    "first_order": (metagrads.first_order(2), rules.sgd(0.05)),
    "annealed": (metagrads.registry.example("annealed"), rules.sgd(0.05)),
    "implicit": (metagrads.implicit(3), rules.proximal(1.0, rules.sgd(0.05))),
    "reptile": (metagrads.reptile(2), rules.sgd(0.05)),
    "joint": (metagrads.joint(), rules.sgd(0.05)),
    "probabilistic": (metagrads.probabilistic(2), rules.gaussian_start(rules.sgd(0.05))),
}


def line(seed=0):
    rng = np.random.default_rng(seed)
    x, y = jnp.asarray(rng.normal(size=(2, 2, 6)), jnp.float32)
    return meta.Task((x[0], y[0]), (x[1], y[1]))


@pytest.mark.parametrize("name", TRIED)
def test_auxiliary_values(name):
    metagrad, rule = TRIED[name]
    learner = make_learner({"w": 0.3}, rule, metagrad.steps)
    bare = Plain(lambda params, data: with_aux(params, data)[0])
    outcome, grad = jax.jit(lambda one: metagrad(one, Plain(with_aux), line()))(learner)
    plain, same = jax.jit(lambda one: metagrad(one, bare, line()))(learner)
    expect_close("the gradient", grad, same, 1e-6)
    assert float(outcome.loss) == pytest.approx(float(plain.loss))
    assert float(outcome.aux["worst"]) > 0
    assert plain.aux is None


def normalised(params, stats, data):
    """A model with state: inputs are centred by a running mean that drifts to the batch's."""
    x, y = data
    mean = 0.5 * stats["mean"] + 0.5 * jnp.mean(x)
    return jnp.mean(((x - mean) * params["w"] - y) ** 2), {"mean": mean}


@pytest.mark.parametrize("name", TRIED)
def test_models_with_state(name):
    metagrad, rule = TRIED[name]
    loss = meta.Stateful(normalised, {"mean": jnp.zeros(())})
    learner = make_learner({"w": 0.3}, rule, metagrad.steps)
    rows = {"mean": jnp.arange(metagrad.steps + 1, dtype=jnp.float32)}
    task = line()
    outcome, _ = jax.jit(lambda one: metagrad(one, loss, task, None, rows))(learner)
    # each inner step drifts from its own row towards the support's mean; the query from the last.
    x, query = task.support[0], task.query[0]
    if name == "joint":
        query = jnp.concatenate([x, query])
    batches = [jnp.mean(x)] * metagrad.steps + [jnp.mean(query)]
    expected = [0.5 * row + 0.5 * float(batch) for row, batch in enumerate(batches)]
    np.testing.assert_allclose(outcome.stats["mean"], expected, rtol=1e-5)
