"""From an entry of the data file to a checked structure."""

from __future__ import annotations

from kshot.atoms import Structure
from kshot.core.errors import InputError
from kshot.families.catalogue.entries import Entry
from kshot.families.catalogue.molecules import build_molecule
from kshot.families.catalogue.sites import build_site


def build_entry(entry: Entry, *, seed: int = 0) -> Structure:
    """Build one member from its SMILES or its site; same seed, same coordinates.

    Args:
        entry: what the data file says.
        seed: of conformers and of the turns of ligands.

    Returns:
        An unrelaxed structure of the entry's charge and multiplicity.

    Raises:
        InputError: SMILES or site cannot be built, or give another charge than the entry says, or
            an electron count that the multiplicity does not fit.
    """
    name = f"{entry.family}/{entry.name}"
    if entry.site is None:
        built = build_molecule(entry.smiles, seed=seed, name=name)
    else:
        built = build_site(entry.site, seed=seed, name=name)
    if built.charge != entry.charge:
        got = f"charge = {entry.charge} in its entry"
        todo = "Correct the one or the other."
        raise InputError(f"charge = {built.charge} for {name}, as it is built", got, todo)
    structure = built.replace(multiplicity=entry.multiplicity, family=entry.family)
    check_parity(structure, name)
    return structure


def check_parity(structure: Structure, name: str) -> None:
    """Refuse a multiplicity that the number of electrons does not allow.

    Raises:
        InputError: unpaired electrons are more than there are, or even where they must be odd.
    """
    electrons = int(structure.numbers.sum()) - structure.charge
    unpaired = structure.multiplicity - 1
    if unpaired < 0 or unpaired > electrons or (electrons - unpaired) % 2:
        wanted = "even" if electrons % 2 else "odd"
        expected = f"an {wanted} multiplicity for {name} with its {electrons} electrons"
        todo = "Correct charge or multiplicity."
        raise InputError(expected, f"multiplicity = {structure.multiplicity}", todo)
