"""Files that are there as a whole or not at all, whenever a process is killed."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE = 0o600
ANY = 0o666  # less the umask: what a new file of this user may be


@contextmanager
def whole(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a path to write to, which takes the place of ``path`` at the end of the block.

    If the block raises, nothing is left behind, and what was at ``path`` stays. A file that is
    replaced keeps its mode, a new one has that of the umask; a symbolic link stays, and what it
    points to is replaced.

    Args:
        path: where the file is to be; its folder is made.
        durable: wait until the disk has it.

    Raises:
        OSError: it cannot be written, or is there and no plain file (a folder, a device).
    """
    target = Path(os.path.realpath(path))
    mode = _mode(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _new_beside(target, ANY if mode is None else PRIVATE)
    try:
        yield part
        if mode is not None:
            part.chmod(mode)
        if durable:
            _to_disk(part)
        part.replace(target)
        if durable:
            _to_disk(target.parent)
    finally:
        part.unlink(missing_ok=True)


def _mode(target: Path) -> int | None:
    """Return the mode of the file that is to be replaced; None where there is none."""
    try:
        status = target.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISREG(status.st_mode):
        return stat.S_IMODE(status.st_mode)
    number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
    raise OSError(number, "there, and no plain file", str(target))


def _new_beside(target: Path, mode: int) -> Path:
    """Make an empty file in the same folder; the system takes the umask off its mode."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    return part


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
