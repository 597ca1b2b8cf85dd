"""JAX random streams that depend on names and step numbers, never on the order of calls.

A resumed run must draw exactly what the uninterrupted one would have drawn; so every stream is a
pure function of (seed, name, step). NumPy's are in `kshot.core.seeds`, which needs no JAX.
"""

from __future__ import annotations

import zlib

import jax
from jaxtyping import Array, PRNGKeyArray


def as_key(seed: int | PRNGKeyArray) -> PRNGKeyArray:
    """Return the JAX key of a seed; a key passes through."""
    return jax.random.key(seed) if isinstance(seed, int) else seed


def named_key(seed: int | PRNGKeyArray, name: str, step: int | Array = 0) -> PRNGKeyArray:
    """Return the JAX key of stream ``name`` at ``step``."""
    # crc32, not hash(): the same in every process and every version of Python.
    return jax.random.fold_in(jax.random.fold_in(as_key(seed), zlib.crc32(name.encode())), step)
