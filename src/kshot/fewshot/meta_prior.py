"""Meta-learning of the prior: how far each leaf of a start may move, learned over families.

The inner step is in closed form, so the meta-gradient is exact and cheap: for every task the
products J_g J_gᵀ of each group of parameters are taken once, and then only small matrices move.

Families must be ones that the start's body has not been trained on: on those it was, less movement
always looks better than it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from kshot.core import trees
from kshot.fewshot.jacobian import Rows, held
from kshot.fewshot.least_squares import SHIFT
from kshot.fewshot.priors import LEARNED
from kshot.potentials.model import Model

RATE, STEPS = 0.1, 150
SHRINK = 0.02  # how strongly logs are held to their common start, per task: few tasks, few freedoms


class Episode(NamedTuple):
    """A task as matrices: support rows first, query rows after them.

    Args:
        products: J_g J_gᵀ of each group, all rows against support rows.
        residual: prediction less label.
        shifted: how shifts of elements enter each row.
        is_energy: which rows are energies.
        atoms: of each row's frame.
    """

    products: Float[np.ndarray, "groups rows support"]
    residual: Float[np.ndarray, " rows"]
    shifted: Float[np.ndarray, "rows kinds"]
    is_energy: np.ndarray
    atoms: Float[np.ndarray, " rows"]

    @property
    def support(self) -> int:
        """How many rows are of the support set."""
        return self.products.shape[-1]


class Learned(NamedTuple):
    """What the families teach: logarithms of variances per leaf, and of the two noises."""

    log_variance: dict[str, float]
    log_noise: dict[str, float]
    before: float
    after: float


def episode(model: Model, own: Rows, support: Sequence[int], query: Sequence[int]) -> Episode:
    """Return a task of some frames' rows.

    Args:
        model: the start, for the names and sizes of its leaves.
        own: rows of all the task's frames.
        support: frames to adapt on.
        query: frames to judge on.
    """
    first, second = own.of(support), own.of(query)
    jacobian = np.concatenate([held(first.jacobian), held(second.jacobian)])
    count = len(first.frame)
    edges = np.cumsum([0] + [np.size(leaf) for leaf in jax.tree.leaves(model.params)])
    slices = [slice(a, b) for a, b in itertools.pairwise(edges) if b > a]
    products = [jacobian[:, one] @ jacobian[:count, one].T for one in slices]
    both = lambda name: np.concatenate([getattr(first, name), getattr(second, name)])  # noqa: E731
    counts = np.concatenate([first.counts[first.frame], second.counts[second.frame]])
    is_energy = both("is_energy")
    return Episode(
        np.stack(products).astype(np.float64),
        both("residual"),
        np.where(is_energy[:, None], counts, 0.0),
        is_energy,
        counts.sum(1),
    )


def groups(model: Model) -> list[str]:
    """Return the names of the leaves that have parameters, in order."""
    return [name for name, leaf in trees.named_leaves(model.params) if np.size(leaf)]


class Logs(NamedTuple):
    """What is learned, as logarithms: variances of groups, standard deviations of noises."""

    variance: Float[Array, " groups"]
    energy_noise: Float[Array, ""]
    force_noise: Float[Array, ""]


def query_loss(logs: Logs, task: Episode) -> Array:
    """Return how wrong the adapted linear model is on the query: mean log of both errors."""
    support = task.support
    product = jnp.einsum("g,gij->ij", jnp.exp(logs.variance), task.products)
    product = product + SHIFT**2 * (task.shifted @ task.shifted[:support].T)
    noise = jnp.where(
        task.is_energy, jnp.exp(2 * logs.energy_noise) * task.atoms, jnp.exp(2 * logs.force_noise)
    )[:support]
    factor = jax.scipy.linalg.cho_factor(product[:support] + jnp.diag(noise))
    alpha = jax.scipy.linalg.cho_solve(factor, task.residual[:support])
    errors = task.residual[support:] - product[support:] @ alpha
    energy = task.is_energy[support:]
    mean = lambda mask: jnp.mean(errors**2, where=mask)  # noqa: E731
    return 0.25 * (jnp.log(mean(energy)) + jnp.log(mean(~energy)))


def learn_prior(
    model: Model,
    tasks: Sequence[Episode],
    watch: Callable[[int, float], None] | None = None,
) -> Learned:
    """Return the prior that lets these tasks' adapted models err least on their query sets.

    Args:
        model: the start.
        tasks: of families that its body has not seen.
        watch: called with the step and the mean loss now and then.
    """
    names = groups(model)
    with jax.enable_x64(True):
        start, before = _one_scale(len(names), tasks)
        best, after = start, before
        logs, optimiser = start, optax.adam(optax.cosine_decay_schedule(RATE, STEPS))
        state = optimiser.init(logs)
        step = jax.jit(jax.value_and_grad(query_loss))
        for number in range(STEPS):
            found = [step(logs, task) for task in tasks]
            loss = float(np.mean([value for value, _ in found]))
            if not np.isfinite(loss):
                break  # noises so small that a matrix is singular: the best so far stands
            if loss < after:
                best, after = logs, loss
            gradient = jax.tree.map(lambda *g: jnp.stack(g).mean(0), *(g for _, g in found))
            pull = SHRINK * (logs.variance - start.variance) / len(names)
            gradient = gradient._replace(variance=gradient.variance + pull)
            with jax.numpy_dtype_promotion("standard"):  # optax mixes its counters in
                moves, state = optimiser.update(gradient, state)
            logs = jax.tree.map(jnp.add, logs, moves)
            if watch is not None and number % 10 == 0:
                watch(number, loss)
    return Learned(
        dict(zip(names, np.asarray(best.variance).tolist(), strict=True)),
        {"energy_noise": float(best.energy_noise), "force_noise": float(best.force_noise)},
        before,
        after,
    )


def _one_scale(groups: int, tasks: Sequence[Episode]) -> tuple[Logs, float]:
    """Return the best common scale, and its loss: the single number that matters most."""
    noises = jnp.log(jnp.asarray(0.01)), jnp.log(jnp.asarray(0.1))
    tried = [Logs(jnp.full(groups, np.log(10.0) * power), *noises) for power in range(-5, 2)]
    losses = [_mean(logs, tasks) for logs in tried]
    best = int(np.argmin(losses))
    return tried[best], losses[best]


def with_prior(model: Model, learned: Learned) -> Model:
    """Return the start with the prior among what it has learned."""
    held = {
        "log_variance": {k: np.float64(v) for k, v in learned.log_variance.items()},
        "log_noise": {k: np.float64(v) for k, v in learned.log_noise.items()},
    }
    return model.with_(learned={**model.learned, LEARNED: held})


def _mean(logs: Logs, tasks: Sequence[Episode]) -> float:
    return float(np.mean([query_loss(logs, task) for task in tasks]))
