"""Zip archives of JSON and arrays, read as if whoever wrote them were an enemy.

Sizes are checked before anything is decompressed, members have known names, arrays have known
types, and nothing that a file says is ever imported or executed.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kshot.core.arrays_file import DAMAGED, MOST_ARRAYS
from kshot.core.errors import ModelFileError
from kshot.core.limits import allowed_bytes
from kshot.potentials.model_tree import KINDS

JSON, ARRAYS = "model.json", "arrays.npz"
LARGEST = {JSON: 1 << 26, ARRAYS: 1 << 31}  # bytes, of a member; the file itself is no longer
DATE = (1980, 1, 1, 0, 0, 0)  # the first a zip can hold: equal content makes equal bytes
MAGIC = b"\x93NUMPY\x01\x00"
HEADER = re.compile(
    rb"\{'descr': '([<|][fibu][1248])', 'fortran_order': False, "
    rb"'shape': \(((?:\d{1,12}, ?)*(?:\d{1,12})?)\), \} *\n"
)
FRESH = "It is damaged or no model file: take a fresh copy."


def pack(text: str, arrays: bytes) -> bytes:
    """Return the bytes of an archive with one JSON text and what `pack_arrays` gave."""
    return _zip({JSON: text.encode(), ARRAYS: arrays}, zipfile.ZIP_STORED)


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return arrays as the bytes of an ``.npz`` file."""
    members = {}
    for name, array in sorted(arrays.items()):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, array, version=(1, 0), allow_pickle=False)
        members[f"{name}.npy"] = stream.getvalue()
    return _zip(members, zipfile.ZIP_DEFLATED)


def unpack(path: Path) -> tuple[Any, bytes]:
    """Return what the JSON of an archive says, and the bytes of its ``.npz``.

    Raises:
        ModelFileError: it is no such archive.
    """
    try:
        if not path.is_file() or path.stat().st_size > sum(LARGEST.values()):
            raise ModelFileError(
                "a model file", f"{path}: no file, or too large", "Check its name."
            )
        whole = path.read_bytes()
    except OSError as error:
        words = f"{path}: {error.strerror or error}"
        raise ModelFileError("a model file", words, "Check its name.") from error
    members = _members(whole, str(path), LARGEST, sum(LARGEST.values()))
    if set(members) != set(LARGEST):
        got = ", ".join(sorted(members))[:80]
        raise ModelFileError(f"{JSON} and {ARRAYS} in {path}", got or "nothing", FRESH)
    try:
        return json.loads(members[JSON]), members[ARRAYS]
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"JSON in {path}", str(error)[:80], FRESH) from error


def unpack_arrays(whole: bytes, where: str) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` file's bytes.

    Raises:
        ModelFileError: it is no such file, or too large.
    """
    most = allowed_bytes(len(whole), LARGEST[ARRAYS])
    members = _members(whole, where, {}, most)
    return {
        name.removesuffix(".npy"): _array(data, f"{name} of {where}")
        for name, data in members.items()
    }


def _array(data: bytes, where: str) -> np.ndarray:
    """Return an array written by `pack_arrays`; the header is matched, never evaluated."""
    start = len(MAGIC) + 2
    length = struct.unpack("<H", data[start - 2 : start])[0] if len(data) >= start else 0
    header = HEADER.fullmatch(data[start : start + length])
    if not data.startswith(MAGIC) or header is None or header[1].decode() not in KINDS:
        raise ModelFileError("an array of numbers", where, FRESH)
    kind = np.dtype(header[1].decode())
    shape = tuple(int(size) for size in header[2].replace(b" ", b"").split(b",") if size)
    body = data[start + length :]
    if len(shape) > 32 or math.prod(shape) * kind.itemsize != len(body):
        raise ModelFileError(f"{shape} numbers of {kind}", f"{len(body)} bytes in {where}", FRESH)
    if kind.kind == "b" and body.strip(b"\x00\x01"):
        raise ModelFileError("truth values", f"something else in {where}", FRESH)
    return np.frombuffer(body, kind).reshape(shape).copy()


def _members(whole: bytes, where: str, largest: Mapping[str, int], total: int) -> dict[str, bytes]:
    """Return the members of a zip archive; only those named in ``largest``, unless it is empty."""
    with _explained(where), zipfile.ZipFile(io.BytesIO(whole)) as archive:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        if len(infos) > MOST_ARRAYS or len(set(names)) < len(names):
            raise ModelFileError(f"members of their own names in {where}", f"{len(names)}", FRESH)
        if sum(info.file_size for info in infos) > total:
            got = f"{sum(info.file_size for info in infos)} in {where}"
            raise ModelFileError(f"at most {total} bytes", got, FRESH)
        for info in infos:
            bad = info.filename not in largest if largest else not info.filename.endswith(".npy")
            plain = info.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
            if bad or not plain or info.file_size > largest.get(info.filename, total):
                raise ModelFileError(f"no member {info.filename[:60]!r}", f"one in {where}", FRESH)
        return {info.filename: _member(archive, info, where) for info in infos}


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> bytes:
    # never more than is announced, whatever it decompresses to
    with archive.open(info) as stream:
        data = stream.read(info.file_size + 1)
    if len(data) != info.file_size:
        got = f"{len(data)} in {where}"
        raise ModelFileError(f"{info.file_size} bytes of {info.filename[:60]!r}", got, FRESH)
    return data


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """Turn what reading a broken archive raises into our own error."""
    try:
        yield
    except ModelFileError:
        raise
    except (OSError, *DAMAGED) as error:
        raise ModelFileError(f"a sound archive: {where}", f"{error}"[:80], FRESH) from error


def _zip(members: Mapping[str, bytes], compression: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression, compresslevel=6) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, DATE)
            info.compress_type, info.external_attr = compression, 0o644 << 16
            archive.writestr(info, data)
    return stream.getvalue()
