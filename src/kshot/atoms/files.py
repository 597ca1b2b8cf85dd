"""Structures and labels in files: by their names' endings, as streams."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from kshot.atoms.asedb import scan_ase_db, write_ase_db
from kshot.atoms.extxyz import scan_extxyz
from kshot.atoms.extxyz_write import write_extxyz
from kshot.atoms.labels import Labelled
from kshot.atoms.published import scan_hdf5, scan_npz
from kshot.atoms.reading import Frame, Reading
from kshot.atoms.spice_write import write_spice
from kshot.atoms.structure import Structure
from kshot.core.errors import DataError

READERS: dict[str, Callable[[Path, Reading], Iterator[Frame]]] = {
    ".xyz": scan_extxyz,
    ".extxyz": scan_extxyz,
    ".db": scan_ase_db,
    ".h5": scan_hdf5,
    ".hdf5": scan_hdf5,
    ".npz": scan_npz,
    ".xyz.xz": scan_extxyz,
    ".extxyz.xz": scan_extxyz,
}


def scan(path: Path | str, reading: Reading | None = None) -> Iterator[Frame]:
    """Yield every frame of a file, with what is wrong with it; nothing is refused.

    Args:
        path: extxyz (``.xyz``, ``.extxyz``, either compressed by xz with ``.xz`` behind), ASE's
            database (``.db``), HDF5 in the layout of SPICE, ANI-1x or QM7-X (``.h5``, ``.hdf5``),
            or npz in that of rMD17 or MD17.
        reading: keys, units and the meaning of spin, where the file leaves a choice.

    Raises:
        DataError: the file cannot be opened, or its layout is not known.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("a file", f"{path}, which is none", "Check its name.")
    kind = "".join(path.suffixes[-2:] if path.suffix.lower() == ".xz" else path.suffixes[-1:])
    if kind.lower() not in READERS:
        raise DataError(f"one of {', '.join(READERS)}", path.name, "Convert it to extxyz.")
    return READERS[kind.lower()](path, reading or Reading())


def read_labelled(path: Path | str, reading: Reading | None = None) -> Iterator[Labelled]:
    """Yield the frames of a file with their labels, in eV and Å.

    Args:
        path: as in `scan`.
        reading: as in `scan`.

    Raises:
        DataError: at the first frame that cannot be used; it names file, frame and remedy.
    """
    for frame in scan(path, reading):
        yield frame.require_labelled()


def read_structures(path: Path | str, reading: Reading | None = None) -> Iterator[Structure]:
    """Yield the structures of a file; their labels, if any, are not looked at.

    Args:
        path: as in `scan`.
        reading: as in `scan`.

    Raises:
        DataError: at the first structure that cannot be used; it names file, frame and remedy.
    """
    for frame in scan(path, reading):
        yield frame.require_structure()


def write(path: Path | str, frames: Iterable[Structure | Labelled]) -> int:
    """Write frames to extxyz, an ASE database or (SPICE's layout) HDF5; return how many.

    The file appears as a whole or not at all; one that is there is replaced.

    Raises:
        DataError: the name's ending is none of these, its folder is not there, or the file cannot
            be written.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise DataError(f"one of {', '.join(WRITERS)}", path.name, "Rename it.")
    if not path.parent.is_dir():  # a slip of the pen more often than a wish for a new folder
        raise DataError("a folder that is there", str(path.parent), "Make it, or name another.")
    try:
        return WRITERS[path.suffix.lower()](path, frames)
    except (OSError, sqlite3.Error) as error:
        raise DataError("a place to write to", f"{path}: {error}", "Name another.") from error


def _write_hdf5(path: Path, frames: Iterable[Structure | Labelled]) -> int:
    return write_spice(path, _labelled(frames))


def _labelled(frames: Iterable[Structure | Labelled]) -> Iterator[Labelled]:
    for given in frames:
        if not isinstance(given, Labelled):
            raise DataError("labelled frames for HDF5", "a structure alone", "Write extxyz.")
        yield given


WRITERS: dict[str, Callable[[Path, Iterable[Structure | Labelled]], int]] = {
    ".xyz": write_extxyz,
    ".extxyz": write_extxyz,
    ".db": write_ase_db,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
}
