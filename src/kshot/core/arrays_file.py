"""Read npz files that anyone may have made, or cut short: arrays, or one error."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,  # objects, too: they would be pickles
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    RuntimeError,  # encrypted; NotImplementedError: compressed in other ways
)
"""What zipfile and NumPy raise on an archive that is none, besides OSError."""


class NotArraysError(ValueError):
    """A file is there, and is no sound npz file of plain arrays."""


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file by name; nothing in it can run.

    Raises:
        OSError: it cannot be opened or read.
        NotArraysError: it is no npz file, is damaged, or holds objects.
    """
    # opened here, since NumPy leaves a file open that it cannot read.
    with path.open("rb") as raw:
        try:
            with np.lib.npyio.NpzFile(raw, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except DAMAGED as error:
            raise NotArraysError(str(error)) from error
