"""The outer step all algorithms share: reduce the tasks' gradients, update, keep the guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from kshot.core import trees
from kshot.meta.algorithms.base import Info, State
from kshot.meta.algorithms.reduce import Reduce, Reduced, reduce_tasks
from kshot.meta.learner import Learner
from kshot.meta.metagrads.base import Outcome, When
from kshot.meta.task import Task


class Outer(NamedTuple):
    """How the outer loop moves.

    Args:
        optimiser: any optax transform.
        split: learner → ``(learned, fixed)``, each ``None`` where the other is not.
        reduce: how tasks are reduced.
        tasks_in_parallel: tasks per chunk; all at once if None.
    """

    optimiser: optax.GradientTransformation
    split: Callable[[Learner], tuple[PyTree, PyTree]]
    reduce: Reduce
    tasks_in_parallel: int | None


def start(learner: Learner, outer: Outer, key: Array, stats: PyTree = None) -> State:
    """Return the state before the first outer step."""
    opt_state = trees.strong(outer.optimiser.init(outer.split(learner)[0]))
    return State(learner, opt_state, jnp.zeros((), jnp.int32), key, stats)


def outer_step(
    gradient: Callable[[Task, When], tuple[Outcome, Learner]],
    outer: Outer,
    state: State,
    tasks: Task,
    as_one: Callable[[Task, When], tuple[Outcome, Learner]] | None = None,
) -> tuple[State, Info]:
    """Take one outer step.

    Args:
        gradient: the meta-gradient of one task.
        outer: how the outer loop moves.
        state: where it is.
        tasks: the meta-batch.
        as_one: the gradient of the summed loss of stacked tasks, where it is cheaper.
    """

    def when(index: Array) -> When:
        key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), index)
        return When(state.step, key)

    def per_task(task: Task, index: Array) -> tuple[Outcome, PyTree]:
        outcome, grad = gradient(task, when(index))
        return outcome, outer.split(grad)[0]

    def summed(tasks: Task, indices: Array) -> tuple[Outcome, PyTree]:
        assert as_one is not None
        outcomes, grad = as_one(tasks, jax.vmap(when)(indices))
        return outcomes, outer.split(grad)[0]

    reduced = reduce_tasks(
        per_task, tasks, outer.reduce, outer.tasks_in_parallel, None if as_one is None else summed
    )
    learned, fixed = outer.split(state.learner)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counts with floats.
        updates, opt_state = outer.optimiser.update(reduced.grad, state.opt_state, learned)
    moved = optax.apply_updates(learned, updates)
    # a batch in which no task counted must not move anything, momentum included.
    any_kept = reduced.kept.any()
    learned, opt_state = trees.where(any_kept, (moved, opt_state), (learned, state.opt_state))
    stats = _mean_stats(reduced, state.stats)
    following = State(eqx.combine(learned, fixed), opt_state, state.step + 1, state.key, stats)
    return following, _info(reduced, outer.reduce)


def _mean_stats(reduced: Reduced, old: PyTree) -> PyTree:
    if old is None:
        return None

    def mean(rows: Array, before: Array) -> Array:
        kept = reduced.kept.reshape((-1,) + (1,) * (rows.ndim - 1))
        count = jnp.maximum(reduced.kept.sum(), 1).astype(rows.dtype)
        average = jnp.sum(jnp.where(kept, rows, 0), 0) / count
        return jnp.where(reduced.kept.any(), average, before).astype(before.dtype)

    return jax.tree.map(mean, reduced.outcomes.stats, old)


def _info(reduced: Reduced, reduce: Reduce) -> Info:
    kept, outcomes = reduced.kept, reduced.outcomes
    total = jnp.sum(jnp.where(kept, outcomes.loss, 0))
    if reduce == "mean":
        total = total / jnp.maximum(kept.sum(), 1).astype(total.dtype)
    return Info(
        loss=jnp.where(kept.any(), total, jnp.nan),
        task_losses=outcomes.loss,
        support_losses=outcomes.support_losses,
        kept=kept,
        skipped=jnp.sum(~kept),
        grad_norm=jnp.sqrt(reduced.squared_norm),
        aux=outcomes.aux,
    )
