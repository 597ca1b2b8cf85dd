"""Two molecules, twenty geometries each, labelled with GFN2; runs in kshot's environment."""

import sys
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem import AllChem

from kshot.atoms import Labels, Structure
from kshot.labelers import labeler

SMILES = {"glycol": "OCCO", "alanine dipeptide": "CC(=O)N[C@@H](C)C(=O)NC"}
CUTOFF = 5.0  # Å
ELEMENTS = [1, 6, 7, 8]
SHOTS = 10


def geometry(smiles: str) -> tuple[np.ndarray, np.ndarray]:
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(molecule, randomSeed=1)
    AllChem.MMFFOptimizeMolecule(molecule)
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    return numbers, molecule.GetConformer().GetPositions()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    engine, rng = labeler("gfn2"), np.random.default_rng(0)
    for name, smiles in SMILES.items():
        numbers, here = geometry(smiles)
        positions = here + 0.05 * rng.normal(size=(2 * SHOTS, *here.shape))
        labels = [engine.label(Structure(numbers, one)) for one in positions]
        assert all(isinstance(one, Labels) for one in labels), labels
        energy = np.array([one.energy for one in labels])
        forces = np.array([one.forces for one in labels])
        np.savez(
            folder / f"{name.replace(' ', '_')}.npz",
            numbers=numbers,
            positions=positions,
            energy=energy - energy.mean(),
            forces=forces,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
