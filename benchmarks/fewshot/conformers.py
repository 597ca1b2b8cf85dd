"""Minima of a molecule that a labeler tells apart: where trajectories start."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kshot.atoms import Failure, Labeler, Structure
from kshot.core.seeds import named_generator
from kshot.families.catalogue.molecules import molecule
from kshot.families.family import Member
from kshot.families.samplers.accept import Accept, Sieve
from kshot.families.samplers.relax import relax

EMBEDDED = 8  # geometries that RDKit proposes
FORCE = 0.02  # eV/Å, left on an atom of a minimum
SAME = 0.35  # Å, root mean square, between atoms other than hydrogen on carbon
WINDOW = 0.25  # eV above the lowest: what lies higher is not met
LIKELY = 0.12  # eV above the lowest: met at room temperature


class UnsuitableError(Exception):
    """A family whose molecule does not stay what it is, or whose labels fail."""


class Minimum(NamedTuple):
    """A relaxed geometry and its energy in eV."""

    structure: Structure
    energy: float


def minima(member: Member, labeler: Labeler) -> list[Minimum]:
    """Return distinct minima of a member, the lowest first; mirror images count as one.

    Args:
        member: with a SMILES.
        labeler: relaxes what RDKit embeds; what changes its bonds is left out.

    Raises:
        UnsuitableError: no geometry could be relaxed.
    """
    mol = molecule(member.smiles)
    _embed(mol, member.structure.family)
    relaxed = [
        _minimum(member, conformer.GetPositions(), labeler) for conformer in mol.GetConformers()
    ]
    relaxed.append(_minimum(member, member.structure.positions, labeler))
    ordered = sorted((m for m in relaxed if m is not None), key=_energy)
    if not ordered:
        raise UnsuitableError(f"no geometry of {member.smiles} stays what it is when relaxed")
    distinct: list[Minimum] = []
    for minimum in ordered:
        near = minimum.energy < ordered[0].energy + WINDOW
        if near and all(distance(mol, minimum, other) > SAME for other in distinct):
            distinct.append(minimum)
    return distinct


def farthest(member: Member, distinct: list[Minimum]) -> Minimum | None:
    """Return the likely minimum least like the lowest one, or else the next one; None without."""
    mol = molecule(member.smiles)
    likely = [m for m in distinct[1:] if m.energy < distinct[0].energy + LIKELY]
    others = likely or distinct[1:2]
    apart = [distance(mol, minimum, distinct[0]) for minimum in others]
    return others[int(np.argmax(apart))] if others else None


def distance(mol: Any, minimum: Minimum, other: Minimum) -> float:
    """Return how far two minima are apart at best, in Å, as they are or mirrored."""
    from rdkit import Chem
    from rdkit.Chem import rdMolAlign

    shapes = []
    for positions in (minimum.structure.positions, other.structure.positions):
        shape = _without_orders(mol)
        conformer = Chem.Conformer(len(positions))
        conformer.SetPositions(positions)
        shape.AddConformer(conformer)
        for index in reversed(_on_carbon(mol)):
            shape.RemoveAtom(index)
        shapes.append(shape)
    straight = rdMolAlign.GetBestRMS(shapes[0], shapes[1])
    mirror = shapes[0].GetConformer().GetPositions() * [1.0, 1.0, -1.0]
    shapes[0].GetConformer().SetPositions(mirror)
    return min(straight, rdMolAlign.GetBestRMS(shapes[0], shapes[1]))


def _without_orders(mol: Any) -> Any:
    """Return the molecule with all bonds alike and no charges: its oxygens of a nitro are equal."""
    from rdkit import Chem

    plain = Chem.RWMol()
    for atom in mol.GetAtoms():
        plain.AddAtom(Chem.Atom(atom.GetAtomicNum()))
    for bond in mol.GetBonds():
        plain.AddBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), Chem.BondType.SINGLE)
    plain.UpdatePropertyCache(strict=False)
    Chem.FastFindRings(plain)
    return plain


def _on_carbon(mol: Any) -> list[int]:
    """Return the hydrogens on carbon, which turn too easily to count."""
    return [
        atom.GetIdx()
        for atom in mol.GetAtoms()
        if atom.GetAtomicNum() == 1 and atom.GetNeighbors()[0].GetAtomicNum() == 6
    ]


def _embed(mol: Any, name: str) -> None:
    from rdkit.Chem import rdDistGeom

    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = int(named_generator(0, f"conformers of {name}").integers(2**31 - 1))
    parameters.numThreads = 1
    rdDistGeom.EmbedMultipleConfs(mol, EMBEDDED, parameters)


def _minimum(member: Member, positions: np.ndarray, labeler: Labeler) -> Minimum | None:
    start = member.structure.replace(positions=np.array(positions))
    rest = relax(start, labeler, force=FORCE)
    if isinstance(rest, Failure):
        return None
    labels = labeler.label(rest)
    if isinstance(labels, Failure) or Sieve(member.structure, Accept()).broken(rest.positions):
        return None
    return Minimum(rest, labels.energy)


def _energy(minimum: Minimum) -> float:
    return minimum.energy
