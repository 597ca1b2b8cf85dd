"""Place the hydrogens that are wanted and not there.

RDKit gives ideal lengths, angles and planes from the bond orders; `rotors` then turns what can
turn. OpenMM's placement without a force field would know every residue too, but it makes all X–H
bonds 1.00 Å and lets amides pucker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from kshot.core.errors import InputError
from kshot.families.proteins.chemistry import Chemistry, parents
from kshot.families.proteins.model import Protein
from kshot.families.proteins.rotors import turn


@dataclass(frozen=True, eq=False)
class AllAtom:
    """A protein with all its hydrogens and its whole chemical graph.

    Args:
        protein: heavy atoms and hydrogens.
        bonds: order of the bond between each pair of atoms, lower index first.
        charges: formal charges; their sum over whole groups is exact, single ones may be those of
            a resonance form.
        unpaired: electrons, of open-shell ions.
        unusable: residues left out, by index, and why.
    """

    protein: Protein
    bonds: dict[tuple[int, int], int]
    charges: Int64[np.ndarray, " atoms"]
    unpaired: Int64[np.ndarray, " atoms"]
    unusable: dict[int, str]


def add_hydrogens(protein: Protein, chemistry: Chemistry) -> AllAtom:
    """Return the protein with exactly the hydrogens wanted.

    Hydrogens in the file stay where they are, apart from those that are too many.
    """
    parent_of = _kept(protein, chemistry)
    heavy_or_kept = [i for i in range(len(protein)) if protein.numbers[i] > 1 or i in parent_of]
    have = dict.fromkeys(chemistry.wanted, 0)
    for i in parent_of.values():
        have[i] += 1
    missing = {i: n - have[i] for i, n in chemistry.wanted.items() if n > have[i]}
    added = _placed(protein, chemistry, parent_of, missing) if missing else []
    # New atoms go to the end of their residue.
    owners = np.array(
        [*protein.residue_of[heavy_or_kept], *(protein.residue_of[i] for i, _ in added)]
    )
    order = np.argsort(owners, kind="stable")
    place = np.argsort(order)
    at = {i: int(place[k]) for k, i in enumerate(heavy_or_kept)}
    new = [int(place[len(heavy_or_kept) + k]) for k in range(len(added))]
    bonds = {pair(at[i], at[j]): n for (i, j), n in chemistry.bonds.items()}
    bonds |= {pair(at[h], at[i]): 1 for h, i in parent_of.items()}
    bonds |= {pair(at[i], h): 1 for (i, _), h in zip(added, new, strict=True)}
    points = np.array([*protein.positions[heavy_or_kept], *(x for _, x in added)])[order]
    numbers = np.array([*protein.numbers[heavy_or_kept], *(1 for _ in added)], np.int64)[order]
    names = [*(protein.names[i] for i in heavy_or_kept), *(f"H {k}" for k in range(len(added)))]
    whole = Protein(
        protein.source,
        protein.entry,
        tuple(names[k] for k in order),
        numbers,
        turn(points, numbers, bonds, new),
        owners[order],
        protein.residues,
        (*protein.notes, *chemistry.notes, *_counted(protein, parent_of, added)),
    )
    charges, unpaired = np.zeros((2, len(whole)), np.int64)
    for i, n in chemistry.wanted.items():
        charges[at[i]] = chemistry.charge(i, n)
    for i, ion in chemistry.ions.items():
        charges[at[i]], unpaired[at[i]] = ion
    return AllAtom(whole, bonds, charges, unpaired, dict(chemistry.unknown))


def pair(i: int, j: int) -> tuple[int, int]:
    """Return two indices, the lower one first."""
    return (i, j) if i < j else (j, i)


def _kept(protein: Protein, chemistry: Chemistry) -> dict[int, int]:
    """Hydrogens of the file that stay, with their parents."""
    found: dict[int, int] = {}
    for r in range(len(protein.residues)):
        for i, hydrogens in parents(protein, r).items():
            for h in hydrogens[: chemistry.wanted.get(i, 0)]:
                found[h] = i
    return found


def _counted(protein: Protein, kept: dict[int, int], added: list[tuple[int, Any]]) -> list[str]:
    present = int((protein.numbers == 1).sum())
    notes = [f"{len(added)} hydrogens added, {len(kept)} of the file kept"] if added else []
    if present > len(kept):
        notes.append(f"{present - len(kept)} hydrogens of the file removed: too many or too far")
    return notes


def _placed(
    protein: Protein, chemistry: Chemistry, parent_of: dict[int, int], missing: dict[int, int]
) -> list[tuple[int, Any]]:
    """Positions in Å of the missing hydrogens, each with its parent."""
    from rdkit import Chem
    from rdkit.Geometry import Point3D

    atoms = sorted({*chemistry.wanted, *parent_of})
    at = {i: k for k, i in enumerate(atoms)}
    mol = Chem.RWMol()
    conformer = Chem.Conformer(len(atoms))
    for i in atoms:
        atom = Chem.Atom(int(protein.numbers[i]))
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(missing.get(i, 0))
        if i in chemistry.wanted:
            atom.SetFormalCharge(chemistry.charge(i, chemistry.wanted[i]))
        conformer.SetAtomPosition(mol.AddAtom(atom), Point3D(*protein.positions[i].tolist()))
    kinds = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}
    for (i, j), order in chemistry.bonds.items():
        if i in at and j in at:  # else one end is in a residue that is left out
            mol.AddBond(at[i], at[j], kinds[order])
    for h, i in parent_of.items():
        mol.AddBond(at[h], at[i], kinds[1])
    mol.AddConformer(conformer)
    for problem in Chem.DetectChemistryProblems(mol):
        culprit = protein.label(atoms[problem.GetAtomIdx()]) if "Atom" in problem.GetType() else "?"
        raise InputError(
            "valences that atoms can have",
            f"{protein.source}: {culprit}: {problem.Message()}",
            "Look for atoms that are too close, or give --smiles or --ccd for its residue.",
        )
    Chem.SanitizeMol(mol, Chem.SANITIZE_ALL ^ Chem.SANITIZE_CLEANUP)
    full = Chem.AddHs(mol, addCoords=True)
    points = full.GetConformer().GetPositions()
    return [
        (atoms[full.GetAtomWithIdx(k).GetNeighbors()[0].GetIdx()], points[k])
        for k in range(len(atoms), full.GetNumAtoms())
    ]
