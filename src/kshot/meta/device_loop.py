"""The part of training that runs on the device: many outer steps in one call.

One compiled program with a *traced* number of steps: calls of any length share it, so nothing is
compiled twice, and where calls begin and end changes no bit of the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, PRNGKeyArray, PyTree

from kshot.core import trees
from kshot.core.rng import named_key
from kshot.meta import sharding
from kshot.meta.algorithms.base import MetaAlgorithm, State
from kshot.meta.stream import STREAM, TaskStream
from kshot.meta.task import Task, take

MOST_STEPS = 1000
FEED_BYTES = 64 * 2**20
AIM_SECONDS = 1.0


class Told(NamedTuple):
    """What outer steps tell, one entry a step.

    Args:
        loss: the objective, NaN where no task counted.
        grad_norm: the norm of the meta-gradient.
        skipped: tasks that were not finite.
        lost: whether no task at all counted.
    """

    loss: np.ndarray
    grad_norm: np.ndarray
    skipped: np.ndarray
    lost: np.ndarray


class Call(NamedTuple):
    """One device call that is over: steps taken so far, the state, and what its steps told."""

    step: int
    state: State
    told: Told


class Program(eqx.Module):
    """What stays the same from call to call.

    Args:
        algorithm: what takes the steps.
        stream: where tasks come from.
        key: the key of the run's seed.
        seed: the seed.
        most: most steps in one call.
        mesh: the devices tasks are spread over; ``None`` for one device.
    """

    algorithm: MetaAlgorithm
    stream: TaskStream
    key: PRNGKeyArray
    seed: int = eqx.field(static=True)
    most: int = eqx.field(static=True)
    mesh: Mesh | None = eqx.field(static=True)


def steps_that_fit(stream: TaskStream, tasks: Task, seed: int, step: int) -> int:
    """Return how many steps one call takes at most by default.

    Where the host feeds tasks, a call's batches lie in memory together: they get 64 MiB.
    """
    if stream.feed(seed, step, 1) is None:
        return MOST_STEPS
    return int(np.clip(FEED_BYTES // max(trees.nbytes(tasks), 1), 1, MOST_STEPS))


def device_calls(
    program: Program, state: State, step: int, next_stop: Callable[[int], int]
) -> Iterator[Call]:
    """Take outer steps until ``next_stop`` no longer moves on.

    A call never runs past a stop, and takes about a second. The state it yields is given away to
    the next call: copy what is to be kept.

    Args:
        program: what to run.
        state: the state at ``step``; left untouched.
        step: outer steps taken already.
        next_stop: step → the next step at which the host wants to see the state.
    """
    state = _own(state, program.mesh)
    size = program.most if jax.process_count() > 1 else 1  # clocks differ between processes
    count = min(size, next_stop(step) - step)
    fed = _feed(program, step, count)
    while count > 0:
        began = time.monotonic()
        bounds = (jnp.asarray(step, jnp.int32), jnp.asarray(count, jnp.int32))
        state, told = _advance((program, *bounds, fed), state)
        step, done = step + count, count
        count = min(size, next_stop(step) - step)
        # the host draws the next tasks while the device is at work on these.
        fed = _feed(program, step, count)
        loss, grad_norm, skipped, lost = np.asarray(jax.device_get(told))[:done].T
        told = Told(loss, grad_norm, skipped.astype(np.int32), lost.astype(bool))
        if jax.process_count() == 1:
            size = _paced(size, program.most, time.monotonic() - began)
        yield Call(step, state, told)


@eqx.filter_jit(donate="all-except-first")
def _advance(fixed: tuple[Program, Array, Array, PyTree], state: State) -> tuple[State, Array]:
    """Return the state after ``count`` steps, and a row of what is `Told` for each."""
    program, start, count, fed = fixed

    def body(i: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
        state, told = carry
        key = named_key(program.key, STREAM, start + i)
        tasks = program.stream.draw(key, take(fed, i))
        state, info = program.algorithm.step(state, sharding.constrain_tasks(tasks, program.mesh))
        state = sharding.constrain_replicated(state, program.mesh)
        news = (info.loss, info.grad_norm, info.skipped, ~info.kept.any())
        # one row in place: a scatter would go through the whole array at every step.
        row = jnp.stack([value.astype(told.dtype) for value in news])
        return state, jax.lax.dynamic_update_index_in_dim(told, row, i, 0)

    told = jnp.zeros((program.most, len(Told._fields)))
    state, told = jax.lax.fori_loop(0, count, body, (state, told))
    return state, sharding.constrain_replicated(told, program.mesh)


def _feed(program: Program, step: int, count: int) -> PyTree:
    """Return the host's share of the next call, always of the same shape; the rest is not read."""
    fed = program.stream.feed(program.seed, step, count) if count > 0 else None

    def pad(rows: np.ndarray) -> np.ndarray:
        whole = np.zeros((program.most, *rows.shape[1:]), rows.dtype)
        whole[:count] = rows
        return whole

    fed = jax.tree.map(pad, fed)
    return fed if program.mesh is None else sharding.shard_feed(fed, program.mesh)


def _own(state: State, mesh: Mesh | None) -> State:
    """Return a copy that may be given away."""
    if mesh is not None:
        return sharding.replicate(state, mesh)
    return jax.tree.map(lambda x: jnp.copy(x) if eqx.is_array(x) else x, state)


def _paced(size: int, most: int, seconds: float) -> int:
    """Return how many steps the next call takes, so that it lasts about a second."""
    if seconds < AIM_SECONDS / 2:
        return min(4 * size, most)
    return max(size // 2, 1) if seconds > 2 * AIM_SECONDS else size
