"""Molecules beside the catalogue's: each has one or two hydrogens replaced by a group.

They make a start's families many. A relative that is a near neighbour of a family that only tests
see, or of one that tuning sees, is left out, as is one that the catalogue has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kshot.core.errors import KshotError
from kshot.core.seeds import named_generator
from kshot.families.catalogue.molecules import build_molecule
from kshot.families.family import Family, Member

GROUPS = (
    *("F", "Cl", "Br", "I", "C", "CC", "C(C)C", "C=C", "C#C", "C#N", "C(F)(F)F", "C(F)F"),
    *("O", "OC", "OC(F)F", "C=O", "C(C)=O", "C(=O)O", "C(=O)OC", "C(N)=O", "OC(C)=O", "NC(C)=O"),
    *("N", "NC", "N(C)C", "[N+](=O)[O-]", "N=C(N)N", "N=O", "NN", "NO", "N=[N+]=[N-]"),
    *("S", "SC", "SSC", "S(C)=O", "S(C)(=O)=O", "S(N)(=O)=O", "S(=O)(=O)OC", "SC#N", "C(N)=S"),
    *(
        "P(C)C",
        "P(C)(C)=O",
        "P(=O)(O)OC",
        "OP(=O)(O)O",
        "P(=O)(OC)OC",
        "P(C)(C)=S",
        "[Se]C",
        "[SeH]",
    ),
    *(
        "c1ccccc1",
        "c1ccc[nH]1",
        "c1ccco1",
        "c1cccs1",
        "c1cnc[nH]1",
        "[nH]1cccn1",
        "C1CC1",
        "N1CCOCC1",
    ),
)
"""SMILES of what takes a hydrogen's place; the first atom is bonded."""
MOST_ATOMS = 30


def relatives(parents: Sequence[Family], each: int, seed: int = 0) -> Iterator[Family]:
    """Yield up to so many relatives of each parent: families of one member, none twice.

    Args:
        parents: of the catalogue; their closed-shell members without a metal have relatives.
        each: relatives of one parent.
        seed: of the choice.
    """
    known = {_canonical(member.smiles) for parent in parents for member in parent.members}
    for parent in parents:
        rng = named_generator(seed, f"relatives of {parent.name}")
        made = 0
        for _ in range(6 * each):
            member = parent.members[int(rng.integers(len(parent.members)))]
            smiles = _substituted(member.smiles, rng)
            if smiles is None or smiles in known:
                continue
            known.add(smiles)
            name = f"{parent.name}--{made}"
            if (structure := _built(smiles, name)) is None:
                continue
            yield Family(name, parent.stratum, (Member("only", structure, smiles),), parent.tags)
            made += 1
            if made == each:
                break


def _built(smiles: str, name: str) -> Any:
    from rdkit import Chem

    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if mol.GetNumAtoms() > MOST_ATOMS:
        return None
    try:
        structure = build_molecule(smiles, seed=0, name=name)
    except KshotError:
        return None
    return structure.replace(family=name) if structure.multiplicity == 1 else None


def _substituted(smiles: str, rng: np.random.Generator) -> str | None:
    """Return a SMILES with one or two hydrogens of C or N replaced; None if that fails."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles) if smiles else None
        if mol is None or any(bond.GetBondType().name == "DATIVE" for bond in mol.GetBonds()):
            return None
        for _ in range(int(rng.integers(1, 3))):
            if (mol := _with_group(mol, rng)) is None:
                return None
        return Chem.MolToSmiles(mol)


def _with_group(mol: Any, rng: np.random.Generator) -> Any:
    from rdkit import Chem

    places = [
        atom.GetIdx()
        for atom in mol.GetAtoms()
        if atom.GetTotalNumHs() and atom.GetAtomicNum() in (6, 7) and not atom.GetFormalCharge()
    ]
    if not places:
        return None
    place = places[int(rng.integers(len(places)))]
    group = Chem.MolFromSmiles(GROUPS[int(rng.integers(len(GROUPS)))])
    edited = Chem.RWMol(Chem.CombineMols(mol, group))
    atom = edited.GetAtomWithIdx(place)
    if atom.GetNumExplicitHs():
        atom.SetNumExplicitHs(atom.GetNumExplicitHs() - 1)
    edited.AddBond(place, mol.GetNumAtoms(), Chem.BondType.SINGLE)
    end = edited.GetAtomWithIdx(mol.GetNumAtoms())
    if end.GetNumExplicitHs():
        end.SetNumExplicitHs(end.GetNumExplicitHs() - 1)
    try:
        Chem.SanitizeMol(edited)
    except (Chem.KekulizeException, Chem.AtomValenceException):
        return None
    return edited.GetMol()


def _canonical(smiles: str) -> str:
    from rdkit import Chem

    return Chem.CanonSmiles(smiles) if smiles else ""
