"""The error of every task along its adaptation, and which tasks diverged."""

from __future__ import annotations

import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from kshot.core.errors import OptionError, TaskError
from kshot.meta.algorithms.base import MetaAlgorithm, State
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.metagrads.base import check_steps
from kshot.meta.metagrads.inner_loop import stats_at
from kshot.meta.task import Task, take

# (params, data, stats) -> error, lower is better. Any Objective is one; a misclassification rate
# is another. `stats` is None for models without state.
Metric = Callable[[PyTree, PyTree, PyTree], Array]

# An error this many times the typical error before adaptation counts as diverged.
BLOWN_UP = 100.0
TASKS_IN_PARALLEL = 64


def task_errors(
    algorithm: MetaAlgorithm,
    state: State,
    tasks: Task,
    steps: int | None = None,
    metric: Metric | None = None,
    tasks_in_parallel: int = TASKS_IN_PARALLEL,
) -> Float[np.ndarray, "tasks points"]:
    """Return the query error of each task before adaptation and after each inner step.

    Args:
        algorithm: the algorithm.
        state: its state.
        tasks: a stack of tasks with query sets.
        steps: inner steps; the algorithm's own number if None.
        metric: ``(params, query, stats) -> error``; the algorithm's own loss if None. Only
            bilevel algorithms take another one.
        tasks_in_parallel: tasks per chunk, the chunks one after another, to bound memory.

    Raises:
        TaskError: the tasks have no query set.
        OptionError: a metric for an algorithm that is not bilevel; a bad number of steps or chunk.
    """
    check_steps(0 if steps is None else steps)
    if tasks.query is None:
        todo = "Split each task's shots into support and query."
        raise TaskError("tasks with a query set to evaluate on", "query=None", todo)
    if tasks_in_parallel < 1:
        todo = "It bounds memory; 64 is usual."
        raise OptionError("tasks_in_parallel ≥ 1", str(tasks_in_parallel), todo)
    if metric is not None:
        algorithm = bilevel(algorithm)
    found = _task_errors(algorithm, state, tasks, steps, metric, tasks_in_parallel)
    return np.asarray(found, np.float64)


def diverged(
    errors: Float[np.ndarray, "tasks points"], before: Float[np.ndarray, " tasks"]
) -> Bool[np.ndarray, "tasks points"]:
    """Return which errors are not finite, or blown up.

    Args:
        errors: errors to judge.
        before: the same tasks' errors before adaptation; their median sets the scale.
    """
    finite = before[np.isfinite(before)]
    typical = np.median(finite) if len(finite) else 0.0
    # a model that is perfect before adaptation sets no scale.
    limit = BLOWN_UP * typical if typical > 0 else np.inf
    return ~np.isfinite(errors) | (errors > limit)


def along(
    algorithm: Bilevel,
    state: State,
    support: PyTree,
    steps: int | None,
    each: Callable[[PyTree, PyTree], PyTree],
) -> PyTree:
    """Return ``each(params, stats)`` before adaptation and after every step, stacked.

    Args:
        algorithm: a bilevel algorithm.
        state: its state.
        support: one support set.
        steps: inner steps; the algorithm's own number if None.
        each: what to look at: the parameters, and the row of model statistics that a judgement
            after so many steps uses.
    """
    learner, stats = state.learner, state.stats
    path = algorithm.metagrad.adapt(
        learner,
        algorithm.objective,
        support,
        algorithm.steps_to_adapt(steps),
        stats,
        each=lambda params, index: each(params, stats_at(stats, index + 1)),
    )
    start = each(state.params, stats_at(stats, 0))
    return jax.tree.map(lambda a, rows: jnp.concatenate([a[None], rows]), start, path.each)


def map_tasks(fn: Callable[[PyTree], Array], tasks: PyTree, chunk: int) -> Array:
    """Return ``fn`` of every task, at most ``chunk`` of them at once.

    Chunks are of one size, the last one filled up with the first tasks again: a remainder of its
    own would be compiled a second time, and compiling takes longer than evaluating.
    """
    count = len(jax.tree.leaves(tasks)[0])
    chunks = -(-count // chunk)
    size = -(-count // chunks)
    order = np.arange(chunks * size) % count
    return jax.lax.map(fn, take(tasks, order), batch_size=size)[:count]


def bilevel(algorithm: MetaAlgorithm) -> Bilevel:
    """Return the algorithm if its inner loop can be watched.

    Raises:
        OptionError: it cannot.
    """
    if isinstance(algorithm, Bilevel):
        return algorithm
    todo = "Use one of the recipes over meta.bilevel, or leave the metric to the algorithm."
    expected = "a bilevel algorithm, whose parameters adapt step by step"
    raise OptionError(expected, type(algorithm).__name__, todo)


@eqx.filter_jit
def _task_errors(
    algorithm: MetaAlgorithm,
    state: State,
    tasks: Task,
    steps: int | None,
    metric: Metric | None,
    chunk: int,
) -> Float[Array, "tasks points"]:
    def own(task: Task) -> Array:
        return algorithm.losses(state, task, steps)

    def other(task: Task, metric: Metric) -> Array:
        judge = lambda params, stats: metric(params, task.query, stats)  # noqa: E731
        return along(bilevel(algorithm), state, task.support, steps, judge)

    one = own if metric is None else functools.partial(other, metric=metric)
    return map_tasks(one, tasks, chunk)
