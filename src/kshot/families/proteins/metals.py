"""Metal ions and clusters: the oxidation and spin states assumed where nobody states them.

They are the usual ones in proteins, high spin. A structure file does not say which is right, so
every use is noted.
"""

from __future__ import annotations

from typing import NamedTuple

from kshot.core.errors import InputError


class Ion(NamedTuple):
    """A charge in elementary charges and a number of unpaired electrons."""

    charge: int
    unpaired: int = 0


IONS: dict[int, Ion] = {
    3: Ion(1),
    11: Ion(1),
    19: Ion(1),
    37: Ion(1),
    55: Ion(1),
    4: Ion(2),
    12: Ion(2),
    20: Ion(2),
    38: Ion(2),
    56: Ion(2),
    13: Ion(3),
    23: Ion(4, 1),
    24: Ion(3, 3),
    25: Ion(2, 5),
    26: Ion(2, 4),
    27: Ion(2, 3),
    28: Ion(2, 2),
    29: Ion(2, 1),
    30: Ion(2),
    42: Ion(6),
    48: Ion(2),
    74: Ion(6),
    78: Ion(2),
    79: Ion(1),
    80: Ion(2),
    82: Ion(2),
    # what is left alone beside metals
    8: Ion(-2),
    9: Ion(-1),
    16: Ion(-2),
    17: Ion(-1),
    35: Ion(-1),
    53: Ion(-1),
}
"""By atomic number: metals, and halides, oxide and sulfide bound to nothing but metals."""

NAMED: dict[str, Ion] = {
    "FE": Ion(3, 5),
    "FE2": Ion(2, 4),
    "CU1": Ion(1, 0),
    "CU": Ion(2, 1),
    "MN": Ion(2, 5),
    "MN3": Ion(3, 4),
    "3CO": Ion(3, 0),
    "CO": Ion(2, 3),
}
"""By residue name, where the PDB's name tells the oxidation state."""

CLUSTERS: dict[str, Ion] = {"FES": Ion(2, 10), "SF4": Ion(2, 18), "F3S": Ion(1, 15)}
"""Whole inorganic clusters by residue name: 2 Fe(III); 2 Fe(II) 2 Fe(III); 3 Fe(III); all spins up,
because tblite can be asked for a total spin only."""

METALS = frozenset(z for z in IONS if z not in {8, 9, 16, 17, 35, 53}) | frozenset(
    [*range(21, 32), *range(39, 51), *range(57, 85)]
)
REACH = 2.8
"""Å: nitrogen, oxygen and sulfur nearer than this to a metal are bound to it."""


def parse_ion(text: str) -> tuple[str, Ion]:
    """Read ``FE=3`` or ``FE=3/6``: element or residue name, oxidation state, multiplicity.

    Raises:
        InputError: it has another form.
    """
    name, _, state = text.partition("=")
    charge, _, multiplicity = state.partition("/")
    try:
        return name.strip().upper(), Ion(int(charge), int(multiplicity or 1) - 1)
    except ValueError as error:
        raise InputError(
            "NAME=CHARGE or NAME=CHARGE/MULTIPLICITY, such as FE=3/6", text, "Correct it."
        ) from error
