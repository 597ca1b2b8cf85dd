"""Small engines for the tests of samplers: GFN2 without more ado, springs, and a broken one."""

from functools import cache

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.core.units import BOHR, HARTREE


class Gfn2(Labeler):
    """GFN2-xTB through tblite; counts its labels."""

    calls = 0

    @property
    def fingerprint(self):
        return Fingerprint("tblite", "test", "GFN2-xTB")

    def label(self, structure):
        from tblite.interface import Calculator

        self.calls += 1
        calculator = Calculator(
            "GFN2-xTB", structure.numbers, structure.positions / BOHR, float(structure.charge)
        )
        calculator.set("verbosity", 0)
        calculator.set("accuracy", 0.01)
        result = calculator.singlepoint()
        return Labels(
            float(result.get("energy")) * HARTREE,
            -np.array(result.get("gradient")) * HARTREE / BOHR,
            fingerprint=self.fingerprint,
        )


class Springs(Labeler):
    """A spring between every two atoms, at rest in the reference: flexible in nothing."""

    def __init__(self, reference, stiffness=10.0):
        self.rest = np.linalg.norm(
            reference.positions[:, None] - reference.positions[None], axis=-1
        )
        self.stiffness = stiffness

    @property
    def fingerprint(self):
        return Fingerprint("springs", "1", "pairs", settings={"stiffness": self.stiffness})

    def label(self, structure):
        along = structure.positions[:, None] - structure.positions[None]
        length = np.linalg.norm(along, axis=-1)
        np.fill_diagonal(length, 1.0)
        longer = length - self.rest
        np.fill_diagonal(longer, 0.0)
        forces = -self.stiffness * ((longer / length)[..., None] * along).sum(1)
        return Labels(0.25 * self.stiffness * (longer**2).sum(), forces, None, self.fingerprint)


class Wells(Labeler):
    """Every atom on a spring of its own to its place in the reference."""

    def __init__(self, reference, stiffness):
        self.reference, self.stiffness = reference.positions, stiffness

    @property
    def fingerprint(self):
        return Fingerprint("wells", "1", "einstein", settings={"stiffness": self.stiffness})

    def label(self, structure):
        moved = structure.positions - self.reference
        energy = 0.5 * self.stiffness * (moved**2).sum()
        return Labels(energy, -self.stiffness * moved, None, self.fingerprint)


class Broken(Labeler):
    """It never converges."""

    fingerprint = Fingerprint("broken", "1", "none")

    def label(self, structure):
        return Failure("not converged", "SCF: 250 cycles")


def water():
    positions = [[0.0, 0.0, 0.117], [0.0, 0.757, -0.468], [0.0, -0.757, -0.468]]
    return Structure(np.array([8, 1, 1]), np.array(positions), family="water")


@cache
def embedded(smiles, seed=1):
    """A molecule from SMILES at RDKit's MMFF94 minimum."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(molecule, randomSeed=seed)
    AllChem.MMFFOptimizeMolecule(molecule)
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    charge = Chem.GetFormalCharge(molecule)
    positions = np.array(molecule.GetConformer().GetPositions())
    return Structure(numbers, positions, charge=charge, family=smiles)
