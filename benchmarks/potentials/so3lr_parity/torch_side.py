"""SO3LR by so3krates-torch: energies, forces, charges, ratios; in this folder's environment."""

import sys
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.io import read
from random_model import MODEL
from so3krates_torch.calculator.so3 import SO3LRCalculator, TorchkratesCalculator

HERE = Path(__file__).parent


def theirs(atoms: Atoms) -> Atoms:
    """The molecule with charge and spin as their calculator reads them: its spin is S."""
    spin = (atoms.info["total_spin"] - 1) / 2
    return Atoms(
        atoms.numbers,
        atoms.positions,
        info={"charge": atoms.info["total_charge"], "total_spin": spin},
    )


def calculators() -> dict[str, Calculator]:
    """SO3LR in both precisions, and the random model of kshot's tests."""
    return {
        "float64": SO3LRCalculator(default_dtype="float64"),
        "float32": SO3LRCalculator(default_dtype="float32"),
        "random": TorchkratesCalculator(
            model_paths=str(MODEL),
            r_max_lr=12.0,
            dispersion_energy_cutoff_lr_damping=2.0,
            default_dtype="float64",
        ),
    }


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    molecules = read(HERE / "molecules.extxyz", index=":")
    for name, calculator in calculators().items():
        torch.set_default_dtype(torch.float32 if name == "float32" else torch.float64)
        found = {}
        for number, atoms in enumerate(molecules):
            calculator.calculate(theirs(atoms), ["energy", "forces"])
            values = calculator.results
            found[f"{number}/energy"] = np.asarray(values["energy"])
            found[f"{number}/forces"] = values["forces"]
            found[f"{number}/charges"] = values["partial_charges"]
            found[f"{number}/ratios"] = values["hirshfeld_ratios"]
            print(name, atoms.info["name"], f"{values['energy']:.8f} eV", flush=True)
        np.savez(folder / f"{name}.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
