"""Ligands of metal sites: what they are, with which atom and at what angle they bind."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from kshot.core.errors import UnknownNameError
from kshot.families.catalogue.molecules import build_molecule, molecule

SEED: Final = 0  # a ligand's own geometry is always the same; the site's seed is not about it


@dataclass(frozen=True)
class Ligand:
    """One ligand.

    Args:
        smiles: of the ligand alone.
        donor: index of the atom that binds, in the SMILES.
        angle: metal–donor–neighbour in degrees, where the donor has one neighbour and the bond
            is bent; None puts the metal opposite to the donor's neighbours.
    """

    smiles: str
    donor: int
    angle: float | None = None


LIGANDS: Final = {
    "thiolate": Ligand("C[S-]", 1, 105.0),
    "thioether": Ligand("CSC", 1),
    "imidazole": Ligand("c1c[nH]cn1", 4),
    "acetate": Ligand("CC(=O)[O-]", 3, 125.0),
    "amide": Ligand("CNC(C)=O", 4, 150.0),
    "dimethyl-phosphate": Ligand("COP(=O)([O-])OC", 4, 140.0),
    "water": Ligand("O", 0),
    "hydroxide": Ligand("[OH-]", 0, 115.0),
    "ammonia": Ligand("N", 0),
    "chloride": Ligand("[Cl-]", 0),
    "carbonyl": Ligand("[C-]#[O+]", 0),
    "methyl": Ligand("[CH3-]", 0),
}


@dataclass(frozen=True)
class Ready:
    """A ligand with its donor (atomic number ``donor``) at the origin, the metal towards +z."""

    numbers: Int64[np.ndarray, " atoms"]
    positions: Float64[np.ndarray, "atoms 3"]
    charge: int
    donor: int


@functools.cache
def ready(name: str) -> Ready:
    """Build a ligand.

    Raises:
        UnknownNameError: there is no such ligand.
    """
    if name not in LIGANDS:
        raise UnknownNameError(f"no ligand is called {name!r}. Known: {', '.join(LIGANDS)}.")
    ligand = LIGANDS[name]
    built = build_molecule(ligand.smiles, seed=SEED, name=name)
    positions = built.positions - built.positions[ligand.donor]
    frame = rotation_to_z(_towards_metal(ligand, positions))
    donor = int(built.numbers[ligand.donor])
    return Ready(built.numbers, positions @ frame.T, built.charge, donor)


def _towards_metal(
    ligand: Ligand, positions: Float64[np.ndarray, "atoms 3"]
) -> Float64[np.ndarray, " 3"]:
    mol = molecule(ligand.smiles)
    donor = mol.GetAtomWithIdx(ligand.donor)
    neighbours = [atom.GetIdx() for atom in donor.GetNeighbors()]
    if not neighbours:
        return np.array([0.0, 0.0, 1.0])
    bonds = [unit(positions[index]) for index in neighbours]
    if ligand.angle is None:
        return -unit(np.sum(bonds, axis=0))
    beyond = [
        atom.GetIdx()
        for atom in mol.GetAtomWithIdx(neighbours[0]).GetNeighbors()
        if atom.GetIdx() != ligand.donor
    ]
    reference = positions[beyond[0]] - positions[neighbours[0]] if beyond else np.eye(3)[0]
    # The bent bond points away from the first atom beyond, in the plane of the three.
    side = -(reference - (reference @ bonds[0]) * bonds[0])
    angle = np.deg2rad(ligand.angle)
    return np.cos(angle) * bonds[0] + np.sin(angle) * unit(side)


def unit(vector: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, " 3"]:
    """Return the vector at length one; a null vector gives z."""
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else np.array([0.0, 0.0, 1.0])


def rotation_to_z(direction: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, "3 3"]:
    """Return a proper rotation that takes ``direction`` to +z."""
    z = unit(direction)
    helper = np.eye(3)[int(np.argmin(np.abs(z)))]
    x = unit(np.cross(helper, z))
    return np.stack([x, np.cross(z, x), z])
