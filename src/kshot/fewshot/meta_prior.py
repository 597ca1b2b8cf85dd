"""Meta-learning of the prior: how far each leaf of a start may move, learned over families.

The inner step is in closed form, so the meta-gradient is exact and cheap: for every task the
products J_g J_gᵀ of each group of parameters are taken once, and then only small matrices move.

Families must be ones that the start's body has not been trained on: on those it was, less movement
always looks better than it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from kshot.core import trees
from kshot.fewshot.jacobian import Rows
from kshot.fewshot.least_squares import SHIFT
from kshot.fewshot.methods import LEARNED
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
    jacobian = np.concatenate([first.jacobian, second.jacobian])
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


def query_loss(theta: Mapping[str, Array], task: Episode) -> Array:
    """Return how wrong the adapted linear model is on the query: mean log of both errors."""
    weights = jnp.exp(theta["log_variance"])
    product = jnp.einsum("g,gij->ij", weights, task.products)
    product = product + SHIFT**2 * (task.shifted @ task.shifted[: task.support].T)
    noise = jnp.where(
        task.is_energy,
        jnp.exp(2 * theta["log_energy_noise"]) * task.atoms,
        jnp.exp(2 * theta["log_force_noise"]),
    )[: task.support]
    inner, cross = product[: task.support], product[task.support :]
    factor = jax.scipy.linalg.cho_factor(inner + jnp.diag(noise))
    alpha = jax.scipy.linalg.cho_solve(factor, task.residual[: task.support])
    errors = task.residual[task.support :] - cross @ alpha
    energy = task.is_energy[task.support :]
    mean = lambda mask: jnp.sum(jnp.where(mask, errors**2, 0)) / jnp.maximum(mask.sum(), 1)  # noqa: E731
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
        start = {
            "log_variance": jnp.zeros(len(names)),
            "log_energy_noise": jnp.log(jnp.asarray(0.01)),
            "log_force_noise": jnp.log(jnp.asarray(0.1)),
        }
        # one common scale first: the single number that matters most.
        scales = np.log(10.0) * np.arange(-5, 2)
        values = [_mean(start | {"log_variance": start["log_variance"] + s}, tasks) for s in scales]
        start["log_variance"] = start["log_variance"] + scales[int(np.argmin(values))]
        theta, optimiser = start, optax.adam(optax.cosine_decay_schedule(RATE, STEPS))
        state = optimiser.init(theta)
        step = jax.jit(jax.value_and_grad(query_loss))
        for number in range(STEPS):
            found = [step(theta, task) for task in tasks]
            gradient = jax.tree.map(lambda *g: sum(g) / len(g), *(g for _, g in found))
            away = theta["log_variance"] - start["log_variance"]
            gradient["log_variance"] += SHRINK * away / len(names)
            moves, state = optimiser.update(gradient, state)
            theta = optax.apply_updates(theta, moves)
            if watch is not None and number % 10 == 0:
                watch(number, float(np.mean([value for value, _ in found])))
        after = _mean(theta, tasks)
    return Learned(
        dict(zip(names, np.asarray(theta["log_variance"]).tolist(), strict=True)),
        {
            "energy_noise": float(theta["log_energy_noise"]),
            "force_noise": float(theta["log_force_noise"]),
        },
        min(values),
        after,
    )


def with_prior(model: Model, learned: Learned) -> Model:
    """Return the start with the prior among what it has learned."""
    held = {
        "log_variance": {k: np.float64(v) for k, v in learned.log_variance.items()},
        "log_noise": {k: np.float64(v) for k, v in learned.log_noise.items()},
    }
    return model.with_(learned={**model.learned, LEARNED: held})


def _mean(theta: Mapping[str, Array], tasks: Sequence[Episode]) -> float:
    return float(np.mean([query_loss(theta, task) for task in tasks]))
