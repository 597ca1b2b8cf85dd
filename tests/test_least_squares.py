"""Gauss-Newton, Levenberg-Marquardt, ridge and their posterior against dense linear algebra."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from kshot import meta
from kshot.core import trees
from kshot.meta import metagrads, rules
from kshot.meta.inner_loss import InnerLoss
from kshot.meta.learner import make_learner
from kshot.meta.metagrads.routes import REVERSE
from kshot.meta.rules.gauss_newton import GaussNewton
from kshot.testing import difference_slope, expect_close, expect_slopes
from kshot.testing.metagrads import filled_in
from kshot.testing.problems import sinusoid_problem

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")

PRECISION = {"a": 0.5, "b": 3.0}
SIZES = {"few residuals": 4, "many residuals": 12}  # beside 7 parameters


def residuals(params, data):
    x, y = data
    return x @ jnp.concatenate([params["a"], params["b"]]) - y


LINEAR = meta.SumOfSquares(residuals)


def regression(n, seed=0):
    """X, y, the prior mean θ and its precision Λ, as NumPy sees them."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=7)
    weights = np.concatenate([np.full(3, PRECISION["a"]), np.full(4, PRECISION["b"])])
    return rng.normal(size=(n, 7)), rng.normal(size=n), theta, weights


def start(algorithm, theta):
    """A state whose prior precisions are those of PRECISION."""
    state = algorithm.init({"a": jnp.asarray(theta[:3]), "b": jnp.asarray(theta[3:])})
    log = {name: jnp.log(jnp.asarray(value)) for name, value in PRECISION.items()}
    return eqx.tree_at(lambda s: gauss_newton_of(s.learner.rule).log_precision, state, log)


def gauss_newton_of(rule):
    return rule if isinstance(rule, GaussNewton) else rule.inner


def flat(params):
    return np.concatenate([params["a"], params["b"]])


@pytest.mark.parametrize("n", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("solver", ["auto", "dual", "primal", "cg"])
def test_ridge_is_the_exact_minimum(solver, n):
    x, y, theta, weights = regression(n)
    algorithm = meta.bilevel(LINEAR, rules.ridge(solver=solver), metagrads.unrolled(1))
    adapted = algorithm.adapt(start(algorithm, theta), (jnp.asarray(x), jnp.asarray(y)))
    exact = np.linalg.solve(x.T @ x + np.diag(weights), x.T @ y + weights * theta)
    np.testing.assert_allclose(flat(adapted), exact, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("n", SIZES.values(), ids=SIZES.keys())
def test_gauss_newton_on_a_linear_problem(n):
    x, y, theta, weights = regression(n)
    rule = rules.gauss_newton(damping=1e-12)
    algorithm = meta.bilevel(LINEAR, rule, metagrads.unrolled(1))
    adapted = algorithm.adapt(start(algorithm, theta), (jnp.asarray(x), jnp.asarray(y)))
    exact = np.linalg.solve(x.T @ x + np.diag(weights), x.T @ y + weights * theta)
    np.testing.assert_allclose(flat(adapted), exact, rtol=1e-9)


def test_damping_fades_from_the_fixed_point():
    x, y, theta, weights = regression(12)
    algorithm = meta.bilevel(LINEAR, rules.gauss_newton(damping=5.0), metagrads.unrolled(1))
    state, data = start(algorithm, theta), (jnp.asarray(x), jnp.asarray(y))
    exact = np.linalg.solve(x.T @ x + np.diag(weights), x.T @ y + weights * theta)
    away = [np.linalg.norm(flat(algorithm.adapt(state, data, k)) - exact) for k in (1, 2, 60)]
    assert away[0] > away[1] > away[2]
    assert away[2] < 1e-8


def test_ridge_agrees_with_scikit_learn():
    x, y, _, _ = regression(12)
    algorithm = meta.bilevel(LINEAR, rules.ridge(0.7), metagrads.unrolled(1))
    state = algorithm.init({"a": jnp.zeros(3), "b": jnp.zeros(4)})
    adapted = algorithm.adapt(state, (jnp.asarray(x), jnp.asarray(y)))
    expected = Ridge(alpha=0.7, fit_intercept=False, solver="cholesky").fit(x, y).coef_
    np.testing.assert_allclose(flat(adapted), expected, rtol=1e-10)


@pytest.mark.parametrize("shots", [3, 20])
def test_solvers_agree_in_values_and_gradients(shots):
    problem = sinusoid_problem(tasks=1, shots=shots)
    outcomes = {}
    for solver in ("dual", "primal", "cg"):
        rule = rules.gauss_newton(0.5, 0.2, solver=solver)
        learner = make_learner(problem.params, rule, 2)
        graded = filled_in(metagrads.unrolled(2), problem.loss)
        outcome, grad = graded(learner, problem.task())
        # which solver is static, so the trees of two solvers are of different types.
        outcomes[solver] = outcome.loss, jax.tree.leaves(grad)
    expect_close("primal = dual", outcomes["primal"], outcomes["dual"], 1e-9)
    expect_close("cg = dual", outcomes["cg"], outcomes["dual"], 1e-6)


@pytest.mark.parametrize("n", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("make", [rules.ridge, rules.gauss_newton, rules.levenberg_marquardt])
def test_posterior_is_that_of_bayesian_regression(make, n):
    x, y, theta, weights = regression(n)
    noise = 0.3
    algorithm = meta.bilevel(LINEAR, make(noise=noise), metagrads.unrolled(1))
    posterior = algorithm.posterior(start(algorithm, theta), (jnp.asarray(x), jnp.asarray(y)))
    covariance = noise * np.linalg.inv(x.T @ x + np.diag(weights))
    columns = jax.vmap(posterior.covariance_times, out_axes=1)(jnp.eye(7))
    np.testing.assert_allclose(columns, covariance, rtol=1e-9, atol=1e-12)
    if make is rules.ridge:
        mean = np.linalg.solve(x.T @ x + np.diag(weights), x.T @ y + weights * theta)
        np.testing.assert_allclose(flat(posterior.params), mean, rtol=1e-10)
    new = np.random.default_rng(5).normal(size=(3, 7))
    variance = posterior.variance(lambda p: jnp.asarray(new) @ jnp.concatenate([p["a"], p["b"]]))
    np.testing.assert_allclose(variance, np.diag(new @ covariance @ new.T), rtol=1e-9)


@pytest.mark.parametrize("n", SIZES.values(), ids=SIZES.keys())
def test_posterior_samples(n):
    x, y, theta, weights = regression(n)
    algorithm = meta.bilevel(LINEAR, rules.ridge(noise=0.3), metagrads.unrolled(1))
    posterior = algorithm.posterior(start(algorithm, theta), (jnp.asarray(x), jnp.asarray(y)))
    keys = jax.random.split(jax.random.key(0), 40_000)
    draws = jax.vmap(lambda key: jnp.concatenate(jax.tree.leaves(posterior.sample(key))))(keys)
    covariance = 0.3 * np.linalg.inv(x.T @ x + np.diag(weights))
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    np.testing.assert_allclose(np.cov(draws.T) / scale, covariance / scale, atol=0.03)
    mean_error = (np.mean(draws, 0) - flat(posterior.params)) / np.sqrt(np.diag(covariance))
    assert np.max(np.abs(mean_error)) < 5 / np.sqrt(len(keys))


def wavy(params, data):
    """Residuals with many minima; overflow-proof, so that only the rule can go wrong."""
    a, b, y = data
    return jnp.tanh(a @ params) * 3 + jnp.sin(2 * (b @ params)) * jnp.sum(params) - y


@jax.jit
def descent(params, data, precision, damping):
    """The objective before each of twelve Levenberg-Marquardt steps."""
    rule = eqx.tree_at(
        lambda r: (r.inner.log_precision, r.inner.log_damping),
        rules.levenberg_marquardt().prepare(params, 1),
        (jnp.log(precision), jnp.log(damping)),
    )
    loss = InnerLoss(meta.SumOfSquares(wavy), None, None, REVERSE)

    def body(carry, _):
        moved, state, _ = rule.step(loss, carry[0], data, carry[1])
        return (moved, state), rule.objective(loss, carry[0], data, params)

    return jax.lax.scan(body, (params, rule.init(params)), length=12)[1]


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    spread=st.floats(0.1, 20.0),
    log_precision=st.floats(-9.0, 5.0),
    log_damping=st.floats(-12.0, 5.0),
)
def test_levenberg_marquardt_never_climbs(seed, spread, log_precision, log_damping):
    rng = np.random.default_rng(seed)
    params, a, b, y = (jnp.asarray(rng.normal(size=s)) for s in ((3,), (6, 3), (6, 3), (6,)))
    scales = (jnp.exp(log_precision), jnp.exp(log_damping))
    objective = np.asarray(descent(params * spread, (a, b, spread * y), *scales))
    assert np.all(np.isfinite(objective))
    assert np.all(np.diff(objective) <= 0)


def test_levenberg_marquardt_reaches_a_minimum():
    rng = np.random.default_rng(3)
    params, a, b, y = (jnp.asarray(rng.normal(size=s)) for s in ((3,), (6, 3), (6, 3), (6,)))
    objective = descent(params, (a, b, y), jnp.asarray(1e-3), jnp.asarray(1.0))
    assert objective[-1] < 0.5 * objective[0]
    assert abs(objective[-1] - objective[-2]) < 1e-3 * objective[0]


def test_first_order_gauss_newton_counts_the_step_as_constant():
    problem = sinusoid_problem()
    learner = make_learner(problem.params, rules.gauss_newton(0.1, 0.1), 2)
    metagrad = metagrads.first_order(2)
    grad = filled_in(metagrad, problem.loss)(learner, problem.task())[1]
    adapt = jax.jit(lambda one, data: metagrad.adapt(one, problem.loss, data).params)
    adapted = adapt(learner, problem.task().support)
    expected = jax.grad(problem.loss)(adapted, problem.task().query)
    expect_close("first order", grad.params, expected, 1e-10)


def test_predictive_gradient_of_a_bayesian_head():
    # every learned leaf of the body, the head's prior and the noise, by central differences.
    problem = sinusoid_problem(lambda layers: layers[-1])
    learner = make_learner(problem.params, rules.ridge(0.1, 0.2), 1, problem.adapts)
    graded = filled_in(metagrads.predictive(1), problem.loss)
    expect_slopes(graded, learner, problem.task(), difference_slope)
    assert float(trees.norm(graded(learner, problem.task())[1].rule.inner.log_noise)) > 0
