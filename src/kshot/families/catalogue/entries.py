"""What the data files say: families by stratum, each member as SMILES or as a metal site.

One TOML file per stratum. A table ``[families.NAME]`` is a family; in it, every key except
``tags`` and ``note`` is a member. Its ``charge`` and ``multiplicity`` are 0 and 1 where absent;
they are checked against the SMILES or the site when it is built.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kshot.core.errors import InputError

DATA = Path(__file__).parent / "data"
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
NOT_MEMBERS = {"tags", "note"}
SITE_KEYS = {"metal", "oxidation", "shape", "cluster", "ligands"}
MEMBER_KEYS = {"smiles", "charge", "multiplicity", "note"} | SITE_KEYS


@dataclass(frozen=True)
class Site:
    """A metal site.

    Args:
        metal: element symbol.
        oxidation: of all its metals together, in elementary charges.
        ligands: names of `kshot.families.catalogue.ligands.LIGANDS`, in the order of the corners.
        shape: of the corners around one metal; empty with a cluster.
        cluster: several atoms that the ligands sit on, such as ``4fe-4s``; empty with a shape.
    """

    metal: str
    oxidation: int
    ligands: tuple[str, ...]
    shape: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class Entry:
    """One member as the data file has it: SMILES, or a site."""

    family: str
    name: str
    smiles: str = ""
    site: Site | None = None
    charge: int = 0
    multiplicity: int = 1
    note: str = ""

    @property
    def recipe(self) -> str:
        """Twelve characters that change with whatever the geometry is built from."""
        made_of = [self.smiles, self.site and asdict(self.site), self.charge, self.multiplicity]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class FamilyEntry:
    """One family as the data file has it."""

    name: str
    stratum: str
    members: tuple[Entry, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def data_files() -> list[Path]:
    """Return the files of the catalogue that comes with kshot, one per stratum."""
    return sorted(DATA.glob("*.toml"))


def read_entries(path: Path) -> tuple[FamilyEntry, ...]:
    """Read one data file.

    Raises:
        InputError: it is not TOML, lacks its stratum, or has a name or a key that cannot be.
    """
    try:
        data = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} in TOML", str(error), "Mend that line.") from error
    except OSError as error:
        raise InputError(f"a readable file {path}", str(error), "Check the path.") from error
    stratum = data.get("stratum")
    families = data.get("families")
    if not isinstance(stratum, str) or not isinstance(families, dict):
        got = f"{path.name} with the keys {sorted(data)}"
        raise InputError("the keys 'stratum' and 'families'", got, "Add what is missing.")
    _check_name(stratum, path.name)
    return tuple(_family(name, stratum, table, path.name) for name, table in families.items())


def _family(name: str, stratum: str, table: Any, where: str) -> FamilyEntry:  # noqa: ANN401
    where = f"{where}, family {name!r}"
    _check_name(name, where)
    if not isinstance(table, dict):
        raise InputError(f"a table for a family in {where}", repr(table), "Write [families.NAME].")
    members = tuple(
        _entry(name, key, value, where) for key, value in table.items() if key not in NOT_MEMBERS
    )
    if not members:
        raise InputError(f"at least one member in {where}", "none", "Add one with its SMILES.")
    tags = table.get("tags", {})
    if not isinstance(tags, dict) or not all(isinstance(tag, str) for tag in tags.values()):
        raise InputError(f"tags that are strings in {where}", repr(tags), "Quote them.")
    return FamilyEntry(name, stratum, members, tags, str(table.get("note", "")))


def _entry(family: str, name: str, value: Any, where: str) -> Entry:  # noqa: ANN401
    where = f"{where}, member {name!r}"
    _check_name(name, where)
    if not isinstance(value, dict):
        raise InputError(f"a table for {where}", repr(value), "Write { smiles = … }.")
    if unknown := set(value) - MEMBER_KEYS:
        todo = f"Known keys: {', '.join(sorted(MEMBER_KEYS))}."
        raise InputError(f"known keys in {where}", ", ".join(sorted(unknown)), todo)
    if ("smiles" in value) == ("metal" in value):
        raise InputError(f"either smiles or metal in {where}", repr(value), "Give one of them.")
    kinds = {"charge": int, "multiplicity": int, "smiles": str, "metal": str, "oxidation": int}
    for key, kind in kinds.items():
        if key in value and type(value[key]) is not kind:
            got = f"{key} = {value[key]!r}"
            raise InputError(f"{key} of type {kind.__name__} in {where}", got, "Correct it.")
    return Entry(
        family,
        name,
        smiles=value.get("smiles", ""),
        site=_site(value, where) if "metal" in value else None,
        charge=value.get("charge", 0),
        multiplicity=value.get("multiplicity", 1),
        note=str(value.get("note", "")),
    )


def _site(value: dict[str, Any], where: str) -> Site:
    missing = {"oxidation", "ligands"} - set(value)
    if missing or ("shape" in value) == ("cluster" in value):
        got = ", ".join(sorted(value))
        raise InputError(
            f"oxidation, ligands, and either shape or cluster in {where}", got, "Complete the site."
        )
    ligands = tuple(str(ligand) for ligand in value["ligands"])
    shape, cluster = str(value.get("shape", "")), str(value.get("cluster", ""))
    return Site(value["metal"], value["oxidation"], ligands, shape, cluster)


def _check_name(name: str, where: str) -> None:
    if not NAME.fullmatch(name):
        todo = "Names are lower case, with dashes between words."
        raise InputError(f"a name like 'zn-cys4' in {where}", repr(name), todo)
