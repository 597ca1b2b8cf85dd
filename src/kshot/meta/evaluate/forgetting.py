"""Forgetting: what adapting to one task does to the error on others, at once and in sequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from kshot.core.errors import TaskError
from kshot.meta.algorithms.base import State
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.evaluate.measure import Metric
from kshot.meta.evaluate.record import Record
from kshot.meta.metagrads.inner_loop import stats_at
from kshot.meta.task import Task


@dataclass(frozen=True, eq=False)
class Forgetting(Record):
    """Errors on every task after adapting to any one of them. Means leave non-finite errors out.

    Args:
        before: the query error of each task under the initialisation.
        after: row i: adapted to task i; column j: the query error on task j.
        own_change: the mean change of a task's error when adapted to; below zero it learnt.
        other_change: the mean change on the other tasks; above zero they were forgotten.
        diverged: how many entries of ``after`` are not finite.
    """

    before: Float[np.ndarray, " tasks"]
    after: Float[np.ndarray, "tasks tasks"]
    own_change: float
    other_change: float
    diverged: int


@dataclass(frozen=True, eq=False)
class SequenceForgetting(Record):
    """Errors on every task along a sequence of adaptations, each from where the last one ended.

    Args:
        errors: row i: after adapting to the first i tasks (row 0: none yet); column j: the query
            error on task j.
        average_forgetting: the mean, over all tasks but the last, of the final error minus the
            lowest error the task ever had.
        backward_transfer: the mean, over the same, of the final error minus the error right after
            the task was adapted to. Above zero: later tasks spoilt earlier ones.
        diverged: how many errors are not finite; if any, the two numbers may be NaN.
    """

    errors: Float[np.ndarray, "adaptations tasks"]
    average_forgetting: float
    backward_transfer: float
    diverged: int


def forgetting(
    algorithm: Bilevel,
    state: State,
    tasks: Task,
    steps: int | None = None,
    metric: Metric | None = None,
) -> Forgetting:
    """Return the error on each task before, and after adapting to each of them.

    Args:
        algorithm: a bilevel algorithm.
        state: its state.
        tasks: a stack of tasks with query sets; T adaptations, T² evaluations.
        steps: inner steps; the algorithm's own number if None.
        metric: ``(params, query, stats) -> error``; the algorithm's own loss if None.
    """
    _check(tasks, 1)
    found = _matrix(algorithm, state, tasks, steps, metric)
    before, after = (np.asarray(x, np.float64) for x in found)
    change = after - before
    own = np.eye(len(before), dtype=bool)
    lost = int((~np.isfinite(after)).sum())
    return Forgetting(before, after, _finite_mean(change[own]), _finite_mean(change[~own]), lost)


def sequence_forgetting(
    algorithm: Bilevel,
    state: State,
    tasks: Task,
    steps: int | None = None,
    metric: Metric | None = None,
) -> SequenceForgetting:
    """Return the error on each task along a sequence of adaptations, each from the last one's end.

    Args:
        algorithm: a bilevel algorithm.
        state: its state.
        tasks: at least two tasks with query sets, in the order in which they come.
        steps: inner steps on each; the algorithm's own number if None.
        metric: ``(params, query, stats) -> error``; the algorithm's own loss if None.
    """
    _check(tasks, 2)
    errors = np.asarray(_sequence(algorithm, state, tasks, steps, metric), np.float64)
    final, last = errors[-1, :-1], errors.shape[1] - 1
    right_after = errors[np.arange(last) + 1, np.arange(last)]
    return SequenceForgetting(
        errors,
        float(np.mean(final - errors[:-1, :-1].min(0))),
        float(np.mean(final - right_after)),
        int((~np.isfinite(errors)).sum()),
    )


def _finite_mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _check(tasks: Task, least: int) -> None:
    count = len(jax.tree.leaves(tasks)[0])
    if tasks.query is None or count < least:
        got = "query=None" if tasks.query is None else f"{count}"
        todo = "Give a stack of tasks, each with support and query."
        raise TaskError(f"at least {least} tasks with query sets", got, todo)


def _judge(
    algorithm: Bilevel, state: State, tasks: Task, metric: Metric | None
) -> Callable[[PyTree, int], Array]:
    """Return ``(params, steps done) -> error on every task``."""
    error = algorithm.objective if metric is None else metric

    def judge(params: PyTree, done: int) -> Array:
        row = stats_at(state.stats, done)
        return jax.vmap(lambda query: error(params, query, row))(tasks.query)

    return judge


@eqx.filter_jit
def _matrix(
    algorithm: Bilevel, state: State, tasks: Task, steps: int | None, metric: Metric | None
) -> tuple[Array, Array]:
    judge = _judge(algorithm, state, tasks, metric)
    steps = algorithm.steps_to_adapt(steps)
    row = lambda support: judge(algorithm.adapt(state, support, steps), steps)  # noqa: E731
    return judge(state.params, 0), jax.lax.map(row, tasks.support)


@eqx.filter_jit
def _sequence(
    algorithm: Bilevel, state: State, tasks: Task, steps: int | None, metric: Metric | None
) -> Float[Array, "adaptations tasks"]:
    judge = _judge(algorithm, state, tasks, metric)
    steps = algorithm.steps_to_adapt(steps)

    def follow(params: PyTree, support: PyTree) -> tuple[PyTree, Array]:
        # the learnt rates and statistics stay; only the point of departure moves along.
        here = eqx.tree_at(lambda s: s.learner.params, state, params)
        params = algorithm.adapt(here, support, steps)
        return params, judge(params, steps)

    _, rows = jax.lax.scan(follow, state.params, tasks.support)
    return jnp.concatenate([judge(state.params, 0)[None], rows])
