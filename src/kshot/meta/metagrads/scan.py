"""Scans whose backward pass keeps as much as the memory mode says."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from kshot.meta.metagrads.memory import Memory


def checkpointed_scan(
    body: Callable, carry: PyTree, rows: Int[Array, " k"], memory: Memory, unroll: int
) -> tuple[PyTree, PyTree]:
    """Run ``jax.lax.scan`` over ``rows``, keeping for the backward pass what ``memory`` says."""
    length = len(rows)
    if memory == "none" and unroll >= length > 0:
        return _python_loop(body, carry, rows)
    if memory == "none":
        return jax.lax.scan(body, carry, rows)
    saved = jax.checkpoint(body, prevent_cse=False)
    if memory == "per_step" or length < 4:
        return jax.lax.scan(saved, carry, rows)
    return _scan_of_scans(saved, carry, rows)


def _python_loop(body: Callable, carry: PyTree, rows: Int[Array, " k"]) -> tuple[PyTree, PyTree]:
    # not scan(unroll=k): under vmap a scan's carry is batched from the start, while here the first
    # step keeps the shared parameters and makes one large product instead of one per task.
    told = []
    for row in rows:
        carry, out = body(carry, row)
        told.append(out)
    return carry, jax.tree.map(lambda *outs: jnp.stack(outs), *told)


def _scan_of_scans(body: Callable, carry: PyTree, rows: Int[Array, " k"]) -> tuple[PyTree, PyTree]:
    length = len(rows)
    block = math.isqrt(length)
    whole = length // block * block

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def run_block(carry: PyTree, rows: PyTree) -> tuple[PyTree, PyTree]:
        return jax.lax.scan(body, carry, rows)

    carry, blocks = jax.lax.scan(run_block, carry, rows[:whole].reshape(-1, block))
    blocks = jax.tree.map(lambda x: x.reshape(whole, *x.shape[2:]), blocks)
    carry, rest = jax.lax.scan(body, carry, rows[whole:])
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), blocks, rest)
