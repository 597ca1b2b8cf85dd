"""Leave one task, or one group of tasks, out: train on the others, judge on what was left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float, Int

from kshot.core.errors import OptionError
from kshot.meta.algorithms.base import MetaAlgorithm, State
from kshot.meta.evaluate.gap import adapted_errors
from kshot.meta.evaluate.measure import TASKS_IN_PARALLEL, Metric
from kshot.meta.evaluate.record import Record
from kshot.meta.evaluate.statistics import CONFIDENCE, mean_interval
from kshot.meta.task import Task, take

# (training tasks, seed) -> trained state
Fit = Callable[[Task, int], State]


@dataclass(frozen=True, eq=False)
class CrossValidation(Record):
    """One fold per group. All errors are after adaptation, over tasks that did not diverge.

    Args:
        groups: the groups' names, one fold each.
        group_of_task: the group of each task.
        errors: each task's error when its group was left out; NaN where it diverged.
        held_out: the mean error of each fold's left-out tasks.
        train: the mean error of the same fold's training tasks.
        gap: ``held_out - train``, the meta-overfitting of each fold.
        diverged_tasks: how many left-out tasks diverged, per fold.
        mean: the mean of ``held_out`` over folds.
        low: the lower end of its confidence interval over folds.
        high: the upper end.
        gap_mean: the mean gap over folds.
        gap_low: the lower end of its confidence interval over folds.
        gap_high: the upper end.
        confidence: of the intervals.
    """

    groups: tuple[str, ...]
    group_of_task: Int[np.ndarray, " tasks"]
    errors: Float[np.ndarray, " tasks"]
    held_out: Float[np.ndarray, " folds"]
    train: Float[np.ndarray, " folds"]
    gap: Float[np.ndarray, " folds"]
    diverged_tasks: Int[np.ndarray, " folds"]
    mean: float
    low: float
    high: float
    gap_mean: float
    gap_low: float
    gap_high: float
    confidence: float = CONFIDENCE


def cross_validate(
    fit: Fit,
    algorithm: MetaAlgorithm,
    tasks: Task,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    steps: int | None = None,
    metric: Metric | None = None,
    tasks_in_parallel: int = TASKS_IN_PARALLEL,
) -> CrossValidation:
    """Return how well tasks are solved by a learner that never saw them, or their group.

    Args:
        fit: ``(training tasks, seed) -> state``, a whole training run.
        algorithm: the algorithm that judges.
        tasks: a stack of tasks with query sets.
        groups: each task's group (its family, its stratum); each task is its own group if None.
        seed: given to every ``fit``, so that folds differ in nothing but their tasks.
        steps: inner steps; the algorithm's own number if None.
        metric: ``(params, query, stats) -> error``; the algorithm's own loss if None.
        tasks_in_parallel: tasks per chunk, to bound memory.

    Raises:
        OptionError: not one group name per task, or fewer than two groups.
    """
    names, group_of_task = _groups(groups, len(jax.tree.leaves(tasks)[0]))
    errors = np.full(len(group_of_task), np.nan)
    train = np.full(len(names), np.nan)
    for fold in range(len(names)):
        out = group_of_task == fold
        trained_on = take(tasks, ~out)
        state = fit(trained_on, seed)
        errors[out], seen = (
            adapted_errors(algorithm, state, part, steps, metric, tasks_in_parallel)
            for part in (take(tasks, out), trained_on)
        )
        train[fold] = mean_interval(seen).mean
    return _summary(names, group_of_task, errors, train)


def _summary(
    names: tuple[str, ...], group_of_task: np.ndarray, errors: np.ndarray, train: np.ndarray
) -> CrossValidation:
    parts = [errors[group_of_task == fold] for fold in range(len(names))]
    held_out = np.asarray([mean_interval(part).mean for part in parts])
    lost = np.asarray([np.isnan(part).sum() for part in parts])
    gap = held_out - train
    ends = (float(end) for end in (*mean_interval(held_out), *mean_interval(gap)))
    return CrossValidation(names, group_of_task, errors, held_out, train, gap, lost, *ends)


def _groups(groups: Sequence[str] | None, count: int) -> tuple[tuple[str, ...], np.ndarray]:
    if groups is None:
        groups = [f"task {index}" for index in range(count)]
    if len(groups) != count:
        todo = "Give each task's group, in the order of the tasks."
        raise OptionError(f"{count} group names, one per task", str(len(groups)), todo)
    names = tuple(dict.fromkeys(groups))
    if len(names) < 2:
        todo = "Leaving the only group out leaves nothing to train on."
        raise OptionError("at least two groups", f"{len(names)}", todo)
    return names, np.asarray([names.index(group) for group in groups])
