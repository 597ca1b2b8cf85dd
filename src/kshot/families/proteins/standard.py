"""The twenty amino acids, their caps and water: heavy atoms, bonds with orders, titration.

A `Template` is a neutral molecule with all its valences filled. Which hydrogens are really there
is decided elsewhere; the charge then follows from how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

VALENCE = {6: 4, 7: 3, 8: 2, 15: 5, 16: 2, 34: 2}

BACKBONE = "N-CA CA-C C=O"
SIDE_CHAINS = {
    "GLY": "",
    "ALA": "CA-CB",
    "VAL": "CA-CB CB-CG1 CB-CG2",
    "LEU": "CA-CB CB-CG CG-CD1 CG-CD2",
    "ILE": "CA-CB CB-CG1 CB-CG2 CG1-CD1",
    "MET": "CA-CB CB-CG CG-SD SD-CE",
    "PRO": "CA-CB CB-CG CG-CD CD-N",
    "SER": "CA-CB CB-OG",
    "THR": "CA-CB CB-OG1 CB-CG2",
    "CYS": "CA-CB CB-SG",
    "ASP": "CA-CB CB-CG CG=OD1 CG-OD2",
    "ASN": "CA-CB CB-CG CG=OD1 CG-ND2",
    "GLU": "CA-CB CB-CG CG-CD CD=OE1 CD-OE2",
    "GLN": "CA-CB CB-CG CG-CD CD=OE1 CD-NE2",
    "LYS": "CA-CB CB-CG CG-CD CD-CE CE-NZ",
    "ARG": "CA-CB CB-CG CG-CD CD-NE NE-CZ CZ-NH1 CZ=NH2",
    "HIS": "CA-CB CB-CG CG=CD2 CG-ND1 ND1=CE1 CE1-NE2 NE2-CD2",
    "PHE": "CA-CB CB-CG CG=CD1 CD1-CE1 CE1=CZ CZ-CE2 CE2=CD2 CD2-CG",
    "TYR": "CA-CB CB-CG CG=CD1 CD1-CE1 CE1=CZ CZ-CE2 CE2=CD2 CD2-CG CZ-OH",
    "TRP": "CA-CB CB-CG CG=CD1 CD1-NE1 NE1-CE2 CE2-CD2 CD2-CG CD2=CE3 CE3-CZ3 CZ3=CH2 CH2-CZ2 "
    "CZ2=CE2",
}
OTHERS = {"ACE": "CH3-C C=O", "NME": "N-C", "NMA": "N-CA", "NH2": "N"}
ALIASES = {
    "HID": "HIS",
    "HIE": "HIS",
    "HIP": "HIS",
    "HSD": "HIS",
    "HSE": "HIS",
    "HSP": "HIS",
    "CYX": "CYS",
    "CYM": "CYS",
    "ASH": "ASP",
    "GLH": "GLU",
    "LYN": "LYS",
}
"""Names that force fields give to protonation states."""

CANONICAL = frozenset(SIDE_CHAINS)
ELEMENTS = {"C": 6, "N": 7, "O": 8, "S": 16}


@dataclass(frozen=True)
class Template:
    """A residue as a neutral molecule, without the bonds to its neighbours.

    Args:
        name: of the residue.
        bonds: pairs of atom names, with the order.
        numbers: atomic number of each heavy atom, by name.
        charges: formal charge of each heavy atom that has one.
        hydrogens: how many hydrogens each heavy atom has then.
        optional: atoms that may be absent: they leave when the residue is bound to another.
        shifts: hydrogens more (or fewer) than that at the wanted pH, by atom.
    """

    name: str
    bonds: dict[tuple[str, str], int]
    numbers: dict[str, int]
    charges: dict[str, int]
    hydrogens: dict[str, int]
    optional: frozenset[str] = frozenset()
    shifts: dict[str, int] = field(default_factory=dict)


@cache
def standard(name: str) -> Template | None:
    """Return the template of a standard residue, cap or water; None for everything else."""
    if name in OTHERS:
        return _parse(name, OTHERS[name])
    name = ALIASES.get(name, name)
    if name in SIDE_CHAINS:
        return _parse(name, f"{BACKBONE} {SIDE_CHAINS[name]} C-OXT", frozenset({"OXT"}))
    return None


def water(oxygen: str) -> Template:
    """Return the template of a water whose oxygen has this name."""
    return Template("HOH", {}, {oxygen: 8}, {}, {oxygen: 2})


def _parse(name: str, text: str, optional: frozenset[str] = frozenset()) -> Template:
    bonds: dict[tuple[str, str], int] = {}
    numbers: dict[str, int] = {}
    for word in text.split():
        order = 2 if "=" in word else 1
        ends = word.replace("=", "-").split("-")
        numbers |= {end: ELEMENTS[end[0]] for end in ends}
        if len(ends) == 2:
            bonds[ends[0], ends[1]] = order
    used = dict.fromkeys(numbers, 0)
    for (a, b), order in bonds.items():
        used[a] += order
        used[b] += order
    free = {atom: VALENCE[numbers[atom]] - used[atom] for atom in numbers}
    return Template(name, bonds, numbers, {}, free, optional)
