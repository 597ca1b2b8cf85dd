"""Task streams: which tasks each outer step sees.

A stream is a pure function of (seed, outer step). A resumed run so draws exactly what the
uninterrupted one would have drawn, whatever was asked of it before.
"""

from __future__ import annotations

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from kshot.core.errors import OptionError, TaskError
from kshot.core.rng import named_key
from kshot.core.seeds import named_generator
from kshot.meta.task import Task, take

STREAM = "tasks"


class TaskStream(eqx.Module):
    """Where tasks come from, in two halves: what the host hands over, what the device draws."""

    @abc.abstractmethod
    def feed(self, seed: int, start: int, count: int) -> PyTree:
        """Return what the host hands over for steps ``start … start + count − 1``.

        Every leaf has a leading axis of ``count``; ``None`` if the device draws by itself.
        """

    @abc.abstractmethod
    def draw(self, key: PRNGKeyArray, fed: PyTree) -> Task:
        """Return one step's stack of tasks; traceable.

        Args:
            key: the random key of this step.
            fed: this step's row of what the host handed over.
        """

    def at(self, seed: int, step: int | Array) -> Task:
        """Return the tasks of one outer step."""
        fed = take(self.feed(seed, int(step), 1), 0)
        return _draw(self, named_key(seed, STREAM, step), fed)

    def examples(self, seed: int, count: int) -> Task:
        """Return ``count`` training tasks, the same ones at every call: the stream's first."""
        parts = [self.at(seed, 0)]
        batch = jax.tree.leaves(parts[0])[0].shape[0]
        parts += [self.at(seed, step) for step in range(1, -(-count // batch))]
        joined = jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)
        return jax.tree.map(jax.numpy.asarray, joined)


class DeviceTasks(TaskStream):
    """Tasks drawn on the device, inside the compiled loop: the fastest kind.

    Args:
        sample: traceable ``key -> Task``, a stack of as many tasks as one outer step takes.
    """

    sample: Callable[[PRNGKeyArray], Task]

    def feed(self, seed: int, start: int, count: int) -> PyTree:
        """Return nothing: the device draws by itself."""
        del seed, start, count
        return None

    def draw(self, key: PRNGKeyArray, fed: PyTree) -> Task:
        """Return what the sampler gives for this key."""
        del fed
        return self.sample(key)


class HostTasks(TaskStream):
    """Tasks drawn on the host by NumPy code: files, catalogues, anything JAX cannot trace.

    The batches of one device call are drawn and stacked while the device works on the last ones.

    Args:
        sample: ``numpy generator -> Task``, a stack of as many tasks as one outer step takes. It
            must depend on nothing but its generator, and return equal shapes every time.
    """

    sample: Callable[[np.random.Generator], Task] = eqx.field(static=True)

    def feed(self, seed: int, start: int, count: int) -> Task:
        """Return the stacked batches of these steps."""
        steps = range(start, start + count)
        batches = [self.sample(named_generator(seed, STREAM, step)) for step in steps]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *batches)

    def draw(self, key: PRNGKeyArray, fed: PyTree) -> Task:
        """Return the batch that was handed over."""
        del key
        return fed


class FixedTasks(TaskStream):
    """A finite set of tasks, ``batch`` of which are drawn without replacement at every step.

    Args:
        tasks: the stack of all tasks.
        batch: how many one outer step takes; all of them, in order, if None.
    """

    tasks: Task
    batch: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        """Refuse a batch that cannot be drawn."""
        if self.batch is not None and not 1 <= self.batch <= self.count:
            todo = "Tasks are drawn without replacement: take fewer a step, or give more tasks."
            raise OptionError(f"a batch between 1 and {self.count} tasks", str(self.batch), todo)

    @property
    def count(self) -> int:
        """How many tasks there are."""
        return jax.tree.leaves(self.tasks)[0].shape[0]

    def feed(self, seed: int, start: int, count: int) -> PyTree:
        """Return nothing: the tasks live on the device."""
        del seed, start, count
        return None

    def draw(self, key: PRNGKeyArray, fed: PyTree) -> Task:
        """Return this step's share of the tasks."""
        del fed
        if self.batch is None:
            return self.tasks
        return take(self.tasks, jax.random.choice(key, self.count, (self.batch,), replace=False))

    def examples(self, seed: int, count: int) -> Task:
        """Return the first ``count`` tasks, or all there are."""
        del seed
        return take(self.tasks, slice(count))


def as_stream(source: TaskStream | Task | Callable[[PRNGKeyArray], Task]) -> TaskStream:
    """Return a task stream.

    Args:
        source: a stream as it is; a stack of tasks, all of which are used at every step; or a
            traceable ``key -> Task``. Wrap a NumPy sampler yourself: ``HostTasks(sample)``.

    Raises:
        TaskError: a function that JAX cannot trace, or that returns something else than tasks.
    """
    if isinstance(source, TaskStream):
        return source
    if isinstance(source, Task):
        return FixedTasks(source)
    todo = "Wrap a sampler that uses NumPy or files: meta.HostTasks(sample)."
    want = "a traceable function from a JAX key to a stack of tasks"
    try:
        drawn = eqx.filter_eval_shape(source, jax.random.key(0))
    except (TypeError, AttributeError, jax.errors.JAXTypeError) as error:
        raise TaskError(want, f"{type(error).__name__}: {error}", todo) from error
    if not isinstance(drawn, Task):
        raise TaskError(want, f"a function that returns {type(drawn).__name__}", todo)
    return DeviceTasks(source)


@eqx.filter_jit
def _draw(stream: TaskStream, key: PRNGKeyArray, fed: PyTree) -> Task:
    return stream.draw(key, fed)
