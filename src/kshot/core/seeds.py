"""NumPy random streams that depend on names and step numbers, never on the order of calls."""

from __future__ import annotations

import zlib

import numpy as np


def named_generator(seed: int, name: str, step: int = 0) -> np.random.Generator:
    """Return the NumPy generator of stream ``name`` at ``step``."""
    # crc32, not hash(): the same in every process and every version of Python.
    return np.random.default_rng([seed, zlib.crc32(name.encode()), step])
