"""Adaptation curves: the query error against inner steps, and against the number of shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from kshot.core.errors import OptionError
from kshot.meta.algorithms.base import MetaAlgorithm, State
from kshot.meta.evaluate.measure import TASKS_IN_PARALLEL, Metric, diverged, task_errors
from kshot.meta.evaluate.record import Record
from kshot.meta.evaluate.statistics import CONFIDENCE, mean_interval
from kshot.meta.task import Task, first_shots


@dataclass(frozen=True, eq=False)
class Curve(Record):
    """The error of many tasks along one axis.

    Tasks that diverged at a point are left out of its mean and counted beside it.

    Args:
        axis: what runs along the curve: ``"inner steps"`` or ``"support shots"``.
        at: where on the axis each point is.
        errors: the query error of each task; whatever number came out, NaN included.
        diverged: which of them are not finite or blown up.
        mean: the mean over the tasks that did not diverge.
        low: the lower end of its confidence interval over tasks.
        high: the upper end.
        diverged_tasks: how many tasks diverged at each point.
        confidence: of the interval.
    """

    axis: str
    at: Int[np.ndarray, " points"]
    errors: Float[np.ndarray, "tasks points"]
    diverged: Bool[np.ndarray, "tasks points"]
    mean: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]
    diverged_tasks: Int[np.ndarray, " points"]
    confidence: float = CONFIDENCE


def adaptation_curve(
    algorithm: MetaAlgorithm,
    state: State,
    tasks: Task,
    steps: int | None = None,
    metric: Metric | None = None,
    tasks_in_parallel: int = TASKS_IN_PARALLEL,
) -> Curve:
    """Return the query error before adaptation and after every inner step.

    Args:
        algorithm: the algorithm.
        state: its state.
        tasks: a stack of tasks with query sets.
        steps: inner steps; the algorithm's own number if None.
        metric: ``(params, query, stats) -> error``; the algorithm's own loss if None.
        tasks_in_parallel: tasks per chunk, to bound memory.
    """
    errors = task_errors(algorithm, state, tasks, steps, metric, tasks_in_parallel)
    return make_curve("inner steps", np.arange(errors.shape[1]), errors, errors[:, 0])


def shots_curve(
    algorithm: MetaAlgorithm,
    state: State,
    tasks: Task,
    ks: Sequence[int] = (1, 2, 5, 10),
    steps: int | None = None,
    metric: Metric | None = None,
    tasks_in_parallel: int = TASKS_IN_PARALLEL,
) -> Curve:
    """Return the query error after adapting on the first K support shots, for each K.

    Args:
        algorithm: the algorithm.
        state: its state.
        tasks: a stack of tasks with at least ``max(ks)`` support shots each. The first K are used:
            where shots come in groups (classes), order them so that every prefix is a fair draw.
        ks: numbers of shots.
        steps: inner steps; the algorithm's own number if None.
        metric: ``(params, query, stats) -> error``; the algorithm's own loss if None.
        tasks_in_parallel: tasks per chunk, to bound memory.
    """
    if not ks:
        raise OptionError("at least one K", "none", "The usual numbers are (1, 2, 5, 10).")
    runs = [
        task_errors(
            algorithm, state, first_shots(tasks, k, task_axis=1), steps, metric, tasks_in_parallel
        )
        for k in ks
    ]
    errors = np.stack([run[:, -1] for run in runs], axis=1)
    return make_curve("support shots", np.asarray(ks), errors, runs[0][:, 0])


def make_curve(
    axis: str,
    at: Int[np.ndarray, " points"],
    errors: Float[np.ndarray, "tasks points"],
    before: Float[np.ndarray, " tasks"],
) -> Curve:
    """Return the curve of measured errors; ``before`` are the errors before adaptation."""
    lost = diverged(errors, before)
    interval = mean_interval(errors, ~lost)
    return Curve(axis, at, errors, lost, *interval, lost.sum(0))
