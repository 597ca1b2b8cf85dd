"""One weight, f(x) = w x, summed squares: the numbers of the worked example, by the public API."""

import jax
import jax.numpy as jnp
import optax
import pytest

from kshot import meta

pytestmark = pytest.mark.usefixtures("x64")

ALPHA, BETA = 0.1, 0.5
RELATIVE = 1e-12


def loss(w, data):
    x, y = data
    return jnp.sum((w * x - y) ** 2)


def points(*pairs):
    x, y = zip(*pairs, strict=True)
    return jnp.asarray(x, jnp.float64), jnp.asarray(y, jnp.float64)


def task(support, query):
    return meta.Task(points(*support), points(*query))


def two_tasks():
    first = task([(2, 4), (3, 1)], [(1, 2)])
    second = task([(5, 3), (6, 0)], [(4, 1)])
    return meta.stack_tasks([first, second])


def maml(**options):
    rule = meta.rules.sgd(ALPHA)
    return meta.maml(loss, rule, outer=optax.sgd(BETA), reduce="sum", **options)


def exactly(value):
    return pytest.approx(value, rel=RELATIVE, abs=0)


def test_plain_step():
    state = maml(steps=1).init(1.0)
    adapted = maml(steps=1).adapt(state, points((1, 2), (2, 4), (3, 1)))
    assert float(adapted) == exactly(0.8)


def test_adapted_weights():
    algorithm, tasks = maml(steps=1), two_tasks()
    state = algorithm.init(1.0)
    adapted = [float(algorithm.adapt(state, meta.take(tasks.support, i))) for i in range(2)]
    assert adapted == [exactly(0.6), exactly(-8.2)]


@pytest.mark.parametrize("make", [meta.metagrads.unrolled, meta.metagrads.mixed_mode])
def test_meta_gradients(make):
    tasks = two_tasks()
    for index, slope in enumerate([4.48, 3028.48]):
        one = jax.tree.map(lambda leaf, i=index: leaf[i : i + 1], tasks)
        # an outer rate of one: what the weight loses is the gradient.
        rule = meta.rules.sgd(ALPHA)
        algorithm = meta.bilevel(loss, rule, make(1), outer=optax.sgd(1.0), reduce="sum")
        state, info = algorithm.step(algorithm.init(1.0), one)
        assert float(info.grad_norm) == exactly(slope)
        assert float(state.params) == exactly(1 - slope)


@pytest.mark.parametrize("tasks_in_parallel", [None, 1])
def test_outer_step(tasks_in_parallel):
    algorithm = maml(steps=1, tasks_in_parallel=tasks_in_parallel)
    state, info = algorithm.step(algorithm.init(1.0), two_tasks())
    assert float(state.params) == exactly(-1515.48)
    assert info.task_losses.tolist() == [exactly(1.4**2), exactly(33.8**2)]
    assert int(state.step) == 1


@pytest.mark.parametrize("k", range(1, 6))
def test_slope_of_k_steps(k):
    # dφᵏ/dθ = (1 − 2αΣx²)ᵏ, on a support set whose Σx² is 13.
    algorithm = maml(steps=k)

    def adapted(start):
        return algorithm.adapt(algorithm.init(start), points((2, 4), (3, 1)))

    assert float(jax.grad(adapted)(jnp.asarray(1.0))) == exactly((1 - 2 * ALPHA * 13) ** k)


@pytest.mark.parametrize("k", range(1, 6))
@pytest.mark.parametrize("make", [meta.metagrads.unrolled, meta.metagrads.mixed_mode])
def test_meta_gradient_of_k_steps(make, k):
    # the same factor, met in the meta-gradient: dL_Q/dθ = 2 (φᵏ − 2) (1 − 2αΣx²)ᵏ for Q = {(1, 2)}.
    rule = meta.rules.sgd(ALPHA)
    algorithm = meta.bilevel(loss, rule, make(k), outer=optax.sgd(1.0))
    one = task([(2, 4), (3, 1)], [(1, 2)])
    start = algorithm.init(1.0)
    state, _ = algorithm.step(start, meta.stack_tasks([one]))
    phi = 11 / 13 + (1 - 11 / 13) * (1 - 2 * ALPHA * 13) ** k  # Σxy / Σx² = 11/13 is the optimum
    slope = 2 * (phi - 2) * (1 - 2 * ALPHA * 13) ** k
    assert float(start.params - state.params) == pytest.approx(slope, rel=1e-11, abs=0)
