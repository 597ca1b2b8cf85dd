"""Fit an algorithm into a memory limit: how many tasks at once, and what the inner loop keeps.

The engine chooses by itself (``memory="auto"``); this shows the prediction, and lets a user set the
limit.
"""

from __future__ import annotations

import dataclasses
import os
from typing import NamedTuple

import jax

from kshot.core import trees
from kshot.core.errors import OptionError
from kshot.meta.algorithms.base import MetaAlgorithm, State
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.metagrads.memory import MODES, Memory, Sizes, measure, predict, resolve
from kshot.meta.metagrads.unrolled import Unrolled
from kshot.meta.task import Task, take

MIB = 2**20


class Option(NamedTuple):
    """One way to take an outer step, and the peak memory predicted for it."""

    tasks_in_parallel: int
    memory: Memory
    nbytes: int


class Plan(NamedTuple):
    """The way chosen, and all that were considered, fastest first.

    Args:
        chosen: the fastest option within the limit.
        options: all options, fastest first.
        limit: the limit in bytes.
    """

    chosen: Option
    options: tuple[Option, ...]
    limit: int

    def apply(self, algorithm: Bilevel) -> Bilevel:
        """Return the algorithm set to the chosen option."""
        chunk, memory, _ = self.chosen
        metagrad = dataclasses.replace(algorithm.metagrad, memory=memory)
        return dataclasses.replace(algorithm, metagrad=metagrad, tasks_in_parallel=chunk)

    def __str__(self) -> str:
        """Return the options as a table, the chosen one marked."""
        rows = [f"memory limit {self.limit / MIB:,.0f} MiB; tasks at once, inner loop, predicted"]
        for option in self.options:
            mark = "→" if option == self.chosen else " "
            size = f"{option.nbytes / MIB:,.1f} MiB"
            rows.append(f"{mark} {option.tasks_in_parallel:>5}  {option.memory:<9} {size:>14}")
        return "\n".join(rows)


def plan_memory(algorithm: Bilevel, state: State, tasks: Task, limit: int | None = None) -> Plan:
    """Return the fastest way to take an outer step whose predicted peak is within a limit.

    Args:
        algorithm: the algorithm; its inner loop must be differentiated through.
        state: its state.
        tasks: a stack of tasks as every outer step will see.
        limit: bytes; half of what the device has free if None.

    Raises:
        OptionError: not even one task at a time fits; the message says what is needed.
    """
    metagrad = algorithm.metagrad
    if not isinstance(metagrad, Unrolled):
        todo = "Other meta-gradients need no plan: their memory does not grow with the steps."
        raise OptionError("an unrolled, mixed-mode meta-gradient", type(metagrad).__name__, todo)
    limit = free_memory() // 2 if limit is None else limit
    sizes = measure(state.learner, algorithm.objective, take(tasks.support, 0))
    count = len(jax.tree.leaves(tasks)[0])
    shared = trees.nbytes((state, tasks))
    options = tuple(
        Option(chunk, mode, shared + chunk * _per_task(sizes, metagrad, mode))
        for mode in MODES
        for chunk in _chunks(count)
    )
    for option in options:
        if option.nbytes <= limit:
            return Plan(option, options, limit)
    least = min(option.nbytes for option in options)
    got = f"{limit / MIB:,.1f} MiB, where {least / MIB:,.1f} MiB are needed"
    raise OptionError("a memory limit that one task fits in", got, "Raise it, or use first order.")


def memory_note(algorithm: MetaAlgorithm, state: State, tasks: Task) -> list[str]:
    """Return a line on how outer steps will be taken and what they are predicted to need.

    Empty for algorithms whose inner loop is not differentiated through.
    """
    if not isinstance(algorithm, Bilevel) or not isinstance(algorithm.metagrad, Unrolled):
        return []
    metagrad, support = algorithm.metagrad, take(tasks.support, 0)
    sizes = measure(state.learner, algorithm.objective, support)
    steps, route = metagrad.exact_steps, metagrad.route
    how = resolve(metagrad.memory, state.learner, algorithm.objective, support, steps, route)
    count = len(jax.tree.leaves(tasks)[0])
    chunk = min(algorithm.tasks_in_parallel or count, count)
    peak = trees.nbytes((state, tasks)) + chunk * _per_task(sizes, metagrad, how.memory)
    told = f"memory: {chunk} of {count} tasks at once, inner loop {how.memory!r}; predicted peak"
    return [f"{told} {peak / MIB:,.1f} MiB (see meta.plan_memory)"]


def free_memory() -> int:
    """Return the bytes free on the default device; on CPU, of the machine."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _per_task(sizes: Sizes, metagrad: Unrolled, mode: Memory) -> int:
    # and the task's own gradient, before it is reduced.
    return predict(sizes, metagrad.exact_steps, mode, metagrad.route) + sizes.params


def _chunks(count: int) -> list[int]:
    """Return numbers of tasks at once: all, then halves down to one."""
    chunks = [count]
    while chunks[-1] > 1:
        chunks.append(-(-chunks[-1] // 2))
    return chunks
