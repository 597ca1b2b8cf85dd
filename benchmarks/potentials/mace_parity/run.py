"""Models of mace-torch as large as MACE-OFF, imported from their files: the same numbers?

    make -C benchmarks/potentials/meta_gradients setup        # an environment with mace-torch
    python benchmarks/potentials/mace_parity/run.py [--torch PYTHON]

Weights are random and made by mace-torch; molecules are frames of the development families that
hold H, C, N and O only. Writes ``results.md``.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from kshot.atoms import Structure
from kshot.atoms.files import read_structures
from kshot.atoms.graph import graph
from kshot.core import trees
from kshot.potentials import energy_and_forces
from kshot.potentials.mace_torch import convert, read_saved

HERE = Path(__file__).parent
FRAMES = HERE.parent.parent / "fewshot" / "frames" / "development"
TORCH = HERE.parent / "meta_gradients" / ".venv" / "bin" / "python"
FAMILIES = ("uracil", "side-chain-his", "ribose", "dipeptide-ser")
HEAD = """# Models of mace-torch, imported

By `python benchmarks/potentials/mace_parity/run.py`: kshot less mace-torch, the largest difference
on {count} molecules, in float64.

| size | parameters | energy, eV | forces, eV/Å | largest force, eV/Å | import, s |
|---|---|---|---|---|---|
"""


def main() -> None:
    """Make the models, import them, compare, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", type=Path, default=TORCH, help="Python with mace-torch")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    molecules = {
        name: next(iter(read_structures(FRAMES / f"{name}.extxyz.xz"))) for name in FAMILIES
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arrays = {
            f"{key}/{field}": getattr(molecule, field)
            for key, molecule in molecules.items()
            for field in ("numbers", "positions")
        }
        np.savez(folder / "structures.npz", **arrays)
        command = [options.torch, HERE / "theirs.py", folder, folder / "structures.npz"]
        subprocess.run(command, check=True)
        lines = [row(path, molecules) for path in sorted(folder.glob("*.model"))]
    text = HEAD.format(count=len(molecules)) + "".join(lines)
    (HERE / "results.md").write_text(text, encoding="utf-8")
    print(text)


def row(path: Path, molecules: dict[str, Structure]) -> str:
    """Return the table's row of one model."""
    begun = time.perf_counter()
    converted = convert(read_saved(path))
    seconds = time.perf_counter() - begun
    params = jax.tree.map(jnp.asarray, converted.params)
    theirs = np.load(path.with_suffix(".npz"))
    energies, forces, largest = [], [], []
    for name, molecule in molecules.items():
        ready = graph(molecule, converted.potential.cutoff)
        energy, force = energy_and_forces(converted.potential, params, ready)
        lone = sum(converted.e0s[int(z)] for z in molecule.numbers)
        energies.append(abs(float(energy) + lone - theirs[f"{name}/energy"][0]))
        forces.append(np.abs(np.asarray(force) - theirs[f"{name}/forces"]).max())
        largest.append(np.abs(theirs[f"{name}/forces"]).max())
    cells = [path.stem, f"{trees.count(params):,}", f"{max(energies):.0e}", f"{max(forces):.0e}"]
    return f"| {' | '.join([*cells, f'{max(largest):.2f}', f'{seconds:.0f}'])} |\n"


if __name__ == "__main__":
    main()
