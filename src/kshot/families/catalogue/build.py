"""From an entry of the data file to a checked structure."""

from __future__ import annotations

from kshot.atoms import Structure
from kshot.atoms.check import require_sound
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
        InputError: SMILES or site cannot be built, or give another charge than the entry says.
        StructureError: atoms touch, or the multiplicity does not fit the number of electrons.
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
    require_sound(structure, where=name)
    return structure
