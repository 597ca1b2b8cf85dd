"""kshot.meta on the sinusoid problem, by its public functions only."""

import jax
import jax.numpy as jnp
import numpy as np
from sinusoid import Problem

from entries import Run
from entries.jax_common import device_tasks
from kshot import meta
from kshot.meta.stream import TaskStream
from kshot.meta.train import train


class InTurn(TaskStream):
    """The batches of the problem one after the other, for ever."""

    batches: meta.Task  # leaves (batches, tasks, ...)

    def feed(self, seed: int, start: int, count: int) -> np.ndarray:
        return np.arange(start, start + count) % len(jax.tree.leaves(self.batches)[0])

    def draw(self, key: jax.Array, fed: jax.Array) -> meta.Task:
        return meta.take(self.batches, fed)


def stream(problem: Problem) -> InTurn:
    support_x, support_y, query_x, query_y = device_tasks(problem)
    return InTurn(meta.Task((support_x, support_y), (query_x, query_y)))


def trained(problem: Problem, algorithm: meta.MetaAlgorithm) -> Run:
    """Run `algorithm` by `train`, many outer steps to a device call."""
    tasks = stream(problem)
    state = algorithm.init(jax.tree.map(jnp.asarray, problem.weights))
    done = 0

    def run(steps: int) -> np.ndarray:
        nonlocal state, done
        done += steps
        state, history = train(algorithm, state, tasks, done, progress="none")
        return history.loss

    return run
