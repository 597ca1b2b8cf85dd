"""Deep-kernel Gaussian process: adaptation by conditioning, everything else meta-learned.

Feature network, length scale, amplitude and noise are trained over tasks; a new task needs no
gradient at all (Patacchiola et al. 2020, arXiv 1910.05199).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Scalar

from kshot.core import trees
from kshot.core.rng import as_key
from kshot.meta import checks, problems
from kshot.meta.algorithms.base import Info, MetaAlgorithm, State
from kshot.meta.algorithms.outer import Outer, outer_step, start
from kshot.meta.algorithms.reduce import Reduce
from kshot.meta.learner import Learner, make_learner
from kshot.meta.metagrads.base import Outcome, When
from kshot.meta.metagrads.joint import pooled
from kshot.meta.rules.sgd import sgd
from kshot.meta.task import Task

Features = Callable[[PyTree, Array], Float[Array, "n h"]]
Criterion = Literal["marginal", "predictive"]


class Kernel(NamedTuple):
    """What a deep kernel learns beside its network, as logarithms."""

    log_length: Float[Array, ""]
    log_amplitude: Float[Array, ""]
    log_noise: Float[Array, ""]


class Conditioned(eqx.Module):
    """A Gaussian process conditioned on a support set: call it for mean and variance.

    Args:
        params: network parameters and kernel.
        features: the network.
        anchors: features of the support inputs.
        factor: Cholesky factor of their covariance with noise.
        weights: covariance⁻¹ times the support labels.
    """

    params: tuple[PyTree, Kernel]
    features: Features = eqx.field(static=True)
    anchors: Float[Array, "n h"]
    factor: Float[Array, "n n"]
    weights: Float[Array, "n o"]

    def __call__(self, x: Array) -> tuple[Float[Array, "m o"], Float[Array, " m"]]:
        """Return mean and variance (without noise) of the function at new inputs."""
        network, kernel = self.params
        points = self.features(network, x)
        cross = covariance(kernel, points, self.anchors)
        half = jax.scipy.linalg.solve_triangular(self.factor, cross.T, lower=True)
        variance = jnp.exp(kernel.log_amplitude) - jnp.sum(half**2, axis=0)
        return cross @ self.weights, jnp.maximum(variance, 0.0)

    def noise(self) -> Scalar:
        """Return the learned variance of the label noise."""
        return jnp.exp(self.params[1].log_noise)


class GaussianProcess(MetaAlgorithm):
    """Meta-learns a deep kernel; see `gaussian_process`."""

    features: Features = eqx.field(static=True)
    outer: optax.GradientTransformation = eqx.field(static=True)
    criterion: Criterion = eqx.field(static=True)
    reduce: Reduce = eqx.field(static=True)
    tasks_in_parallel: int | None = eqx.field(static=True)

    def init(self, params: PyTree, key: int | PRNGKeyArray = 0) -> State:
        """Return the state before the first outer step; ``params`` are the network's."""
        logs = Kernel(jnp.zeros(()), jnp.zeros(()), jnp.log(jnp.asarray(0.01)))
        # conditioning takes no inner step, so the learner's rule is never run.
        learner = make_learner((params, logs), sgd(1.0), steps=0)
        return start(learner, self.as_outer(), as_key(key))

    def step(self, state: State, tasks: Task) -> tuple[State, Info]:
        """Take one outer step on a stack of tasks; data is ``(inputs, labels)``."""
        checks.tasks(tasks, self.criterion == "predictive", self.tasks_in_parallel)
        return _step(self, state, tasks)

    def adapt(self, state: State, support: PyTree, steps: int | None = None) -> Conditioned:
        """Return the process conditioned on a support set; ``steps`` does not apply."""
        del steps
        checks.support(support)
        return condition(self.features, state.params, support)

    def losses(self, state: State, task: Task, steps: int | None = None) -> Float[Array, " points"]:
        """Return the mean squared query error of the prior mean (zero), then of the posterior."""
        checks.query(task)
        posterior = condition(self.features, state.params, task.support)
        x, y = task.query
        before, after = jnp.mean(y**2), jnp.mean((posterior(x)[0] - y) ** 2)
        repeat = 1 if steps is None else steps
        return jnp.concatenate([before[None], jnp.broadcast_to(after, (repeat,))])

    def as_outer(self) -> Outer:
        """Return how the outer loop moves."""
        return Outer(self.outer, _learned, self.reduce, self.tasks_in_parallel)


def gaussian_process(
    features: Features,
    outer: optax.GradientTransformation | None = None,
    criterion: Criterion = "predictive",
    reduce: Reduce = "mean",
    tasks_in_parallel: int | None = None,
) -> GaussianProcess:
    """Return a deep-kernel Gaussian process with meta-learned network and hyper-parameters.

    Args:
        features: ``(params, inputs) -> (n, h)`` features; labels are ``(n, o)`` with shared kernel.
        outer: the outer optax transform; Adam at 1e-3 if None.
        criterion: what the outer loop minimises per label, in nats: ``"predictive"`` of the query
            given the support, or ``"marginal"`` likelihood of support and query together.
        reduce: ``"mean"`` or ``"sum"`` over tasks.
        tasks_in_parallel: tasks per chunk; all at once if None.
    """
    outer = optax.adam(1e-3) if outer is None else outer
    return GaussianProcess(features, outer, criterion, reduce, tasks_in_parallel)


def covariance(kernel: Kernel, a: Float[Array, "n h"], b: Float[Array, "m h"]) -> Array:
    """Return the squared-exponential covariance between two sets of features."""
    scaled = [points * jnp.exp(-kernel.log_length) for points in (a, b)]
    squares = [jnp.sum(points**2, axis=1) for points in scaled]
    distance = squares[0][:, None] + squares[1][None] - 2 * scaled[0] @ scaled[1].T
    return jnp.exp(kernel.log_amplitude - 0.5 * jnp.maximum(distance, 0.0))


def condition(features: Features, params: tuple[PyTree, Kernel], support: PyTree) -> Conditioned:
    """Return the process conditioned on ``support = (inputs, labels)``."""
    network, kernel = params
    x, y = support
    anchors = features(network, x)
    # a little jitter: noise may be learned away, and float32 needs the diagonal.
    diagonal = jnp.exp(kernel.log_noise) + 1e-5 * jnp.exp(kernel.log_amplitude)
    full = covariance(kernel, anchors, anchors) + diagonal * jnp.eye(len(x), dtype=anchors.dtype)
    factor = jnp.linalg.cholesky(full)
    weights = jax.scipy.linalg.cho_solve((factor, True), y)
    return Conditioned(params, features, anchors, factor, weights)


def predictive_nats(features: Features, params: tuple[PyTree, Kernel], task: Task) -> Scalar:
    """Return the negative log-density per query label, given the support."""
    posterior = condition(features, params, task.support)
    x, y = task.query
    mean, variance = posterior(x)
    total = (variance + posterior.noise())[:, None]
    return 0.5 * jnp.mean((y - mean) ** 2 / total + jnp.log(2 * jnp.pi * total))


def marginal_nats(features: Features, params: tuple[PyTree, Kernel], task: Task) -> Scalar:
    """Return the negative log marginal likelihood per label of all the task's data."""
    data = pooled(task)
    posterior = condition(features, params, data)
    y = data[1]
    fit = jnp.sum(y * posterior.weights)
    volume = 2 * y.shape[1] * jnp.sum(jnp.log(jnp.diag(posterior.factor)))
    return 0.5 * (fit + volume) / y.size + 0.5 * jnp.log(2 * jnp.pi)


@functools.partial(jax.jit, static_argnums=0)
def _step(algorithm: GaussianProcess, state: State, tasks: Task) -> tuple[State, Info]:
    nats = predictive_nats if algorithm.criterion == "predictive" else marginal_nats

    def gradient(task: Task, when: When) -> tuple[Outcome, Learner]:
        del when
        value, grad = jax.value_and_grad(lambda p: nats(algorithm.features, p, task))(state.params)
        outcome = Outcome(value, jnp.zeros((0,), value.dtype))
        rule = trees.zeros_like(state.learner.rule)
        return outcome, Learner(grad, rule, state.learner.moves)

    return outer_step(gradient, algorithm.as_outer(), state, tasks)


def _learned(learner: Learner) -> tuple[Learner, Learner]:
    params = jax.tree.map(lambda _: True, learner.params)
    return eqx.partition(learner, Learner(params, learner.rule.learned(), learner.moves))


def example_gaussian_process() -> GaussianProcess:
    """Return the instance the contract tests run."""
    return gaussian_process(problems.features)
