"""Imbalanced support sets: the error of each class or stratum as the support's proportions vary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from kshot.core.errors import OptionError, TaskError
from kshot.meta.algorithms.base import State
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.evaluate.measure import TASKS_IN_PARALLEL, map_tasks
from kshot.meta.evaluate.record import Record
from kshot.meta.evaluate.statistics import CONFIDENCE, mean_interval
from kshot.meta.metagrads.inner_loop import stats_at
from kshot.meta.task import Task, take

# (params, query, stats) -> one error per query shot
ShotError = Callable[[PyTree, PyTree, PyTree], Float[Array, " shots"]]


@dataclass(frozen=True, eq=False)
class Imbalance(Record):
    """The error of each group, for each make-up of the support set.

    Args:
        counts: support shots of each group, one row per make-up.
        errors: each task's mean query error per group; NaN where it is not finite, or the task's
            query set has nothing of the group.
        mean: the mean over tasks.
        low: the lower end of its confidence interval over tasks.
        high: the upper end.
        not_counted: how many tasks did not count.
        worst_gap: the worst group's mean minus the best group's, per make-up.
        confidence: of the intervals.
    """

    counts: Int[np.ndarray, "makeups groups"]
    errors: Float[np.ndarray, "makeups tasks groups"]
    mean: Float[np.ndarray, "makeups groups"]
    low: Float[np.ndarray, "makeups groups"]
    high: Float[np.ndarray, "makeups groups"]
    not_counted: Int[np.ndarray, "makeups groups"]
    worst_gap: Float[np.ndarray, " makeups"]
    confidence: float = CONFIDENCE


def imbalance(
    algorithm: Bilevel,
    state: State,
    tasks: Task,
    support_groups: Int[np.ndarray, "tasks shots"],
    query_groups: Int[np.ndarray, "tasks query"],
    counts: Sequence[Sequence[int]],
    shot_error: ShotError,
    steps: int | None = None,
    tasks_in_parallel: int = TASKS_IN_PARALLEL,
) -> Imbalance:
    """Return each group's query error after adapting to supports of different make-up.

    Args:
        algorithm: a bilevel algorithm.
        state: its state.
        tasks: a stack of tasks whose supports hold enough shots of every group.
        support_groups: the group (class, stratum) of each support shot, 0 … groups-1.
        query_groups: the group of each query shot.
        counts: support make-ups, each the number of shots per group: ``[(5, 5, 5), (9, 3, 3)]``.
        shot_error: ``(params, query, stats) -> one error per query shot``.
        steps: inner steps; the algorithm's own number if None.
        tasks_in_parallel: tasks per chunk, to bound memory.
    """
    groups = len(counts[0])
    steps = algorithm.steps_to_adapt(steps)
    runs = [
        _group_errors(
            algorithm,
            state,
            with_counts(tasks, support_groups, row),
            jnp.asarray(query_groups),
            groups,
            shot_error,
            steps,
            tasks_in_parallel,
        )
        for row in counts
    ]
    errors = np.stack([np.asarray(run, np.float64) for run in runs])
    errors = np.where(np.isfinite(errors), errors, np.nan)
    mean, low, high = mean_interval(errors.swapaxes(0, 1))
    missing = np.isnan(errors).sum(1)
    worst_gap = mean.max(1) - mean.min(1)
    return Imbalance(np.asarray(counts), errors, mean, low, high, missing, worst_gap)


def with_counts(
    tasks: Task, support_groups: Int[np.ndarray, "tasks shots"], counts: Sequence[int]
) -> Task:
    """Return the tasks with only the first ``counts[g]`` support shots of each group g.

    Args:
        tasks: a stack of tasks.
        support_groups: the group of each support shot, 0 … groups-1.
        counts: shots to keep of each group; their sum is the new number of shots.

    Raises:
        OptionError: counts that are negative, or all zero.
        TaskError: a task has fewer shots of a group; both are named.
    """
    if min(counts) < 0 or sum(counts) == 0:
        todo = "Give the support shots of each group, such as (5, 1, 1)."
        raise OptionError("counts ≥ 0 that are not all 0", f"{tuple(counts)}", todo)
    kept = np.empty((len(support_groups), sum(counts)), np.int64)
    for index, row in enumerate(support_groups):
        places = [np.flatnonzero(row == g)[:count] for g, count in enumerate(counts)]
        for g, (place, count) in enumerate(zip(places, counts, strict=True)):
            if len(place) < count:
                want = f"{count} support shots of group {g} in every task"
                got = f"{len(place)} in task {index}"
                raise TaskError(want, got, "Ask for fewer, or draw tasks with more shots.")
        kept[index] = np.sort(np.concatenate(places))
    rows = np.arange(len(kept))[:, None]
    return Task(take(tasks.support, (rows, kept)), tasks.query)


@eqx.filter_jit
def _group_errors(
    algorithm: Bilevel,
    state: State,
    tasks: Task,
    query_groups: Int[Array, "tasks query"],
    groups: int,
    shot_error: ShotError,
    steps: int,
    chunk: int,
) -> Float[Array, "tasks groups"]:
    def one(pair: tuple[Task, Array]) -> Array:
        task, group = pair
        params = algorithm.adapt(state, task.support, steps)
        errors = shot_error(params, task.query, stats_at(state.stats, steps))
        member = jax.nn.one_hot(group, groups, axis=0, dtype=errors.dtype)
        # a group without query shots has no error: 0/0 says so.
        return member @ errors / member.sum(1)

    return map_tasks(one, (tasks, query_groups), chunk)
