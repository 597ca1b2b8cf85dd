"""What can be known before compilation is said before compilation.

Shapes are checked while a step is traced; values, where they are concrete, the first time a shape
is seen. Later non-finite tasks are left out and counted by the step itself.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from kshot.core import trees
from kshot.core.errors import LossError, OptionError, TaskError
from kshot.meta.loss import Objective
from kshot.meta.metagrads.inner_loop import stats_at
from kshot.meta.programs import always_zero
from kshot.meta.task import Task

_seen: set[tuple] = set()


def tasks(stack: Task, needs_query: bool, tasks_in_parallel: int | None = None) -> None:
    """Check a stack of tasks: shapes always, values the first time such shapes are seen.

    Raises:
        TaskError: support and query that do not match, an empty set, no query set where one is
            needed, or a value that is not finite; the leaf and the task are named.
        OptionError: ``tasks_in_parallel`` below one.
    """
    if tasks_in_parallel is not None and tasks_in_parallel < 1:
        todo = "Use None for all at once."
        raise OptionError("tasks_in_parallel ≥ 1", str(tasks_in_parallel), todo)
    signature = _signature(stack)
    if (signature, needs_query) in _seen:
        return
    _axes(stack.support, "support", 2)
    if stack.query is not None:
        _axes(stack.query, "query", 2)
        _alike(stack)
    elif needs_query:
        raise TaskError(
            "a query set to take the meta-gradient on",
            "query=None",
            "Split each task's shots in two, or use meta.reptile, which needs no query.",
        )
    if _concrete(stack):  # what a trace has seen are shapes, no values
        values(stack)
        _seen.add((signature, needs_query))


def values(stack: Task) -> None:
    """Check that every value in a stack of tasks is finite, whatever was seen before."""
    _values(stack, ("task", "shot"))


def support(data: PyTree) -> None:
    """Check one support set, its values always: here no other task makes up for a bad one.

    Raises:
        TaskError: an empty set, leaves of unequal shots, or a value that is not finite.
    """
    signature = _signature(data)
    if signature not in _seen:
        _axes(data, "support", 1)
        _seen.add(signature)
    _values(Task(data), ("shot",))


def query(task: Task) -> None:
    """Check that there is a query set to judge by.

    Raises:
        TaskError: there is none.
    """
    if task.query is None:
        todo = "Split the shots in two, or adapt() and judge by a loss of your own."
        raise TaskError("a query set to judge by", "query=None", todo)


def loss(objective: Objective, params: PyTree, stats: PyTree, data: PyTree) -> None:
    """Check, from shapes alone, that the loss of one data set is a differentiable scalar.

    Raises:
        LossError: not a scalar, not floating, or no parameter influences it.
    """
    row = stats_at(stats, 0)

    def value(params: PyTree, data: PyTree) -> Any:  # noqa: ANN401 - what it is, is the question
        return objective.evaluate(params, row, data)[0]

    shapes, data = jax.tree.map(_shape, (params, data))
    out = jax.eval_shape(value, shapes, data)
    if not isinstance(out, jax.ShapeDtypeStruct) or out.shape != ():
        got = f"shape {list(out.shape)}" if isinstance(out, jax.ShapeDtypeStruct) else str(out)
        todo = "Reduce it with jnp.mean or jnp.sum; return auxiliary values as (loss, aux)."
        raise LossError("a scalar loss", got, todo)
    if not jnp.issubdtype(out.dtype, jnp.floating):
        todo = "Return a floating value; counts and argmax carry no gradient."
        raise LossError("a floating, differentiable loss", f"dtype {out.dtype}", todo)
    if always_zero(jax.grad(value), shapes, data):
        todo = "Rounding, comparisons, argmax and stop_gradient cut gradients: use a smooth loss."
        raise LossError("a loss that the parameters influence", "a gradient always zero", todo)


def _concrete(data: PyTree) -> bool:
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(data))


def _signature(data: PyTree) -> tuple:
    leaves, structure = jax.tree.flatten(data)
    return structure, tuple((jnp.shape(leaf), str(jnp.result_type(leaf))) for leaf in leaves)


def _shape(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf))


def _axes(data: PyTree, which: str, leading: int) -> None:
    """Each leaf has the leading axes (task, shots) and agrees on their sizes; none is empty."""
    leaves = trees.named_leaves(data)
    if not leaves:
        raise TaskError(f"a {which} set with arrays in it", "no leaves", "Give at least one array.")
    names = ("a task axis and a shot axis", "a shot axis")[leading == 1]
    first: tuple[int, ...] | None = None
    for name, leaf in leaves:
        shape = jnp.shape(leaf)
        if len(shape) < leading:
            todo = "Stack tasks with meta.stack_tasks; shots are each leaf's leading axis."
            raise TaskError(f"{which} leaves with {names}", f"{name} of shape {list(shape)}", todo)
        first = shape[:leading] if first is None else first
        if shape[:leading] != first:
            todo = "Every leaf of a set has the same tasks and shots."
            raise TaskError(
                f"{which} leaves that start {list(first)}", f"{name}: {list(shape)}", todo
            )
        if 0 in shape[:leading]:
            todo = "A set needs at least one shot."
            raise TaskError(f"a non-empty {which} set", f"{name} of shape {list(shape)}", todo)


def _alike(stack: Task) -> None:
    """Support and query differ in nothing but the number of shots."""
    left, right = trees.named_leaves(stack.support), trees.named_leaves(stack.query)
    todo = "Support and query must be drawn alike; only their numbers of shots may differ."
    if jax.tree.structure(stack.support) != jax.tree.structure(stack.query):
        names = [", ".join(name for name, _ in side) for side in (left, right)]
        raise TaskError(f"a query like the support, leaves {names[0]}", f"leaves {names[1]}", todo)
    for (name, a), (_, b) in zip(left, right, strict=True):
        ours, theirs = (jnp.shape(x)[:1] + jnp.shape(x)[2:] for x in (a, b))
        kinds = tuple(str(jnp.result_type(x)) for x in (a, b))
        if ours != theirs or kinds[0] != kinds[1]:
            want = f"{name} {kinds[0]}{list(jnp.shape(a))} in the support"
            raise TaskError(want, f"{kinds[1]}{list(jnp.shape(b))} in the query", todo)


def _values(task: Task, axes: tuple[str, ...]) -> None:
    """Each concrete floating leaf is finite; the first that is not is named with its task."""
    for which, data in (("support", task.support), ("query", task.query)):
        for name, leaf in trees.named_leaves(data):
            if isinstance(leaf, jax.core.Tracer) or not jnp.issubdtype(leaf.dtype, jnp.inexact):
                continue
            bad = np.argwhere(~np.isfinite(np.asarray(leaf)))
            if len(bad):
                at = ", ".join(f"{axis} {i}" for axis, i in zip(axes, bad[0], strict=False))
                todo = "Remove or repair it: one such number makes the whole task worthless."
                raise TaskError(
                    "finite data", f"{len(bad)} non-finite in {which} {name}, {at}", todo
                )
