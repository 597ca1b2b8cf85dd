"""Forces of one molecule against central differences of its energies, at a level of theory.

OMP_NUM_THREADS=2 python benchmarks/labels/pyscf_forces.py                  # alanine dipeptide
python benchmarks/labels/pyscf_forces.py --engine gfn2 --coordinates 66

A difference is wrong by a sixth of the third derivative times the square of the step: by 8e-5 eV/Å
for a carbonyl group at 0.001 Å, whatever the engine.
"""

import argparse
import json
import time

import numpy as np

from kshot.atoms import Labels, Structure
from kshot.labelers import labeler

ALANINE_DIPEPTIDE = "CC(=O)N[C@@H](C)C(=O)NC"


def molecule(smiles: str) -> Structure:
    from rdkit import Chem
    from rdkit.Chem import AllChem

    made = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(made, randomSeed=1)
    AllChem.MMFFOptimizeMolecule(made)
    numbers = np.array([atom.GetAtomicNum() for atom in made.GetAtoms()])
    return Structure(numbers, made.GetConformer().GetPositions())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="pyscf")
    parser.add_argument("--smiles", default=ALANINE_DIPEPTIDE)
    parser.add_argument("--coordinates", type=int, default=2, help="how many to move")
    parser.add_argument("--step", type=float, default=0.0005, help="Å; its square is the error")
    args = parser.parse_args()
    engine, structure = labeler(args.engine), molecule(args.smiles)
    begun = time.perf_counter()
    labels = engine.label(structure)
    if not isinstance(labels, Labels):
        raise SystemExit(f"no label: {labels}")
    print(f"{engine.fingerprint}: one label {time.perf_counter() - begun:.1f} s", flush=True)
    net = float(np.abs(labels.forces.sum(0)).max())
    places = np.random.default_rng(0).permutation(3 * len(structure))[: args.coordinates]
    worst = 0.0
    for place in (divmod(int(flat), 3) for flat in places):
        energies = []
        for sign in (1, -1):
            positions = structure.positions.copy()
            positions[place] += sign * args.step
            energies.append(engine.label(structure.replace(positions=positions)).energy)
        difference = -(energies[0] - energies[1]) / (2 * args.step)
        worst = max(worst, abs(difference - labels.forces[place]))
        told = f"force {labels.forces[place]:+.6f}, difference {difference:+.6f} eV/Å"
        print(f"atom {place[0]} axis {place[1]}: {told}", flush=True)
    seconds = time.perf_counter() - begun
    report = {"worst eV/Å": worst, "net force eV/Å": net, "seconds": round(seconds, 1)}
    print(json.dumps(report))
    raise SystemExit(worst > 1e-4)


if __name__ == "__main__":
    main()
