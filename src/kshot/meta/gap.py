"""The meta-overfitting gap: how much better training tasks are solved than new ones."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from kshot.core.errors import TaskError
from kshot.meta import checks
from kshot.meta.algorithms.base import MetaAlgorithm, State
from kshot.meta.task import Task


class Gap(NamedTuple):
    """The mean query loss after adaptation, on training tasks and on new ones.

    Args:
        step: the outer step it was measured at.
        training: on tasks of the training stream, the same ones every time.
        new: on the validation tasks.
    """

    step: int
    training: float
    new: float

    @property
    def gap(self) -> float:
        """What a new task costs more than a training task; it grows as meta-overfitting sets in."""
        return self.new - self.training


def measure_gap(
    algorithm: MetaAlgorithm, state: State, training: Task, new: Task, step: int, at_once: int
) -> Gap:
    """Return the gap; tasks whose loss is not finite are left out of the means.

    Args:
        algorithm: what adapts.
        state: the state at this step.
        training: a stack of training tasks.
        new: a stack of tasks the training never sees.
        step: the outer step.
        at_once: how many tasks are adapted in parallel.
    """
    means = [_mean_loss(algorithm, state, tasks, at_once) for tasks in (training, new)]
    return Gap(step, *(float(mean) for mean in means))


def check_gap_tasks(training: Task, new: Task) -> None:
    """Raise TaskError unless both stacks have query sets to measure on."""
    checks.tasks(new, needs_query=True)
    if training.query is None:
        todo = "Give the training tasks query sets, or leave validation= out."
        raise TaskError("training tasks with query sets, to compare with new ones", "none", todo)


@eqx.filter_jit
def _mean_loss(algorithm: MetaAlgorithm, state: State, tasks: Task, at_once: int) -> Scalar:
    count = jax.tree.leaves(tasks)[0].shape[0]
    last = jax.lax.map(
        lambda task: algorithm.losses(state, task)[-1], tasks, batch_size=min(at_once, count)
    )
    return jnp.mean(last, where=jnp.isfinite(last))
