"""Promises of meta-learning algorithms that a plausible slip would break without a crash."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from kshot import meta
from kshot.meta import metagrads, rules
from kshot.meta.metagrads import When
from kshot.testing import expect_close
from kshot.testing.problems import sinusoid_problem

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")


def test_the_divergence_is_of_the_posterior_from_the_prior():
    # KL(q ‖ p) = ∫ q log(q/p), by quadrature, for spreads and means that all differ.
    means_q, means_p = np.array([0.3, -0.2]), np.array([-0.1, 0.4])
    stds_q, stds_p = np.array([0.2, 0.7]), np.array([0.9, 0.3])

    def integral(mean_q: float, mean_p: float, std_q: float, std_p: float) -> float:
        q, p = stats.norm(mean_q, std_q), stats.norm(mean_p, std_p)
        ends = mean_q - 12 * std_q, mean_q + 12 * std_q
        return integrate.quad(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), *ends)[0]

    expected = sum(map(integral, means_q, means_p, stds_q, stds_p))
    still = jnp.zeros(())
    rule = rules.gaussian_start(rules.sgd(0.1))
    rule = type(rule)(
        rule.inner, jnp.log(jnp.asarray(stds_p)), jnp.log(jnp.asarray(stds_q)), still, still, 1.0
    )
    got = rule.divergence(jnp.asarray(means_q), jnp.asarray(means_p))
    assert float(got) == pytest.approx(expected, rel=1e-6)


def test_mamlpp_is_first_order_and_even_at_first_and_exact_on_the_last_step_in_the_end():
    problem, steps, total = sinusoid_problem(), 3, 30
    algorithm = meta.mamlpp(problem.loss, steps=steps, total=total)
    learner = algorithm.init(problem.params).learner
    task = problem.task()

    @jax.jit
    def graded(step):
        return algorithm.metagrad(learner, problem.loss, task, When(step, jax.random.key(0)))

    def expected(make, weights):
        metagrad = make(steps, step_weights=lambda step: jnp.asarray(weights))
        return jax.jit(lambda: metagrad(learner, problem.loss, task))()

    even, last = np.full(steps, 1 / steps), np.eye(steps)[-1]
    at = lambda step: graded(jnp.asarray(step, jnp.int32))  # noqa: E731
    expect_close("at first", at(0), expected(metagrads.first_order, even), 1e-6)
    expect_close("in the end", at(total), expected(metagrads.exact, last), 1e-6)
    # in between the weights move, step after step, and stay a mean.
    weights = [
        meta.algorithms.mamlpp.multi_step_weights(steps, 10)(jnp.asarray(n)) for n in range(11)
    ]
    np.testing.assert_allclose([one.sum() for one in weights], 1.0)
    assert (np.diff([one[-1] for one in weights]) > 0.05).all()
    assert (np.diff([one[0] for one in weights]) < -0.02).all()
