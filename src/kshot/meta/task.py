"""A task: a support set to adapt on, and a disjoint query set to judge by."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from kshot.core import trees
from kshot.core.errors import TaskError


class Task(eqx.Module):
    """One task, or many stacked along a leading task axis.

    Args:
        support: any pytree of arrays with leading axis = shots; the inner rule adapts on it.
        query: the same structure and per-example shapes, its number of shots may differ. ``None``
            where an algorithm needs no query set (Reptile) or there is none (a new chemistry).
    """

    support: PyTree
    query: PyTree = None


def stack_tasks(tasks: Sequence[Task]) -> Task:
    """Stack tasks of equal shapes along a new leading task axis.

    Raises:
        TaskError: no tasks, or one whose structure or shapes differ from the first; it is named.
    """
    if not tasks:
        raise TaskError("at least one task", "none", "Give a non-empty sequence of Task.")
    first = _signature(tasks[0])
    for index, task in enumerate(tasks[1:], start=1):
        if (other := _signature(task)) != first:
            raise TaskError(
                f"every task to have the shapes of task 0, {_difference(first, other)[0]}",
                f"task {index} with {_difference(first, other)[1]}",
                "Pad or subsample to equal shots, or batch tasks of equal shape together.",
            )
        if jax.tree.structure(task) != jax.tree.structure(tasks[0]):
            raise TaskError(
                f"every task structured like task 0, {jax.tree.structure(tasks[0])}",
                f"task {index}: {jax.tree.structure(task)}",
                "Use the same containers in every task.",
            )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *tasks)


def take(data: PyTree, index: object) -> PyTree:
    """Return ``leaf[index]`` for every leaf: tasks of a stacked Task, or shots of a data set."""
    return jax.tree.map(lambda leaf: leaf[index], data)


def shots(data: PyTree) -> int:
    """Return the number of shots of a support or query set (the common leading axis)."""
    return jax.tree.leaves(data)[0].shape[0]


def first_shots(task: Task, k: int, task_axis: int = 0) -> Task:
    """Return the task, or the stack of tasks, with only the first ``k`` support shots.

    Args:
        task: one task (``task_axis=0``) or a stack of them (``task_axis=1``).
        k: how many support shots to keep.
        task_axis: the number of leading task axes before the shots.

    Raises:
        TaskError: a task has fewer than ``k`` support shots.
    """
    have = min(leaf.shape[task_axis] for leaf in jax.tree.leaves(task.support))
    if not 1 <= k <= have:
        raise TaskError(
            f"K between 1 and the {have} support shots there are",
            f"K = {k}",
            "Ask for fewer shots.",
        )
    cut = (slice(None),) * task_axis + (slice(k),)
    return Task(take(task.support, cut), task.query)


def _signature(task: Task) -> list[tuple[str, tuple[int, ...], str]]:
    return [
        (name, tuple(jnp.shape(leaf)), str(jnp.result_type(leaf)))
        for name, leaf in trees.named_leaves(task)
    ]


def _difference(a: list, b: list) -> tuple[str, str]:
    for x, y in zip(a, b, strict=False):
        if x != y:
            return f"{x[0]} {x[2]}{list(x[1])}", f"{y[0]} {y[2]}{list(y[1])}"
    return f"{len(a)} leaves", f"{len(b)} leaves"
