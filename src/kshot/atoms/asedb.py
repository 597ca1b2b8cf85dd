"""ASE's database of structures (``.db``, SQLite), in and out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kshot.atoms.labels import Fingerprint, Labelled, Labels
from kshot.atoms.reading import BARE, Frame, RawLabels, Reading, Units, frame
from kshot.atoms.spin import charge_and_spin
from kshot.atoms.structure import Structure
from kshot.core.errors import DataError
from kshot.core.whole import whole

if TYPE_CHECKING:
    from ase import Atoms

SQLITE = b"SQLite format 3\x00"


def to_ase(structure: Structure, labels: Labels | None = None) -> Atoms:
    """Return ASE's form of a structure; labels go into its calculator."""
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    atoms = Atoms(structure.numbers, structure.positions, cell=structure.cell, pbc=structure.pbc)
    if structure.masses is not None:
        atoms.set_masses(structure.masses.tolist())
    atoms.info.update(structure.info)
    atoms.info.update(total_charge=structure.charge, total_spin=structure.multiplicity)
    if labels is not None:
        results = {"energy": labels.energy, "forces": labels.forces}
        if labels.stress is not None:
            results["stress"] = labels.stress.ravel()[[0, 4, 8, 5, 2, 1]]
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def write_ase_db(path: Path, frames: Iterable[Structure | Labelled]) -> int:
    """Write frames to an ASE database, whole or not at all, and return how many.

    Charge and multiplicity are the key-value pairs ``total_charge`` and ``total_spin`` (2S + 1),
    the family is ``family``; info and fingerprint are in ``data``. A file that
    is there is replaced.
    """
    with whole(path) as part:
        return _write_rows(part, frames)


def _write_rows(path: Path, frames: Iterable[Structure | Labelled]) -> int:
    """Fill an empty file: ASE would make a new one, with a mode of its own."""
    from ase.db import connect

    count = 0
    # ASE's annotation hides that it closes
    opened: Any = connect(path, type="db", use_lock_file=False)
    with opened as database:
        for given in frames:
            structure, labels = given if isinstance(given, Labelled) else (given, None)
            data: dict[str, Any] = {"info": json.dumps(dict(structure.info), sort_keys=True)}
            if labels is not None and labels.fingerprint is not None:
                data["fingerprint"] = labels.fingerprint.text
            pairs = {"total_charge": structure.charge, "total_spin": structure.multiplicity}
            # ASE turns what looks like a number into one, so the family's name goes into `data`.
            data["family"] = structure.family
            database.write(to_ase(structure, labels), key_value_pairs=pairs, data=data)
            count += 1
    return count


def scan_ase_db(path: Path, reading: Reading) -> Iterator[Frame]:
    """Yield the rows of an ASE database in their order, with what is wrong with each.

    Raises:
        DataError: it is no SQLite file, or is damaged.
    """
    import sqlite3

    from ase.db import connect

    units = reading.units(Units())
    _require_sqlite(path)
    try:
        for row in connect(path, type="db").select():
            yield _row(row, f"{path}, row {row.id}", reading, units)
    except (sqlite3.DatabaseError, OSError, ValueError, KeyError) as error:
        raise DataError(
            "a database of ASE", f"{path}: {error}", "The file is damaged or of another program."
        ) from error


def _require_sqlite(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(len(SQLITE))
    except OSError as error:
        raise DataError("a file", f"{path}: {error}", "Give a file that can be read.") from error
    if head != SQLITE:
        raise DataError("a database of ASE (SQLite)", str(path), "Its first bytes are others.")


def _row(row: Any, where: str, reading: Reading, units: Units) -> Frame:  # noqa: ANN401 - AtomsRow
    pairs = row.key_value_pairs
    numbers = np.array(row.numbers, np.int64)
    electrons = charge_and_spin(numbers, pairs, reading.spin_means, reading.stated)
    cell = np.array(row.cell, np.float64)
    info = row.data.get("info")
    structure = Structure(
        numbers,
        np.array(row.positions, np.float64) * units.length_factor,
        electrons.charge,
        electrons.multiplicity,
        np.array(row.masses, np.float64) if "masses" in row else None,
        cell * units.length_factor if cell.any() else None,
        np.array(row.pbc, bool),
        row.data.get("family", "") or str(pairs.get("family", "")),
        json.loads(info) if isinstance(info, str) else {},
    )
    labels = _labels(row, reading, units)
    return frame(where, structure, labels, electrons.problems, origins=electrons.origins)


def _labels(row: Any, reading: Reading, units: Units) -> RawLabels:  # noqa: ANN401 - AtomsRow
    keys = reading.keys or BARE
    # ASE's own places first; stated keys may be pairs (energies) and data (arrays).
    energy = row.get(keys.energy, row.data.get(keys.energy))
    forces = row.get(keys.forces, row.data.get(keys.forces))
    stress = row.get(keys.stress)
    fingerprint = row.data.get("fingerprint")
    return RawLabels(
        keys,
        units,
        None if energy is None else float(energy),
        None if forces is None else np.array(forces, np.float64),
        None if stress is None else np.array(stress, np.float64),
        None if fingerprint is None else Fingerprint.parse(fingerprint),
    )
