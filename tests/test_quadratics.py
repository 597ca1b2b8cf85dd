"""Convex quadratic tasks ½ a (θ − θ*)²: where MAML ends is known, and it is not the plain mean."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from kshot import meta
from kshot.meta.problems import quadratic_loss, quadratic_optimum, quadratics

pytestmark = pytest.mark.usefixtures("x64")

RATE = 0.1
CASES = {
    "mild": ([0.5, 1.0, 2.0], [-1.0, 0.5, 3.0]),
    "steep": ([1.0, 4.0, 9.0, 12.0], [2.0, -3.0, 1.0, 0.5]),
    "two": ([0.1, 8.0], [-5.0, 5.0]),
}


def trained(metagrad, curvatures, optima, outer_rate=0.3):
    algorithm = meta.bilevel(
        quadratic_loss, meta.rules.sgd(RATE), metagrad, outer=optax.sgd(outer_rate)
    )
    tasks = quadratics(jnp.asarray(curvatures), jnp.asarray(optima))

    @jax.jit
    def many(state):
        return jax.lax.scan(lambda s, _: (algorithm.step(s, tasks)[0], None), state, length=1000)[0]

    return float(many(algorithm.init(0.0)).params)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("make", [meta.metagrads.unrolled, meta.metagrads.mixed_mode])
def test_maml_optimum(make, case):
    curvatures, optima = CASES[case]
    a, best = np.asarray(curvatures), np.asarray(optima)
    weights = a * (1 - RATE * a) ** 2
    expected = np.sum(weights * best) / np.sum(weights)
    assert trained(make(1), curvatures, optima) == pytest.approx(expected, rel=1e-10)
    assert expected == pytest.approx(
        float(quadratic_optimum(jnp.asarray(a), jnp.asarray(best), RATE))
    )
    assert abs(expected - best.mean()) > 0.1


def test_equal_curvatures_give_the_plain_mean():
    optima = [-1.0, 0.5, 3.5]
    end = trained(meta.metagrads.unrolled(1), [2.0] * 3, optima)
    assert end == pytest.approx(1.0, rel=1e-10)


def test_first_order_optimum():
    # FOMAML's fixed point: Σ a (1 − αa) (θ − θ*) = 0, one factor fewer.
    curvatures, optima = CASES["mild"]
    a, best = np.asarray(curvatures), np.asarray(optima)
    weights = a * (1 - RATE * a)
    expected = np.sum(weights * best) / np.sum(weights)
    end = trained(meta.metagrads.first_order(1), curvatures, optima)
    assert end == pytest.approx(expected, rel=1e-10)


def test_reptile_optimum():
    # θ − φᵏ = (1 − (1 − αa)ᵏ)(θ − θ*): weights 1 − (1 − αa)ᵏ.
    curvatures, optima = CASES["mild"]
    a, best = np.asarray(curvatures), np.asarray(optima)
    weights = 1 - (1 - RATE * a) ** 3
    expected = np.sum(weights * best) / np.sum(weights)
    assert trained(meta.metagrads.reptile(3), curvatures, optima) == pytest.approx(
        expected, rel=1e-10
    )
