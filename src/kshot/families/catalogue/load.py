"""The catalogue as families, read from its files: no chemistry library is imported."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from kshot.atoms import Structure
from kshot.core.errors import InputError, UnknownNameError
from kshot.families.catalogue.entries import Entry, FamilyEntry, data_files, read_entries
from kshot.families.catalogue.store import (
    by_member,
    geometries_file,
    read_geometries,
    read_status,
    status_file,
)
from kshot.families.family import Family, Member


def load_catalogue(*more: Path) -> tuple[Family, ...]:
    """Return every family of the catalogue, by stratum and in the order of its file.

    Args:
        more: data files of your own, in the same format. What has no stored geometry is built
            now, with RDKit, and is not relaxed.

    Raises:
        InputError: a data file is wrong, or a name is there twice.
    """
    entries = [entry for path in (*data_files(), *more) for entry in read_entries(path)]
    names: set[str] = set()
    for entry in entries:
        if entry.name in names:
            raise InputError("each family once", f"{entry.name!r} twice", "Rename one of them.")
        names.add(entry.name)
    stored, rows = {}, []
    for stratum in dict.fromkeys(entry.stratum for entry in entries):
        stored |= read_geometries(geometries_file(stratum))
        rows += read_status(status_file(stratum))
    status = by_member(rows)
    return tuple(
        Family(
            entry.name,
            entry.stratum,
            tuple(_member(member, stored, status) for member in entry.members),
            entry.tags,
            entry.note,
        )
        for entry in entries
    )


def find_family(name: str, families: Iterable[Family]) -> Family:
    """Return the family of that name.

    Raises:
        UnknownNameError: there is none; close names are suggested.
    """
    known = {family.name: family for family in families}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=3)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise UnknownNameError(f"no family is called {name!r}.{hint} `kshot families list` lists all.")


def find_entries(families: Iterable[FamilyEntry]) -> tuple[Entry, ...]:
    """Return the members of families as their data files have them."""
    return tuple(member for family in families for member in family.members)


def _member(
    entry: Entry,
    stored: Mapping[tuple[str, str, str], tuple[np.ndarray, np.ndarray]],
    status: Mapping[tuple[str, str], Mapping[str, str]],
) -> Member:
    found = stored.get((entry.family, entry.name, entry.recipe))
    if found is None:
        from kshot.families.catalogue.build import build_entry

        structure = build_entry(entry)
    else:
        structure = Structure(
            *found, charge=entry.charge, multiplicity=entry.multiplicity, family=entry.family
        )
    known = status.get((entry.family, entry.name), {})
    return Member(entry.name, structure, entry.smiles, entry.note, known)
