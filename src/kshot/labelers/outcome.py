"""One run of an engine: what it gave and what it cost."""

from __future__ import annotations

import time
from typing import NamedTuple

from kshot.atoms import Failure, Labeler, Labels, Structure

QUICK = 0.05  # seconds: a run shorter than this is counted by its own thread only


class Outcome(NamedTuple):
    """What came of one structure.

    Args:
        result: labels or failure.
        cost: CPU seconds, those of programs the engine started included.
    """

    result: Labels | Failure
    cost: float


def run(labeler: Labeler, structure: Structure) -> Outcome:
    """Label one structure in this process and count what it takes."""
    return _clock.timed(labeler, structure)


class _Clock:
    """Counts CPU seconds, by the cheap clock of one thread where runs are short.

    The clock of the whole process costs up to 0.1 ms once there are other threads: as much as a
    tenth of a quick label. So it is read only while the last run was a long one.
    """

    def __init__(self) -> None:
        self._last = float("inf")

    def timed(self, labeler: Labeler, structure: Structure) -> Outcome:
        read = time.thread_time if self._last < QUICK else _cpu_seconds
        began, before = time.perf_counter(), read()
        result = labeler.label(structure)
        cost = read() - before
        self._last = time.perf_counter() - began
        return Outcome(result, cost)


def _cpu_seconds() -> float:
    try:
        from resource import RUSAGE_CHILDREN, getrusage
    except ImportError:  # not on Windows
        return time.process_time()
    children = getrusage(RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


_clock = _Clock()
