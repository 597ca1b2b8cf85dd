"""The molecules that are compared, away from their minima; runs in kshot's environment.

Writes molecules.extxyz and speed.extxyz, which are committed: both sides read the same bytes.
"""

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write
from rdkit import Chem
from rdkit.Chem import AllChem

MOLECULES = {
    "water": "O",
    "hydrogen sulfide": "S",
    "hypochlorous acid": "OCl",
    "triplet methylene": "[CH2]",
    "methyl radical": "[CH3]",
    "phosphine": "P",
    "fluoromethane": "CF",
    "chloroform": "ClC(Cl)Cl",
    "formamide": "NC=O",
    "methylammonium": "C[NH3+]",
    "acetate": "CC(=O)[O-]",
    "ethanol": "CCO",
    "dihydrogen phosphate": "OP(=O)(O)[O-]",
    "hydrogen phosphate": "OP(=O)([O-])[O-]",
    "glycine zwitterion": "[NH3+]CC(=O)[O-]",
    "guanidinium": "NC(N)=[NH2+]",
    "dimethyl sulfoxide": "CS(C)=O",
    "fluorobenzene": "Fc1ccccc1",
    "2-chlorothiophene": "Clc1cccs1",
    "uracil": "O=c1cc[nH]c(=O)[nH]1",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "alanine dipeptide": "CC(=O)N[C@@H](C)C(=O)NC",
    "aspartate dipeptide": "CC(=O)N[C@@H](CC(=O)[O-])C(=O)NC",
    "lysine dipeptide": "CC(=O)N[C@@H](CCCC[NH3+])C(=O)NC",
    "phosphoserine dipeptide": "CC(=O)N[C@@H](COP(=O)([O-])[O-])C(=O)NC",
    "trialanine": "CC(=O)N[C@@H](C)C(=O)N[C@@H](C)C(=O)N[C@@H](C)C(=O)NC",
    "hexadecyl sulfate": "CCCCCCCCCCCCCCCCOS(=O)(=O)[O-]",
    "nonadecane": "CCCCCCCCCCCCCCCCCCC",
}
SPEED = {"phenylalanine-valine": "CC(=O)N[C@@H](Cc1ccccc1)C(=O)N[C@@H](C(C)C)C(=O)NC"}
UNPAIRED = {"triplet methylene": 2, "methyl radical": 1}
RATTLE = 0.05  # Å
HERE = Path(__file__).parent


def structure(name: str, smiles: str, seed: int) -> Atoms:
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(molecule, randomSeed=1)
    if AllChem.MMFFHasAllMoleculeParams(molecule):
        AllChem.MMFFOptimizeMolecule(molecule)
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    positions = np.array(molecule.GetConformer().GetPositions())
    positions += RATTLE * np.random.default_rng(seed).normal(size=positions.shape)
    atoms = Atoms(numbers, np.round(positions, 6))
    charge = Chem.GetFormalCharge(molecule)
    return Atoms(
        atoms,
        info={
            "name": name,
            "total_charge": charge,
            "total_spin": 1 + UNPAIRED.get(name, 0),
        },
    )


def main() -> None:
    for file, those in {"molecules": MOLECULES, "speed": SPEED}.items():
        every = [structure(*entry, seed) for seed, entry in enumerate(those.items())]
        write(HERE / f"{file}.extxyz", every)
        for atoms in every:
            print(atoms.info["name"], len(atoms), atoms.info["total_charge"])


if __name__ == "__main__":
    main()
