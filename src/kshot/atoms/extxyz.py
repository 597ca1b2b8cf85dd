"""Extended XYZ: the field's common file of labelled structures, read as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from kshot.atoms import comment
from kshot.atoms.compressed import open_text
from kshot.atoms.elements import atomic_numbers
from kshot.atoms.labels import Fingerprint
from kshot.atoms.reading import BARE, REF, Frame, Keys, RawLabels, Reading, Units, frame
from kshot.atoms.spin import CHARGE_KEYS, SPIN_KEYS, charge_and_spin
from kshot.atoms.structure import Structure
from kshot.core.errors import DataError

DEFAULT_PROPERTIES = "species:S:1:pos:R:3"
INFO_JSON = "info_json"  # what of `info` has no plain form
RESERVED = {
    "Lattice", "Properties", "pbc", "family", "fingerprint", INFO_JSON,
    *REF, *BARE, *CHARGE_KEYS, *SPIN_KEYS,
}  # fmt: skip
MOST_ATOMS = 10_000_000  # a count above it is no count


class BrokenFrameError(ValueError):
    """A frame cannot be read; the next one may."""


class BrokenFileError(ValueError):
    """Nothing after this place can be trusted."""


class Raw(NamedTuple):
    """One frame, taken apart: pairs of its second line, and columns by name."""

    atoms: int
    pairs: dict[str, str]
    columns: dict[str, list[list[str]]]


def scan_extxyz(path: Path, reading: Reading) -> Iterator[Frame]:
    """Yield every frame with what is wrong with it; stop where the file is truncated.

    Args:
        path: the file; it is read as a stream, and decompressed if it ends in ``.xz``.
        reading: how to read it.

    Raises:
        DataError: it cannot be opened, is not text, or is compressed and damaged.
    """
    units = reading.units(Units())
    first: Keys | None = None
    try:
        with open_text(path) as file:
            for index in range(MOST_ATOMS):
                found = _next(file, f"{path}, frame {index}", reading, units)
                if found is None:
                    return
                frame, whole = found
                first = first or frame.keys
                yield _same_keys(frame, first)
                if not whole:
                    return
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "a text file in extended XYZ", f"{path}: {error}", "Give a file that can be read."
        ) from error


def _same_keys(frame: Frame, first: Keys | None) -> Frame:
    """Add a problem where a frame has its labels elsewhere than the first one."""
    if frame.keys in (None, first):
        return frame
    problem = f"its labels are under {frame.keys}, those of earlier frames under {first}"
    return Frame(**{**vars(frame), "label_problems": (*frame.label_problems, problem)})


def _next(
    file: TextIOWrapper, where: str, reading: Reading, units: Units
) -> tuple[Frame, bool] | None:
    """Return the next frame, and whether the file can be read on after it."""
    try:
        lines = _lines(file)
        if lines is None:
            return None
        return _frame(where, _take_apart(lines), reading, units), True
    except BrokenFrameError as error:
        return Frame(where, problems=(str(error),)), True
    except BrokenFileError as error:
        return Frame(where, problems=(str(error),)), False


def _lines(file: TextIOWrapper) -> list[str] | None:
    """Return the lines of the next frame without its first; None at the end of the file."""
    head = file.readline()
    while head.isspace():
        head = file.readline()
    if not head:
        return None
    if not head.strip().isdecimal() or int(head) > MOST_ATOMS:
        raise BrokenFileError(f"a number of atoms should stand where {head.strip()[:40]!r} does")
    lines = list(islice(file, int(head) + 1))
    if len(lines) < int(head) + 1:
        raise BrokenFileError(
            f"the file is truncated: {max(len(lines) - 1, 0)} of {int(head)} atoms are there"
        )
    if not int(head):
        raise BrokenFrameError("it has no atoms")
    return lines


def _take_apart(lines: list[str]) -> Raw:
    try:
        pairs = comment.split(lines[0])
    except comment.BadCommentError as error:
        raise BrokenFrameError(str(error)) from error
    plan = _plan(pairs.get("Properties", DEFAULT_PROPERTIES))
    width = max(stop for _, stop in plan.values())
    rows = [line.split() for line in lines[1:]]
    for atom, row in enumerate(rows):
        # Without `Properties` anything may follow the positions; with it, nothing.
        if len(row) < width or (len(row) > width and "Properties" in pairs):
            what = f"atom {atom} has {len(row)} columns instead of {width}"
            if atom == len(rows) - 1 or (len(row) == 1 and row[0].isdecimal()):
                # A row cut short at the end, or the head of the next frame where an atom should be.
                raise BrokenFileError(f"the file is truncated or its count is wrong: {what}")
            raise BrokenFrameError(what)
    columns = {name: [row[start:stop] for row in rows] for name, (start, stop) in plan.items()}
    return Raw(len(rows), pairs, columns)


def _plan(properties: str) -> dict[str, tuple[int, int]]:
    """Return first and last column of each property."""
    words = properties.split(":")
    if len(words) % 3 or not all(count.isdecimal() for count in words[2::3]):
        raise BrokenFrameError(f"Properties={properties!r} is not name:type:columns, repeated")
    stops = np.cumsum([int(count) for count in words[2::3]]).tolist()
    plan = dict(zip(words[::3], zip([0, *stops], stops, strict=False), strict=True))
    if "pos" not in plan or not {"species", "Z"} & set(plan):
        raise BrokenFrameError(f"Properties={properties!r} has no species or no positions")
    return plan


def _frame(where: str, raw: Raw, reading: Reading, units: Units) -> Frame:
    numbers = _numbers(raw)
    values = {key: comment.value(text) for key, text in raw.pairs.items()}
    electrons = charge_and_spin(numbers, values, reading.spin_means, reading.stated)
    masses = _column(raw, "masses")
    if masses is None:
        masses = _column(raw, "mass")
    positions = _column(raw, "pos")
    if positions is None or positions.shape[1] != 3:
        raise BrokenFrameError("positions are not three columns")
    cell = _cell(raw.pairs)
    structure = Structure(
        numbers,
        positions * units.length_factor,
        electrons.charge,
        electrons.multiplicity,
        None if masses is None else masses[:, 0],
        None if cell is None else cell * units.length_factor,
        _pbc(raw.pairs, cell),
        raw.pairs.get("family", ""),
        _info(raw.pairs, reading.keys),
    )
    labels, wrong = _raw_labels(raw, values, reading, units)
    return frame(where, structure, labels, electrons.problems, wrong, electrons.origins)


def _raw_labels(
    raw: Raw, values: Mapping[str, Any], reading: Reading, units: Units
) -> tuple[RawLabels, list[str]]:
    keys, wrong = _which(raw, reading.keys)
    if keys is None:
        return RawLabels(None, units), wrong
    energy = values.get(keys.energy)
    if isinstance(energy, bool) or not isinstance(energy, int | float | None):
        return RawLabels(keys, units), [f"{keys.energy!r} is {energy!r}, not a number"]
    fingerprint = _fingerprint(raw.pairs)
    forces, stress = _column(raw, keys.forces), _reals(raw.pairs, keys.stress)
    energy = None if energy is None else float(energy)
    return RawLabels(keys, units, energy, forces, stress, fingerprint), []


def _which(raw: Raw, stated: Keys | None) -> tuple[Keys | None, list[str]]:
    """Which labels to read: the stated ones, or the one kind that is there."""
    if stated is not None:
        return stated, []
    present = [
        keys for keys in (REF, BARE) if keys.energy in raw.pairs or keys.forces in raw.columns
    ]
    if not present:
        return None, [f"there are no labels: neither {REF.energy!r} nor {BARE.energy!r}"]
    if len(present) == 2:
        there = [*raw.pairs, *raw.columns]
        names = ", ".join(name for keys in (REF, BARE) for name in keys[:2] if name in there)
        return None, [f"both kinds of keys are there ({names}): state keys= to choose"]
    return present[0], []


def _numbers(raw: Raw) -> np.ndarray:
    try:
        if "species" in raw.columns:
            known = atomic_numbers()
            return np.array([known[row[0]] for row in raw.columns["species"]], np.int64)
        return np.array([int(row[0]) for row in raw.columns["Z"]], np.int64)
    except KeyError as error:
        raise BrokenFrameError(f"no element is called {error.args[0]!r}") from error
    except ValueError as error:
        raise BrokenFrameError(f"an atomic number cannot be read: {error}") from error


def _column(raw: Raw, name: str) -> Float64[np.ndarray, "atoms columns"] | None:
    if name not in raw.columns:
        return None
    try:
        # Python's float is faster on text than NumPy is.
        return np.array([list(map(float, row)) for row in raw.columns[name]], np.float64)
    except ValueError as error:
        raise BrokenFrameError(f"column {name!r} is not all numbers: {error}") from error


def _cell(pairs: Mapping[str, str]) -> Float64[np.ndarray, "3 3"] | None:
    numbers = _reals(pairs, "Lattice")
    if numbers is None:
        return None
    if len(numbers) != 9:
        raise BrokenFrameError(f"Lattice has {len(numbers)} numbers instead of 9")
    return numbers.reshape(3, 3)


def _reals(pairs: Mapping[str, str], key: str) -> Float64[np.ndarray, " numbers"] | None:
    if key not in pairs:
        return None
    try:
        return np.array(comment.reals(pairs[key]))
    except ValueError as error:
        raise BrokenFrameError(f"{key}={pairs[key]!r} is not numbers") from error


def _pbc(pairs: Mapping[str, str], cell: np.ndarray | None) -> np.ndarray:
    """The directions that repeat: all of them where there is a lattice and nothing else is said."""
    words = pairs.get("pbc", " ".join("F" * 3 if cell is None else "T" * 3)).split()
    flags = [comment.value(word) for word in words]
    if len(flags) != 3 or any(flag not in (0, 1) for flag in flags):
        raise BrokenFrameError(f"pbc={pairs.get('pbc')!r} is not three of T and F")
    return np.array(flags, bool)


def _fingerprint(pairs: Mapping[str, str]) -> Fingerprint | None:
    try:
        return Fingerprint.parse(pairs["fingerprint"]) if "fingerprint" in pairs else None
    except (ValueError, TypeError) as error:
        raise BrokenFrameError(f"its fingerprint is none of kshot's: {error}") from error


def _info(pairs: Mapping[str, str], keys: Keys | None) -> dict[str, comment.Value]:
    hidden = RESERVED.union(keys or ())
    info = {key: comment.value(text) for key, text in pairs.items() if key not in hidden}
    if INFO_JSON in pairs:
        try:
            info |= json.loads(pairs[INFO_JSON])
        except (ValueError, TypeError) as error:
            raise BrokenFrameError(f"{INFO_JSON} is not JSON: {error}") from error
    return info
