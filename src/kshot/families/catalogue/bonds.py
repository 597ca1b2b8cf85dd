"""Whether a geometry still is the molecule it was built as."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64

from kshot.atoms import Structure
from kshot.families.catalogue.entries import Entry, Site
from kshot.families.catalogue.ligands import LIGANDS

Pairs = Bool[np.ndarray, "atoms atoms"]
STRETCHED = 1.35  # times the sum of covalent radii: a bond longer than this is broken
BONDED = 1.15  # times that sum: a pair shorter than this is bonded
TOUCHING = 0.6  # Å


def what_changed(entry: Entry, structure: Structure) -> str:
    """Say how a geometry differs from its entry in bonds and stereo; empty if it does not.

    A molecule has the bonds and the stereo of its SMILES, no more and no less. Of a metal site,
    every ligand is still bound and whole, and no hydrogen has gone from one to another.

    Args:
        entry: what it was built from.
        structure: its geometry now, atoms in the order of the builder.
    """
    ratio = _ratios(structure)
    if _distances(structure).min(initial=np.inf) < TOUCHING:
        return "atoms touch"
    if entry.site is not None:
        parts = _parts(ratio < STRETCHED)
        if parts.max() > 0:
            return f"{parts.max()} ligands have left"
        bonds, watched = _of_site(entry.site, structure)
    else:
        bonds = bonded(entry.smiles)
        watched = np.ones_like(bonds)
    broken = bonds & (ratio > STRETCHED)
    formed = watched & ~bonds & (ratio < BONDED)
    if broken.any() or formed.any():
        return f"{_pairs(structure, broken)} broken, {_pairs(structure, formed)} formed"
    return _stereo(entry.smiles, structure) if entry.smiles else ""


def bonded(smiles: str) -> Pairs:
    """Return which atoms the SMILES bonds, hydrogens included."""
    from rdkit.Chem import GetAdjacencyMatrix

    from kshot.families.catalogue.molecules import molecule

    return np.asarray(GetAdjacencyMatrix(molecule(smiles)), bool)


def _distances(structure: Structure) -> np.ndarray:
    gaps = np.linalg.norm(structure.positions[:, None] - structure.positions[None], axis=-1)
    np.fill_diagonal(gaps, np.inf)
    return gaps


def _ratios(structure: Structure) -> np.ndarray:
    from ase.data import covalent_radii

    radii = covalent_radii[structure.numbers]
    return _distances(structure) / (radii[:, None] + radii[None])


def _of_site(site: Site, structure: Structure) -> tuple[Pairs, Pairs]:
    """Return the bonds inside each ligand, and the pairs where a hydrogen may not form one.

    The atoms of the core come first; what they bond to is left alone.
    """
    blocks = [bonded(LIGANDS[name].smiles) for name in site.ligands]
    bonds = np.zeros((len(structure), len(structure)), bool)
    core = start = len(structure) - sum(map(len, blocks))
    for block in blocks:
        bonds[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    hydrogen = structure.numbers == 1
    watched = hydrogen[:, None] | hydrogen[None]
    watched[:core] = watched[:, :core] = False
    return bonds, watched


def _parts(bonds: Pairs) -> Int64[np.ndarray, " atoms"]:
    """Number the connected parts."""
    part = np.full(len(bonds), -1)
    for start in range(len(bonds)):
        if part[start] >= 0:
            continue
        number, front = part.max() + 1, [start]
        while front:
            atom = front.pop()
            part[atom] = number
            front += [int(other) for other in np.flatnonzero(bonds[atom] & (part < 0))]
    return part


def _pairs(structure: Structure, wanted: Pairs) -> str:
    from ase.data import chemical_symbols

    first, second = np.nonzero(np.triu(wanted))
    symbols = [chemical_symbols[number] for number in structure.numbers]
    return " ".join(f"{symbols[i]}-{symbols[j]}" for i, j in zip(first, second, strict=True)) or "0"


def _stereo(smiles: str, structure: Structure) -> str:
    """Compare the stereo of the coordinates with that of the SMILES."""
    from rdkit import Chem

    from kshot.families.catalogue.molecules import molecule

    asked, built = molecule(smiles), molecule(smiles)
    conformer = Chem.Conformer(len(structure))
    for index, position in enumerate(structure.positions):
        conformer.SetAtomPosition(index, [float(x) for x in position])
    built.AddConformer(conformer)
    Chem.AssignStereochemistryFrom3D(built)
    for centre, label in Chem.FindMolChiralCenters(asked, useLegacyImplementation=False):
        found = dict(Chem.FindMolChiralCenters(built, useLegacyImplementation=False))
        if found.get(centre) != label:
            return f"stereo centre {centre} is {found.get(centre)}, not {label}"
    return ""
