"""Meta-gradients on quadratic tasks, where every one of them has a closed form."""

import jax.numpy as jnp
import numpy as np
import pytest

from kshot import meta
from kshot.meta import metagrads, rules
from kshot.meta.learner import make_learner
from kshot.meta.loss import Plain

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")


def quadratic(theta, data):
    """½ θᵀAθ − bᵀθ."""
    matrix, b = data
    return 0.5 * theta @ matrix[0] @ theta - b[0] @ theta


class Quadratics:
    """One task with known everything: support A, b; query C, d; θ in three dimensions."""

    rate = 0.11

    def __init__(self):
        rng = np.random.default_rng(0)
        self.theta, self.b, self.d = rng.normal(size=(3, 3))
        self.A, self.C = (m @ m.T / 3 + 0.1 * np.eye(3) for m in rng.normal(size=(2, 3, 3)))

    def phi(self, k):
        phi = self.theta
        for _ in range(k):
            phi = phi - self.rate * (self.A @ phi - self.b)
        return phi

    def query_gradient(self, phi):
        return self.C @ phi - self.d

    def factor(self, k):
        return np.linalg.matrix_power(np.eye(3) - self.rate * self.A, k)

    def gradient(self, metagrad, rule=None):
        A, b, C, d = (jnp.asarray(x)[None] for x in (self.A, self.b, self.C, self.d))
        task = meta.Task((A, b), (C, d))
        learner = make_learner(
            jnp.asarray(self.theta), rule or rules.sgd(self.rate), metagrad.steps
        )
        return metagrad(learner, Plain(quadratic), task)[1]


q = Quadratics()


@pytest.mark.parametrize("make", [metagrads.unrolled, metagrads.mixed_mode, metagrads.exact])
@pytest.mark.parametrize("k", [0, 1, 3])
def test_exact(make, k):
    expected = q.factor(k) @ q.query_gradient(q.phi(k))
    np.testing.assert_allclose(q.gradient(make(k)).params, expected, rtol=1e-12)


@pytest.mark.parametrize("make", [metagrads.unrolled, metagrads.mixed_mode])
@pytest.mark.parametrize("exact_steps", [0, 1, 2, 3])
def test_truncated(make, exact_steps):
    # the last steps are exact, the ones before count as constants.
    expected = q.factor(exact_steps) @ q.query_gradient(q.phi(3))
    metagrad = make(3, exact_steps=exact_steps)
    np.testing.assert_allclose(q.gradient(metagrad).params, expected, rtol=1e-12)


def test_first_order():
    expected = q.query_gradient(q.phi(3))
    np.testing.assert_allclose(q.gradient(metagrads.first_order(3)).params, expected, rtol=1e-12)


def test_reptile():
    expected = q.theta - q.phi(3)
    np.testing.assert_allclose(q.gradient(metagrads.reptile(3)).params, expected, rtol=1e-12)


@pytest.mark.parametrize("warm_start", ["first_order", "zero"])
def test_implicit(warm_start):
    strength = 0.7
    rule = rules.proximal(strength, rules.sgd(0.3))
    metagrad = metagrads.implicit(400, warm_start=warm_start)
    shifted = q.A + strength * np.eye(3)
    optimum = np.linalg.solve(shifted, q.b + strength * q.theta)
    expected = strength * np.linalg.solve(shifted, q.query_gradient(optimum))
    np.testing.assert_allclose(q.gradient(metagrad, rule).params, expected, rtol=1e-9)


def test_implicit_damping():
    strength, damping = 0.7, 0.4
    metagrad = metagrads.implicit(400, damping=damping)
    shifted = q.A + strength * np.eye(3)
    optimum = np.linalg.solve(shifted, q.b + strength * q.theta)
    u = np.linalg.solve(shifted + damping * np.eye(3), q.query_gradient(optimum))
    got = q.gradient(metagrad, rules.proximal(strength, rules.sgd(0.3))).params
    np.testing.assert_allclose(got, strength * u, rtol=1e-9)


@pytest.mark.parametrize("make", [metagrads.unrolled, metagrads.mixed_mode])
def test_rates(make):
    # one step: d/d log α = −α ⟨∇L_S(θ), ∇L_Q(φ)⟩, per parameter for Meta-SGD.
    parts = -q.rate * (q.A @ q.theta - q.b) * q.query_gradient(q.phi(1))
    per_parameter = q.gradient(make(1), rules.meta_sgd(q.rate)).rule.log_rates
    per_leaf = q.gradient(make(1), rules.meta_sgd(q.rate, per="leaf")).rule.log_rates
    np.testing.assert_allclose(per_parameter, parts, rtol=1e-12)
    np.testing.assert_allclose(per_leaf, parts.sum(), rtol=1e-12)


@pytest.mark.parametrize("make", [metagrads.unrolled, metagrads.mixed_mode])
def test_rates_per_step(make):
    # d/d log α_s = −α ⟨∇L_S(φˢ), (I − αA)^(k−1−s) ∇L_Q(φᵏ)⟩.
    last = q.query_gradient(q.phi(3))
    expected = [-q.rate * (q.A @ q.phi(s) - q.b) @ q.factor(2 - s) @ last for s in range(3)]
    got = q.gradient(make(3), rules.per_step(q.rate)).rule.log_rates
    np.testing.assert_allclose(got, expected, rtol=1e-11)


def test_weighted_steps():
    weights = np.asarray([0.2, 0.3, 0.5])
    metagrad = metagrads.mixed_mode(3, step_weights=lambda step: jnp.asarray(weights))
    expected = sum(
        w * q.factor(s) @ q.query_gradient(q.phi(s)) for s, w in enumerate(weights, start=1)
    )
    np.testing.assert_allclose(q.gradient(metagrad).params, expected, rtol=1e-12)
