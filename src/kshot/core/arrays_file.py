"""Read npz files that anyone may have made, or cut short: arrays, or one error.

What a file announces is compared with its size before memory is taken for it: a member of a zip may
unpack to a thousand times its size, and the header of an array may claim any shape.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kshot.core.limits import MOST, TooLargeError, allowed_bytes

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
MOST_ARRAYS = 100_000
MOST_AXES = 32
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
CHUNK = 1 << 20


class NotArraysError(ValueError):
    """A file is there, and is no sound npz file of plain arrays."""


def read_arrays(path: Path, most: int = MOST) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file by name; nothing in it can run.

    Args:
        path: the file.
        most: bytes that all arrays may take; a small file may take less, see `allowed_bytes`.

    Raises:
        OSError: it cannot be opened or read.
        NotArraysError: it is no npz file, is damaged, too large, or holds objects.
    """
    with path.open("rb") as raw:
        try:
            with zipfile.ZipFile(raw) as archive:
                members = _members(archive, allowed_bytes(path.stat().st_size, most))
                return {one.filename.removesuffix(".npy"): _array(archive, one) for one in members}
        except DAMAGED as error:
            raise NotArraysError(str(error)) from error


def _members(archive: zipfile.ZipFile, limit: int) -> list[zipfile.ZipInfo]:
    """Return the members, whose announced sizes are within bounds."""
    members = archive.infolist()
    names = {one.filename for one in members}
    if len(members) > MOST_ARRAYS or len(names) < len(members):
        raise NotArraysError(f"{len(members)} members of {len(names)} names")
    if not all(one.compress_type in PLAIN for one in members):
        raise NotArraysError("compressed in a way that npz files are not")
    if (total := sum(one.file_size for one in members)) > limit:
        raise TooLargeError(f"its arrays would take {total} bytes, more than {limit}")
    return members


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Return one array; memory is taken once its header agrees with the member's size."""
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in HEADERS:
            raise NotArraysError(f"{member.filename!r} is of version {version}")
        shape, fortran, kind = HEADERS[version](stream)
        size = math.prod(shape) * kind.itemsize
        if kind.hasobject:
            raise NotArraysError(f"{member.filename!r} holds objects, which would be a pickle")
        if not kind.itemsize or len(shape) > MOST_AXES or size != member.file_size - stream.tell():
            raise NotArraysError(f"{member.filename!r} announces another size than it has")
        flat = np.frombuffer(_filled(stream.read, size), kind)
    return flat.reshape(shape, order="F" if fortran else "C")


def _filled(read: Callable[[int], bytes], size: int) -> bytearray:
    """Return so many bytes of a stream, as they come."""
    content = bytearray(size)
    place = 0
    while place < size:
        piece = read(min(CHUNK, size - place))
        if not piece:
            raise EOFError("an array ends early")
        content[place : place + len(piece)] = piece
        place += len(piece)
    read(1)  # the end, where the checksum is compared
    return content
