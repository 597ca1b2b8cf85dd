"""Calls in threads: XLA compiles and computes outside of Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


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


def both(one: Callable[[], A], other: Callable[[], B]) -> tuple[A, B]:
    """Return what two calls of different kinds return."""
    calls: list[Callable[[], Any]] = [one, other]
    first, second = side_by_side(calls)
    return first, second
