"""Calls in threads: XLA compiles and computes outside of Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import jax

T = TypeVar("T")


def side_by_side(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Return what calls return, in their order; as many run at once as there are processors.

    Args:
        calls: independent of each other; the order in which they run must not matter.
    """
    # the precision that a `with` block sets is the thread's own.
    wide = jax.numpy.result_type(float) == jax.numpy.float64

    def one(call: Callable[[], T]) -> T:
        with jax.enable_x64(wide):
            return call()

    with ThreadPoolExecutor(min(len(calls), os.cpu_count() or 1)) as pool:
        return list(pool.map(one, calls))
