"""What changed between the arrays of a start and those of a model adapted from it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kshot.core.errors import ModelFileError
from kshot.potentials.model_archive import FRESH

XOR = "xor "  # in front of the name of an array that is a difference of bits


def difference(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return what takes ``before`` to ``after``, bit for bit; what is equal is left out."""
    found = {}
    for name, array in after.items():
        old = before.get(name)
        if old is None or (old.dtype, old.shape) != (array.dtype, array.shape):
            found[name] = array
        elif old.tobytes() != array.tobytes():
            # bytes of like weight side by side: those of sign and exponent are mostly zero
            found[XOR + name] = np.ascontiguousarray((_bytes(old) ^ _bytes(array)).T)
    return found


def applied(
    before: Mapping[str, np.ndarray], changed: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the arrays that `difference` was made of: the start's, changed.

    Raises:
        ModelFileError: changes of arrays that the start does not have.
    """
    found = dict(before)
    for name, array in changed.items():
        if not name.startswith(XOR):
            found[name] = array
            continue
        old = before.get(name.removeprefix(XOR))
        if old is None or array.dtype != np.uint8 or array.shape != _bytes(old).T.shape:
            raise ModelFileError("changes of the start's arrays", name[:60], FRESH)
        bits = np.ascontiguousarray(_bytes(old) ^ array.T)
        found[name.removeprefix(XOR)] = bits.view(old.dtype).reshape(old.shape)
    return found


def count(name: str, array: np.ndarray) -> int:
    """Return how many numbers an array of `difference` stands for."""
    return array.shape[-1] if name.startswith(XOR) else array.size


def _bytes(array: np.ndarray) -> np.ndarray:
    """Return an array's bytes, one row for each number."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(-1, array.itemsize)
