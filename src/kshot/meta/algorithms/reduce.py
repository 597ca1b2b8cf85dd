"""Gradients of many tasks become one: in parallel or in chunks, non-finite tasks left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree, Scalar

from kshot.core import trees
from kshot.meta.metagrads.base import Outcome
from kshot.meta.task import Task, take

Reduce = Literal["mean", "sum"]
# one task and its index -> what happened, and the gradient on the learned leaves.
PerTask = Callable[[Task, Array], tuple[Outcome, PyTree]]
# stacked tasks and their indices -> what happened per task, and the gradient of the summed loss.
AsOne = Callable[[Task, Array], tuple[Outcome, PyTree]]


class Reduced(NamedTuple):
    """The reduced gradient of a meta-batch, its squared norm, and what happened per task."""

    grad: PyTree
    squared_norm: Scalar
    outcomes: Outcome
    kept: Bool[Array, " tasks"]


def reduce_tasks(
    per_task: PerTask,
    tasks: Task,
    reduce: Reduce,
    tasks_in_parallel: int | None,
    as_one: AsOne | None = None,
) -> Reduced:
    """Return the gradient reduced over the tasks whose own gradient is finite.

    Args:
        per_task: the meta-gradient of one task.
        tasks: tasks stacked along a leading axis.
        reduce: ``"mean"`` or ``"sum"`` over the tasks that count.
        tasks_in_parallel: this many tasks at once, the chunks one after another; all if None.
        as_one: the gradient of a chunk's summed loss, where there is such a thing: tried first, and
            good unless anything in it is not finite.
    """
    count = len(jax.tree.leaves(tasks)[0])
    indices = jnp.arange(count, dtype=jnp.int32)
    chunk = count if tasks_in_parallel is None else min(tasks_in_parallel, count)
    whole = count // chunk * chunk

    def body(part: tuple[Task, Array]) -> Reduced:
        if as_one is None:
            return _sum_guarded(per_task, *part)
        outcomes, total = as_one(*part)
        squared = trees.squared_norm(total)
        # one number answers for all: a norm that overflows only sends the chunk the careful way.
        clean = jnp.isfinite(squared) & jnp.isfinite(outcomes.loss.sum())
        whole = Reduced(total, squared, outcomes, jnp.ones(len(part[1]), bool))
        return jax.lax.cond(clean, lambda: whole, lambda: _sum_guarded(per_task, *part))

    if chunk == count:
        reduced = body((tasks, indices))
    else:
        reduced = _scan_chunks(body, (tasks, indices), whole, chunk)
    return _mean(reduced) if reduce == "mean" else reduced


def _mean(total: Reduced) -> Reduced:
    counted = jnp.maximum(total.kept.sum(), 1)
    share = lambda g, power=1: g / counted.astype(g.dtype) ** power  # noqa: E731
    grad = jax.tree.map(share, total.grad)
    return total._replace(grad=grad, squared_norm=share(total.squared_norm, 2))


def _sum_guarded(per_task: PerTask, tasks: Task, indices: Int[Array, " chunk"]) -> Reduced:
    def guarded(task: Task, index: Array) -> tuple[PyTree, Outcome, Array]:
        outcome, grad = per_task(task, index)
        kept = trees.all_finite((grad, outcome.loss))
        # where, not a product: zero times NaN is NaN.
        return trees.where(kept, grad, trees.zeros_like(grad)), outcome, kept

    grads, outcomes, kept = jax.vmap(guarded)(tasks, indices)
    total = jax.tree.map(lambda g: g.sum(0), grads)
    return Reduced(total, trees.dot(total, total), outcomes, kept)


def _scan_chunks(body: Callable, parts: PyTree, whole: int, chunk: int) -> Reduced:
    first = jax.tree.map(lambda x: x[:whole].reshape(-1, chunk, *x.shape[1:]), parts)

    def add_chunk(total: PyTree, part: PyTree) -> tuple[PyTree, tuple]:
        chunk = body(part)
        return trees.add(total, chunk.grad), (chunk.outcomes, chunk.kept)

    zero = trees.zeros_like(jax.eval_shape(body, take(first, 0)).grad)
    total, told = jax.lax.scan(add_chunk, zero, first)
    told = jax.tree.map(lambda x: x.reshape(whole, *x.shape[2:]), told)
    if whole < len(jax.tree.leaves(parts)[0]):
        total, rest = add_chunk(total, take(parts, slice(whole, None)))
        told = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), told, rest)
    return Reduced(total, trees.dot(total, total), *told)
