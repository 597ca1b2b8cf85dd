"""Files that are there as a whole or not at all, whenever a process is killed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READABLE = 0o644


@contextmanager
def whole(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a path to write to, which takes the place of ``path`` at the end of the block.

    If the block raises, nothing is left behind, and what was at ``path`` stays.

    Args:
        path: where the file is to be; its folder is made.
        durable: wait until the disk has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        if durable:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        part.chmod(READABLE)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
