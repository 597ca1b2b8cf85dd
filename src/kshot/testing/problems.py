"""The small problem every contract is tried on: sinusoids, and a network without kinks."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from kshot.meta.learner import Where
from kshot.meta.loss import Objective, SumOfSquares
from kshot.meta.problems import mlp, sinusoids
from kshot.meta.task import Task, take


class Problem(NamedTuple):
    """Parameters, a loss and a stack of tasks to try something on.

    Args:
        params: where to start.
        loss: the loss.
        tasks: tasks stacked along a leading axis.
        adapts: the leaves an inner rule may move; all if None.
    """

    params: PyTree
    loss: Objective
    tasks: Task
    adapts: Where | None = None

    def task(self, index: int = 0) -> Task:
        """Return one of the tasks."""
        return take(self.tasks, index)


def smooth_residuals(layers: list, data: tuple[Array, Array]) -> Float[Array, "n 1"]:
    """Return prediction minus label of a tanh network.

    Central differences need a smooth loss: ReLU has kinks that they step across.
    """
    x, y = data
    for layer in layers[:-1]:
        x = jnp.tanh(x @ layer["weight"] + layer["bias"])
    return x @ layers[-1]["weight"] + layers[-1]["bias"] - y


def last_layer(layers: list) -> dict[str, Array]:
    """Return the leaves that enter the residuals linearly."""
    return layers[-1]


def sinusoid_problem(adapts: Where | None = None, tasks: int = 4, shots: int = 5) -> Problem:
    """Return sinusoids for a network of one hidden layer, in the precision JAX is set to.

    Args:
        adapts: the leaves an inner rule may move; all if None.
        tasks: how many tasks.
        shots: points in each support and each query set.
    """
    params = mlp(jax.random.key(0), (1, 5, 1))
    stack = sinusoids(jax.random.key(1), tasks, shots, shots)
    return Problem(params, SumOfSquares(smooth_residuals), stack, adapts)
