"""Rows of a start's anchors, kept between runs: they are the same for every adaptation of it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kshot.core.arrays_file import NotArraysError, read_arrays
from kshot.core.cache import keep_file
from kshot.core.kept_programs import code_digest
from kshot.fewshot.jacobian import Rows

MOST_FILES = 4  # tens of megabytes each


def kept(folder: Path | None, what: str, make: Callable[[], Rows]) -> Rows:
    """Return rows from a folder, or make them and keep them there.

    Args:
        folder: of the user's cache; None keeps nothing.
        what: everything they depend on but the code of kshot and its libraries.
        make: computes them. A file that cannot be read, or a folder that cannot be written, costs
            nothing but this.
    """
    if folder is None:
        return make()
    key = hashlib.sha256(f"{what} {code_digest()}".encode()).hexdigest()
    path = folder / f"{key[:32]}.npz"
    if (rows := _read(path)) is not None:
        return rows
    made = make()
    keep_file(path, functools.partial(_write, made), MOST_FILES)
    return made


def _read(path: Path) -> Rows | None:
    try:
        held = read_arrays(path)
        ways = tuple(held[f"ways{number}"] for number in range(len(held["counts"])))
        plain = {name: held[name] for name in Rows._fields if name != "ways"}
    except (OSError, KeyError, NotArraysError):
        return None
    return Rows(**plain, ways=ways)


def _write(made: Rows, part: Path) -> None:
    arrays: dict[str, Any] = {name: v for name, v in made._asdict().items() if name != "ways"}
    arrays |= {f"ways{number}": value for number, value in enumerate(made.ways)}
    with part.open("wb") as file:
        np.savez(file, **arrays)
