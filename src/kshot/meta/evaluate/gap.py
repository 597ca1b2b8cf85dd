"""The meta-overfitting gap: how much worse new tasks come out than those trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from kshot.meta.algorithms.base import MetaAlgorithm, State
from kshot.meta.evaluate.measure import TASKS_IN_PARALLEL, Metric, diverged, task_errors
from kshot.meta.evaluate.record import Record
from kshot.meta.evaluate.statistics import CONFIDENCE, difference_interval, mean_interval
from kshot.meta.task import Task


@dataclass(frozen=True, eq=False)
class Gap(Record):
    """Errors after adaptation on training tasks and on new tasks.

    Args:
        train_errors: of each training task; NaN where it diverged.
        new_errors: of each new task; NaN where it diverged.
        train: the mean over training tasks that did not diverge.
        new: the mean over new tasks that did not.
        gap: ``new - train``; above zero, the training tasks are favoured.
        low: the lower end of the gap's confidence interval.
        high: the upper end.
        train_diverged: how many training tasks diverged.
        new_diverged: how many new ones did.
        confidence: of the interval.
    """

    train_errors: Float[np.ndarray, " trained"]
    new_errors: Float[np.ndarray, " unseen"]
    train: float
    new: float
    gap: float
    low: float
    high: float
    train_diverged: int
    new_diverged: int
    confidence: float = CONFIDENCE


def meta_gap(
    algorithm: MetaAlgorithm,
    state: State,
    train_tasks: Task,
    new_tasks: Task,
    steps: int | None = None,
    metric: Metric | None = None,
    tasks_in_parallel: int = TASKS_IN_PARALLEL,
) -> Gap:
    """Return the error after adaptation on training tasks, on new ones, and the difference.

    Args:
        algorithm: the algorithm.
        state: its state.
        train_tasks: a stack of tasks from those trained on.
        new_tasks: a stack of tasks that were never seen.
        steps: inner steps; the algorithm's own number if None.
        metric: ``(params, query, stats) -> error``; the algorithm's own loss if None.
        tasks_in_parallel: tasks per chunk, to bound memory.
    """
    train, new = (
        adapted_errors(algorithm, state, tasks, steps, metric, tasks_in_parallel)
        for tasks in (train_tasks, new_tasks)
    )
    between = difference_interval(new, train)
    return Gap(
        train_errors=train,
        new_errors=new,
        train=float(mean_interval(train).mean),
        new=float(mean_interval(new).mean),
        gap=float(between.mean),
        low=float(between.low),
        high=float(between.high),
        train_diverged=int(np.isnan(train).sum()),
        new_diverged=int(np.isnan(new).sum()),
    )


def adapted_errors(
    algorithm: MetaAlgorithm,
    state: State,
    tasks: Task,
    steps: int | None = None,
    metric: Metric | None = None,
    tasks_in_parallel: int = TASKS_IN_PARALLEL,
) -> Float[np.ndarray, " tasks"]:
    """Return each task's error after adaptation, NaN where it diverged."""
    errors = task_errors(algorithm, state, tasks, steps, metric, tasks_in_parallel)
    last = errors[:, -1:]
    return np.where(diverged(last, errors[:, 0]), np.nan, last)[:, 0]
