"""From SMILES to a structure: seeded embedding, then the force field where it knows the atoms."""

from __future__ import annotations

from typing import Any

import numpy as np

from kshot.atoms import Structure
from kshot.core.errors import InputError
from kshot.core.seeds import named_generator

CONFORMERS = 8
GAP = 1.9  # Å: between the parts of a SMILES with dots, before the force field
_OPTIONS = {"numThreads": 1, "maxIters": 2000, "ignoreInterfragInteractions": False}


def molecule(smiles: str) -> Any:  # noqa: ANN401 - RDKit has no types
    """Return RDKit's molecule with its hydrogens explicit, in the order of the structure's atoms.

    Raises:
        InputError: the SMILES is not one, or breaks a valence.
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        todo = "Check brackets, ring closures and valences."
        raise InputError("a SMILES that RDKit can read", repr(smiles), todo)
    return Chem.AddHs(mol)


def build_molecule(smiles: str, *, seed: int, name: str = "") -> Structure:
    """Build the conformer that the force field likes best among a few.

    Args:
        smiles: with explicit formal charges and stereo; several parts (``O.O``) are put side by
            side.
        seed: of the embedding; the same seed and name give the same coordinates.
        name: of the random stream.

    Returns:
        A structure with the formal charge, and the multiplicity of the radical electrons drawn
        (all spins parallel).

    Raises:
        InputError: the SMILES is wrong, or no geometry has its stereo.
    """
    from rdkit import Chem, rdBase

    mol = molecule(smiles)
    with rdBase.BlockLogs():
        best = _embed(mol, int(named_generator(seed, name).integers(2**31 - 1)))
    if best is None:
        todo = "Check that its stereo is possible in its rings."
        raise InputError("a SMILES that can be embedded", repr(smiles), todo)
    radicals = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    return Structure(
        numbers=np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()]),
        positions=mol.GetConformer(best).GetPositions(),
        charge=Chem.GetFormalCharge(mol),
        multiplicity=radicals + 1,
    )


def _embed(mol: Any, seed: int) -> int | None:  # noqa: ANN401
    """Embed conformers into ``mol``; return the index of the best, or None if there is none."""
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    parameters.numThreads = 1
    found = list(rdDistGeom.EmbedMultipleConfs(mol, CONFORMERS, parameters))
    if not found:  # strained cages and macrocycles start better from a random box
        parameters.useRandomCoords = True
        found = list(rdDistGeom.EmbedMultipleConfs(mol, CONFORMERS, parameters))
    if not found:
        return None
    _part(mol)
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, **_OPTIONS)
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        results = rdForceFieldHelpers.UFFOptimizeMoleculeConfs(mol, **_OPTIONS)
    else:
        return found[0]
    energies = [energy if np.isfinite(energy) else np.inf for _, energy in results]
    return found[int(np.argmin(energies))]


def _part(mol: Any) -> None:  # noqa: ANN401
    """Move the parts of a SMILES with dots beside each other: they are embedded on one spot."""
    from rdkit import Chem

    parts = [list(part) for part in Chem.GetMolFrags(mol)]
    if len(parts) == 1:
        return
    for conformer in mol.GetConformers():
        positions = conformer.GetPositions()
        edge = -np.inf
        for part in parts:
            left = positions[part, 0].min()
            if np.isfinite(edge):
                positions[part, 0] += edge + GAP - left
            edge = positions[part, 0].max()
        for index, position in enumerate(positions):
            conformer.SetAtomPosition(index, [float(x) for x in position])
