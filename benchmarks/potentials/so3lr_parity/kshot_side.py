"""kshot's SO3krates with the weights of SO3LR, compared; runs in kshot's environment.

Also writes the reference of kshot's tests: what so3krates-torch found, and no weights.
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.io import read

from kshot.atoms import Structure
from kshot.atoms.graph import Size, graph, pad
from kshot.core.torch_file import module, read_torch
from kshot.potentials import energy_and_forces
from kshot.potentials.so3krates.convert import Converted, convert

jax.config.update("jax_enable_x64", True)
HERE = Path(__file__).parent
REFERENCE = HERE.parents[2] / "tests" / "data" / "so3lr_reference.npz"
RANDOM = HERE.parents[2] / "tests" / "data" / "so3lr_random.model"
SIZES = (Size(12, 132), Size(28, 640), Size(64, 1792))  # few, as each is compiled
RANDOM_MOST = 12  # atoms, of molecules for the random model
PARTS = ("energy", "forces", "charges", "ratios")


def structure(atoms: Atoms) -> Structure:
    charge, multiplicity = atoms.info["total_charge"], atoms.info["total_spin"]
    return Structure(atoms.numbers, atoms.positions, int(charge), int(multiplicity))


class Ours:
    """kshot's numbers of one model, in one precision."""

    def __init__(self, model: Converted, dtype: str) -> None:
        self.model, self.dtype = model, dtype
        self.params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), model.params)
        potential = model.potential
        self.run = jax.jit(
            lambda p, g: (energy_and_forces(potential, p, g), potential.properties(p, g))
        )

    def __call__(self, molecule: Structure) -> dict[str, np.ndarray]:
        atoms = len(molecule)
        cutoff = self.model.potential.cutoff
        bare = graph(molecule, cutoff, self.dtype)
        fits = (one for one in SIZES if one.atoms >= atoms and one.edges >= bare.size.edges)
        (energy, forces), found = self.run(self.params, pad(bare, next(fits), cutoff))
        lone = sum(self.model.e0s[int(z)] for z in molecule.numbers)
        values = (float(energy) + lone, forces[:atoms], found.charge[:atoms], found.ratio[:atoms])
        return {part: np.asarray(value) for part, value in zip(PARTS, values, strict=True)}


def compared(ours: Ours, molecules: list[Atoms], theirs: dict[str, np.ndarray]) -> list[dict]:
    rows = []
    for number, atoms in enumerate(molecules):
        if f"{number}/energy" not in theirs:
            continue
        found = ours(structure(atoms))
        row = {"molecule": atoms.info["name"], "atoms": len(atoms)}
        row |= {"charge": int(atoms.info["total_charge"]), "dtype": ours.dtype}
        for part in PARTS:
            wanted = theirs[f"{number}/{part}"]
            off = float(np.abs(found[part] - wanted).max())
            row[part] = {"off": off, "relative": off / float(np.abs(wanted).max())}
        # of a total that is mostly constants, a relative error would flatter.
        bound = abs(float(theirs[f"{number}/energy"]) - sum(_lone(ours, atoms)))
        row["energy"]["relative"] = row["energy"]["off"] / bound
        rows.append(row)
        print(row["molecule"], ours.dtype, {p: f"{row[p]['off']:.1e}" for p in PARTS}, flush=True)
    return rows


def _lone(ours: Ours, atoms: Atoms) -> list[float]:
    return [ours.model.e0s[int(z)] for z in atoms.numbers]


def write_reference(molecules: list[Atoms], folder: Path) -> None:
    """What the tests compare with: SO3LR in float64, and the random model on small molecules."""
    arrays = {}
    for name in ("float64", "random"):
        theirs = np.load(folder / f"{name}.npz")
        for number, atoms in enumerate(molecules):
            if name == "random" and len(atoms) > RANDOM_MOST:
                continue
            label = "so3lr" if name == "float64" else "random"
            for part in PARTS:
                arrays[f"{label}/{number}/{part}"] = theirs[f"{number}/{part}"]
    for number, atoms in enumerate(molecules):
        arrays[f"{number}/numbers"] = atoms.numbers.astype(np.int8)
        arrays[f"{number}/positions"] = atoms.positions
        charge, multiplicity = atoms.info["total_charge"], atoms.info["total_spin"]
        arrays[f"{number}/charge_and_multiplicity"] = np.array([charge, multiplicity], np.int8)
    np.savez_compressed(REFERENCE, **arrays)


def main(folder: Path, weights: Path) -> None:
    molecules = read(HERE / "molecules.extxyz", index=":")
    write_reference(molecules, folder)
    converted = convert(module(read_torch(weights)))
    double, single = (dict(np.load(folder / f"{name}.npz")) for name in ("float64", "float32"))
    # their totals in float32 hold thousands of eV of constants: ours are compared with the others.
    single |= {name: double[name] for name in double if name.endswith("energy")}
    rows = compared(Ours(converted, "float64"), molecules, double)
    rows += compared(Ours(converted, "float32"), molecules, single)
    (HERE / "results" / "parity.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
