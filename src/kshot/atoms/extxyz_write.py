"""Structures and labels as extended XYZ, in which every number comes back exactly."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from kshot.atoms import comment
from kshot.atoms.elements import symbol
from kshot.atoms.extxyz import INFO_JSON, RESERVED
from kshot.atoms.labels import Labelled, Labels
from kshot.atoms.reading import REF, Keys
from kshot.atoms.structure import Structure
from kshot.core.errors import OptionError
from kshot.core.whole import whole


def extxyz_text(structure: Structure, labels: Labels | None = None, keys: Keys = REF) -> str:
    """Return one frame: the field's keys, ``total_charge`` and ``total_spin`` (2S + 1).

    Args:
        structure: goes in with family, masses where it has any, and info.
        labels: energy in eV, forces in eV/Å; with their fingerprint.
        keys: under which the labels stand.
    """
    names, blocks = ["species:S:1", "pos:R:3"], [structure.positions]
    if structure.masses is not None:
        names.append("masses:R:1")
        blocks.append(structure.masses[:, None])
    if labels is not None:
        names.append(f"{keys.forces}:R:3")
        blocks.append(labels.forces)
    rows = np.concatenate(blocks, axis=1).tolist()
    atoms = [
        " ".join([f"{symbol(int(z)):2}", *map(repr, row)])
        for z, row in zip(structure.numbers, rows, strict=True)
    ]
    head = f"{_lattice(structure)}Properties={':'.join(names)} {_pairs(structure, labels, keys)}"
    return "\n".join([str(len(structure)), head, *atoms, ""])


def write_extxyz(path: Path, frames: Iterable[Structure | Labelled], keys: Keys = REF) -> int:
    """Write frames as they come, and return how many.

    The file appears under its name when it is whole: who is interrupted leaves none that is
    truncated.
    """
    count = 0
    with whole(path) as part, part.open("w", encoding="utf-8") as file:
        for given in frames:
            item = given if isinstance(given, Labelled) else (given, None)
            file.write(extxyz_text(*item, keys=keys))
            count += 1
    return count


def _lattice(structure: Structure) -> str:
    if structure.cell is None:
        return ""
    return f'Lattice="{_numbers(structure.cell)}" '


def _numbers(array: np.ndarray) -> str:
    return " ".join(map(repr, array.ravel().tolist()))


def _pairs(structure: Structure, labels: Labels | None, keys: Keys) -> str:
    pairs: dict[str, str] = {}
    if labels is not None:
        pairs[keys.energy] = repr(float(labels.energy))
        if labels.stress is not None:
            pairs[keys.stress] = f'"{_numbers(labels.stress)}"'
        if labels.fingerprint is not None:
            pairs["fingerprint"] = comment.quoted(labels.fingerprint.text)
    pairs |= {"total_charge": str(structure.charge), "total_spin": str(structure.multiplicity)}
    if structure.family:
        if not structure.family.isprintable():
            raise OptionError("a family's name of one line", repr(structure.family), "Rename it.")
        pairs["family"] = comment.quoted(structure.family)
    hidden = RESERVED.union(keys)
    plain = {
        key: given
        for key, given in structure.info.items()
        if key not in hidden and comment.comes_back(key, given)
    }
    pairs |= {key: comment.written(given) for key, given in plain.items()}
    rest = {key: given for key, given in structure.info.items() if key not in plain}
    if rest:
        pairs[INFO_JSON] = comment.as_json(rest)
    pairs["pbc"] = '"' + " ".join("FT"[int(flag)] for flag in structure.pbc) + '"'
    return " ".join(f"{key}={text}" for key, text in pairs.items())
