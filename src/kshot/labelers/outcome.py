"""One run of an engine: what it gave and what it cost."""

from __future__ import annotations

import time
from typing import NamedTuple

from kshot.atoms import Failure, Labeler, Labels, Structure


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
    before = _cpu_seconds()
    result = labeler.label(structure)
    return Outcome(result, _cpu_seconds() - before)


def _cpu_seconds() -> float:
    try:
        from resource import RUSAGE_CHILDREN, getrusage
    except ImportError:  # not on Windows
        return time.process_time()
    children = getrusage(RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
