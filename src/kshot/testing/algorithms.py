"""The contract of a meta-algorithm."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from kshot.core import trees
from kshot.meta.algorithms.base import Info, MetaAlgorithm, State
from kshot.meta.problems import mlp, sinusoids
from kshot.meta.task import Task, take
from kshot.testing.expect import expect, expect_close, expect_same_type
from kshot.testing.training import SHOTS, TASKS, expect_improvement, train, unseen_losses

# as a label, its square is beyond float32: a finite number that makes a task's gradient not finite.
POISON = 1e30


def check_algorithm(make: Callable[[], MetaAlgorithm], params: PyTree = None) -> None:
    """Check everything a meta-algorithm promises.

    * Its state is a fixed point of type, and repeated steps are traced once.
    * The same key gives the same result, bit by bit.
    * ``adapt`` under ``vmap`` is ``adapt`` in a loop.
    * A short training, then adaptation, lower the query loss on unseen sinusoids.
    * A task whose gradient is not finite is skipped and counted, and all others still count; where
      every task is so, nothing moves but the step counter.

    Args:
        make: makes the algorithm, its loss that of `kshot.meta.problems` (or a like one).
        params: where to start; a small perceptron if None.

    Raises:
        ContractError: a promise is broken.
    """
    algorithm = make()
    params = mlp(jax.random.key(0), (1, 5, 1)) if params is None else params
    start = algorithm.init(params, key=1)
    tasks = sinusoids(jax.random.key(1), TASKS, SHOTS, SHOTS)
    following, info = algorithm.step(start, tasks)
    expect_same_type("the state of an algorithm", start, following)
    check_info(info)
    again, _ = algorithm.step(algorithm.init(params, key=1), tasks)
    expect_close("the same key twice", _bare(again), _bare(following), 0.0)
    check_guard(algorithm, following, tasks)
    check_adaptation(algorithm, following, tasks)
    check_learning(algorithm, start)


def check_info(info: Info) -> None:
    """Check what a step tells about healthy tasks."""
    todo = "Info is one number, or one row per task."
    expect(info.loss.shape == (), "a scalar info.loss", info.loss.shape, todo)
    shape = info.task_losses.shape
    expect(shape == (TASKS,), f"info.task_losses of {TASKS} tasks", shape, todo)
    expect(bool(info.kept.all()), "every healthy task kept", info.kept, "Check its gradient.")
    expect(int(info.skipped) == 0, "no healthy task skipped", info.skipped, "Check its gradient.")
    expect(bool(jnp.isfinite(info.grad_norm)), "a finite grad_norm", info.grad_norm, todo)


def check_guard(algorithm: MetaAlgorithm, state: State, tasks: Task) -> None:
    """Check that tasks whose gradient is not finite are left out, counted, and move nothing."""
    todo = "Leave out every task whose gradient or loss is not finite, and count it."
    after, info = algorithm.step(state, poisoned(tasks, slice(0, 1)))
    kept = [False] + [True] * (TASKS - 1)
    expect(info.kept.tolist() == kept, f"info.kept = {kept}", info.kept, todo)
    expect(int(info.skipped) == 1, "one task skipped", info.skipped, todo)
    expect(bool(trees.all_finite(_bare(after))), "a finite state", "a state that is not", todo)
    after, info = algorithm.step(state, poisoned(tasks, slice(None)))
    expect(int(info.skipped) == TASKS, "all tasks skipped", info.skipped, todo)
    moved = eqx.tree_at(lambda s: s.step, _bare(after), state.step)
    expect_close("the state when no task counts", moved, _bare(state), 0.0)
    expect(int(after.step) == int(state.step) + 1, "the step counted", after.step, todo)


def check_adaptation(algorithm: MetaAlgorithm, state: State, tasks: Task) -> None:
    """Check that adaptation under ``vmap`` is adaptation in a loop."""

    def adapt(support: PyTree) -> PyTree:
        return eqx.filter(algorithm.adapt(state, support), eqx.is_array)

    together = eqx.filter_jit(jax.vmap(adapt))(tasks.support)
    alone = [adapt(take(tasks.support, i)) for i in range(TASKS)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
    expect_close("vmap = loop", together, stacked, 1e-3)


def check_learning(algorithm: MetaAlgorithm, start: State) -> None:
    """Check that training and adaptation together lower the query loss on unseen tasks."""
    end, _ = train(algorithm, start)
    losses = unseen_losses(algorithm)
    untrained, trained = losses(start), losses(end)
    # closed-form rules overfit until they are trained; a baseline may learn nothing but adapt well.
    expect_improvement(float(jnp.maximum(untrained[0], untrained[-1])), float(trained[-1]))


def poisoned(tasks: Task, which: slice) -> Task:
    """Return the tasks with some of their labels too large to square."""

    def poison(data: tuple) -> tuple:
        x, y = data
        return x, y.at[which].set(POISON)

    return Task(poison(tasks.support), poison(tasks.query))


def _bare(state: State) -> PyTree:
    """Return the state with its key as numbers."""
    return eqx.tree_at(lambda s: s.key, state, jax.random.key_data(state.key))
