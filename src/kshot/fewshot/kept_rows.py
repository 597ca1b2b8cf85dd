"""Rows of a start's anchors, kept between runs: they are the same for every adaptation of it."""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from kshot import __version__
from kshot.core.whole import whole
from kshot.fewshot.jacobian import Rows

MOST_FILES = 4  # tens of megabytes each; the oldest goes first


def kept(folder: Path | None, what: str, make: Callable[[], Rows]) -> Rows:
    """Return rows from a folder, or make them and keep them there.

    Args:
        folder: of the user's cache; None keeps nothing.
        what: everything they depend on but the versions of kshot and JAX.
        make: computes them. A file that cannot be read, or a folder that cannot be written, costs
            nothing but this.
    """
    if folder is None:
        return make()
    key = hashlib.sha256(f"{what} {__version__} {jax.__version__}".encode()).hexdigest()
    path = folder / f"{key[:32]}.npz"
    if (found := _read(path)) is not None:
        return found
    made = make()
    with contextlib.suppress(OSError):
        _write(path, made)
    return made


def _read(path: Path) -> Rows | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            ways = tuple(held[f"ways{place}"] for place in range(len(held["counts"])))
            plain = {name: held[name] for name in Rows._fields if name != "ways"}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return Rows(**plain, ways=ways)


def _write(path: Path, made: Rows) -> None:
    arrays: dict[str, Any] = {name: v for name, v in made._asdict().items() if name != "ways"}
    arrays |= {f"ways{place}": value for place, value in enumerate(made.ways)}
    with whole(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)
    files = sorted(path.parent.glob("*.npz"), key=lambda one: one.stat().st_mtime_ns)
    for old in files[:-MOST_FILES]:
        old.unlink(missing_ok=True)
